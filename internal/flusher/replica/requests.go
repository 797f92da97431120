// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// requests are what people ask for about dead letters, beside the reader: that they are tried
// again, or taken away. The source's lock is held by whoever uses them.
//
//	Ask               the reader looks           claim and flush
//	letter ──────────▶ asked ──────────▶ a mark ──────────────────▶ a row: the letter goes
//	                     ▲                  │ │ └──────────────────▶ refused for good: another letter
//	                     └── take-over ─────┘ └────────────────────▶ nothing to write: as it was
//
// A mark of a letter holds neither the position nor what is acknowledged: its write was told
// of when it became a letter, and the letter says until the end that it is asked for.
type requests struct {
	// heeded is how many requests were looked at, and looks counts those looks.
	heeded, looks int64
	// asked are the letters that are to be marked still, unasked those of which nothing came.
	asked   []Name
	unasked []Name
}

// unheeded has the letters looked at once more.
const unheeded = -1

// listed is what is known of a letter without looking at it.
type listed struct {
	Name
	asked   bool
	version int64
	// rereads says that it stands for a wish to have the name read anew.
	rereads bool
}

const (
	// lettersPage is how many dead letters are listed at once.
	lettersPage = 1000
	// markedAtOnce is how many letters are marked in one beat.
	markedAtOnce = 500
)

// listLetters lists all dead letters.
func (s *Source) listLetters(ctx context.Context) ([]listed, error) {
	var all []listed
	for _, name := range s.names {
		after := Name{Queue: name}
		for {
			page, err := s.store.Letters(ctx, s.options.Name, after, lettersPage)
			if err != nil {
				return nil, err
			}
			for i := range page {
				all = append(all, listed{page[i].Name, page[i].Asked, page[i].Version, page[i].Rereads()})
			}
			if len(page) < lettersPage {
				break
			}
			after = page[len(page)-1].Name
		}
	}
	return all, nil
}

// heed does what was asked for since the last time.
func (s *Source) heed(ctx context.Context, hold Hold) error {
	s.mu.Lock()
	heeded := s.requests.heeded == hold.Requests
	s.mu.Unlock()
	if !heeded {
		if err := s.look(ctx, hold); err != nil {
			return err
		}
	}
	if err := s.markAsked(ctx, hold.Epoch); err != nil {
		return err
	}
	return s.unask(ctx, hold.Epoch)
}

// look takes note of which letters there are, and which are asked for. One that is settled
// meanwhile, or is on its way to the database, is known better here.
func (s *Source) look(ctx context.Context, hold Hold) error {
	s.mu.Lock()
	s.requests.looks++
	look := s.requests.looks
	for _, p := range s.book.partitions() {
		for _, m := range p.out {
			if _, ok := p.letters[string(p.of.id(m))]; ok {
				p.letters[string(p.of.id(m))] = look
			}
		}
	}
	s.mu.Unlock()
	letters, err := s.listLetters(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isReadAt(hold.Epoch) {
		return nil
	}
	s.requests.heeded, s.requests.asked = hold.Requests, nil
	there := make(map[Name]struct{}, len(letters))
	for _, l := range letters {
		there[l.Name] = struct{}{}
		if l.asked {
			s.requests.asked = append(s.requests.asked, l.Name)
		}
	}
	for q, p := range s.book.partitions() {
		for id, known := range p.letters {
			if _, ok := there[q.nameOf(id)]; !ok && known < look {
				p.unletter(id)
			}
		}
	}
	return nil
}

// isReadAt tells whether this process reads a history at the epoch. The lock is held.
func (s *Source) isReadAt(epoch int64) bool { return s.reads() && s.tenure.epoch == epoch }

// markAsked marks letters that are asked for, as far as there is room. One whose name is dirty
// waits for what becomes of that.
func (s *Source) markAsked(ctx context.Context, epoch int64) error {
	s.mu.Lock()
	asked := s.requests.asked
	s.requests.asked = nil
	s.mu.Unlock()
	var later []Name
	marked := 0
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.isReadAt(epoch) {
			s.requests.asked = append(s.requests.asked, later...)
		}
	}()
	for i, name := range asked {
		if marked == markedAtOnce || !s.hasRoom() {
			later = append(later, asked[i:]...)
			if marked > 0 {
				nudge(s.hurry)
			}
			return nil
		}
		if s.isDirty(name) {
			later = append(later, name)
			continue
		}
		letter, err := s.store.Letter(ctx, s.options.Name, name)
		switch {
		case errors.Is(err, entry.ErrNoLetter):
			continue
		case err != nil:
			later = append(later, asked[i:]...)
			return err
		case letter.Asked:
			s.markLetter(&letter, epoch)
			marked++
		}
	}
	return nil
}

// hasRoom tells whether letters may be marked: as a scan they wait while the marks take half
// of what they may.
func (s *Source) hasRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.hasRoom() && s.book.dirty.values <= s.book.bounds.Values/2
}

func (s *Source) isDirty(n Name) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.book.find(n.Queue)
	return q != nil && q.of([]byte(n.Key)).has(q.idOf(n))
}

// has tells whether anything of the id is dirty.
func (p *partition) has(id string) bool {
	if p.marked.find([]byte(id)) != nil {
		return true
	}
	for _, m := range p.out {
		if string(p.of.id(m)) == id {
			return true
		}
	}
	return false
}

// markLetter has what a letter is about read and written anew. Where it is gone without a word
// of the application, the letter's own payload is what was written last.
func (s *Source) markLetter(l *Letter, epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.book.find(l.Queue)
	if q == nil || !s.isReadAt(epoch) {
		return
	}
	p, id := q.of([]byte(l.Name.Key)), q.idOf(l.Name)
	if p.has(id) {
		s.requests.asked = append(s.requests.asked, l.Name)
		return
	}
	like := mark{
		first: s.head.safe.Offset, last: s.head.safe.Offset, database: int16(s.head.safe.Database), //nolint:gosec // There are few databases.
		since: time.Now().UnixMicro(), word: seen, whole: q.encoding.named, saved: true, asked: true,
	}
	m := p.add([]byte(id), like)
	switch {
	case l.Operation == entry.Delete.Name, l.Operation == entry.Clear.Name && l.Payload == "[]":
		m.word = Deleted
	case l.Operation == q.encoding.operation.Name && l.Cause != entry.CauseValueLost && l.Payload != "":
		m.word, m.wrote = Unlinked, true
		s.book.dirty.setValue(m, []byte(l.Payload))
	}
	p.letters[id] = s.requests.looks
	if l.Rereads() {
		p.rereads[id] = struct{}{}
	}
}

// unletter forgets that the database has a letter of the id, or a wish to have it read anew.
func (p *partition) unletter(id string) {
	delete(p.letters, id)
	delete(p.rereads, id)
}

// dead counts the dead letters.
func (p *partition) dead() int64 { return int64(len(p.letters) - len(p.rereads)) }

// unask tells the database of which letters nothing came.
func (s *Source) unask(ctx context.Context, epoch int64) error {
	s.mu.Lock()
	unasked := s.requests.unasked
	s.mu.Unlock()
	if len(unasked) == 0 {
		return nil
	}
	if _, err := s.store.Settle(ctx, s.options.Name, epoch, Settled{Unasked: unasked}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isReadAt(epoch) {
		s.requests.unasked = s.requests.unasked[min(len(unasked), len(s.requests.unasked)):]
	}
	return nil
}
