// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

import "fmt"

// Shard is one partition of one life of a queue.
type Shard struct {
	Queue     string
	Partition int
	// Incarnation is the random id of this life of the queue. A queue that is lost and
	// created again gets another id.
	Incarnation string
}

// Term is the right to flush one shard, from the moment at which the ledger gave it out
// until it gives out a higher epoch.
type Term struct {
	Shard
	// Member is who holds the right.
	Member string
	Epoch  int64
	// Home is the database whose ledger gave the epoch.
	Home Home
	// Step counts what the owner took and settled in this epoch, as the source does. A
	// source that is at another step came back with older data.
	Step int64
}

// Place is where one batch stands in the ledger.
type Place struct {
	Shard
	Epoch int64
	// Flush is the number of the batch. The ledger must stand at Flush-1.
	Flush int64
	// Version is the highest version in the batch. The ledger's mark is raised to it.
	Version int64
}

func (p Place) String() string {
	return fmt.Sprintf("batch %d of %s/%d", p.Flush, p.Queue, p.Partition)
}

// Mark is what the ledger knows of a shard when it gives out a term.
type Mark struct {
	// Epoch is the one given out. 0 means that the ledger has no such row.
	Epoch int64
	// Flush is the number of the last batch that committed.
	Flush int64
	// Queue is the highest version that committed in any shard of any incarnation of the
	// queue, Shard the highest that committed in this very shard.
	Queue, Shard int64
	// Home is the database of the ledger.
	Home Home
	// Earlier means that batches were committed in the incarnation before this one, of
	// which nothing says that it was drained to its end.
	Earlier bool
}

// Home is a database as the members of a queue tell each other of it.
type Home struct {
	// ID is what the database says that it is, whatever name it is reached by. It is empty
	// if the database does not tell. Name is for a person.
	ID, Name string
	// Owner is that of the member's config. Revision is that of the settings which first
	// named the place of its URL, and Since is when the URL was put there, in µs since 1970:
	// of one config the newest URL counts, by the one and then by the other.
	Owner           string
	Revision, Since int64
	// Awaited means that the database was not looked at yet, whatever else is said: where
	// others flush the queue, that comes first.
	Awaited bool
}
