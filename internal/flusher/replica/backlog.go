// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// Poll counts what waits in the partitions.
func (s *Source) Poll(ctx context.Context, name string, partitions []int) (entry.Loads, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	loads := entry.Loads{Of: make([]entry.Load, len(partitions))}
	q := s.book.find(name)
	if q == nil || !s.reads() {
		return loads, ctx.Err()
	}
	loads.Since, loads.Writes = 1, q.writes
	now, urgent := time.Now(), s.isUrgent()
	for i, n := range partitions {
		loads.Of[i] = q.partitions[n].load(now)
		loads.Of[i].Urgent = urgent
	}
	return loads, ctx.Err()
}

func (p *partition) load(now time.Time) entry.Load {
	p.ripen(now)
	fresh, head := p.countFresh(), p.head()
	load := entry.Load{
		Entries: int64(p.length()), Fresh: int64(fresh), Due: int64(p.due.length),
		HeadMilliseconds: milliseconds(head, now), DeadLetters: p.dead(), Step: p.step,
	}
	for _, m := range p.out {
		if p.of.attempts(m) > 0 {
			load.Due++
		}
	}
	load.OldestMilliseconds = max(load.HeadMilliseconds, milliseconds(p.oldestRefused(now), now))
	return load
}

// oldestRefused is when the oldest of the marks that were refused was made. It is looked for
// among all of them, once a second at most.
func (p *partition) oldestRefused(now time.Time) int64 {
	switch {
	case p.due.length+len(p.waiting) == 0:
		p.refused = 0
		return 0
	case p.refused != 0 && now.Sub(p.refusedAt) < time.Second:
		return p.refused
	}
	p.refused, p.refusedAt = now.UnixMicro(), now
	for m := range p.of.in(&p.due) {
		p.refused = min(p.refused, m.since)
	}
	for _, x := range p.waiting {
		p.refused = min(p.refused, x.of.since)
	}
	return p.refused
}

// Stats adds up the partitions. Who stands by knows what the reader has told the database.
func (s *Source) Stats(ctx context.Context, name string) (entry.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queue(ctx, name)
	if err != nil {
		return entry.Stats{}, err
	}
	stats := entry.Stats{
		Writes: q.writes, Flushed: q.flushed, Coalesced: q.coalesced, DataLoss: q.losses,
		Max: int64(q.settings.MaxDepth), Revision: q.settings.Revision, State: q.settings.State, Incarnation: s.incarnation(q),
	}
	stats.Depth, stats.Dead, stats.Refused = q.depth()
	now := time.Now()
	for _, p := range q.partitions {
		stats.OldestMilliseconds = max(stats.OldestMilliseconds, p.load(now).OldestMilliseconds)
	}
	return stats, nil
}
