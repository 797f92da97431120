// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// history is one in which offsets can be compared. The source's lock is held by whoever uses it.
type history struct {
	// number is what the database minted, 0 if none is read.
	number int64
	// horizon is the highest offset of which a value may have been written, limit the
	// highest that the server of now is known to share with the one before: all that was
	// written behind it is lost. It is no limit once every partition has begun below it.
	horizon, limit int64
	// broken says why the history has to end, if it has to.
	broken string
}

func newHistory(number int64) history { return history{number: number, limit: math.MaxInt64} }

// isSure tells whether what was flushed is known to be on the server of now.
func (h *history) isSure() bool { return h.limit == math.MaxInt64 }

// attached decides whether the stream goes on with the history that was read, or begins
// another one.
func (t *tenure) attached(ctx context.Context, stream Replication) error {
	s := t.of
	s.mu.Lock()
	id, known, broken := s.head.id, s.history.number != 0, s.history.broken
	s.mu.Unlock()
	begins, shared := "", int64(math.MaxInt64)
	switch {
	case !known:
		begins = "the source was never read"
	case broken != "":
		begins = broken
	case !stream.Continued():
		why, err := t.misses(ctx, stream, id)
		if err != nil {
			return err
		}
		begins = why + ", so all keys are read anew: deletions that were not read are not made"
	case stream.ID() != id:
		branch, err := t.branch(ctx, stream, id)
		if err != nil {
			return err
		}
		shared = branch
		s.mu.Lock()
		again := s.history.horizon > branch && s.isStoredBefore(branch, id)
		if s.history.horizon > branch {
			begins = "a fail-over of Redis has lost data that was already flushed"
		} else if !s.book.allBegun() {
			s.history.limit = min(s.history.limit, branch)
		}
		s.mu.Unlock()
		if again {
			return errReadAgain
		}
	}
	if begins != "" {
		return t.beginHistory(ctx, stream, begins)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.goOn(stream, shared)
	return nil
}

// misses tells why a server could not go on with the stream. It is errReadAgain where one took
// over that lacks what was read, and has all up to the position in the database.
func (t *tenure) misses(ctx context.Context, stream Replication, id string) (why string, err error) {
	s := t.of
	why = "the server could not go on with the stream from where it was read"
	if stream.ID() == id {
		return why, nil // It is the same server.
	}
	look, err := s.server.Look(ctx)
	switch {
	case err != nil:
		return "", err
	case look.ID == id:
		// Ordinary connections leave the server of before a moment later.
		return "", fmt.Errorf("%w: the stream is of %s, the keys are of %s", ErrOtherServer, stream.ID(), id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case look.ID != stream.ID() || look.Before != id:
	case s.head.safe.Offset > look.Branch && s.isStoredBefore(look.Branch, id):
		return "", errReadAgain
	case s.history.horizon > look.Branch:
		why = "a fail-over of Redis has lost data that was already flushed"
	}
	return why, nil
}

// isStoredBefore tells whether the position in the database is one that a server has which
// shares the history of the id up to the branch. The lock is held.
func (s *Source) isStoredBefore(branch int64, id string) bool {
	return s.stored.History == s.history.number && s.stored.ReplicationID == id && s.stored.Offset <= branch
}

// goOn reads the history on from a stream, whose server shares it up to the offset. The lock is
// held.
func (s *Source) goOn(stream Replication, shared int64) {
	start := stream.Start()
	if stream.ID() != s.head.id {
		upTo := s.carriedTo()
		for _, q := range s.book.queues {
			if q.scan.finished(q, upTo) {
				// It stays so: the offset may be one of pings, which this server has not heard.
				q.scan.upTo = 0
				continue
			}
			// What it has not come across may be there on this server.
			q.scan.again()
		}
		// What was read behind the last safe point is none of this server's: pings, and a
		// transaction that was not told to its end. Its offsets come again with other writes.
		s.head.read = start.Offset
		for _, p := range s.book.partitions() {
			p.rewind(start.Offset)
		}
		s.book.doubtLetters(shared, start)
		defer nudge(s.hurry)
	}
	s.head.goOn(stream)
	s.faults.ended(nil)
	s.acknowledge()
	nudge(s.owed)
	s.head.wake()
}

// rewind has no mark know of a write behind the offset.
func (p *partition) rewind(offset int64) {
	maps.DeleteFunc(p.gone, func(_ string, at int64) bool { return at > offset })
	for m := range p.marked.all() {
		if m.last > offset {
			p.of.rewind(m, offset)
		}
	}
	for _, m := range p.out {
		if m.last > offset {
			p.of.rewind(m, offset)
		}
	}
}

// rewind forgets what was said of the name behind the offset: it is told once more, or is not
// so on this server. Of what was said before the last word is not known any more. If nothing is
// there, a write counts as lost where the name may have gone by itself.
func (d *dirty) rewind(m *mark, offset int64) {
	m.last = offset
	d.dropValue(m)
	switch {
	case m.word == seen:
	case !m.saved && m.first >= offset:
		m.word, m.wrote = seen, false
	case m.saved || m.expired:
		m.word, m.wrote = Unlinked, true
	default:
		m.word, m.wrote = Written, true
	}
}

// nudge wakes whoever waits for the channel.
func nudge(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}

// isRecorded tells whether the database has the name of the history that is read. Before,
// nothing may be written: the next reader would take what was written of the server which
// took over for what that one has lost. The lock is held.
func (s *Source) isRecorded() bool {
	return s.history.isSure() && s.stored.ReplicationID == s.head.id
}

// branch is the highest offset that a server shares with the one before it, whose history
// had that id.
func (t *tenure) branch(ctx context.Context, stream Replication, id string) (int64, error) {
	s := t.of
	look, err := s.server.Look(ctx)
	if err != nil {
		return 0, err
	}
	if look.ID != stream.ID() || look.Before != id {
		return 0, fmt.Errorf("the stream is of history %s, the server's is %s after %s", stream.ID(), look.ID, look.Before)
	}
	return look.Branch, nil
}

// beginHistory mints a number, and marks what is known as of it. What is out is void. The
// database has the history before anybody is told of it.
func (t *tenure) beginHistory(ctx context.Context, stream Replication, why string) error {
	s := t.of
	number, err := s.store.NextHistory(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	current, before := s.tenure, s.stored
	s.mu.Unlock()
	if current != t {
		return ErrDeposed
	}
	start := stream.Start()
	if stream.Continued() {
		start = s.head.safe // of this goroutine alone
	}
	if before.History != 0 {
		gone, err := s.witness.isGone(ctx, before.Witness)
		if err != nil {
			return err
		}
		if gone {
			why += "; Redis has lost data that was already flushed"
		}
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	next := s.position()
	next.History, next.ReplicationID, next.Offset, next.Database, next.Scanned = number, stream.ID(), start.Offset, start.Database, nil
	if before.History != 0 {
		for _, name := range s.names {
			next.Losses[name]++
		}
		next.Told = why
	}
	if err := s.store.Move(ctx, s.options.Name, t.epoch, next); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenure != t {
		return ErrDeposed
	}
	if before.History != 0 {
		s.lost(why)
	}
	told := s.head.read >= s.history.horizon
	s.stored, s.history = next, newHistory(number)
	s.head.safe, s.head.read, s.head.needed, s.head.end = start, start.Offset, 0, 0
	s.requests.heeded = unheeded
	for _, q := range s.book.queues {
		q.scan = scan{}
	}
	for _, p := range s.book.partitions() {
		p.beginHistory(number, start, told)
	}
	s.goOn(stream, math.MaxInt64)
	return nil
}

// beginHistory brings all marks into a history that begins at the point.
func (p *partition) beginHistory(history int64, start Point, told bool) {
	p.void()
	// Of a partition that has not begun it is not known what was carried.
	sure := told && p.epoch != 0
	p.epoch, p.acknowledged, p.carried, p.lettered = 0, 0, 0, 0
	p.scanning, p.life, p.floor, p.owed = 0, history, math.MaxInt64, nil
	for m := range p.marked.all() {
		if p.encoding.members {
			if key, _, _ := namesOf(p.of.id(m)); p.hasGone(string(key), m) {
				m.unlink()
			}
		}
		m.first, m.last, m.database = start.Offset, start.Offset, int16(start.Database) //nolint:gosec // There are few databases.
		if p.encoding.named {
			p.of.wholly(m)
		}
		p.of.lapse(m, sure)
		if m.scanned = !m.saved; m.scanned {
			// Like what the scan will come across: the stream does not tell of it any more.
			p.scanning++
			continue
		}
		m.first, p.floor = before, before
	}
	// Offsets of now are not those at which keys had gone.
	p.gone = nil
}

// before is the first of a mark that is saved and was made before the history began, or of
// which the stream does not tell: nobody who waits may be answered before it is settled.
const before = 0

// scanAnew has all keys read again, since nothing is known of what was done to them. The
// lock is held.
func (s *Source) scanAnew() {
	for _, q := range s.book.queues {
		q.scan.again()
	}
	nudge(s.owed)
}

// position is how far the source is carried now. The caller holds no lock.
func (s *Source) position() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.stored
	p.Losses, p.Writes = make(map[string]int64), make(map[string]int64)
	p.Coalesced, p.Flushed = make(map[string]int64), make(map[string]int64)
	for _, q := range s.book.queues {
		name := q.mapping.Name
		for m, n := range map[*map[string]int64]int64{&p.Losses: q.losses, &p.Writes: q.writes, &p.Coalesced: q.coalesced, &p.Flushed: q.flushed} {
			if n != 0 {
				(*m)[name] = n
			}
		}
	}
	p.Witness, p.Told = s.witness.count, s.told
	if s.history.number == 0 || s.history.number != p.History || !s.history.isSure() {
		// What the next reader has to compare is where it was.
		return p
	}
	p.ReplicationID = s.head.id
	at, _ := s.carried()
	p.Offset, p.Database = at.Offset, at.Database
	p.Scanned = nil
	upTo := s.carriedTo()
	for _, q := range s.book.queues {
		if q.scan.finished(q, upTo) {
			p.Scanned = append(p.Scanned, q.shape())
		}
	}
	return p
}

// carried is where reading has to begin to meet again all that is dirty and not saved, and
// whether anything is. The lock is held.
func (s *Source) carried() (at Point, dirty bool) {
	at, dirty = s.book.oldest()
	if s.head.safe.Offset <= at.Offset {
		at = s.head.safe
	}
	return at, dirty
}

// carriedTo is the offset up to which all writes are carried or saved. The lock is held.
func (s *Source) carriedTo() int64 {
	at, dirty := s.carried()
	if !dirty {
		// What was read behind it has changed nothing.
		return max(at.Offset, s.head.read)
	}
	return at.Offset
}

// move tells the database how far the source is carried.
func (s *Source) move(ctx context.Context) error {
	s.moving.Lock()
	defer s.moving.Unlock()
	next := s.position()
	s.mu.Lock()
	t, stored := s.tenure, s.stored
	s.mu.Unlock()
	if t == nil || next.History == 0 || same(next, stored) {
		return nil
	}
	if err := s.store.Move(ctx, s.options.Name, t.epoch, next); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenure == t && s.stored.History == next.History {
		s.stored = next
	}
	return nil
}

func same(a, b Position) bool {
	return a.History == b.History && a.ReplicationID == b.ReplicationID && a.Offset == b.Offset && a.Database == b.Database && a.Witness == b.Witness && a.Told == b.Told &&
		slices.Equal(a.Scanned, b.Scanned) && maps.Equal(a.Losses, b.Losses) && maps.Equal(a.Writes, b.Writes) &&
		maps.Equal(a.Coalesced, b.Coalesced) && maps.Equal(a.Flushed, b.Flushed)
}

// acknowledge tells the server what is kept. Nothing is while keys have to be read that were
// written before the history began: whoever waits for those must not be answered. Nor is
// anything of a server that took over before the ledger was asked what was flushed of the one
// before. The lock is held.
func (s *Source) acknowledge() {
	if s.head.stream == nil || !s.history.isSure() {
		return
	}
	if upTo := s.carriedTo(); s.book.scanned(upTo) {
		s.head.stream.Acknowledge(min(upTo, s.book.unsettled(time.Now())))
	}
}
