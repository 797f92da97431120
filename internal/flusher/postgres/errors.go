// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Kind says what an error calls for.
type Kind int

// The kinds of error, and what each one asks of the caller.
const (
	// Transient asks to keep the batch and to back off: the server, the network
	// or the credentials are at fault, never a row.
	Transient Kind = iota + 1
	// Contention asks to try again at once, with jitter: another transaction was
	// in the way.
	Contention
	// Locked asks to leave the queue alone for a while and to go on with others:
	// another transaction holds a lock, and this one has waited for it as long as
	// it may already.
	Locked
	// TooHeavy asks to halve the batch.
	TooHeavy
	// Order asks to try again for a bounded time: the row that is referred to
	// may be on its way.
	Order
	// Row asks to bisect: at least one row of the batch is refused.
	Row
	// Mapping asks to pause the mapping: the statement does not fit the table,
	// whatever the rows.
	Mapping
)

var kindNames = map[Kind]string{
	Transient: "Transient", Contention: "Contention", Locked: "Locked", TooHeavy: "TooHeavy",
	Order: "Order", Row: "Row", Mapping: "Mapping",
}

func (k Kind) String() string {
	return kindNames[k]
}

// ErrLedgerOutOfStep says that the ledger stands at a flush number that neither
// precedes the batch nor is its own: the ledger was changed from outside, or
// restored. Acquiring the partition anew gets both into step.
var ErrLedgerOutOfStep = errors.New("the ledger is out of step with the journal")

// Error is a failure of the database. Its text names SQLSTATE, constraint,
// column, table and a remedy, and nothing else that the server said.
type Error struct {
	Kind Kind
	// SQLSTATE is empty when the failure is not PostgreSQL's.
	SQLSTATE string
	// Constraint, Column and Table are those that PostgreSQL names, if any.
	Constraint, Column, Table string
	// Unsettled says that the transaction may have committed, or may yet do so.
	Unsettled bool
	// AtRows says that PostgreSQL was at work on the rows: it had begun the transaction
	// and moved the ledger before. Raised says that a function which it called for a row
	// said so, a trigger's as a rule, whatever the SQLSTATE.
	AtRows, Raised bool
	// Held says that another transaction was in the way, in PostgreSQL's own words.
	Held bool
	// Lost says that the session ended after the batch was sent. How far PostgreSQL had
	// come is known only if AtRows says so.
	Lost bool
	// Stale are the entries whose rows have a higher version in the table, by the order in
	// which they were added. The others may be written without them.
	Stale []int
	// Err is the cause. Its text may quote row values and must not be shown.
	Err error

	action string
	reason string
	remedy string
	// inURL says that the URL has to be corrected.
	inURL bool
	// entry is the entry of the batch that is at fault, if known says so.
	entry int
	known bool
}

// Error tells what failed and what helps.
func (e *Error) Error() string {
	var text strings.Builder
	if e.action != "" {
		text.WriteString(e.action)
		text.WriteString(": ")
	}
	text.WriteString(e.Message())
	return text.String()
}

// Message is the error's text without the failing action, for conditions.
func (e *Error) Message() string {
	var text strings.Builder
	text.WriteString(e.remedy)
	if e.SQLSTATE != "" {
		text.WriteString(" (SQLSTATE " + e.SQLSTATE)
		for _, part := range []struct{ word, name string }{
			{"constraint", e.Constraint}, {"column", e.Column}, {"table", e.Table},
		} {
			if part.name != "" {
				text.WriteString(", " + part.word + ` "` + part.name + `"`)
			}
		}
		text.WriteString(")")
	}
	if e.Unsettled {
		text.WriteString("; whether the batch committed is not known yet")
	}
	return text.String()
}

// Reason is the reason of DatabaseReady that goes with the error.
func (e *Error) Reason() string {
	return e.reason
}

// Unwrap gives the cause, so that errors.Is finds a cancelled context.
func (e *Error) Unwrap() error {
	return e.Err
}

// Detail is all that PostgreSQL said. It may quote values of the row and must
// go nowhere but to the dead letter of that row.
func (e *Error) Detail() string {
	var pgErr *pgconn.PgError
	if !errors.As(e.Err, &pgErr) {
		return ""
	}
	parts := []string{pgErr.Message}
	for _, part := range []string{pgErr.Detail, pgErr.Hint, pgErr.Where} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "\n")
}

// RowError says that one entry cannot become a row, found out before anything
// was sent. It may name the key, never a value.
type RowError struct {
	// SQLSTATE is the code that PostgreSQL gives for the same fault.
	SQLSTATE string
	// Column is the column concerned, if it is one.
	Column string
	// OfKey says that it is the key which cannot be a row's, whatever the document.
	OfKey bool
	// Message says what is wrong.
	Message string
}

// Error leaves the SQLSTATE out: PostgreSQL was not asked, so nobody finds it there.
func (e *RowError) Error() string { return e.Message }

// MappingError says that a mapping does not fit its table. Only a person can
// help, and the message says how.
type MappingError struct {
	// Reason is a reason of DatabaseReady.
	Reason string
	// Message names the mapping, the fault and the remedy.
	Message string
}

func (e *MappingError) Error() string {
	return e.Message
}
