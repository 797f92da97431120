// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres"
)

// Audit looks at the servers of one config. It is for one goroutine.
type Audit struct {
	config   *config.Config
	database *postgres.Database
	source   source
	tables   map[string]*postgres.Table
}

// Open prepares to look at the servers of a valid config. Nothing is connected before it is
// needed.
func Open(c *config.Config) *Audit {
	p := c.Database.Postgres
	a := &Audit{config: c, tables: make(map[string]*postgres.Table)}
	a.database = postgres.Open(postgres.Settings{
		URLFile: p.URLFile, URLSecret: p.URLSecret, TLS: p.TLS, MaxConnections: 1,
		StatementTimeout: time.Duration(p.StatementTimeoutSeconds) * time.Second, LedgerSchema: p.LedgerSchema,
		Sources: c.Capture == config.CaptureReplication,
	})
	if c.Capture == config.CaptureReplication {
		a.source = newStream(c, a.database)
	} else {
		a.source = newJournal(c)
	}
	return a
}

// Close ends every connection.
func (a *Audit) Close() {
	a.source.close()
	a.database.Close()
}

// MappingOf is the mapping that takes a key, or nil.
func MappingOf(c *config.Config, key string) *config.Mapping {
	for i := range c.Mappings {
		if strings.HasPrefix(key, c.Mappings[i].KeyPrefix) {
			return &c.Mappings[i]
		}
	}
	return nil
}

// source is where the entries of a config come from, as somebody sees it who only looks.
type source interface {
	// look tells what Redis holds of keys of a mapping, and what is known to wait of them.
	look(ctx context.Context, m *config.Mapping, keys []string) ([]known, error)
	// settled waits until everything that was looked at is a row, or is known to wait. It is
	// false where that takes too long.
	settled(ctx context.Context, looks []known) (bool, error)
	// again has keys flushed once more, and tells which of them are to be. Those of which
	// something waits are left alone. Where so much waits already that the rest has to wait, the
	// answer is of the first keys alone, with a busyError.
	again(ctx context.Context, m *config.Mapping, keys []string) ([]bool, error)
	// scan lists keys of Redis, some of them perhaps twice. It begins and ends with 0.
	scan(ctx context.Context, prefix string, cursor uint64) (scanned, error)
	// tell adds what the source knows of a key, and returns its rows in Redis. It tells what it
	// can: what fails is among the problems.
	tell(ctx context.Context, m *config.Mapping, key string, e *Explanation) []entry.Entry
	// explain says what an error of Redis means to a person.
	explain(err error) string
	close()
}

// busyError says that so much waits already that no more is to be flushed again for now.
type busyError struct{ text string }

func (e *busyError) Error() string { return e.text }

// known is one look at a key.
type known struct {
	key string
	// found tells what Redis holds, kind names the type where it is another one than the
	// mapping's encoding takes.
	found found
	kind  string
	// entries are the rows that the value is.
	entries []entry.Entry
	// members is how many members a key has: more than entries where these are too many to compare.
	members int
	// waits says that something of the key is not settled: it is dirty, or is tried again. dead
	// says that a dead letter stands for it.
	waits, dead bool
	// id and offset are those of the stream of replication at the look.
	id     string
	offset int64
}

// found is what Redis holds.
type found int

const (
	absent found = iota
	present
	ofAnotherType
)

// same says that two looks saw the same value, of which nothing waits.
func (k *known) same(other *known) bool {
	if k.found != other.found || len(k.entries) != len(other.entries) || other.waits || other.dead {
		return false
	}
	values := make(map[string]string, len(k.entries))
	for i := range k.entries {
		values[k.entries[i].Row()] = k.entries[i].Value
	}
	for i := range other.entries {
		e := &other.entries[i]
		if value, there := values[e.Row()]; !there || value != e.Value {
			return false
		}
	}
	return true
}

// table is the mapping's, read once.
func (a *Audit) table(ctx context.Context, m *config.Mapping) (*postgres.Table, error) {
	if t := a.tables[m.Name]; t != nil {
		return t, nil
	}
	t, err := patiently(ctx, func() (*postgres.Table, error) { return a.database.Table(ctx, *m) })
	if err != nil {
		return nil, err
	}
	a.tables[m.Name] = t
	return t, nil
}

// rows holds rows of a table against what Redis has.
func (a *Audit) rows(ctx context.Context, t *postgres.Table, wanted []postgres.Wanted, texts bool) ([]postgres.Compared, error) {
	return patiently(ctx, func() ([]postgres.Compared, error) { return a.database.Compare(ctx, t, wanted, texts) })
}

// members lists the members of a key that have a row.
func (a *Audit) members(ctx context.Context, m *config.Mapping, t *postgres.Table, key string, most int) ([]string, error) {
	return patiently(ctx, func() ([]string, error) { return a.database.Members(ctx, t, rowKey(m, key), most) })
}

// ofDatabase says what an error of the database means to a person.
func ofDatabase(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return interrupted
	}
	if misfit, ok := errors.AsType[*entry.Misfit](err); ok {
		return misfit.Message
	}
	if fault, ok := errors.AsType[*entry.Fault](err); ok {
		return fault.Message
	}
	return err.Error()
}

const interrupted = "interrupted"

// rowKey is the key of the row: what follows the prefix.
func rowKey(m *config.Mapping, key string) string { return strings.TrimPrefix(key, m.KeyPrefix) }

// wantedOf are the rows as Redis has them.
func wantedOf(m *config.Mapping, key string, entries []entry.Entry) []postgres.Wanted {
	all := make([]postgres.Wanted, len(entries))
	for i := range entries {
		all[i] = postgres.Wanted{RowKey: rowKey(m, key), Member: entries[i].Member, Entry: &entries[i]}
	}
	return all
}

// hasMembers says that a key of the mapping has a row for each of its members.
func hasMembers(m *config.Mapping) bool {
	return m.Encoding == config.EncodingSortedSet || m.Encoding == config.EncodingStream
}

// kindOf is the type of Redis that the mapping's encoding takes.
func kindOf(m *config.Mapping) string {
	switch m.Encoding {
	case config.EncodingHash:
		return "hash"
	case config.EncodingSortedSet:
		return "zset"
	case config.EncodingStream:
		return "stream"
	}
	return "string"
}

// otherType says that a key holds what the mapping does not take.
func otherType(m *config.Mapping, kind string) string {
	if kind == "" {
		kind = "value of another type"
	}
	return fmt.Sprintf("the key holds a %s, which a mapping of encoding %s does not take: that takes a %s", kind, m.Encoding, kindOf(m))
}
