// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Suspicion is a guess at which entry of a batch was refused. Entries are named by
// the order in which they were added.
type Suspicion struct {
	// Entry is the one that is suspected.
	Entry int
	// Before are the ones that were executed before it, After all others. If the guess
	// is right, those before it were found good.
	Before, After []int
}

// Suspect guesses from what the server said of the batch written last which entry
// it refused, and is false if that tells nothing. PostgreSQL names no row, but quotes
// the whole of it, a value, or a key: that is searched for among the entries. A wrong
// guess is possible, so it may save time and must decide nothing.
func (b *Batch) Suspect(failure *Error) (Suspicion, bool) {
	var pgErr *pgconn.PgError
	if !errors.As(failure.Err, &pgErr) {
		return Suspicion{}, false
	}
	matches := b.matcher(pgErr)
	if matches == nil {
		return Suspicion{}, false
	}
	executed := make([]int32, 0, len(b.rows))
	executed = append(executed, b.removed...)
	for i := range b.groups {
		executed = append(executed, b.groups[i].members...)
	}
	// An entry that another one of its key has replaced was not written.
	s := Suspicion{Entry: -1}
	seen := make([]bool, len(b.rows))
	for _, at := range executed {
		seen[at] = true
		switch {
		case s.Entry >= 0:
			s.After = append(s.After, int(at))
		case matches(&b.rows[at]):
			s.Entry = int(at)
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
func (b *Batch) matcher(pgErr *pgconn.PgError) func(*row) bool {
	switch {
	case pgErr.Code == "23502" || pgErr.Code == "23514":
		// Failing row contains (17, lamp, -1).
		_, list, _ := strings.Cut(pgErr.Detail, "(")
		values := strings.Split(list, ", ")
		if len(values) <= b.table.keyPosition {
			return nil
		}
		key := strings.TrimSuffix(values[b.table.keyPosition], ").")
		return func(r *row) bool { return string(b.text(r.key)) == key }
	case pgErr.Code == "23503" || pgErr.Code == "23505":
		// Key (parent_id)=(17) is not present in table "parents".
		_, rest, _ := strings.Cut(pgErr.Detail, ")=(")
		end := strings.LastIndex(rest, ")")
		if end < 0 {
			return nil
		}
		return b.holds(rest[:end])
	case strings.HasPrefix(pgErr.Code, "22"):
		// invalid input syntax for type numeric: "many"
		_, rest, found := strings.Cut(pgErr.Message, `"`)
		end := strings.LastIndex(rest, `"`)
		if !found || end < 0 {
			return nil
		}
		return b.holds(rest[:end])
	}
	return nil
}

// holds tells whether a row has a column of this text.
func (b *Batch) holds(value string) func(*row) bool {
	return func(r *row) bool {
		if r.group == deleted {
			return false
		}
		for _, c := range b.cells[r.cells : r.cells+len(b.table.columns)] {
			if c.length >= 0 && string(b.text(c)) == value {
				return true
			}
		}
		return false
	}
}
