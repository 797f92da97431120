// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"testing"
	"testing/synctest"
	"time"
)

// untilFree sleeps until the backoff lets an attempt through, and says how long
// that was, to a millisecond.
func untilFree(b *backoff) time.Duration {
	began := time.Now()
	for b.waits(time.Now()) {
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

func TestEveryFailureInARowDoublesTheWaitUpToTheCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		most := []time.Duration{
			100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
			1600 * time.Millisecond, 3200 * time.Millisecond, longestBackoff, longestBackoff, longestBackoff,
		}
		shortest, longest := make([]time.Duration, len(most)), make([]time.Duration, len(most))
		for range 40 {
			var b backoff
			for i, bound := range most {
				b.failed(time.Now())
				wait := untilFree(&b)
				if wait < bound/2 || wait > bound+time.Millisecond {
					t.Fatalf("failure %d is followed by a wait of %v, want %v to %v", i+1, wait, bound/2, bound)
				}
				if shortest[i] == 0 || wait < shortest[i] {
					shortest[i] = wait
				}
				longest[i] = max(longest[i], wait)
			}
			b.succeeded()
			b.failed(time.Now())
			if wait := untilFree(&b); wait > most[0]+time.Millisecond {
				t.Fatalf("after a success the first wait is %v", wait)
			}
		}
		for i, bound := range most {
			// Forty flushers that fail together do not come back together.
			if longest[i]-shortest[i] < bound/4 {
				t.Errorf("failure %d: all waits lie between %v and %v", i+1, shortest[i], longest[i])
			}
		}
	})
}

// TestAGreedyQueueDoesNotStarveTheOthers lets queues ask for the slots as their
// loops do: at once when they are woken, and now and then.
func TestAGreedyQueueDoesNotStarveTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const minute, flush = time.Minute, 10 * time.Millisecond
		var s slots
		s.resize(2)
		// The first has more partitions that are due than there are slots.
		partitions := []int{50, 1, 1, 1, 1}
		served := make([]int, len(partitions))
		end := time.Now().Add(minute)
		for i, most := range partitions {
			q := &queue{nudged: make(chan struct{}, 1)}
			busy := 0
			go func() {
				done := make(chan struct{}, most)
				ticker := time.NewTicker(50 * time.Millisecond)
				defer ticker.Stop()
				for time.Now().Before(end) {
					for busy < most && s.take(q) {
						busy++
						served[i]++
						go func() {
							time.Sleep(flush)
							for _, next := range s.free(q) {
								next.wake()
							}
							done <- struct{}{}
							q.wake()
						}()
					}
					select {
					case <-ticker.C:
					case <-q.nudged:
					}
					for len(done) > 0 {
						<-done
						busy--
					}
				}
				s.withdraw(q)
			}()
		}
		time.Sleep(minute + time.Second)
		synctest.Wait()
		even := int(2*minute/flush) / len(partitions)
		all := 0
		for i, n := range served {
			all += n
			if n < even/2 {
				t.Errorf("queue %d was served %d times, an even share is %d", i, n, even)
			}
		}
		if all < int(2*minute/flush)*9/10 {
			t.Errorf("%d flushes in all: slots stand empty", all)
		}
		if s.used() != 0 || len(s.waiting) != 0 {
			t.Errorf("%d slots are still taken, %d queues still wait", s.used(), len(s.waiting))
		}
	})
}
