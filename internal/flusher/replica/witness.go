// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"time"
)

// witness is a count in Redis that rises when something was flushed: a server that has lost what was
// flushed has an older one than the database knows of. The source's lock is held by whoever uses
// it.
type witness struct {
	server Server
	key    string
	count  int64
	// flushed is what had been flushed when it was written last.
	flushed int64
}

func (w *witness) begin(count int64) { w.count, w.flushed = count, 0 }

// isGone tells whether the server has an older witness than the database knows of. No lock is
// needed.
func (w *witness) isGone(ctx context.Context, known int64) (bool, error) {
	if known == 0 {
		return false, nil
	}
	count, err := w.server.Witness(ctx, w.key)
	return count < known, err
}

// attends looks after the stream once a beat, as long as the tenure lasts.
func (t *tenure) attends(ctx context.Context) {
	s := t.of
	ticker := time.NewTicker(s.options.Beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := t.testify(ctx)
		if err == nil {
			err = t.measure(ctx)
		}
		if s.faults.note(&s.faults.witness, err) {
			s.mu.Lock()
			s.head.seen = time.Now()
			s.mu.Unlock()
		}
		if err == nil {
			err = s.spill(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Debug("Could not look after the stream", "error", err)
		}
	}
}

// measure looks how far the server's stream has come, and how much of it the server keeps.
func (t *tenure) measure(ctx context.Context) error {
	s := t.of
	look, err := s.server.Look(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if look.ID == s.head.id {
		s.head.end, s.head.backlog = look.Offset, look.Backlog
	}
	return nil
}

// testify writes the witness, if something was flushed since: a count that the server is
// given first and the database afterwards. A server that has a lower one than the database
// has lost what was flushed before. It is only ever raised, and only on the server whose
// stream is read: one that has taken over must not look as if it had all. Whoever was replaced
// and has not noticed raises it as well, above what the database knows: that hides nothing on
// this server, and another one has it only with all that was flushed before.
func (t *tenure) testify(ctx context.Context) error {
	s := t.of
	s.mu.Lock()
	flushed := s.book.flushed()
	history, id, next, due := s.history.number, s.head.id, s.witness.count+1, s.head.stream != nil && flushed != s.witness.flushed
	s.mu.Unlock()
	if !due {
		return nil
	}
	count, err := s.server.Testify(ctx, s.witness.key, id, next)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, ErrOtherServer) && s.head.id == id:
		// The stream may have ended without a word.
		s.head.detach()
	case err == nil && s.tenure == t && s.history.number == history:
		s.witness.count, s.witness.flushed = count, flushed
	}
	return err
}
