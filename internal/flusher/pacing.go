// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"math/rand/v2"
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

// failed notes a failure: nothing should be tried for about twice as long as the
// last time. The jitter keeps many flushers from coming back together.
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

// waits tells whether it is too early for another attempt.
func (b *backoff) waits(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.until)
}

// slots bounds the database work of one flusher. Its size may change while it is
// in use.
type slots struct {
	mu          sync.Mutex
	size, taken int
}

func (s *slots) resize(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size = size
}

func (s *slots) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.size {
		return false
	}
	s.taken++
	return true
}

func (s *slots) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
}
