// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// Acknowledge settles a claim. What is refused, kept or dead is in the database before it
// leaves the marks that hold the position.
func (s *Source) Acknowledge(ctx context.Context, c *entry.Claim, settlements []entry.Settlement) (entry.Receipt, error) {
	action := fmt.Sprintf("acknowledge partition %d", c.Term.Partition)
	if len(settlements) != len(c.Entries) {
		return entry.Receipt{}, fmt.Errorf("%s: settlements: %d, entries: %d", action, len(settlements), len(c.Entries))
	}
	for i := range settlements {
		switch o := settlements[i].Outcome; {
		case o == 0:
			return entry.Receipt{}, fmt.Errorf("%s: entry %s has no outcome", action, c.Entries[i].Key)
		case (o == entry.Dead || o == entry.Lost) && settlements[i].Letter == nil:
			return entry.Receipt{}, fmt.Errorf("%s: nothing is said of the dead letter of %s", action, c.Entries[i].Key)
		}
	}
	s.mu.Lock()
	pg, err := s.enterAcknowledge(ctx, c)
	if err != nil || pg == nil {
		s.mu.Unlock()
		return entry.Receipt{}, wrap(action, err)
	}
	if settled := pg.settled(s, c, settlements); settled.isEmpty() {
		s.conclude(pg, c, settlements)
		s.mu.Unlock()
		return entry.Receipt{Applied: true}, nil
	}
	s.mu.Unlock()
	superseded, err := s.settle(ctx, c, settlements)
	if err != nil {
		return entry.Receipt{}, wrap(action, err)
	}
	return entry.Receipt{Applied: true, Superseded: superseded}, nil
}

// settle tells the database what it has to know of a claim, and ends it.
func (s *Source) settle(ctx context.Context, c *entry.Claim, settlements []entry.Settlement) (superseded int64, err error) {
	s.settling.Lock()
	defer s.settling.Unlock()
	s.mu.Lock()
	pg, err := s.enterAcknowledge(ctx, c)
	if err == nil && pg == nil {
		err = entry.ErrClaimVoid
	}
	if err != nil {
		s.mu.Unlock()
		return 0, err
	}
	settled := pg.settled(s, c, settlements)
	s.mu.Unlock()
	superseded, err = s.store.Settle(ctx, s.options.Name, pg.tenure.epoch, settled)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, ErrDeposed):
		if s.tenure == pg.tenure {
			s.tenure.cancel()
		}
		return 0, fmt.Errorf("%w: %w", entry.ErrLeaseLost, err)
	case err != nil:
		return 0, err
	case !s.isOut(pg) || len(pg.p.out) != len(c.Entries):
		return 0, entry.ErrLeaseLost
	}
	for id := range pg.p.forgotten {
		delete(pg.p.stored, id)
	}
	clear(pg.p.forgotten)
	s.conclude(pg, c, settlements)
	return superseded, nil
}

// conclude ends a claim of which the database knows what it has to. The lock is held.
func (s *Source) conclude(pg *page, c *entry.Claim, settlements []entry.Settlement) {
	p := pg.p
	out := p.out
	p.out = nil
	for i, m := range out {
		p.conclude(pg.q, m, &c.Entries[i], &settlements[i])
	}
	p.acknowledged = c.Number
	p.step++
	c.Term.Step++
	s.acknowledge()
	s.book.pace()
	s.head.wake()
}

func wrap(action string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", action, err)
}

// enterAcknowledge finds the claim; nil where it was acknowledged before. The lock is held.
func (s *Source) enterAcknowledge(ctx context.Context, c *entry.Claim) (*page, error) {
	q, p, err := s.shard(ctx, c.Term)
	switch {
	case err != nil:
		return nil, err
	case p.epoch != c.Term.Epoch:
		return nil, entry.ErrLeaseLost
	case p.acknowledged == c.Number && c.Number != 0:
		return nil, nil
	case p.claim != c.Number || len(p.out) != len(c.Entries):
		return nil, entry.ErrClaimVoid
	}
	return &page{tenure: s.tenure, q: q, p: p, claim: c.Number}, nil
}

