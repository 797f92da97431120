// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package journal is the Redis side of a flusher: the capture functions that
// applications call, and the claims, acknowledgements and leases that the engine
// uses. Every step that must be atomic is a function of the library in library/, one file
// per subject. This package only calls them and reads their answers.
package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// Journal calls the functions of the library. It holds no state: any number may
// work on one Redis.
type Journal struct {
	rdb    redis.UniversalClient
	pieces pieces
	// ledger is the schema of the ledger that belongs to the queues' tables.
	ledger string
	// patterns are the keys that it works with, for remedies; empty where not known. rights
	// are the commands, empty for those of the functions.
	patterns, rights string
	// master is the name of the primary at its Sentinels, empty without any.
	master string
}

// New returns a Journal on an open client.
func New(rdb redis.UniversalClient) *Journal {
	return &Journal{rdb: rdb, pieces: usualPieces}
}

// WithLedger returns a Journal that gives Redis the ledger's schema. Schema and table are the
// queue's target, and flushers that name another target are refused.
func (j *Journal) WithLedger(schema string) *Journal {
	with := *j
	with.ledger = schema
	return &with
}

// WithMappings returns a Journal whose remedies name the keys of the mappings.
func (j *Journal) WithMappings(mappings []config.Mapping) *Journal {
	with := *j
	with.patterns = patternsOf(mappings)
	return &with
}

// WithRights returns a Journal whose remedies name other commands than those of the functions,
// in the words of ACL SETUSER.
func (j *Journal) WithRights(rights string) *Journal {
	with := *j
	with.rights = rights
	return &with
}

// WithMaster returns a Journal that calls the server by its name at the Sentinels.
func (j *Journal) WithMaster(name string) *Journal {
	with := *j
	with.master = name
	return &with
}

// target is where the mapping's rows go, in the words of a message; empty for a mapping
// without a table. The columns of watched flushers are the operator's to change, which
// rolls them: those before and after work side by side for a moment.
func (j *Journal) target(s *config.QueueSettings) string {
	m := &s.Mapping
	if m.Table == "" {
		return ""
	}
	schema, relation := config.SplitTable(m.Table)
	lines := []string{fmt.Sprintf("table %s.%s (ledger in schema %s)", schema, relation, j.ledger), "key column " + m.KeyColumn}
	if s.Alone {
		lines = append(lines, columnsOf(m))
	}
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], "\n", " ")
	}
	return strings.Join(lines, "\n")
}

// columnsOf tells which columns are written, and from what. Their order means nothing.
func columnsOf(m *config.Mapping) string {
	text := "every column from the field of its name"
	if len(m.Columns) > 0 {
		var columns []string
		for _, c := range m.Columns {
			columns = append(columns, c.Column+" from "+c.Field)
		}
		slices.Sort(columns)
		text = "columns " + strings.Join(columns, ", ")
	}
	if m.VersionColumn != "" {
		text += ", version column " + m.VersionColumn
	}
	return text
}

// EnsureLibrary loads the function library when Redis has none or an older one.
// A newer one is left alone, so that flushers of two releases do not replace each
// other's; it is an error when that lacks a function which this release calls. It
// reports whether it loaded.
func (j *Journal) EnsureLibrary(ctx context.Context) (bool, error) {
	version, missing, err := j.library(ctx)
	switch {
	case err != nil:
	case missing:
		err = j.rdb.FunctionLoad(ctx, library).Err()
		if err == nil || !strings.Contains(err.Error(), "already exists") {
			break
		}
		// Another flusher was faster, or a library of that name is not ours, or
		// one without the function that tells the version.
		if version, missing, err = j.library(ctx); err == nil && (missing || version < LibraryVersion) {
			err = j.rdb.FunctionLoadReplace(ctx, library).Err()
		}
	case version > LibraryVersion:
		return false, j.mayUse(ctx, version)
	case version == LibraryVersion:
		return false, nil
	default:
		err = j.rdb.FunctionLoadReplace(ctx, library).Err()
	}
	if err != nil {
		return false, fmt.Errorf("load function library: %w", err)
	}
	return true, nil
}

// mayUse says what a newer library lacks that this release calls. A server that does
// not tell leaves it to the calls themselves.
func (j *Journal) mayUse(ctx context.Context, version int64) error {
	for _, l := range j.rdb.FunctionList(ctx, redis.FunctionListQuery{LibraryNamePattern: "writebehind"}).Val() {
		for _, name := range functions {
			if !slices.ContainsFunc(l.Functions, func(f redis.Function) bool { return f.Name == name }) {
				return fmt.Errorf("%w: number %d lacks %s", errOtherRelease, version, name)
			}
		}
	}
	return nil
}

// errOtherRelease means that the library in Redis does not fit this release.
var errOtherRelease = errors.New("function library is of another release")

// library asks for the version of the library in Redis.
func (j *Journal) library(ctx context.Context) (version int64, missing bool, err error) {
	version, err = j.rdb.FCallRO(ctx, "wb_engine_library", nil).Int64()
	if err != nil && isMissingFunction(err) {
		return 0, true, nil
	}
	return version, false, err
}

// call runs a function of the engine and turns the library's own error codes
// into the errors above.
func (j *Journal) call(ctx context.Context, function string, args ...any) *redis.Cmd {
	cmd := j.rdb.FCall(ctx, function, nil, args...)
	if err := cmd.Err(); err != nil {
		cmd.SetErr(ofEngine(err))
	}
	return cmd
}

func (j *Journal) callRO(ctx context.Context, function string, args ...any) *redis.Cmd {
	cmd := j.rdb.FCallRO(ctx, function, nil, args...)
	if err := cmd.Err(); err != nil {
		cmd.SetErr(ofEngine(err))
	}
	return cmd
}

// ofEngine interprets what a function says that gets all its arguments from this
// package: when they are wrong, the function is of another release.
func ofEngine(err error) error {
	if strings.HasPrefix(err.Error(), "WBARGS ") {
		return fmt.Errorf("%w: %w", errOtherRelease, err)
	}
	return interpret(err)
}

func interpret(err error) error {
	if isMissingFunction(err) {
		return fmt.Errorf("%w: %w", entry.ErrNoFunctions, err)
	}
	code, _, _ := strings.Cut(err.Error(), " ")
	switch code {
	case "WBNOQUEUE":
		return fmt.Errorf("%w: %w", entry.ErrNoQueue, err)
	case "WBLEASE":
		return fmt.Errorf("%w: %w", entry.ErrLeaseLost, err)
	case "WBNOLETTER":
		return fmt.Errorf("%w: %w", entry.ErrNoLetter, err)
	case "WBSUPERSEDED":
		return fmt.Errorf("%w: %w", entry.ErrSuperseded, err)
	case "WBWAIT":
		return fmt.Errorf("%w: %w", entry.ErrHomeAwaited, err)
	case "WBSTEP":
		return fmt.Errorf("%w: %w", entry.ErrStep, err)
	case "WBCLAIM":
		return fmt.Errorf("%w: %w", entry.ErrClaimVoid, err)
	}
	return err
}

func isMissingFunction(err error) bool {
	return strings.Contains(err.Error(), "Function not found")
}
