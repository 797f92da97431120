// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

import "time"

// Causes of a dead letter.
const (
	// CauseNotAKey means that the rest of the key behind the prefix cannot be the key of
	// a row, whatever the payload.
	CauseNotAKey = "NotAKey"
	// CauseNotADocument means that the payload cannot be a row at all.
	CauseNotADocument = "NotADocument"
	// CauseRefused means that the database refused the row at every attempt, or would: of a
	// value that does not fit its column it is not asked.
	CauseRefused = "Refused"
	// CauseValueLost means that the value was gone from Redis.
	CauseValueLost = "ValueLost"
	// CauseStale means that the row in the table has a higher version than the write.
	CauseStale = "Stale"
	// CauseForged means that no function of the library has written the letter.
	CauseForged = "Forged"
)

// DeadLetter is an entry that could not be flushed, set aside with all that is known of
// it.
type DeadLetter struct {
	Key string `json:"key"`
	// Member is the member of the key that the letter is about, where members are rows.
	Member string `json:"-"`
	// Operation is the name of one.
	Operation string `json:"operation"`
	// Version is that of the write. Attempts counts how often the database refused it.
	Version  int64 `json:"version"`
	Attempts int   `json:"attempts"`
	// Cause is one of the constants above.
	Cause string `json:"cause"`
	// SQLState, Constraint and Column are what PostgreSQL named, if anything.
	SQLState   string `json:"sqlstate,omitempty"`
	Constraint string `json:"constraint,omitempty"`
	Column     string `json:"column,omitempty"`
	// Message is PostgreSQL's full text, or the engine's. It may quote values of the row
	// and must go nowhere else.
	Message      string    `json:"message"`
	FirstFailure time.Time `json:"firstFailure"`
	LastFailure  time.Time `json:"lastFailure"`

	// Payload is the value as it was written. It is empty for an operation without one, and
	// for a value that is lost. It may be large: a list of dead letters leaves it out.
	Payload string `json:"-"`
	// Raw is the letter in its source's own form, and Partition where the source found it,
	// if it was found by a walk. Only the source reads them.
	Raw       string `json:"-"`
	Partition string `json:"-"`
}
