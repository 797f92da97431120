// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

const (
	// pageEntries bounds what is read at once, so that no call holds Redis for longer than a
	// few milliseconds.
	pageEntries = 500
	// entryBytes is about what an entry takes beside its value.
	entryBytes = 256
)

// page is a part of a claim while it is made.
type page struct {
	tenure *tenure
	q      *queue
	p      *partition
	// claim numbers the claim that the page is of, there is how many marks it is made from.
	claim int64
	there int
	marks []*mark
	// last says that the claim ends with the page, recorded that it may be made.
	last, recorded bool
}

// Claim takes the first marks of the partition and reads their values, page by page, each as
// of an offset of its own. What is written again while a claim is made is for the next one: the
// rows of a batch have no order. A claim waits until the stream was read up to there: so the words
// are known of keys that are gone, and what was written by then is written once.
func (s *Source) Claim(ctx context.Context, t *entry.Term, prefix string, most entry.Bounds) (*entry.Claim, error) {
	claim := &entry.Claim{Term: t}
	fail := func(err error) (*entry.Claim, error) {
		return claim, fmt.Errorf("claim partition %d: %w", t.Partition, err)
	}
	pg, err := s.enterClaim(ctx, t, prefix)
	if err != nil {
		return fail(err)
	}
	claim.Number = pg.claim
	if !pg.recorded {
		return claim, nil
	}
	claim.Entries = make([]entry.Entry, 0, min(most.Entries, pg.there))
	room, left := most.Room, most.Bytes
	if room == nil {
		room = unlimited{}
	}
	retries := most.Retries
	for len(claim.Entries) < most.Entries && left > 0 {
		n, wanted := s.pageSize(pg.q, most.Entries-len(claim.Entries), left)
		if len(claim.Entries) == 0 {
			if err := room.Take(ctx, wanted+n*entryBytes); err != nil {
				return fail(err)
			}
		} else if !room.TryTake(wanted + n*entryBytes) {
			break
		}
		had := len(claim.Entries)
		got, more, err := s.page(ctx, pg, claim, n, &retries, left)
		room.Settle(got + (len(claim.Entries)-had)*entryBytes)
		if err != nil {
			return fail(err)
		}
		if left -= got; !more {
			break
		}
	}
	if len(claim.Entries) > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.isOut(pg) {
			return fail(entry.ErrLeaseLost)
		}
		pg.p.step++
		t.Step++
	}
	return claim, nil
}

type unlimited struct{}

func (unlimited) Take(context.Context, int) error { return nil }
func (unlimited) TryTake(int) bool                { return true }
func (unlimited) Settle(int)                      {}

// enterClaim makes the claim before it void.
func (s *Source) enterClaim(ctx context.Context, t *entry.Term, prefix string) (*page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, p, err := s.shard(ctx, t)
	switch {
	case err != nil:
		return nil, err
	case p.epoch != t.Epoch || q.mapping.KeyPrefix != prefix:
		return nil, entry.ErrLeaseLost
	case p.step != t.Step:
		return nil, entry.ErrStep
	}
	p.void()
	return &page{tenure: s.tenure, q: q, p: p, claim: p.claim, there: p.length(), recorded: s.isRecorded()}, nil
}

// isOut tells whether the claim is the one that is out. The lock is held.
func (s *Source) isOut(pg *page) bool {
	return s.tenure == pg.tenure && pg.p.life == s.history.number && pg.p.claim == pg.claim
}

// pageSize is how many marks are read at once, and about how many bytes of values that is.
func (s *Source) pageSize(q *queue, most, left int) (n, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = max(1, min(most, pageEntries, min(left, entry.PageBytes)/max(1, q.valueBytes)))
	return n, n * q.valueBytes
}

