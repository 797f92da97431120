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

// processMemory is how many bytes a process takes of which so many are in flight: the
// collector lets about as much again stand, and there is the program itself.
func processMemory(inFlight int64) int64 { return inFlight/2*5 + 20<<20 }

// memory bounds the bytes of entries that all workers of a flusher hold together. Who has
// asked first is served first. Its size may change while it is in use: what is held stays
// held, and where that is more than the new size nothing is given out until it is less.
type memory struct {
	mu sync.Mutex
	pool
}

// pool is the account of a memory.
type pool struct {
	limit, taken int64
	waiting      []*seeker
	// report, if given, gets how many bytes may be in flight: the limit or, while a value
	// is out that is larger, what that takes. It gets one bound after the other, under the
	// memory's lock.
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

// fits tells whether so much may be given out: also what is larger than all the memory,
// when nothing else is held.
func (p *pool) fits(bytes int64) bool { return p.taken == 0 || p.taken+bytes <= p.limit }

// serve gives out what there is, in the order of asking.
func (p *pool) serve() {
	for len(p.waiting) > 0 && p.fits(p.waiting[0].bytes) {
		p.taken += p.waiting[0].bytes
		close(p.waiting[0].served)
		p.waiting = slices.Delete(p.waiting, 0, 1)
	}
	p.reportBound()
}

// seeker is one who waits for memory.
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

// take waits for memory. An error is the context's, and then nothing is held.
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

// tryTake takes memory if it is there, and nobody waits for it.
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

// share is the part of the memory that one claim after the other holds: it implements
// entry.Room. A claim waits for its first page alone; where there is no room for the
// next one it ends there. So nobody waits who holds something, and nobody waits for ever.
// A single value that is larger than all the memory goes when nobody else holds any.
type share struct {
	of *memory
	// asked is what the page takes that is being fetched, taken what the claim has.
	asked, taken int64
}

func (m *memory) share() *share { return &share{of: m} }

// Take begins another claim: what the one before held is free again.
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
