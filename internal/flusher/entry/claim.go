// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

import "context"

// Claim is a set of entries of one shard that its owner is about to write.
type Claim struct {
	Term    *Term
	Number  int64
	Entries []Entry
	// Rebuilt means that the source has rebuilt the order of the queue, since somebody had
	// edited the journal by hand.
	Rebuilt bool
	// Gone counts the entries that the rebuild found missing. The source has counted them as
	// one data-loss event.
	Gone int64
}

// Bytes returns the length of all values.
func (c *Claim) Bytes() int {
	bytes := 0
	for i := range c.Entries {
		bytes += len(c.Entries[i].Value)
	}
	return bytes
}

// PageBytes is the most bytes of values that one call of a source fetches. A single larger
// value is fetched alone.
const PageBytes = 1 << 20

// Bounds limit one claim.
type Bounds struct {
	// Entries is the most entries of the claim. Up to Retries of them may be entries that were
	// refused before and are due for another attempt.
	Entries, Retries int
	// Bytes is the most bytes of values. A claim of a single entry may have more.
	Bytes int
	// Room is asked for the memory of each page before it is fetched. Nil means that there
	// is enough.
	Room Room
}

// Room bounds the memory that claims take together.
type Room interface {
	// Take waits until there is room for so many bytes.
	Take(ctx context.Context, bytes int) error
	// TryTake takes the room only if it is there at once.
	TryTake(bytes int) bool
	// Settle says how much of what was taken last is used. The rest is free again.
	Settle(used int)
}

// Receipt is the answer to an acknowledgement.
type Receipt struct {
	// Applied is false when the claim was acknowledged before: a resent call changes
	// nothing.
	Applied bool
	// Superseded counts the dead letters that were removed, since a newer write of their key
	// was committed or became a dead letter itself.
	Superseded int64
}
