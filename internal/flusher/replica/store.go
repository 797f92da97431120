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
	// higher epoch than every reader before. Time is the database's own, and a lease of no
	// time is over at once; its member may renew it as long as nobody else reads.
	Lease(ctx context.Context, source, member string, ttl time.Duration) (Hold, error)
	// Release ends the lease of the epoch at once, so that a member can take it. Of one that
	// has ended there is nothing to do.
	Release(ctx context.Context, source string, epoch int64) error
	// Position reads how far the source was carried. The zero value means that it never was.
	Position(ctx context.Context, source string) (Position, error)
	// Move writes the whole position, unless the reader of the epoch was replaced or has
	// released the source. It changes nothing else, and may be repeated.
	Move(ctx context.Context, source string, epoch int64, to Position) error
	// NextHistory mints the number of a new history: higher than every one before, of any
	// source.
	NextHistory(ctx context.Context) (int64, error)

	// Settle writes in one transaction what became of entries that are not rows: what is
	// gone first, then those that wait for another attempt, then those that are dead
	// letters. superseded counts the dead letters that have gone, by Gone or since a later
	// one took the place. A call that is repeated changes nothing more. It does nothing for
	// a reader that was replaced.
	Settle(ctx context.Context, source string, epoch int64, s Settled) (superseded int64, err error)
	// Aside reads all that waits for another attempt, in the order of queue, key and
	// member.
	Aside(ctx context.Context, source string) ([]Retry, error)
	// Dead counts the dead letters by queue. A queue without any is not named.
	Dead(ctx context.Context, source string) (map[string]int64, error)
	// Letters reads the dead letters of a queue in the order of key and member, by their
	// bytes: those behind the name given, at most so many, without their payloads. A name
	// of the queue alone stands before all of them.
	Letters(ctx context.Context, source string, after Name, most int) ([]Letter, error)
	// Letter reads one dead letter whole, or gives entry.ErrNoLetter.
	Letter(ctx context.Context, source string, name Name) (Letter, error)

	// Ask notes that a person wants the letter of that version tried again, of which the
	// reader learns by Hold.Requests. It gives entry.ErrNoLetter where that letter has gone,
	// and entry.ErrSuperseded where a later write of the name waits for another attempt.
	Ask(ctx context.Context, source string, name Name, version int64) error
	// Reread notes that a person wants keys of a queue read and written anew, of which the
	// reader learns by Hold.Requests, and tells which of them. Keys of which anything is aside
	// are left alone. It gives entry.ErrNoQueue where the source was never read, and
	// ErrManyRereads where MostRereads wait already.
	Reread(ctx context.Context, source, queue string, keys []string) ([]bool, error)
	// Discard takes the letter of that version away, or gives entry.ErrNoLetter.
	Discard(ctx context.Context, source string, name Name, version int64) error
}

// MostRereads is about how many keys wait at once to be read anew: the reader lists them with every
// request, so that their number is what its memory has to hold.
const MostRereads = 10_000

// ErrManyRereads says that the reader has enough to read anew for now.
var ErrManyRereads = errors.New("many keys wait to be read anew")

// Hold is who reads a source.
type Hold struct {
	Member string
	// Epoch is that of the reader. It is higher than that of every reader before.
	Epoch int64
	// Requests grows with every Ask and every Discard.
	Requests int64
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
	// Told is what the stream told last that a person should know.
	Told string
	// Losses counts the data-loss events, Writes the effects, Coalesced those that became
	// no row of their own, and Flushed the rows, over all histories, by queue.
	Losses, Writes, Coalesced, Flushed map[string]int64
}

// Settled is what became of entries that are not rows. Of two that have one name the last
// one counts.
type Settled struct {
	// Retries wait for another attempt. One takes the place of the retry that had its name.
	Retries []Retry
	// Letters are dead. One takes the place of the letter and of the retry that had its
	// name.
	Letters []Letter
	// Gone are names whose retries and letters are superseded. That of a whole key stands
	// for all members of the key.
	Gone []Name
	// Unasked are names whose letters stay though somebody has asked for them: there is
	// nothing to write. One that stands for a Reread goes.
	Unasked []Name
}

func (s *Settled) isEmpty() bool { return len(s.Retries)+len(s.Letters)+len(s.Gone) == 0 }

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
	// Word is the last one of the stream before the attempt: it says what it means when
	// the key is gone.
	Word         Word
	Attempts     int
	FirstRefused time.Time
	// Due is when the next attempt may be made.
	Due time.Time
	// Offset and History are those of the last write that the attempt was about.
	History, Offset int64
}

// Letter is a dead letter with its name and its payload. Its own key is the one of its
// name, whatever it says, and what the source keeps for itself is not kept.
type Letter struct {
	Name
	entry.DeadLetter
	// Asked says that a person wants it tried again, which ends with whatever comes of it.
	Asked bool
}

// OperationReread is the operation of what stands among the letters for a Reread. It is no dead
// letter: it is not counted, and goes with whatever comes of it. It has its place there since a
// reader of the release before this one does the same with it as with a letter that is asked
// for, and since no table is to be made for it.
const OperationReread = "reread"

// Rereads says that it stands for a Reread.
func (l *Letter) Rereads() bool { return l.Operation == OperationReread }

// ErrDeposed means that another member reads the source now.
var ErrDeposed = errors.New("another flusher reads the source")