// settled is what the database has to know of the claim. What it may have of an entry is
// noted before: whether it takes effect is not known when the answer is lost. The lock is
// held.
func (pg *page) settled(s *Source, c *entry.Claim, settlements []entry.Settlement) Settled {
	var settled Settled
	p := pg.p
	for i, m := range p.out {
		e, st := &c.Entries[i], &settlements[i]
		name := Name{Queue: pg.q.mapping.Name, Key: e.Key, Member: e.Member}
		switch o := st.Outcome; {
		case o == entry.Done, o == entry.Forged:
			if pg.q.isAside(p, m, e) {
				settled.Gone = append(settled.Gone, name)
				settled.Retries = append(settled.Retries, pg.membersAside(s.history.number, m, e)...)
			}
		case m.asked && (o == entry.Refused || o == entry.Kept):
			// It stays the letter that it was.
		case o == entry.Refused, o == entry.Kept, p.isRewritten(m):
			// Also where a later write is dirty: the position moves to that one, and whoever
			// reads from there has to know that the one before is owed.
			settled.Retries = append(settled.Retries, s.retryOf(name, m, st, e))
			p.store(string(p.of.id(m)))
		default:
			letter := letterOf(e, st.Letter)
			if by := s.book.lastCommand(m); !strings.HasSuffix(letter.Message, by) {
				letter.Message += by
			}
			settled.Letters = append(settled.Letters, Letter{Name: name, DeadLetter: *letter})
			delete(p.rereads, string(p.of.id(m)))
			p.letters[string(p.of.id(m))], p.lettered = s.requests.looks, max(p.lettered, e.Version, e.Upto)
		}
	}
	for id := range p.forgotten {
		key, member, _ := pg.q.keyOf(id)
		settled.Gone = append(settled.Gone, Name{Queue: pg.q.mapping.Name, Key: key, Member: member})
	}
	return settled
}

// isAside tells whether the database has, or may have, something of the name or, if that is a
// key of members, of any of these.
func (q *queue) isAside(p *partition, m *mark, e *entry.Entry) bool {
	_, dead := p.letters[string(p.of.id(m))]
	_, stored := p.stored[string(p.of.id(m))]
	if dead || stored || !q.encoding.members || e.Member != "" {
		return dead || stored
	}
	prefix := string(p.of.id(m)) + "/"
	of := func(id string) bool { return strings.HasPrefix(id, prefix) }
	for id := range p.letters {
		if of(id) {
			return true
		}
	}
	for id := range p.stored {
		if of(id) {
			return true
		}
	}
	return false
}

// membersAside are the retries of members that go with the name of their key, and have to come
// again.
func (pg *page) membersAside(history int64, of *mark, e *entry.Entry) (aside []Retry) {
	if !pg.q.encoding.members || e.Member != "" {
		return nil
	}
	prefix := append(bytes.Clone(pg.p.of.id(of)), '/')
	for m := range pg.p.marked.all() {
		if m.saved && bytes.HasPrefix(pg.p.of.id(m), prefix) {
			id := string(pg.p.of.id(m))
			_, member, _ := namesOf(id)
			r := Retry{
				Name: Name{Queue: pg.q.mapping.Name, Key: e.Key, Member: member}, Word: m.word, Attempts: pg.p.of.attempts(m),
				FirstRefused: time.UnixMicro(m.since), History: history, Offset: m.last,
			}
			if r.Due = time.Now(); r.Attempts > 0 {
				r.FirstRefused, r.Due = time.UnixMicro(pg.p.of.extra(m).firstRefused), pg.p.of.extra(m).due
			}
			aside = append(aside, r)
			// The letter that it may have stood for goes.
			pg.p.store(id)
			m.asked = false
		}
	}
	return aside
}

