// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
)

// shares waits until the members hold so many partitions each, and no two the same one.
func (w *world) shares(d time.Duration, want int, members ...*member) {
	w.t.Helper()
	w.within(d, fmt.Sprintf("%d partitions each", want), func() error {
		holders := make(map[int]int)
		for _, m := range members {
			held := m.mapping().Partitions
			if len(held) != want {
				return fmt.Errorf("a member holds %v", held)
			}
			for _, number := range held {
				holders[number]++
			}
		}
		if len(holders) != want*len(members) {
			return fmt.Errorf("the partitions have so many holders: %v", holders)
		}
		return nil
	})
}

func TestMembersShareAndHandOver(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		a := w.startReady()
		w.shares(5*time.Second, 4, a)
		b := w.start()
		w.shares(10*time.Second, 2, a, b)
		// Whoever leaves hands over at once, long before a lease runs out.
		b.stop()
		w.shares(time.Second, 4, a)
		w.set(goodRow, upTo(20)...)
		w.drained(5 * time.Second)
		w.holds(goodRow, upTo(20)...)
	})
}

// TestTheWorkOfADeadMemberIsTakenOver within the time of a lease and a beat.
func TestTheWorkOfADeadMemberIsTakenOver(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		a := w.startReady()
		b := w.start()
		w.shares(10*time.Second, 2, a, b)
		b.faults.Break(enginetest.Fault{}, "Beat", "Poll", "Claim", "Acknowledge", "Leave", "Stats", "Open", "Source.Check")
		w.set(goodRow, upTo(20)...)
		w.within(6*time.Second, "all partitions at one member", func() error {
			if held := a.mapping().Partitions; len(held) != 4 {
				return fmt.Errorf("it holds %v", held)
			}
			return nil
		})
		w.drained(5 * time.Second)
		w.holds(goodRow, upTo(20)...)
	})
}

// TestAFencedMemberWritesNothing: its claim is out when another member takes the epoch.
func TestAFencedMemberWritesNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *config.Config) { c.Mappings[0].Partitions = 1 }, func(w *world) {
		m := w.startReady()
		stats := w.stats()
		if _, err := w.database.Acquire(t.Context(), stats.Incarnation, products, 0); err != nil {
			t.Fatal(err)
		}
		w.set(goodRow, 1)
		// The other one is gone again: a new epoch takes over, and nothing is lost.
		w.drained(30 * time.Second)
		w.holds(goodRow, 1)
		if begun := m.faults.Calls("Acquire"); begun < 2 {
			t.Errorf("%d epochs, want a new one", begun)
		}
	})
}

// TestTheEndFlushesWhatWaits, before its interval is over.
func TestTheEndFlushesWhatWaits(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *config.Config) { c.Flush.IntervalMilliseconds = 600_000 }, func(w *world) {
		m := w.startReady()
		w.set(goodRow, upTo(20)...)
		time.Sleep(time.Second)
		w.holds(goodRow)
		began := time.Now()
		m.stop()
		if lasted := time.Since(began); lasted > 2*time.Second {
			t.Errorf("the end lasts %v", lasted)
		}
		w.holds(goodRow, upTo(20)...)
	})
}

// TestTheEndWaitsForNoServerThatIsAway: what waits stays in the queue.
func TestTheEndWaitsForNoServerThatIsAway(t *testing.T) {
	t.Parallel()
	for name, calls := range map[string][]string{
		"the source":   {"Beat", "Poll", "Claim", "Acknowledge", "Begin", "Stats", "Open", "Leave", "Source.Check"},
		"the database": {"Acquire", "Write", "Table", "Epochs", "Database.Check"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, nil, func(w *world) {
				m := w.startReady()
				m.faults.Break(enginetest.Fault{}, calls...)
				w.set(goodRow, upTo(20)...)
				time.Sleep(time.Minute)
				began := time.Now()
				m.stop()
				if lasted := time.Since(began); lasted > 5*time.Second {
					t.Errorf("the end lasts %v", lasted)
				}
				w.holds(goodRow)
				if depth := w.stats().Depth; depth != 20 {
					t.Errorf("%d entries wait, want 20", depth)
				}
			})
		})
	}
}

// TestAServerThatHangsEndsWithTheGrace: the end has a time, whatever a server does.
func TestAServerThatHangsEndsWithTheGrace(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		m := w.startReady()
		m.faults.Break(enginetest.Fault{Hangs: true}, "Write")
		w.set(goodRow, upTo(20)...)
		time.Sleep(10 * time.Second)
		began := time.Now()
		m.stop()
		if lasted := time.Since(began); lasted > 22*time.Second {
			t.Errorf("the end lasts %v, and the grace period is 20 s", lasted)
		}
	})
}

// TestADrainedQueueIsNotedInTheLedger, so that its next life misses nothing.
func TestADrainedQueueIsNotedInTheLedger(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		m := w.startReady()
		w.set(goodRow, upTo(20)...)
		draining := *w.config
		draining.Draining, draining.Revision = true, w.config.Revision+1
		m.Apply(&draining)
		w.drained(2 * time.Second)
		incarnation := w.stats().Incarnation
		w.within(5*time.Second, "a word in the ledger", func() error {
			if !w.database.Ended(incarnation, products) {
				return errors.New("there is none")
			}
			return nil
		})
		w.holds(goodRow, upTo(20)...)
	})
}
