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

// Term is the right to flush one shard, from the moment at which the ledger grants its epoch
// until the ledger grants a higher one.
type Term struct {
	Shard
	// Member is who holds the right.
	Member string
	Epoch  int64
	// Home is the database whose ledger gave the epoch.
	Home Home
	// Step counts the pages claimed and the parts acknowledged in this epoch. The source
	// counts too: if it is at another step, it came back with older data.
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

// Mark is the ledger's record of a shard when it grants a term.
type Mark struct {
	// Epoch is the granted epoch. 0 means that the ledger has no row for the shard.
	Epoch int64
	// Flush is the number of the last batch that committed.
	Flush int64
	// Queue is the highest version that committed in any shard of any incarnation of the
	// queue, Shard the highest that committed in this very shard.
	Queue, Shard int64
	// Home is the database of the ledger.
	Home Home
	// Earlier means that batches were committed in the previous incarnation, and no record
	// shows that it was drained to its end.
	Earlier bool
}

// Home identifies a database among the members of a queue.
type Home struct {
	// ID is the database's identity, whatever name it is reached by. It is empty if the
	// database does not reveal it. Name is for a person.
	ID, Name string
	// Owner is the owner of the member's config. Revision is the revision of the settings which
	// first named the place of its URL, and Since is when the URL was put there, in µs since
	// 1970. Within one config the newest URL counts, by Revision and then by Since.
	Owner           string
	Revision, Since int64
	// Awaited means that the database has not been asked yet, whatever the other fields hold.
	// While others flush the queue, that has to happen first.
	Awaited bool
}
