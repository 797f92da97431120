// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// The first retry comes soon, since most failures are short; the ceiling keeps
// the wait after a long outage below what a person would call broken.
const (
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = 5 * time.Second
)

// backoff spaces the attempts to use something that fails. The zero value is
// ready.
type backoff struct {
	mu       sync.Mutex
	failures int
	until    time.Time
}

// failed records a failure: nothing should be tried for about twice as long as the last
// time. The jitter keeps many flushers from coming back together.
func (b *backoff) failed(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := longestBackoff
	if b.failures < 6 {
		wait = min(firstBackoff<<b.failures, longestBackoff)
	}
	b.failures++
	b.until = now.Add(wait/2 + rand.N(wait/2))
}

// succeeded forgets the failures.
func (b *backoff) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.until = 0, time.Time{}
}

// waits reports whether it is too early for another attempt.
func (b *backoff) waits(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.until)
}

// slots bounds the database work of one flusher. Free slots go to queues in the order of
// their requests. The number of slots may change while they are in use.
type slots struct {
	mu      sync.Mutex
	size    int
	taken   map[*queue]int
	waiting []*queue
}

func (s *slots) resize(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size = size
	if s.taken == nil {
		s.taken = make(map[*queue]int)
	}
}

func (s *slots) used() int {
	all := 0
	for _, n := range s.taken {
		all += n
	}
	return all
}

// take takes a slot for a queue, or puts the queue in line for one.
func (s *slots) take(q *queue) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := slices.Index(s.waiting, q)
	ahead := place
	if place < 0 {
		ahead = len(s.waiting)
	}
	if s.used()+ahead >= s.size {
		if place < 0 {
			s.waiting = append(s.waiting, q)
		}
		return false
	}
	if place >= 0 {
		s.waiting = slices.Delete(s.waiting, place, place+1)
	}
	s.taken[q]++
	return true
}

// withdraw takes a queue that has no more work out of the line.
func (s *slots) withdraw(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(w *queue) bool { return w == q })
}

// free gives a slot back and returns the queues that may take one now.
func (s *slots) free(q *queue) []*queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[q]--
	return slices.Clone(s.waiting[:min(len(s.waiting), max(0, s.size-s.used()))])
}
