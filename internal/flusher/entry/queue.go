// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

// Seen is what a member last saw of one incarnation of a queue.
type Seen struct {
	Incarnation string
	// Since identifies the period over which the source has kept confirmed writes. A restart,
	// a fail-over or an older copy begins another period. 0 means that the member has not
	// seen the source yet.
	Since int64
	// Writes counts the writes of the queue, Losses its data-loss events.
	Writes, Losses int64
}

// Opened is the result of opening a queue.
type Opened struct {
	Incarnation string
	// Partitions is the number that the queue was made with, whatever the settings say: a
	// key must never change its partition.
	Partitions int
	// Made means that this call created the queue.
	Made bool
	// Revision is the revision of the settings in force. It is higher than the caller's if
	// the queue already has newer settings of the same owner.
	Revision int64
}

// Membership is the answer to a heartbeat.
type Membership struct {
	// Outdated means that the source runs older functions than the caller's.
	Outdated    bool
	Incarnation string
	// StandsBy means that the member holds nothing and knows no numbers: another one works
	// at the whole queue.
	StandsBy bool
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
	// HeadMilliseconds is the age of the first fresh entry. HeadUndated means that the age is
	// meaningless, since the entry's version lies ahead of the clock.
	HeadMilliseconds int64
	HeadUndated      bool
	// Urgent means that the source cannot keep what waits for much longer.
	Urgent bool
	// OldestMilliseconds is the age of the oldest entry, refused ones included.
	OldestMilliseconds int64
	DeadLetters        int64
	// Step is that of the partition's term.
	Step int64
}

// Loads are what waits in a queue.
type Loads struct {
	// Left counts the partitions that were ever released. When it grows, some may be free.
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
	// RedisWentBack means that the ledger has a flush that the source does not have: Redis
	// came back with older data.
	RedisWentBack
	// DatabaseWentBack means that the source has a flush that the ledger does not have:
	// PostgreSQL came back with older data.
	DatabaseWentBack
	// RedisWentBackAsTold is RedisWentBack after the loss was counted already.
	RedisWentBackAsTold
	// EarlierLifeLost means that the queue was created again although the ledger has flushes
	// of an earlier incarnation: Redis was wiped while no flusher ran.
	EarlierLifeLost
)
