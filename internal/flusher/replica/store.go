// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// Store is what the database keeps of sources, beside the ledger. A source is named by
// the owner of its config. Errors are *entry.Fault. ErrDeposed is the error of whoever
// does not read the source any more.
type Store interface {
	// Lease makes the member the source's reader for ttl, or renews that. Whoever finds
	// another reader whose time has not run out gets that one's hold. A new reader has a
	// higher epoch than every reader before. Time is the database's own.
	Lease(ctx context.Context, source, member string, ttl time.Duration) (Hold, error)
	// Release ends the lease at once, so that another member can take it.
	Release(ctx context.Context, source string, epoch int64) error
	// Position reads how far the source was carried. The zero value means that it never was.
	Position(ctx context.Context, source string) (Position, error)
	// Move writes the position, unless the reader of the epoch was replaced. It changes
	// nothing else, and may be repeated.
	Move(ctx context.Context, source string, epoch int64, to Position) error
	// NextHistory mints the number of a new history: higher than every one before, of any
	// source.
	NextHistory(ctx context.Context) (int64, error)

	// Settle writes in one transaction what became of entries that are not rows: those
	// that wait for another attempt, those that are dead letters, and the keys whose
	// retries and letters are superseded since a later write is committed. It does nothing
	// for a reader that was replaced.
	Settle(ctx context.Context, source string, epoch int64, s Settled) (superseded int64, err error)
	// Aside reads all that waits for another attempt.
	Aside(ctx context.Context, source string) ([]Retry, error)
	// Letters reads dead letters of a queue in the order of their keys, behind the key
	// given, at most so many, without their payloads.
	Letters(ctx context.Context, source, queue, after string, most int) ([]entry.DeadLetter, error)
}

// Hold is who reads a source.
type Hold struct {
	Member string
	// Epoch is that of the reader. It is higher than that of every reader before.
	Epoch int64
}

// Position is how far a source was carried: everything before Offset is committed, aside
// or a dead letter.
type Position struct {
	// History is the number of the history that the offset belongs to. A full resync
	// begins another; 0 means that there was none.
	History int64
	// ReplicationID is the server's name of that history, Offset a position in its stream,
	// and Database the logical database that is selected there.
	ReplicationID string
	Offset        int64
	Database      int
	// Scanned lists the mappings whose keys were all read since the history began, by name
	// and shape: see Mapping.
	Scanned []string
	// Witness is the count that was last written to the witness key.
	Witness int64
	// Losses counts the data-loss events, Writes the effects, Coalesced those that became
	// no row of their own, and Flushed the rows, over all histories, by queue.
	Losses, Writes, Coalesced, Flushed map[string]int64
}

// Settled is what became of entries that are not rows.
type Settled struct {
	// Retries wait for another attempt. One of the same queue, key and member replaces the
	// one before.
	Retries []Retry
	// Letters are dead. One of the same queue, key and member replaces the one before.
	Letters []Letter
	// Gone are entries whose retries and letters are superseded.
	Gone []Name
}

// Name names what an entry is about.
type Name struct {
	Queue, Key string
	// Member is the member of a sorted set or the id of an entry of a stream. It is empty
	// for the whole key.
	Member string
}

// Retry is an entry that the database refused and that waits for another attempt.
type Retry struct {
	Name
	Attempts     int
	FirstRefused time.Time
	// Due is when the next attempt may be made.
	Due time.Time
	// Offset and History are those of the last write that the attempt was about.
	History, Offset int64
}

// Letter is a dead letter with its name and its payload.
type Letter struct {
	Name
	entry.DeadLetter
}

// ErrDeposed means that another member reads the source now.
var ErrDeposed = errors.New("another flusher reads the source")
