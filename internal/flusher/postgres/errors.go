// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// ErrLedgerOutOfStep means that the ledger stands at a flush number that neither
// precedes the batch nor is its own: the ledger was changed from outside, or
// restored. Acquiring the partition again gets both into step.
var ErrLedgerOutOfStep = errors.New("the ledger is out of step with the journal")

// Error is a failure of the database. Its text names SQLSTATE, constraint,
// column, table and a remedy, and nothing else that the server said.
type Error struct {
	Kind entry.Kind
	// SQLSTATE is empty when the failure is not PostgreSQL's.
	SQLSTATE string
	// Constraint, Column and Table are those that PostgreSQL names, if any.
	Constraint, Column, Table string
	// Unsettled means that the transaction may have committed, or may yet do so.
	Unsettled bool
	// AtRows means that PostgreSQL was at work on the rows: it had begun the transaction
	// and moved the ledger before. Raised says that a function which it called for a row
	// said so, a trigger's as a rule, whatever the SQLSTATE.
	AtRows, Raised bool
	// LockHeld means that another transaction held a lock, by PostgreSQL's own error.
	LockHeld bool
	// SessionEnded means that the session ended after the batch was sent. How far PostgreSQL had
	// come is known only if AtRows says so.
	SessionEnded bool
	// Stale are the entries whose rows have a higher version in the table, by the order in
	// which they were added. The others may be written without them.
	Stale []int
	// Err is the cause. Its text may quote row values and must not be shown.
	Err error

	action string
	reason string
	remedy string
	// inURL means that the URL has to be corrected.
	inURL bool
	// entry is the entry of the batch that is at fault, if known says so.
	entry int
	known bool
}

// Error returns the failed action, the fault and the remedy.
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

// Detail is PostgreSQL's full error. It may quote values of the row and must go nowhere but
// to the dead letter of that row.
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

// As makes an error of this package a *entry.Fault, the only form that other packages know.
func (e *Error) As(target any) bool {
	fault, ok := target.(**entry.Fault)
	if ok {
		*fault = &entry.Fault{
			Kind: e.Kind, SQLSTATE: e.SQLSTATE, Constraint: e.Constraint, Column: e.Column,
			Unsettled: e.Unsettled, AtRows: e.AtRows, Raised: e.Raised, LockHeld: e.LockHeld, SessionEnded: e.SessionEnded, Stale: e.Stale,
			Reason: e.reason, Message: e.Message(), Action: e.action, Detail: e.Detail(), Err: e,
		}
	}
	return ok
}
