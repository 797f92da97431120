// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// Poll counts what waits.
func (s *Source) Poll(ctx context.Context, name string, partitions []int) (entry.Loads, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	if q == nil {
		return entry.Loads{Of: make([]entry.Load, len(partitions))}, ctx.Err()
	}
	loads := entry.Loads{Left: q.left, Since: s.began, Writes: q.stats.Writes}
	for _, n := range partitions {
		loads.Of = append(loads.Of, q.partitions[n].load(time.Now()))
	}
	return loads, ctx.Err()
}

func (p *partition) load(now time.Time) entry.Load {
	load := entry.Load{Entries: int64(len(p.entries)), DeadLetters: int64(len(p.letters)), Step: p.step}
	for _, key := range p.order {
		if e := p.entries[key]; e.Attempts == 0 {
			if load.Fresh == 0 {
				load.HeadMilliseconds = age(now, e)
			}
			load.Fresh++
		} else {
			load.Due++
		}
	}
	for _, due := range p.due {
		if !now.Before(due) {
			load.Due++
		}
	}
	for _, e := range p.entries {
		load.OldestMilliseconds = max(load.OldestMilliseconds, age(now, e))
	}
	return load
}

func age(now time.Time, e *entry.Entry) int64 { return max(0, now.UnixMicro()-e.First) / 1000 }

// Stats adds up the partitions.
func (s *Source) Stats(ctx context.Context, name string) (entry.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(ctx, name)
	if err != nil {
		return entry.Stats{}, err
	}
	stats := q.stats
	stats.Incarnation, stats.State, stats.Max, stats.Revision = q.incarnation, q.settings.State, int64(q.settings.MaxDepth), q.settings.Revision
	for _, p := range q.partitions {
		load := p.load(time.Now())
		stats.Depth += load.Entries
		stats.Dead += load.DeadLetters
		stats.Refused += load.Entries - load.Fresh
		stats.OldestMilliseconds = max(stats.OldestMilliseconds, load.OldestMilliseconds)
	}
	return stats, nil
}

// Claim takes refused entries that are due first, then the order as it stands.
func (s *Source) Claim(ctx context.Context, t *entry.Term, prefix string, most entry.Bounds) (*entry.Claim, error) {
	if most.Room != nil {
		if err := most.Room.Take(ctx, most.Bytes); err != nil {
			return nil, err
		}
	}
	claim, err := s.claim(ctx, t, prefix, most)
	if most.Room != nil {
		used := 0
		if claim != nil {
			used = claim.Bytes()
		}
		most.Room.Settle(used)
	}
	return claim, err
}

func (s *Source) claim(ctx context.Context, t *entry.Term, prefix string, most entry.Bounds) (*entry.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, p, err := s.enter(ctx, t)
	switch {
	case err != nil:
		return nil, err
	case p.epoch != t.Epoch || !p.isHeld(time.Now()) || q.settings.Mapping.KeyPrefix != prefix:
		return nil, fmt.Errorf("claim partition %d: %w", t.Partition, entry.ErrLeaseLost)
	case p.step != t.Step:
		return nil, fmt.Errorf("claim partition %d: %w", t.Partition, entry.ErrStep)
	}
	p.takeDue(min(most.Retries, most.Entries))
	claim := &entry.Claim{Term: t}
	bytes := 0
	for _, key := range p.order[:min(most.Entries, len(p.order))] {
		e := *p.entries[key]
		if bytes += len(e.Value); bytes > most.Bytes && len(claim.Entries) > 0 {
			break
		}
		e.Raw = rawOf(&e)
		claim.Entries = append(claim.Entries, e)
	}
	p.out = len(claim.Entries)
	if p.out > 0 {
		p.claim++
		p.step++
		t.Step++
	}
	claim.Number = p.claim
	return claim, nil
}

