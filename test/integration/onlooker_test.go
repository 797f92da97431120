// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

// gauge is what one flusher shows of the queue.
func (s *stack) gauge(p *programs.Flusher, name string) int {
	s.t.Helper()
	_, metrics := s.get(p, "/metrics")
	_, after, found := strings.Cut(metrics, "writebehind_"+name+`{queue="products"} `)
	n := 0
	if _, err := fmt.Sscan(after, &n); !found || err != nil {
		return -1
	}
	return n
}

// add waits until the gauges of all flushers add up to so many entries and dead letters.
func (s *stack) add(entries, dead int, flushers ...*programs.Flusher) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%d entries and %d dead letters are shown together", entries, dead), func() error {
		var size, letters []int
		sum, sumDead := 0, 0
		for _, p := range flushers {
			size, letters = append(size, s.gauge(p, "queue_size")), append(letters, s.gauge(p, "dead_letters"))
			sum, sumDead = sum+size[len(size)-1], sumDead+letters[len(letters)-1]
		}
		if sum != entries || sumDead != dead {
			return fmt.Errorf("they show %v and %v", size, letters)
		}
		return nil
	})
}

// refusedWith waits until the flusher says that its queue is refused, and tells of so many
// entries of the whole queue.
func (s *stack) refusedWith(depth int64, flushers ...*programs.Flusher) {
	s.t.Helper()
	for _, p := range flushers {
		s.refused(p)
		s.eventually("the status tells of the whole queue", func() error {
			if q := s.status(p).Queues[0]; q.Depth != depth {
				return fmt.Errorf("it says %+v", q)
			}
			return nil
		})
	}
}

// TestWhatNobodyFlushesIsShownOnce has flushers that are all refused, since they have another
// ledger than the queue.
func TestWhatNobodyFlushesIsShownOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t, journaltest.AppendOnly("always"))
	p := s.startReady()
	s.set(99, "no document")
	s.eventuallyDead(99)
	s.stop(p)
	s.config.Database.Postgres.LedgerSchema = "elsewhere"
	s.write()
	s.setAll(1, 10, 1)
	flushers := []*programs.Flusher{s.start(), s.start(), s.start()}
	s.refusedWith(10, flushers...)
	s.add(10, 1, flushers...)
	// What is shown follows what is there, whoever shows it.
	s.setAll(11, 5, 1)
	s.add(15, 1, flushers...)

	one := 0
	for i, p := range flushers {
		if s.gauge(p, "queue_size") > 0 {
			one = i
		}
	}
	flushers[one].Kill()
	rest := append(append([]*programs.Flusher(nil), flushers[:one]...), flushers[one+1:]...)
	s.add(15, 1, rest...)

	s.redis.Pause()
	s.add(0, 0, rest...)
	s.redis.Resume()
	s.add(15, 1, rest...)
	s.redis.MustKill(t)
	s.add(0, 0, rest...)
	s.redis.MustRestart(t)
	s.add(15, 1, rest...)
}

// TestWhoIsRefusedShowsWhatTheOtherDoesNot has one that flushes, and two of another database.
func TestWhoIsRefusedShowsWhatTheOtherDoesNot(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	first := s.startReady()
	s.suspend(first)
	s.setAll(1, 10, 1)
	db := postgrestest.New(t)
	db.Exec(t, productsTable)
	other := s.into(db)
	all := []*programs.Flusher{first, other.start(), other.start()}
	other.refusedWith(10, all[1:]...)
	s.add(10, 0, all...)
	s.setAll(11, 5, 1)
	s.add(15, 0, all...)
	if n := s.gauge(first, "queue_size"); n != 15 {
		t.Errorf("who holds the partitions shows %d of 15 entries", n)
	}
}
