// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"time"
)

// witnessKey is the key of the witness of a source.
func (s *Source) witnessKey() string { return "wb:witness:" + s.options.Name }

// attends looks after the stream once a beat, as long as the tenure lasts.
func (s *Source) attends(ctx context.Context) {
	ticker := time.NewTicker(s.options.Beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := s.testify(ctx)
		if err == nil {
			err = s.measure(ctx)
		}
		if s.note(&s.witnessRefused, err) {
			s.mu.Lock()
			s.seen = time.Now()
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
func (s *Source) measure(ctx context.Context) error {
	look, err := s.server.Look(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if look.ID == s.id {
		s.end, s.backlog = look.Offset, look.Backlog
	}
	return nil
}

// testify writes the witness, if something was flushed since: a count that the server is
// given first and the database afterwards. A server that has a lower one than the database
// has lost what was flushed before. It is only ever raised, and only on the server whose
// stream is read: one that has taken over must not look as if it had all. Whoever was replaced
// and has not noticed raises it as well, above what the database knows: that hides nothing on
// this server, and another one has it only with all that was flushed before.
func (s *Source) testify(ctx context.Context) error {
	s.mu.Lock()
	var flushed int64
	for _, q := range s.queues {
		flushed += q.flushed
	}
	t, history, id, next, due := s.tenure, s.history, s.id, s.witness+1, s.stream != nil && flushed != s.testified
	s.mu.Unlock()
	if !due {
		return nil
	}
	count, err := s.server.Testify(ctx, s.witnessKey(), id, next)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, ErrOtherServer) && s.id == id:
		// The stream may have ended without a word.
		s.endStream()
	case err == nil && s.tenure == t && s.history == history:
		s.witness, s.testified = count, flushed
	}
	return err
}

// witnessGone tells whether the server has an older witness than the database knows of.
func (s *Source) witnessGone(ctx context.Context, known int64) (bool, error) {
	if known == 0 {
		return false, nil
	}
	count, err := s.server.Witness(ctx, s.witnessKey())
	return count < known, err
}
