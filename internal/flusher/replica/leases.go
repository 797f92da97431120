// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// Open takes the settings of a queue, whose life is that of the history.
func (s *Source) Open(ctx context.Context, settings config.QueueSettings, _ string, _ bool) (entry.Opened, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.book.find(settings.Mapping.Name)
	if q == nil {
		return entry.Opened{}, fmt.Errorf("open queue %s: %w", settings.Mapping.Name, entry.ErrNoQueue)
	}
	made := !q.opened
	if made || settings.Owner != q.settings.Owner || settings.Revision >= q.settings.Revision {
		q.settings = settings
	}
	q.opened, s.left = true, false
	return entry.Opened{
		Incarnation: s.incarnation(q), Partitions: len(q.partitions), Made: made, Revision: q.settings.Revision,
	}, ctx.Err()
}

// Beat tells that the member holds all partitions, if this process reads the source, or none.
func (s *Source) Beat(ctx context.Context, settings config.QueueSettings, _ string, _ int64, _ entry.Seen) (entry.Membership, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queue(ctx, settings.Mapping.Name)
	if err != nil {
		return entry.Membership{}, err
	}
	beat := entry.Membership{Incarnation: s.incarnation(q), Partitions: len(q.partitions), Held: make(map[int]int64)}
	beat.Seen = entry.Seen{Incarnation: beat.Incarnation, Since: 1, Writes: q.writes}
	if beat.StandsBy = !s.reads(); beat.StandsBy {
		return beat, nil
	}
	beat.Share = len(q.partitions)
	for n, p := range q.partitions {
		beat.Held[n] = p.epoch
	}
	return beat, nil
}

// reads tells whether this process reads a history of the source. The lock is held.
func (s *Source) reads() bool { return s.tenure != nil && s.history.number != 0 }

// queue is an open queue of the name, unless the caller has given up. The lock is held.
func (s *Source) queue(ctx context.Context, name string) (*queue, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q := s.book.find(name); q != nil && q.opened {
		return q, nil
	}
	return nil, fmt.Errorf("queue %s: %w", name, entry.ErrNoQueue)
}

// shard is the partition of a term in the history that is read. The lock is held.
func (s *Source) shard(ctx context.Context, t *entry.Term) (*queue, *partition, error) {
	q, err := s.queue(ctx, t.Queue)
	if err != nil {
		return nil, nil, err
	}
	if !s.reads() || t.Incarnation != s.incarnation(q) || t.Partition >= len(q.partitions) {
		return nil, nil, fmt.Errorf("partition %d: %w", t.Partition, entry.ErrLeaseLost)
	}
	return q, q.partitions[t.Partition], nil
}

// Begin enters the term, and ends the claim of the one before. What the ledger has, the
// stream has to have too: after a fail-over to a server that had less, the rows behind that
// are of no history any more, and another one begins. A ledger that has less than was
// committed came back from a backup, and the position with it: the source is read from there
// again, so that nothing is lost.
func (s *Source) Begin(ctx context.Context, t *entry.Term, _, committed int64, _ *entry.Term, _ bool) (entry.Agreement, error) {
	if err := s.confirm(ctx, t); err != nil {
		return entry.Agreed, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q, p, err := s.shard(ctx, t)
	if err != nil {
		return entry.Agreed, err
	}
	switch {
	case committed > s.history.limit:
		s.breakOff("a fail-over of Redis has lost data that was already flushed")
		return entry.Agreed, fmt.Errorf("begin epoch %d of partition %d: %w", t.Epoch, t.Partition, entry.ErrLeaseLost)
	case committed < p.carried:
		s.log.Warn("PostgreSQL came back with older data, the stream is read again from its position", "queue", q.mapping.Name, "partition", t.Partition)
		s.tenure.cancel()
		return entry.Agreed, fmt.Errorf("begin epoch %d of partition %d: %w", t.Epoch, t.Partition, entry.ErrLeaseLost)
	}
	p.void()
	p.epoch, p.step, p.acknowledged = t.Epoch, 0, 0
	p.carried = max(p.carried, committed)
	t.Step = 0
	s.history.horizon = max(s.history.horizon, committed)
	if !s.history.isSure() && s.book.allBegun() {
		s.history.limit = math.MaxInt64
		s.acknowledge()
		nudge(s.hurry)
	}
	return entry.Agreed, nil
}

// confirm asks the database whether the source is this process's still, after the ledger has
// given the term its epoch. The ledger shuts out the histories before when a term of a new one
// begins for the first time, and not again: whoever was replaced before that, and has not
// noticed, would begin a term of the old history behind it.
func (s *Source) confirm(ctx context.Context, t *entry.Term) error {
	if err := s.candidate.enter(ctx); err != nil {
		return err
	}
	defer s.candidate.exit()
	s.mu.Lock()
	_, _, err := s.shard(ctx, t)
	reading := s.tenure
	s.mu.Unlock()
	if err != nil {
		return err
	}
	hold, err := s.candidate.lease(ctx)
	if err == nil && (!s.candidate.isReader(hold) || hold.Epoch != reading.epoch) {
		reading.cancel()
		err = entry.ErrLeaseLost
	}
	return wrap(fmt.Sprintf("begin epoch %d of partition %d", t.Epoch, t.Partition), err)
}

// Holds compares the term with the one in force.
func (s *Source) Holds(ctx context.Context, t *entry.Term) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, p, err := s.shard(ctx, t)
	return err == nil && p.epoch == t.Epoch, nil
}

// Onlooks is nobody: who stands by tells nothing.
func (s *Source) Onlooks(ctx context.Context, _, _ string, _ time.Duration) (bool, error) {
	return false, ctx.Err()
}

// Free has no partitions: whoever reads the source holds all of them.
func (s *Source) Free(ctx context.Context, _ string) ([]int, error) { return nil, ctx.Err() }

// Release gives nothing back, since there is nobody to take a part.
func (s *Source) Release(ctx context.Context, _, _ string, _ ...int) error { return ctx.Err() }

// Leave ends the work at a queue. With the last one the position moves to where it is, and
// the source is free for another member.
func (s *Source) Leave(ctx context.Context, name, _ string) error {
	if err := s.candidate.enter(ctx); err != nil {
		return err
	}
	defer s.candidate.exit()
	s.mu.Lock()
	left := true
	for _, q := range s.book.queues {
		if q.mapping.Name == name {
			q.opened = false
			for _, p := range q.partitions {
				p.void()
				p.epoch = 0
			}
		}
		left = left && !q.opened
	}
	tenure := s.tenure
	s.left = left
	s.mu.Unlock()
	if !left || tenure == nil {
		return ctx.Err()
	}
	err := s.move(ctx)
	s.depose()
	if released := s.candidate.release(ctx, tenure.epoch); released != nil {
		return fmt.Errorf("release the source: %w", released)
	}
	return err
}
