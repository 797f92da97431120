// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"maps"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// partition is a partition whose lease this flusher holds.
type partition struct {
	number int
	// busy means that a worker uses the partition, leaseLost that another member may hold
	// its lease.
	busy, leaseLost bool
	lastSweep       time.Time
	// lastSwept means that the sweep before the end has been started.
	lastSwept bool

	// While busy, the worker owns all fields from here on. epoch is 0 until the worker has
	// begun it. flush and lease are those of epoch; until it is begun, lease is that of the
	// previous epoch.
	epoch, flush int64
	lease        *entry.Term
	// lastFlush is when more was last flushed than what is tried again.
	lastFlush time.Time
	// doubt is what the failures of the last batches make of the next ones.
	doubt doubt
	// appetite is how much a claim takes.
	appetite appetite
	// found is what the present work has shown of the database.
	found finding
	// redisBehind means that the ledger was ahead of the journal when the epoch began.
	redisBehind bool
	// retryNext means that the next claim of a single entry takes a retry.
	retryNext bool
}

// isAt reports whether no worker is at the partition and its epoch is that of the lease.
func (p *partition) isAt(lease *entry.Term) bool {
	return p != nil && !p.busy && !p.leaseLost && p.epoch == lease.Epoch
}

// holdings are the partitions that a member holds, by number.
type holdings map[int]*partition

// forgetLost drops the partitions whose leases are lost and that no worker uses.
func (h holdings) forgetLost() {
	maps.DeleteFunc(h, func(_ int, p *partition) bool { return p.leaseLost && !p.busy })
}

func (h holdings) loseAll() {
	for _, p := range h {
		p.leaseLost = true
	}
	h.forgetLost()
}

// follow brings the partitions in line with the leases: lost ones are forgotten, new ones
// entered, and those above the share taken out once they are idle.
func (h holdings) follow(beat entry.Membership, now time.Time) (surplus []int) {
	before := make(map[int]*entry.Term)
	for number, p := range h {
		epoch, held := beat.Held[number]
		// The epoch in Redis is not the one that this flusher has begun: either another
		// flusher held the lease meanwhile, or Redis is an older copy. The next epoch
		// compares with the previous lease and finds out which.
		if !held || (!p.busy && p.epoch != 0 && epoch != p.epoch) {
			p.leaseLost = true
			if held { // and idle: no worker is at its lease
				before[number] = p.lease
			}
		}
	}
	h.forgetLost()
	for number := range beat.Held {
		if h[number] == nil {
			h[number] = &partition{number: number, lastSweep: now, lease: before[number]}
		}
	}
	for number, p := range h {
		if len(h)-len(surplus) > beat.Share && !p.busy {
			surplus = append(surplus, number)
		}
	}
	for _, number := range surplus {
		delete(h, number)
	}
	return surplus
}
