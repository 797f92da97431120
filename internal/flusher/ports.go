// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// Source is where entries come from, as the engine sees it: three subjects, each for the
// part of the engine that calls it, and the server behind them. Errors of a source are
// those of package entry, or of the server, which Explain puts into words.
type Source interface {
	Leases
	Backlog
	Claims
	Server
}

// Streamed is a source whose entries come from a replication stream.
type Streamed interface {
	// Replication tells how far the stream is carried.
	Replication() config.Replication
}

// Leases say who may flush which partition.
type Leases interface {
	// Prepare makes the source able to answer: functions that are missing or older are
	// loaded. It comes before Open, and after a beat whose answer is outdated.
	Prepare(ctx context.Context) error
	// Open makes the queue if it is not there, under the incarnation offered, and writes
	// the settings unless newer ones of the same owner are there. lost means that the
	// caller knew an earlier incarnation.
	Open(ctx context.Context, s config.QueueSettings, offered string, lost bool) (entry.Opened, error)
	// Beat keeps the member alive for ttlMilliseconds, renews its leases and takes free
	// ones up to its share.
	Beat(ctx context.Context, s config.QueueSettings, member string, ttlMilliseconds int64, seen entry.Seen) (entry.Membership, error)
	// Begin enters the term. No version below floor is given out from then on. committed is
	// the ledger's mark of the shard, held the term that the caller had of it before, or
	// nil, and earlier means that the ledger knows an earlier incarnation.
	Begin(ctx context.Context, t *entry.Term, floor, committed int64, held *entry.Term, earlier bool) (entry.Agreement, error)
	// Holds tells whether the term is in force as the caller has it.
	Holds(ctx context.Context, t *entry.Term) (bool, error)
	// Onlooks tells whether the member is the one that tells of the free partitions, of all
	// those that may not flush the queue. It becomes that, for ttl, where there is none.
	Onlooks(ctx context.Context, queue, member string, ttl time.Duration) (bool, error)
	// Free lists the partitions that nobody holds.
	Free(ctx context.Context, queue string) ([]int, error)
	// Release gives partitions back, so that another member can take them at once.
	Release(ctx context.Context, queue, member string, partitions ...int) error
	// Leave gives back all partitions and the membership.
	Leave(ctx context.Context, queue, member string) error
}

// Backlog says what waits.
type Backlog interface {
	// Poll tells what waits in the partitions: nothing, if the queue is not there.
	Poll(ctx context.Context, queue string, partitions []int) (entry.Loads, error)
	// Stats reads the numbers of the whole queue.
	Stats(ctx context.Context, queue string) (entry.Stats, error)
}

// Claims hand entries out and take their outcomes back.
type Claims interface {
	// Claim takes the first entries of the term's shard within the bounds. prefix is what
	// the caller takes the keys to begin with. A new claim makes the one before it void.
	// After an error it is not known whether the claim was made: a new term has to begin. The
	// claim, if there is one, tells then what is Gone and Rebuilt, which is told once.
	Claim(ctx context.Context, t *entry.Term, prefix string, most entry.Bounds) (*entry.Claim, error)
	// Acknowledge tells the outcome of every entry of the claim, in its order. An entry that
	// was written again meanwhile stays dirty.
	Acknowledge(ctx context.Context, c *entry.Claim, s []entry.Settlement) (entry.Receipt, error)
}

// Server is what the probes ask.
type Server interface {
	// Check tells whether the server works as it is used, and Prove whether one more
	// connection can be made with the credentials as they are now.
	Check(ctx context.Context) config.Check
	Prove(ctx context.Context) error
	// Durability tells what endangers what was confirmed.
	Durability(ctx context.Context) (persistence, eviction config.Check)
	// Explain puts an error of any call into the words of a condition.
	Explain(err error) config.Check
	Close() error
}

// Database is where rows go, with the ledger beside them. Its errors are *entry.Fault and,
// of Table, *entry.Misfit.
type Database interface {
	Ledger
	// Check tells whether rows can be written. It makes the ledger when that is missing.
	Check(ctx context.Context) config.Check
	// Table reads the table of a mapping and checks that the mapping fits it.
	Table(ctx context.Context, m config.Mapping) (Table, error)
	Close()
}

// Ledger gives out terms and remembers what committed.
type Ledger interface {
	// Acquire makes the caller the only one who can write the shard: it raises the epoch,
	// and whatever was sent at a lower one takes no effect.
	Acquire(ctx context.Context, incarnation, queue string, partition int) (entry.Mark, error)
	// Epochs are those that the ledger has given out last, by partition.
	Epochs(ctx context.Context, incarnation, queue string) (map[int]int64, error)
	// End notes that the queue was drained to its end.
	End(ctx context.Context, incarnation, queue string) error
	// Durability tells what endangers the ledger.
	Durability(ctx context.Context) (config.Check, error)
	// Home is the database that was reached last, Since when the URL in force was put where
	// it is, in µs since 1970.
	Home() entry.Home
	Since() int64
	// Known tells whether the database was reached, and asked what it is.
	Known() bool
}

// Table is a table as it was read. It never changes.
type Table interface {
	// NewBatch makes an empty batch of rows of the table.
	NewBatch() Batch
	// Durability tells what endangers rows that are committed.
	Durability() config.Check
	// Hides tells what may hide rows from the session that writes them, or nothing.
	Hides() string
	// Current tells whether the table still is what it was read as.
	Current(ctx context.Context) (bool, error)
}

// Batch collects the rows of one transaction. It is for one goroutine.
type Batch interface {
	// Add adds what the entry does to the row of that key. An error is an *entry.Unfit, and
	// then nothing was added.
	Add(rowKey string, e *entry.Entry) error
	// Write commits the batch in one transaction that also moves the ledger. After any
	// error the same batch may be written again at the same place; another one may take the
	// place only after a fault that is settled.
	Write(ctx context.Context, at entry.Place) (entry.Commit, error)
	// Suspect guesses which entry the database refused when the batch was written last.
	Suspect(f *entry.Fault) (entry.Suspicion, bool)
	// Control tries whether the table takes other rows than the only one of the batch:
	// ControlOfRows with rows of the table alone. Nothing of it is kept.
	Control(ctx context.Context) entry.Trial
	ControlOfRows(ctx context.Context) entry.Trial
	// Ignored counts the fields that the documents named and no column takes.
	Ignored() int
	// Reset empties the batch and keeps its memory.
	Reset()
}
