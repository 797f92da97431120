// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"time"
)

// The backlog has to hold all that is behind the committed offset. From a quarter of it on
// everything is flushed at once. What is still dirty when half of it is used does not get
// through, since its mapping is paused or suspended: its keys go to the database, so that it
// holds up nobody.
const (
	urgentPart = 4
	spillPart  = 2
	// spilledAtOnce is how many keys go in one transaction, a beat.
	spilledAtOnce = 10_000
)

// behind is how much of the backlog is used by what is not carried, and how large that is;
// 0 where it is not known. The lock is held.
func (s *Source) behind() (used, size int64) {
	at, dirty := s.carried()
	if !dirty || s.backlog == 0 {
		return 0, s.backlog
	}
	return max(s.end, s.read) - at.Offset, s.backlog
}

// isUrgent tells whether all that is dirty is to be flushed at once. The lock is held.
func (s *Source) isUrgent() bool {
	used, size := s.behind()
	return size > 0 && used > size/urgentPart
}

// spill has the database take the oldest marks aside, if they use too much of the backlog.
func (s *Source) spill(ctx context.Context) error {
	s.settling.Lock()
	defer s.settling.Unlock()
	s.mu.Lock()
	t, history := s.tenure, s.history
	spilled, settled := s.toSpill()
	s.mu.Unlock()
	if t == nil || len(spilled) == 0 {
		return nil
	}
	if _, err := s.store.Settle(ctx, s.options.Name, t.epoch, settled); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenure != t || s.history != history {
		return nil
	}
	for i := range spilled {
		spilled[i].take()
	}
	s.log.Info("Keys that are not flushed are kept in the database, so that the backlog of Redis suffices for the others", "keys", len(spilled))
	return nil
}

// spilled is a mark as it was when the database was given it.
type spilled struct {
	p    *partition
	m    *mark
	last int64
}

// toSpill are the marks, and what the database is to know of them. That it may have them is
// noted before. What is out in a claim is not spilled: of one name the database has one retry,
// which goes when the row comes that is on its way. The lock is held.
func (s *Source) toSpill() (all []spilled, settled Settled) {
	used, size := s.behind()
	if size == 0 || used <= size/spillPart {
		return nil, settled
	}
	keep := max(s.end, s.read) - size/urgentPart
	now := time.Now()
	for _, q := range s.queues {
		for _, p := range q.partitions {
			out := make(map[string]bool, len(p.out))
			for _, m := range p.out {
				out[m.id] = true
			}
			for m := p.fresh.head; m != nil && m.first < keep && len(all) < spilledAtOnce; m = m.after {
				if out[m.id] {
					continue
				}
				key, member, _ := q.keyOf(m.id)
				all = append(all, spilled{p, m, m.last})
				settled.Retries = append(settled.Retries, Retry{
					Name: Name{Queue: q.mapping.Name, Key: key, Member: member}, Word: m.word, FirstRefused: time.UnixMicro(m.since), Due: now,
					History: s.history, Offset: m.last,
				})
				p.store(m.id)
			}
		}
	}
	return all, settled
}

// take puts the mark among those that are saved, unless it was claimed or written meanwhile.
func (s *spilled) take() {
	if s.p.marked[s.m.id] != s.m || s.m.place != inFresh || s.m.last != s.last {
		return
	}
	s.p.leave(s.m)
	s.p.save(s.m)
	s.p.enter(s.m, inKept)
}
