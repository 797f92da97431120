// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// Suspect guesses from the server's error about the last batch which entry the server
// refused. It returns false if the error points at no single entry. PostgreSQL names no row,
// but its error quotes the row, a value, or a key, and Suspect searches the entries for the
// quotation. The guess can be wrong, so it may save time and must decide nothing.
func (b *Batch) Suspect(fault *entry.Fault) (entry.Suspicion, bool) {
	failure, ok := errors.AsType[*Error](fault.Err)
	if !ok {
		return entry.Suspicion{}, false
	}
	matches := b.matcher(failure)
	if matches == nil {
		return entry.Suspicion{}, false
	}
	executed := make([]int32, 0, len(b.rows))
	for i := range b.groups {
		executed = append(executed, b.groups[i].members...)
	}
	// An entry that another one of its key has replaced was not written.
	s := entry.Suspicion{Entry: -1}
	seen := make([]bool, len(b.rows))
	for _, at := range executed {
		seen[at] = true
		match := matches(at)
		switch {
		case match && s.Entry >= 0:
			// What fits several rows points at none.
			return entry.Suspicion{}, false
		case match:
			s.Entry = int(at)
		case s.Entry >= 0:
			s.After = append(s.After, int(at))
		default:
			s.Before = append(s.Before, int(at))
		}
	}
	for at := range b.rows {
		if !seen[at] {
			s.After = append(s.After, at)
		}
	}
	return s, s.Entry >= 0
}

// matcher tells by what an error says whether a row may be the one it speaks of. It
// reads no words, which come in the server's language, only what stands between
// them.
func (b *Batch) matcher(failure *Error) func(int32) bool {
	if failure.known {
		return func(at int32) bool { return int(at) == failure.entry }
	}
	var pgErr *pgconn.PgError
	if !errors.As(failure.Err, &pgErr) {
		return nil
	}
	switch {
	case pgErr.Code == "23502" || pgErr.Code == "23514":
		// Failing row contains (17, lamp, -1).
		_, list, _ := strings.Cut(pgErr.Detail, "(")
		values := strings.Split(list, ", ")
		ids := make([]string, len(b.table.ids))
		for n, position := range b.table.idPositions {
			if len(values) <= position {
				return nil
			}
			ids[n] = strings.TrimSuffix(values[position], ").")
		}
		return func(at int32) bool { return slices.Equal(b.idsOf(at), ids) }
	case ofReference(pgErr.Code) || pgErr.Code == "23505":
		// Key (parent_id)=(17) is not present in table "parents".
		names, rest, _ := strings.Cut(pgErr.Detail, ")=(")
		_, name, _ := strings.Cut(names, "(")
		end := strings.LastIndex(rest, ")")
		if end < 0 {
			return nil
		}
		// The row of a deletion that others refer to, as a rule.
		for n, k := range b.table.ids {
			if name == k.name {
				return func(at int32) bool { return b.idsOf(at)[n] == rest[:end] }
			}
		}
		column := slices.IndexFunc(b.table.columns, func(c column) bool { return c.name == name })
		if column < 0 {
			return nil
		}
		return b.contains(rest[:end], column)
	case strings.HasPrefix(pgErr.Code, "22"):
		// invalid input syntax for type numeric: "many"
		_, rest, found := strings.Cut(pgErr.Message, `"`)
		end := strings.LastIndex(rest, `"`)
		if !found || end < 0 {
			return nil
		}
		columns := make([]int, len(b.table.columns))
		for i := range columns {
			columns[i] = i
		}
		return b.contains(rest[:end], columns...)
	}
	return nil
}

// idsOf are the texts by which a row is found.
func (b *Batch) idsOf(at int32) []string {
	ids := []string{string(b.text(b.rows[at].key))}
	if b.table.member != nil {
		ids = append(ids, string(b.text(b.members[at].text)))
	}
	return ids
}

// contains tells whether one of a row's columns has this text.
func (b *Batch) contains(value string, columns ...int) func(int32) bool {
	return func(at int32) bool {
		r := &b.rows[at]
		return r.cells != noCells && slices.ContainsFunc(columns, func(i int) bool {
			c := b.cells[r.cells+i]
			return c.length >= 0 && string(b.text(c)) == value
		})
	}
}
