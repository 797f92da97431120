// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

import "time"

// Outcome is what became of a claimed entry. Its letters are those of the
// acknowledgement; 0 means that nothing is decided yet.
type Outcome byte

// The outcomes of a claimed entry.
const (
	// Done means that the row is committed.
	Done Outcome = 'd'
	// Refused means that the database refused the row, which waits for another attempt.
	Refused Outcome = 'r'
	// Kept means that the row was not attempted. It goes to the tail as it is or, if it
	// was refused before, waits for another attempt.
	Kept Outcome = 'k'
	// Dead means that the row is not attempted again by itself: it becomes a dead letter.
	Dead Outcome = 'x'
	// Lost means that the value is gone: a data-loss event, and a dead letter.
	Lost Outcome = 'l'
	// Forged means that no function of the library can have written the entry. It is
	// dropped, and its key left alone.
	Forged Outcome = 'f'
)

// Settlement is the owner's report on one entry of its claim.
type Settlement struct {
	Outcome Outcome
	// Wait is the time until the next attempt at an entry that is Refused, or Kept after it
	// was refused. 0 means at once.
	Wait time.Duration
	// Letter is the dead letter of an entry that is Dead or Lost; nil for all others.
	Letter *DeadLetter
}