// page adds marks to the claim. It returns the bytes of the values that it has added, and whether there
// may be more.
func (s *Source) page(ctx context.Context, pg *page, claim *entry.Claim, n int, retries *int, left int) (bytes int, more bool, err error) {
	s.mu.Lock()
	if !s.isOut(pg) {
		s.mu.Unlock()
		return 0, false, entry.ErrLeaseLost
	}
	if pg.p.isWrittenAgain() {
		s.mu.Unlock()
		return 0, false, nil
	}
	pg.marks = pg.p.take(n, *retries, time.Now())
	taken := len(pg.marks)
	pg.marks = pg.p.apart(pg.marks)
	for _, m := range pg.marks {
		if pg.p.of.attempts(m) > 0 {
			*retries--
		}
	}
	asks := pg.asks(pg.marks)
	s.mu.Unlock()
	if taken == 0 {
		return 0, false, nil
	}
	answers, err := s.readAll(ctx, asks, len(claim.Entries) == 0)
	if err != nil {
		return 0, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isOut(pg) {
		return 0, false, entry.ErrLeaseLost
	}
	for i := range answers {
		if answers[i].id != s.head.id {
			// A server has taken over meanwhile, which may not have what was read.
			return 0, false, ErrOtherServer
		}
	}
	bytes, whole := s.evaluate(pg, claim, answers, left)
	return bytes, whole && taken == n && !pg.last, nil
}

// asks are the questions for the marks. The lock is held.
func (pg *page) asks(marks []*mark) []Ask {
	asks := make([]Ask, len(marks))
	e := &pg.q.encoding
	for i, m := range marks {
		key, member, one := pg.q.keyOf(string(pg.p.of.id(m)))
		ask := &asks[i]
		ask.Question, ask.Key = e.question, key
		switch {
		case e.named:
			// What a later write names is not read with this.
			if ask.Members = pg.p.of.members(m); m.whole || len(ask.Members) == 0 {
				ask.Question, m.whole = Hash, true
			}
		case !e.members:
		case !one:
			ask.Question, ask.Members = e.ofKey, pg.p.of.members(m)
			// What follows in the same claim would be read as of another offset.
			pg.last = true
		case e.kept && m.hasValue():
			ask.Question = Nothing
		default:
			ask.Members = []string{member}
		}
	}
	return asks
}

// known is what was read of one mark: in which history and as of which offset, and whether
// the stream was read up to there.
type known struct {
	*Answer
	id     string
	offset int64
	told   bool
}

// readAll reads the values of the marks. needed says that the claim is empty without them:
// then the stream is read on for a key that is gone, whatever it takes.
func (s *Source) readAll(ctx context.Context, asks []Ask, needed bool) ([]known, error) {
	found, err := s.readOnce(ctx, asks, false)
	if err != nil {
		return nil, err
	}
	var places []int
	var again []Ask
	for i := range found {
		switch ask := asks[i]; {
		case found[i].Found == Unsure:
			again = append(again, Ask{Question: SureText, Key: ask.Key})
		case found[i].Found == Gone && ask.Question != OneEntry && ask.Question != Entries:
			// What has expired goes when it is read, and the word of that comes behind the
			// offset: it would be taken for a deletion.
			again = append(again, ask)
		default:
			continue
		}
		places = append(places, i)
	}
	if len(places) > 0 {
		surely, err := s.readOnce(ctx, again, false)
		if err != nil {
			return nil, err
		}
		for i, at := range places {
			found[at] = surely[i]
		}
	}
	return found, s.awaitGone(ctx, found, needed)
}

// awaitGone reads the stream on for the sake of keys that are gone, where all are.
func (s *Source) awaitGone(ctx context.Context, found []known, needed bool) error {
	var upTo int64
	for i := range found {
		switch k := &found[i]; {
		case k.Found != Gone:
			return nil
		case !k.told:
			upTo = max(upTo, k.offset)
		}
	}
	if upTo == 0 || !needed || !s.await(ctx, upTo, true) {
		return ctx.Err()
	}
	for i := range found {
		found[i].told = true
	}
	return nil
}

// readOnce reads as of one offset, and waits until the stream was read up to there.
func (s *Source) readOnce(ctx context.Context, asks []Ask, needed bool) ([]known, error) {
	s.mu.Lock()
	read := s.head.read
	s.mu.Unlock()
	reading, err := s.server.Read(ctx, asks)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	id := s.head.id
	if reading.Replica || reading.ID != id || reading.Offset < read {
		// It may have ended without a word, and nobody notices who does not read it.
		s.head.detach()
	}
	s.mu.Unlock()
	switch {
	case reading.Replica || reading.ID != id:
		return nil, fmt.Errorf("%w: the stream is of %s, the keys are of %s", ErrOtherServer, id, reading.ID)
	case reading.Offset < read:
		return nil, fmt.Errorf("%w: the stream was read to %d, the keys are of %d", ErrOtherServer, read, reading.Offset)
	}
	told := s.await(ctx, reading.Offset, needed)
	found := make([]known, len(asks))
	for i := range found {
		found[i] = known{&reading.Answers[i], reading.ID, reading.Offset, told}
	}
	return found, ctx.Err()
}

// evaluate makes entries of what was read, and puts marks back for which there is no room or
// of which it is not known yet what became of them: the page is not whole then. The lock is
// held.
func (s *Source) evaluate(pg *page, claim *entry.Claim, found []known, left int) (bytes int, whole bool) {
	p := pg.p
	defer func() { p.ofGone = nil }()
	taken := p.out[len(p.out)-len(pg.marks):]
	p.out = p.out[:len(p.out)-len(pg.marks)]
	var back []*mark
	over := false
	read, values := 0, 0
	for i, m := range taken {
		k := &found[i]
		size, afterBoard := k.size(), p.boardOf(m) != nil
		if k.Found == There {
			read += size
			values++
		}
		switch {
		case over, p.isUnasked(m, k), afterBoard, k.Found == Gone && (!k.told || p.mayHaveExpired(m, k.offset)), len(claim.Entries) > 0 && bytes+size > left:
			over = over || k.Found != Gone && !afterBoard
			back = append(back, m)
			continue
		}
		e, ok := s.book.entryOf(pg.q, p, m, k)
		if !ok && (k.More || p.marked.like(m) != nil) {
			// The later write stands for this mark, too.
			p.restore(m)
			continue
		}
		if !ok {
			id := string(p.of.id(m))
			if m.asked {
				s.requests.unasked = append(s.requests.unasked, pg.q.nameOf(id))
			}
			p.forget(m)
			if _, rereads := p.rereads[id]; rereads {
				p.unletter(id)
			}
			continue
		}
		s.history.horizon = max(s.history.horizon, e.Version, e.Upto)
		bytes += len(e.Value)
		p.out = append(p.out, m)
		claim.Entries = append(claim.Entries, e)
	}
	if values > 0 {
		// What is read next is taken to be about as long.
		pg.q.valueBytes = max(64, (3*pg.q.valueBytes+read/values)/4)
	}
	for _, m := range slices.Backward(back) {
		p.restore(m)
	}
	s.head.wake()
	return bytes, len(back) == 0
}

// isUnasked tells whether nothing was asked of an entry of a stream, since the stream had told it,
// and what that told is not known any more, or not of a later mark: it has to be read.
func (p *partition) isUnasked(m *mark, k *known) bool {
	if !p.encoding.kept || k.Found != There || len(k.Pairs) > 0 {
		return false
	}
	for _, of := range []*mark{m, p.marked.like(m)} {
		if of != nil && !of.hasValue() {
			return true
		}
	}
	return false
}

func (k *known) size() int {
	n := len(k.Value)
	for _, text := range k.Pairs {
		n += len(text)
	}
	return n
}
