// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

import "errors"

// Errors of a source. Each voids the term in which it occurs; a new term has to begin.
var (
	// ErrNoFunctions means that the source has lost its function library.
	ErrNoFunctions = errors.New("function library is not in Redis")
	// ErrNoQueue means that the queue is not there: it was never opened, or was lost.
	ErrNoQueue = errors.New("queue is not in Redis")
	// ErrLeaseLost means that the caller does not hold the partition in the epoch that it
	// named. Its claim belongs to the next owner.
	ErrLeaseLost = errors.New("partition lease is lost")
	// ErrStep means that lease and epoch match the caller's, but the journal's step does not:
	// Redis was restored from an older copy. A lost answer cannot be the cause, since it begins
	// a new term.
	ErrStep = errors.New("journal is at another step")
	// ErrHomeAwaited means that the caller has to ask its database for its identity first.
	ErrHomeAwaited = errors.New("database is not known yet")
	// ErrClaimVoid means that another claim of the partition is out.
	ErrClaimVoid = errors.New("claim is void")
	// ErrNoLetter means that the key no longer has the dead letter: it was replayed, discarded
	// or superseded.
	ErrNoLetter = errors.New("there is no such dead letter any more")
	// ErrSuperseded means that the key was written again, so that the dead letter must not
	// come back over the newer write.
	ErrSuperseded = errors.New("a newer write stands")
	// ErrForged means that the source has not written the letter: it can only be discarded.
	ErrForged = errors.New("it cannot be replayed, only discarded")
)
