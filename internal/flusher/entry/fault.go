// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

// Kind classifies a fault. One table of the engine has the reaction to each kind.
type Kind int

// The kinds of fault.
const (
	// Transient is a fault of the server, the network or the credentials, never of a row.
	Transient Kind = iota + 1
	// Contention means that another transaction was in the way.
	Contention
	// Locked means that another transaction holds a lock, for as long as a batch waits.
	Locked
	// TooHeavy means that the server needs more for the batch than it has or may use.
	TooHeavy
	// Order means that the row refers to one which may be on its way.
	Order
	// Row means that at least one row of the batch is refused.
	Row
	// Mapping means that the statement does not fit the table, whatever the rows.
	Mapping
)

var kindNames = map[Kind]string{
	Transient: "Transient", Contention: "Contention", Locked: "Locked", TooHeavy: "TooHeavy",
	Order: "Order", Row: "Row", Mapping: "Mapping",
}

func (k Kind) String() string { return kindNames[k] }

// Fault is why a database did not take a batch. Its text quotes no value of a row and
// no credential.
type Fault struct {
	Kind Kind
	// SQLSTATE is empty when the server gave none.
	SQLSTATE string
	// Constraint and Column are those that the server named, if any.
	Constraint, Column string
	// Unsettled means that the transaction may have committed, or may yet do so.
	Unsettled bool
	// AtRows means that the server was at work on the rows: it had begun the transaction
	// and moved the ledger before. Raised means that a function which it called for a row
	// raised the fault, whatever the SQLSTATE.
	AtRows, Raised bool
	// LockHeld means that another transaction held a lock, by the server's own error.
	LockHeld bool
	// SessionEnded means that the session ended after the batch was sent. How far the server had
	// come is known only if AtRows says so.
	SessionEnded bool
	// Stale lists the entries whose rows have a higher version in the table, in the order
	// in which they were added. The others may be written without them.
	Stale []int
	// Reason is a reason of the condition DatabaseReady. Message names the failure and the
	// remedy. Action is the failed action, which precedes the message.
	Reason, Message, Action string
	// Detail is the server's full error. It may quote values of the row and must go nowhere
	// but to the dead letter of that row.
	Detail string
	// Err is the cause. Its text may quote values of the row and must not be shown.
	Err error
}

func (f *Fault) Error() string {
	if f.Action == "" {
		return f.Message
	}
	return f.Action + ": " + f.Message
}

// Unwrap returns the cause, so that errors.Is finds a cancelled context.
func (f *Fault) Unwrap() error { return f.Err }

// Misfit means that a mapping does not fit its table. Only a person can correct that, and
// the message names the remedy.
type Misfit struct {
	// Reason is a reason of the condition DatabaseReady.
	Reason string
	// Message names the mapping, the fault and the remedy.
	Message string
}

func (m *Misfit) Error() string { return m.Message }

// Unfit means that an entry cannot become a row. The check precedes every statement. The
// text may name the key, never a value.
type Unfit struct {
	// SQLSTATE is the code that PostgreSQL gives for the same fault, Column the column
	// concerned, if it is one.
	SQLSTATE, Column string
	// OfKey means that the key cannot be a row's, whatever the document.
	OfKey bool
	// Message names the fault.
	Message string
}

func (u *Unfit) Error() string { return u.Message }
