// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// Prepare has nothing to load.
func (s *Source) Prepare(ctx context.Context) error { return ctx.Err() }

// Open makes the queue if it is not there.
func (s *Source) Open(ctx context.Context, settings config.QueueSettings, offered string, lost bool) (entry.Opened, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[settings.Mapping.Name]
	made := q == nil
	if made {
		q = &queue{incarnation: offered, fresh: settings.Alone && !lost, members: make(map[string]time.Time)}
		for range settings.Mapping.Partitions {
			q.partitions = append(q.partitions, &partition{
				due: make(map[string]time.Time), entries: make(map[string]*entry.Entry), letters: make(map[string]*entry.DeadLetter),
			})
		}
		if lost {
			q.stats.DataLoss++
		}
		s.queues[settings.Mapping.Name] = q
	}
	if made || settings.Owner != q.settings.Owner || settings.Revision >= q.settings.Revision {
		q.settings = settings
	}
	return entry.Opened{Incarnation: q.incarnation, Partitions: len(q.partitions), Made: made, Revision: q.settings.Revision}, ctx.Err()
}

// Beat shares the partitions evenly among the members that are alive.
func (s *Source) Beat(ctx context.Context, settings config.QueueSettings, member string, ttlMilliseconds int64, seen entry.Seen) (entry.Membership, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(ctx, settings.Mapping.Name)
	if err != nil {
		return entry.Membership{}, err
	}
	now := time.Now()
	expiry := now.Add(time.Duration(ttlMilliseconds) * time.Millisecond)
	q.members[member] = expiry
	maps.DeleteFunc(q.members, func(_ string, until time.Time) bool { return !now.Before(until) })
	share := (len(q.partitions) + len(q.members) - 1) / len(q.members)
	beat := entry.Membership{
		Incarnation: q.incarnation, Partitions: len(q.partitions), Share: share, Held: make(map[int]int64),
		Seen: entry.Seen{Incarnation: q.incarnation, Since: s.began, Writes: q.stats.Writes},
	}
	if seen.Incarnation == q.incarnation && seen.Since != 0 && seen.Writes > q.stats.Writes {
		beat.LostWrites = seen.Writes - q.stats.Writes
		q.stats.DataLoss++
	}
	for n, p := range q.partitions {
		if p.holder == member {
			p.expiry, beat.Held[n] = expiry, p.epoch
		}
	}
	for n, p := range q.partitions {
		if len(beat.Held) < share && !p.isHeld(now) {
			p.holder, p.expiry, p.epoch, beat.Held[n] = member, expiry, 0, 0
		}
	}
	return beat, nil
}

func (p *partition) isHeld(now time.Time) bool { return p.holder != "" && now.Before(p.expiry) }

// find is the queue, unless the caller has given up. The mutex is held.
func (s *Source) find(ctx context.Context, name string) (*queue, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q := s.queues[name]; q != nil {
		return q, nil
	}
	return nil, fmt.Errorf("queue %s: %w", name, entry.ErrNoQueue)
}

// enter is the partition of a term whose member holds it. The mutex is held.
func (s *Source) enter(ctx context.Context, t *entry.Term) (*queue, *partition, error) {
	q, err := s.find(ctx, t.Queue)
	if err != nil {
		return nil, nil, err
	}
	p := q.partitions[t.Partition]
	if p.holder != t.Member || q.incarnation != t.Incarnation {
		return nil, nil, fmt.Errorf("partition %d: %w", t.Partition, entry.ErrLeaseLost)
	}
	return q, p, nil
}

// Begin compares what the ledger and the queue know of the shard.
func (s *Source) Begin(ctx context.Context, t *entry.Term, floor, committed int64, _ *entry.Term, earlier bool) (entry.Agreement, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, p, err := s.enter(ctx, t)
	if err != nil {
		return entry.Agreed, err
	}
	agreement := entry.Agreed
	switch {
	case committed > p.top && !p.explains(committed):
		agreement = entry.RedisWentBack
	case committed < p.top:
		agreement = entry.DatabaseWentBack
	case q.fresh && earlier:
		agreement = entry.EarlierLifeLost
	}
	q.fresh = false
	p.epoch, p.incarnation, p.step, t.Step, p.out = t.Epoch, t.Incarnation, 0, 0, 0
	p.top = max(p.top, committed)
	p.floor = max(p.floor, floor, p.top)
	if agreement != entry.Agreed {
		q.stats.DataLoss++
	}
	return agreement, nil
}

// explains tells whether a claim is out that may have committed up to the version.
func (p *partition) explains(committed int64) bool {
	for _, key := range p.order[:min(p.out, len(p.order))] {
		if e := p.entries[key]; e != nil && e.Version >= committed {
			return true
		}
	}
	return false
}

// Holds compares the term with the one in force.
func (s *Source) Holds(ctx context.Context, t *entry.Term) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[t.Queue]
	if q == nil {
		return false, ctx.Err()
	}
	p := q.partitions[t.Partition]
	return p.holder == t.Member && p.epoch == t.Epoch && p.incarnation == t.Incarnation, ctx.Err()
}

// Onlooks is true of one of those that ask.
func (s *Source) Onlooks(ctx context.Context, name, member string, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(ctx, name)
	if err != nil {
		return false, err
	}
	if q.onlooker != member && time.Now().Before(q.onlooks) {
		return false, nil
	}
	q.onlooker, q.onlooks = member, time.Now().Add(ttl)
	return true, nil
}

// Free lists the partitions whose leases have run out, too.
func (s *Source) Free(ctx context.Context, name string) ([]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(ctx, name)
	if err != nil {
		return nil, err
	}
	var free []int
	for n, p := range q.partitions {
		if !p.isHeld(time.Now()) {
			free = append(free, n)
		}
	}
	return free, nil
}

// Release gives the partitions back that the member holds.
func (s *Source) Release(ctx context.Context, name, member string, partitions ...int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[name]; q != nil {
		q.release(member, partitions)
	}
	return ctx.Err()
}

func (q *queue) release(member string, partitions []int) {
	for _, n := range partitions {
		if p := q.partitions[n]; p.holder == member {
			p.holder, p.epoch = "", 0
			q.left++
		}
	}
}

// Leave gives all partitions back.
func (s *Source) Leave(ctx context.Context, name, member string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[name]; q != nil {
		delete(q.members, member)
		for n := range q.partitions {
			q.release(member, []int{n})
		}
	}
	return ctx.Err()
}
