// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"slices"
	"sync"
)

// copies is how often a value stands in memory while it is written: as it came from
// Redis, as the text of its columns, and as PostgreSQL's protocol has it.
const copies = 3

// processMemory is how many bytes a process takes while that many are in flight: the
// collector lets garbage of about that size accumulate, and there is the program itself.
func processMemory(inFlight int64) int64 { return inFlight/2*5 + 20<<20 }

// memory bounds the bytes of entries that all workers of a flusher have taken. Requests are
// served in order. The limit may change while the memory is in use: taken bytes stay taken,
// and above a lower limit nothing is given out until enough has been given back.
type memory struct {
	mu sync.Mutex
	pool
}

// pool is the account of a memory.
type pool struct {
	limit, taken int64
	waiting      []*seeker
	// report, if set, is called with the number of bytes that may be in flight: the limit
	// or, while a larger value is taken, the size of that value. The calls come one after
	// the other, under the memory's lock.
	report   func(bytes int64)
	reported int64
}

// reportBound reports a bound that has changed.
func (p *pool) reportBound() {
	if bound := max(p.limit, p.taken); p.report != nil && bound != p.reported {
		p.reported = bound
		p.report(bound)
	}
}

// fits reports whether so many bytes may be given out. More than the limit fit when nothing
// is taken.
func (p *pool) fits(bytes int64) bool { return p.taken == 0 || p.taken+bytes <= p.limit }

// serve gives out free memory, in the order of the requests.
func (p *pool) serve() {
	for len(p.waiting) > 0 && p.fits(p.waiting[0].bytes) {
		p.taken += p.waiting[0].bytes
		close(p.waiting[0].served)
		p.waiting = slices.Delete(p.waiting, 0, 1)
	}
	p.reportBound()
}

// seeker is a request that waits for memory.
type seeker struct {
	bytes int64
	// served is closed when the bytes are the seeker's.
	served chan struct{}
}

func (m *memory) resize(limit int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = limit
	m.serve()
}

// take waits for memory. An error is the context's, and then nothing is taken.
func (m *memory) take(ctx context.Context, bytes int64) error {
	s := &seeker{bytes: bytes, served: make(chan struct{})}
	m.mu.Lock()
	m.waiting = append(m.waiting, s)
	m.serve()
	m.mu.Unlock()
	select {
	case <-s.served:
		return nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if place := slices.Index(m.waiting, s); place >= 0 {
		m.waiting = slices.Delete(m.waiting, place, place+1)
		// Those behind it may need less.
		m.serve()
		return ctx.Err()
	}
	// It was served at the same moment.
	return nil
}

// tryTake takes memory if enough is free and nobody waits.
func (m *memory) tryTake(bytes int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) > 0 || !m.fits(bytes) {
		return false
	}
	m.taken += bytes
	m.reportBound()
	return true
}

func (m *memory) giveBack(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken -= bytes
	m.serve()
}

// share is the memory of one worker, whose claims follow one another. It implements
// entry.Room. A claim waits only for its first page, and ends if there is no room for the next
// one. So nobody waits while holding memory, and nobody waits for ever. A single value above
// the limit is taken when no other memory is.
type share struct {
	of *memory
	// asked is the memory of the page that is being fetched, taken that of the claim so far.
	asked, taken int64
}

func (m *memory) share() *share { return &share{of: m} }

// Take begins another claim. The memory of the previous one is given back.
func (s *share) Take(ctx context.Context, bytes int) error {
	s.giveBack()
	n := int64(bytes) * copies
	if err := s.of.take(ctx, n); err != nil {
		return err
	}
	s.asked = n
	return nil
}

func (s *share) TryTake(bytes int) bool {
	n := int64(bytes) * copies
	if !s.of.tryTake(n) {
		return false
	}
	s.asked = n
	return true
}

func (s *share) Settle(used int) {
	n := min(int64(used)*copies, s.asked)
	s.of.giveBack(s.asked - n)
	s.taken += n
	s.asked = 0
}

func (s *share) giveBack() {
	s.of.giveBack(s.taken + s.asked)
	s.taken, s.asked = 0, 0
}
