// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

// Seen is what a member has seen last of one incarnation of a queue.
type Seen struct {
	Incarnation string
	// Since names the time over which the source has kept what it confirmed. A restart, a
	// fail-over or an older copy begins another one. 0 means before the first look.
	Since int64
	// Writes counts the writes of the queue, Losses its data-loss events.
	Writes, Losses int64
}

// Opened is a queue as its source has it.
type Opened struct {
	Incarnation string
	// Partitions is the number that the queue was made with, whatever the settings say: a
	// key must never change its partition.
	Partitions int
	// Made means that this call made the queue.
	Made bool
	// Revision is that of the settings in force. It is higher than the one given when newer
	// settings of the same owner are there.
	Revision int64
}

// Membership is the answer to a heartbeat.
type Membership struct {
	// Outdated means that the source runs older functions than the caller's.
	Outdated    bool
	Incarnation string
	// Partitions is the number of the whole queue, Share how many of them this member
	// should hold.
	Partitions, Share int
	// Held maps the partitions whose lease this member holds to their epoch. 0 is a lease
	// just taken, which the beginning of a term has to follow.
	Held map[int]int64
	// Seen is the queue as it is now.
	Seen Seen
	// LostWrites counts the writes that the member had seen and that are gone. The source
	// has counted them as one data-loss event.
	LostWrites int64
}

// Load is what waits in one partition.
type Load struct {
	// Entries counts the dirty entries, Fresh those that the database never refused, and
	// Due the refused ones that are due for another attempt.
	Entries, Fresh, Due int64
	// HeadMilliseconds is the age of the first fresh entry. HeadUndated means that it says
	// nothing, since the entry's version lies ahead of the clock.
	HeadMilliseconds int64
	HeadUndated      bool
	// OldestMilliseconds is the age of the oldest entry, refused ones included.
	OldestMilliseconds int64
	DeadLetters        int64
	// Step is that of the partition's term.
	Step int64
}

// Loads are what waits in a queue.
type Loads struct {
	// Left counts the partitions that were ever given back. When it grows, some may be
	// free.
	Left int64
	// Since and Writes are as in Seen.
	Since, Writes int64
	// Of has a Load for each of the partitions asked for, in their order.
	Of []Load
}

// Stats are the numbers of a whole queue, as wb_stats gives them to applications.
type Stats struct {
	Depth, Dead, OldestMilliseconds      int64
	Writes, Flushed, Coalesced, DataLoss int64
	Max, Revision, Library               int64
	Refused                              int64
	State, Incarnation                   string
}

// Agreement reports whether source and ledger agree on what was flushed last.
type Agreement int

// The agreements with which a term begins. Every one but Agreed and RedisWentBackAsTold
// was counted as a data-loss event by the source.
const (
	// Agreed means that nothing is known to be lost.
	Agreed Agreement = iota
	// RedisWentBack means that the ledger knows of a flush that the source does not: Redis
	// came back with older data.
	RedisWentBack
	// DatabaseWentBack means that the source knows of a flush that the ledger does not:
	// PostgreSQL came back with older data.
	DatabaseWentBack
	// RedisWentBackAsTold is RedisWentBack, of which the members of the queue know already.
	RedisWentBackAsTold
	// EarlierLifeLost means that the queue was made again although the ledger knows of
	// flushes in an earlier incarnation: Redis was wiped while nobody looked.
	EarlierLifeLost
)