// takeDue puts refused entries that are due at the head of the order.
func (p *partition) takeDue(most int) {
	for _, key := range p.order {
		if p.entries[key].Attempts > 0 {
			most--
		}
	}
	var due []string
	for key, at := range p.due {
		if !time.Now().Before(at) {
			due = append(due, key)
		}
	}
	slices.SortFunc(due, func(a, b string) int { return p.due[a].Compare(p.due[b]) })
	due = due[:max(0, min(most, len(due)))]
	for _, key := range due {
		delete(p.due, key)
	}
	p.order = append(due, p.order...)
}

// rawOf is what an acknowledgement compares: a write in between changes it.
func rawOf(e *entry.Entry) string {
	return strconv.FormatInt(e.Version, 10) + ":" + strconv.Itoa(e.Attempts)
}

// Acknowledge settles the claim as a whole.
func (s *Source) Acknowledge(ctx context.Context, c *entry.Claim, settlements []entry.Settlement) (entry.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, p, err := s.enter(ctx, c.Term)
	switch {
	case err != nil:
		return entry.Receipt{}, err
	case len(settlements) != len(c.Entries):
		return entry.Receipt{}, fmt.Errorf("settlements: %d, entries: %d", len(settlements), len(c.Entries))
	case p.epoch != c.Term.Epoch:
		return entry.Receipt{}, fmt.Errorf("acknowledge partition %d: %w", c.Term.Partition, entry.ErrLeaseLost)
	case p.acknowledged == c.Number:
		return entry.Receipt{}, nil
	case p.claim != c.Number || p.out == 0:
		return entry.Receipt{}, fmt.Errorf("acknowledge partition %d: %w", c.Term.Partition, entry.ErrClaimVoid)
	}
	for i := range settlements {
		if o := settlements[i].Outcome; o == 0 || (o == entry.Dead || o == entry.Lost) && settlements[i].Letter == nil {
			return entry.Receipt{}, fmt.Errorf("entry %s has no outcome, or a dead letter of which nothing is said", c.Entries[i].Key)
		}
	}
	receipt := entry.Receipt{Applied: true}
	p.order = p.order[p.out:]
	for i := range settlements {
		receipt.Superseded += p.settle(&q.stats, &c.Entries[i], settlements[i])
	}
	p.acknowledged, p.out = c.Number, 0
	p.step++
	c.Term.Step++
	return receipt, nil
}

// settle deals with one entry, which has left the order, and counts the dead letters that
// have gone.
func (p *partition) settle(stats *entry.Stats, e *entry.Entry, s entry.Settlement) (superseded int64) {
	row := e.Row()
	now := p.entries[row]
	rewritten := rawOf(now) != e.Raw
	p.floor = max(p.floor, e.Version)
	if s.Outcome == entry.Done {
		p.top = max(p.top, e.Version)
		stats.Flushed++
		stats.Coalesced += e.Writes - 1
		if p.letters[row] != nil {
			delete(p.letters, row)
			superseded++
		}
		if rewritten {
			now.First, now.Writes = e.Version+1, now.Writes-e.Writes
		}
	}
	switch {
	case rewritten, s.Outcome == entry.Kept && e.Attempts == 0:
		p.order = append(p.order, row)
		return superseded
	case s.Outcome == entry.Refused:
		if now.Attempts++; now.FirstRefused == 0 {
			now.FirstRefused = time.Now().UnixMicro()
		}
		p.due[row] = time.Now().Add(s.Wait)
		return superseded
	case s.Outcome == entry.Kept:
		p.due[row] = time.Now().Add(s.Wait)
		return superseded
	}
	delete(p.entries, row)
	if s.Outcome == entry.Lost {
		stats.DataLoss++
	}
	if s.Letter != nil {
		letter := *s.Letter
		letter.Key, letter.Version, letter.Operation, letter.Payload = e.Key, e.Version, e.Operation.Name, e.Value
		if p.letters[row] != nil {
			superseded++
		}
		p.letters[row] = &letter
	}
	return superseded
}
