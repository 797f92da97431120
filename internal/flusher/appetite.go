// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"net"
	"os"

	"golang.org/x/sync/semaphore"
)

// maxClaimBytes bounds the values of one claim, so that a batch of large
// documents does not fill the memory of either side: 16 MiB.
const maxClaimBytes = 16 << 20

// leastClaimBytes is what a claim may take whatever has happened: less would not help a
// link that cannot carry so much.
const leastClaimBytes = 64 << 10

// appetite is how many bytes of values a claim of one partition may take: half of what it
// was after every time-out, since the same claim would time out again, and a quarter more
// after every success. The zero value is ready.
type appetite struct{ bytes int }

func (a *appetite) bound() int {
	if a.bytes == 0 {
		return maxClaimBytes
	}
	return a.bytes
}

// failed notes that a step failed which carried so many bytes.
func (a *appetite) failed(err error, carried int) {
	var network net.Error
	late := errors.As(err, &network) && network.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.DeadlineExceeded)
	if !late {
		return
	}
	a.bytes = max(min(a.bound(), carried)/2, leastClaimBytes)
}

func (a *appetite) passed() {
	if a.bytes += a.bytes / 4; a.bytes >= maxClaimBytes {
		a.bytes = 0
	}
}

// maxInFlight is how many bytes of entries all workers of a flusher hold in memory
// together, unless Options says otherwise: 64 MiB, so that its process stays under half
// of the 512 MiB that its container is given.
const maxInFlight = 64 << 20

// copies is how often a value stands in memory while it is written: as it came from
// Redis, as the text of its columns, and as PostgreSQL's protocol has it.
const copies = 3

// memory bounds what all workers hold together.
type memory struct {
	free  *semaphore.Weighted
	limit int64
}

func newMemory(limit int64) *memory {
	return &memory{free: semaphore.NewWeighted(limit), limit: limit}
}

// share is the part of the memory that one claim after the other holds: it implements
// journal.Room. A claim waits for its first page alone; where there is no room for the next one it ends
// there. So nobody waits who holds something, and nobody waits for ever. A single value
// that is larger than all the memory goes when it has all of it.
type share struct {
	of *memory
	// asked is what the page takes that is being fetched, held what the claim has.
	asked, held int64
}

func (m *memory) share() *share { return &share{of: m} }

// Take begins another claim: what the one before held is free again.
func (s *share) Take(ctx context.Context, bytes int) error {
	s.giveBack()
	n := min(int64(bytes)*copies, s.of.limit)
	if err := s.of.free.Acquire(ctx, n); err != nil {
		return err
	}
	s.asked = n
	return nil
}

func (s *share) TryTake(bytes int) bool {
	n := int64(bytes) * copies
	if !s.of.free.TryAcquire(n) {
		return false
	}
	s.asked = n
	return true
}

func (s *share) Settle(used int) {
	n := min(int64(used)*copies, s.asked)
	s.of.free.Release(s.asked - n)
	s.held += n
	s.asked = 0
}

func (s *share) giveBack() {
	s.of.free.Release(s.held + s.asked)
	s.held, s.asked = 0, 0
}