// retryOf is what the database keeps of a mark that waits.
func (s *Source) retryOf(name Name, m *mark, st *entry.Settlement, e *entry.Entry) Retry {
	now := time.Now()
	r := Retry{
		Name: name, Word: m.word, Attempts: e.Attempts, FirstRefused: time.UnixMicro(m.since),
		Due: now.Add(st.Wait), History: s.history.number, Offset: m.last,
	}
	if st.Outcome == entry.Refused {
		r.Attempts++
	}
	if e.FirstRefused != 0 {
		r.FirstRefused = time.UnixMicro(e.FirstRefused)
	}
	return r
}

// letterOf completes what the engine says of a dead letter.
func letterOf(e *entry.Entry, l *entry.DeadLetter) *entry.DeadLetter {
	letter := *l
	letter.Key, letter.Operation, letter.Version, letter.Payload = e.Key, e.Operation.Name, max(e.Version, e.Upto), e.Value
	if letter.Attempts == 0 {
		letter.Attempts = e.Attempts
	}
	if letter.FirstFailure = letter.LastFailure; e.FirstRefused != 0 {
		letter.FirstFailure = time.UnixMicro(e.FirstRefused).UTC()
	}
	return &letter
}

// conclude takes a mark out of the claim with its outcome.
func (p *partition) conclude(q *queue, m *mark, e *entry.Entry, st *entry.Settlement) {
	m.place = nowhere
	if st.Outcome == entry.Done {
		p.pay(m)
		p.done(q, m, e)
		return
	}
	twin := p.marked.like(m)
	waits := st.Outcome == entry.Refused || st.Outcome == entry.Kept
	if twin != nil && (waits || twin.rewrites()) {
		p.owes(m)
	} else {
		p.pay(m)
	}
	switch {
	case !waits:
		if st.Outcome == entry.Lost {
			q.losses++
		}
		if twin == nil || !twin.rewrites() {
			delete(p.stored, string(p.of.id(m)))
		}
		if twin != nil && q.encoding.named {
			// Fields that the row lacks are not named again.
			p.of.wholly(twin)
		}
		p.settle(m)
		return
	case twin != nil:
		p.yield(q, m, twin, e)
		return
	}
	x := p.of.more(m)
	x.due = time.Now().Add(st.Wait)
	if st.Outcome == entry.Refused {
		if x.attempts++; x.firstRefused == 0 {
			x.firstRefused = time.Now().UnixMicro()
		}
	}
	p.save(m)
	at := inKept
	if x.attempts > 0 {
		at = inWaiting
	}
	p.enter(m, at)
}

// done takes a mark out whose row is committed.
func (p *partition) done(q *queue, m *mark, e *entry.Entry) {
	q.flushed++
	q.coalesced += e.Writes - 1
	p.carried = max(p.carried, e.Version, e.Upto)
	if q.encoding.members && e.Member == "" && q.isAside(p, m, e) {
		// They went with the name of their key.
		prefix := string(p.of.id(m)) + "/"
		maps.DeleteFunc(p.letters, func(id string, _ int64) bool { return strings.HasPrefix(id, prefix) })
		maps.DeleteFunc(p.rereads, func(id string, _ struct{}) bool { return strings.HasPrefix(id, prefix) })
	}
	p.unletter(string(p.of.id(m)))
	delete(p.stored, string(p.of.id(m)))
	p.settle(m)
}

// yield has the later mark of the name stand for one that is not settled, too: that is what
// has to be tried.
func (p *partition) yield(q *queue, m, twin *mark, e *entry.Entry) {
	lost := !twin.wrote && twin.word == Unlinked && m.wrote
	if !m.saved && !twin.rewrites() && m.first < twin.first {
		// Of what was refused only its own write tells.
		p.leave(twin)
		twin.first, twin.database = m.first, m.database
		p.owe(twin)
	}
	p.merge(m, twin)
	p.of.drop(m)
	if lost && q.encoding.valued && e.Operation == entry.Set {
		// The key is gone since it was read.
		p.of.setValue(twin, []byte(e.Value))
	}
}
