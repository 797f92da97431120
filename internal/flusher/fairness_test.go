// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writebehind/operator/internal/flusher/entry"
)

func TestPartitionsCompeteForSlotsByAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	m := &member{partitions: make(holdings)}
	var held []int
	loads := []entry.Load{
		{Fresh: 1, HeadMilliseconds: 10},
		{Fresh: 1},
		{Fresh: 1, HeadMilliseconds: 900},
		{Fresh: 1, HeadMilliseconds: 10},
		{Due: 100}, // waits since it was last looked after, 400 ms ago
		{Fresh: 1, Due: 100, HeadMilliseconds: 300},
	}
	for i := range loads {
		held = append(held, i)
		m.partitions[i] = &partition{number: i, lastSweep: now.Add(-400 * time.Millisecond)}
	}
	if diff := cmp.Diff([]int{2, 4, 5, 0, 3, 1}, oldestFirst(m.waitTimes(held, loads, false, now))); diff != "" {
		t.Errorf("the order differs (-want +got):\n%s", diff)
	}
}

// TestAPausedMappingHoldsUpNoEnd would wait for the grace period if it did.
func TestAPausedMappingHoldsUpNoEnd(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f := alone(secretless(), Options{})
	q := newQueue(f, "products")
	q.ending, q.gate.passage.obstacle = true, obstacle{cause: &entry.Fault{}, until: now.Add(time.Hour)}
	p := &partition{number: 0, epoch: 1, lease: &entry.Term{}}
	q.member.partitions[0] = p
	q.start(t.Context(), 0, entry.Load{Fresh: 5, Entries: 5}, now)
	if !p.lastSwept || p.busy {
		t.Errorf("the last sweep is waited for: %+v", p)
	}
}
