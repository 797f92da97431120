// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// tenure is the time in which this process reads the source.
type tenure struct {
	of     *Source
	epoch  int64
	cancel context.CancelFunc
	work   sync.WaitGroup
	// over is closed when what the tenure started has ended.
	over chan struct{}
}

// keep renews the lease, moves the position and writes the witness, once a beat.
func (s *Source) keep(ctx context.Context) {
	ticker := time.NewTicker(s.options.Beat)
	defer ticker.Stop()
	for {
		if s.candidate.enter(ctx) != nil {
			return
		}
		if err := s.beat(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("Could not look after the source", "error", err)
		}
		s.candidate.exit()
		select {
		case <-ctx.Done():
			return
		case <-s.hurry:
		case <-ticker.C:
		}
	}
}

// beat looks after the lease once. While the database does not answer nobody else can get
// it either, so whoever reads goes on: the ledger fences what is written.
func (s *Source) beat(ctx context.Context) error {
	s.mu.Lock()
	idle := s.left
	s.mu.Unlock()
	if idle {
		return nil
	}
	if time.Now().Before(s.candidate.standby.aside) {
		return s.standBy(ctx)
	}
	hold, err := s.candidate.lease(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	reading, spent := s.tenure, s.spent
	s.mu.Unlock()
	if reading != nil && (reading.ended() || !s.candidate.isReader(hold) || hold.Epoch != reading.epoch) {
		s.depose()
		reading = nil
	}
	switch {
	case !s.candidate.isReader(hold):
		return errors.Join(s.standBy(ctx), s.candidate.offer(ctx, s.server))
	case reading == nil && hold.Epoch == spent:
		// What the tenure before still tells the database must not take effect behind what the
		// next one reads of it: that one has another epoch.
		nudge(s.hurry)
		return s.candidate.release(ctx, spent)
	case reading == nil:
		return s.takeOver(ctx, hold.Epoch)
	}
	if err := s.move(ctx); err != nil {
		return err
	}
	if err := s.heed(ctx, hold); err != nil {
		return err
	}
	return s.yield(ctx, reading)
}

func (t *tenure) ended() bool {
	select {
	case <-t.over:
		return true
	default:
		return false
	}
}

// standBy takes note of what the reader has told the database.
func (s *Source) standBy(ctx context.Context) error {
	position, err := s.store.Position(ctx, s.options.Name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = position
	return nil
}

// takeOver begins a tenure with what the database has of the source.
func (s *Source) takeOver(ctx context.Context, epoch int64) error {
	position, err := s.store.Position(ctx, s.options.Name)
	if err != nil {
		return err
	}
	aside, err := s.store.Aside(ctx, s.options.Name)
	if err != nil {
		return err
	}
	letters, err := s.listLetters(ctx)
	if err != nil {
		return err
	}
	working, cancel := context.WithCancel(ctx)
	t := &tenure{of: s, epoch: epoch, cancel: cancel, over: make(chan struct{})}
	s.mu.Lock()
	s.begin(t, position, aside, letters)
	s.mu.Unlock()
	s.log.Info("The source is read from here now", "epoch", epoch, "history", position.History, "offset", position.Offset)
	t.work.Go(func() { t.follow(working) })
	t.work.Go(func() { t.scans(working) })
	t.work.Go(func() { t.attends(working) })
	s.work.Go(func() {
		t.work.Wait()
		close(t.over)
		nudge(s.hurry)
	})
	return nil
}

// begin makes the state of a tenure. The lock is held.
func (s *Source) begin(t *tenure, position Position, aside []Retry, letters []listed) {
	s.tenure, s.spent, s.stored = t, t.epoch, position
	s.history, s.told = newHistory(position.History), position.Told
	s.head.begin(position)
	s.faults.clear()
	s.witness.begin(position.Witness)
	s.book.anew()
	for _, q := range s.book.queues {
		name := q.mapping.Name
		q.writes, q.flushed = position.Writes[name], position.Flushed[name]
		q.coalesced, q.losses = position.Coalesced[name], position.Losses[name]
		q.scan.done = slices.Contains(position.Scanned, q.shape())
		for _, p := range q.partitions {
			p.life = position.History
		}
	}
	for i := range aside {
		s.setAside(&aside[i])
	}
	s.requests = requests{heeded: unheeded}
	for _, l := range letters {
		if q := s.book.find(l.Queue); q != nil {
			p := q.of([]byte(l.Key))
			p.letters[q.idOf(l.Name)], p.lettered = s.requests.looks, max(p.lettered, l.version)
			if l.rereads {
				p.rereads[q.idOf(l.Name)] = struct{}{}
			}
		}
	}
	s.head.wake()
}

// setAside marks what waits for another attempt in the database. Of one of another history
// it is not known what the offsets mean: it counts as written where this one begins.
func (s *Source) setAside(r *Retry) {
	q := s.book.find(r.Queue)
	if q == nil {
		return
	}
	p, id := q.of([]byte(r.Key)), q.idOf(r.Name)
	m := s.book.dirty.add([]byte(id), mark{
		last: r.Offset, word: r.Word, since: r.FirstRefused.UnixMicro(),
		writes: 1, wrote: r.Word == Written || r.Word == Unlinked, whole: q.encoding.named, saved: true,
	})
	// Of how many writes it is the database does not tell.
	if m.first = before; r.History != s.history.number {
		m.last = s.head.safe.Offset
		s.book.dirty.lapse(m, r.Word == Deleted)
	}
	x := s.book.dirty.more(m)
	x.attempts, x.due = r.Attempts, r.Due
	if x.attempts > 0 {
		x.firstRefused = m.since
	}
	p.store(id)
	p.put(m)
}

// depose ends the tenure, if there is one: nothing of it may be used any more.
func (s *Source) depose() {
	s.mu.Lock()
	t := s.tenure
	if t == nil {
		s.mu.Unlock()
		return
	}
	t.cancel()
	s.tenure, s.head.stream = nil, nil
	s.history = newHistory(0)
	s.book.anew()
	s.head.wake()
	s.mu.Unlock()
	<-t.over
	s.log.Info("The source is not read from here any more", "epoch", t.epoch)
}

// follow attaches to the primary and reads the stream, again and again.
func (t *tenure) follow(ctx context.Context) {
	s := t.of
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := t.attach(ctx)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		s.head.stream = nil
		s.faults.ended(err)
		s.head.wake()
		s.mu.Unlock()
		s.log.Debug("The stream has ended", "error", err)
		if errors.Is(err, ErrDeposed) || errors.Is(err, errReadAgain) {
			t.cancel()
			return
		}
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// A stream that ended is attached to after a pause, which doubles from the first to the
// longest: a server that restarts is found within seconds, and one that refuses is not
// asked more often than that.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 3 * time.Second
)

// attach reads the stream until it ends.
func (t *tenure) attach(ctx context.Context) error {
	s := t.of
	s.mu.Lock()
	id, at := s.head.id, s.head.safe
	if s.history.number == 0 {
		id, at = "", Point{}
	}
	s.mu.Unlock()
	stream, err := s.primary.Attach(ctx, id, at)
	if errors.Is(err, ErrMisaligned) {
		stream, err = s.primary.Attach(ctx, "", Point{})
	}
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	stream.Watch(s.interest)
	if err := t.attached(ctx, stream); err != nil {
		return err
	}
	for {
		if err := s.awaitRoom(ctx); err != nil {
			return err
		}
		batch, err := stream.Next()
		if err != nil {
			return err
		}
		if err := s.apply(stream, batch); err != nil {
			return err
		}
	}
}

// awaitRoom waits until the marks take less than they may, or somebody needs the stream.
func (s *Source) awaitRoom(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.head.ended {
			s.mu.Unlock()
			return errBroken
		}
		held := s.book.isFull() && s.head.read >= s.head.needed
		if held != s.head.held {
			s.head.held = held
			s.head.wake()
		}
		if !held {
			s.mu.Unlock()
			return nil
		}
		changed := s.head.watch()
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// await waits until the stream was read up to the offset, and reports whether it was. It
// does not wait where the stream is held for want of room, unless the caller cannot do
// without: then the stream is read on all the same.
func (s *Source) await(ctx context.Context, offset int64, needed bool) bool {
	patience := time.NewTimer(s.options.Patience)
	defer patience.Stop()
	for {
		s.mu.Lock()
		if needed && s.head.needed < offset {
			s.head.needed = offset
			s.head.wake()
		}
		read, stuck := s.head.read >= offset, s.head.stream == nil || s.head.held && !needed
		if read || stuck {
			s.mu.Unlock()
			return read
		}
		changed := s.head.watch()
		s.mu.Unlock()
		select {
		case <-changed:
		case <-patience.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// lapse has the mark go over into another history, in which the key may have gone without
// a word: nothing is concluded from that it is gone but what was known before. That stands
// only where it is sure that no later write was carried, which the stream had not told yet.
func (d *dirty) lapse(m *mark, sure bool) {
	switch {
	case sure && m.word == Deleted:
	case sure && m.wrote && m.hasValue():
		m.word = Unlinked
	default:
		m.word, m.wrote = seen, false
		d.dropValue(m)
	}
}

// breakOff ends the history: the next attachment begins another one. The lock is held.
func (s *Source) breakOff(why string) {
	s.history.broken = why
	s.head.detach()
}
