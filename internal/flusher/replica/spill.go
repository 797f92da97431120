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
	if !dirty || s.head.backlog == 0 {
		return 0, s.head.backlog
	}
	return max(s.head.end, s.head.read) - at.Offset, s.head.backlog
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
	t, history := s.tenure, s.history.number
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
	if s.tenure != t || s.history.number != history {
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
	id   string
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
	keep := max(s.head.end, s.head.read) - size/urgentPart
	now := time.Now()
	for _, q := range s.book.queues {
		for _, p := range q.partitions {
			out := make(map[string]bool, len(p.out))
			for _, m := range p.out {
				out[string(p.of.id(m))] = true
			}
			for m := range p.of.in(&p.fresh) {
				if m.first >= keep || len(all) >= spilledAtOnce {
					break
				}
				id := string(p.of.id(m))
				if out[id] {
					continue
				}
				key, member, _ := q.keyOf(id)
				all = append(all, spilled{p, id, m.last})
				settled.Retries = append(settled.Retries, Retry{
					Name: Name{Queue: q.mapping.Name, Key: key, Member: member}, Word: m.word, FirstRefused: time.UnixMicro(m.since), Due: now,
					History: s.history.number, Offset: m.last,
				})
				p.store(id)
			}
		}
	}
	return all, settled
}

// take puts the mark among those that are saved, unless it was claimed or written meanwhile.
func (s *spilled) take() {
	m := s.p.marked.find([]byte(s.id))
	if m == nil || m.place != inFresh || m.last != s.last {
		return
	}
	s.p.leave(m)
	s.p.save(m)
	s.p.enter(m, inKept)
}
