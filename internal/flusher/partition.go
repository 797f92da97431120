// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"maps"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// partition is one that this flusher holds.
type partition struct {
	number int
	// busy says that a worker is at it, leaseLost that another member may hold it.
	busy, leaseLost bool
	lastSweep       time.Time
	// lastSwept says that the sweep before the end has been started.
	lastSwept bool

	// From here on all belongs to the worker while busy. epoch is 0 until it is begun; flush belongs to it, and so does lease, which is of the
	// epoch before until then.
	epoch, flush int64
	lease        *entry.Term
	// doubt is what the failures of the last batches make of the next ones.
	doubt doubt
	// appetite is how much a claim takes.
	appetite appetite
	// found is what the work under way has shown of the database.
	found finding
	// redisBehind says that the ledger was ahead of the journal when the epoch began.
	redisBehind bool
	// retryNext says whose turn it is where a claim has one entry.
	retryNext bool
}

// isAt tells whether no worker is at the partition and its epoch is that of the lease.
func (p *partition) isAt(lease *entry.Term) bool {
	return p != nil && !p.busy && !p.leaseLost && p.epoch == lease.Epoch
}

// holdings are the partitions that a member holds, by number.
type holdings map[int]*partition

// forgetLost drops lost partitions that no worker is at.
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
		// Somebody else had the lease in between when Redis tells another epoch
		// than the one that this flusher has begun; or Redis is an older copy, which
		// the next epoch finds out from the lease before.
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
