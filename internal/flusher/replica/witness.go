// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"time"
)

// witnessKey is the key of the witness of a source.
func (s *Source) witnessKey() string { return "wb:witness:" + s.options.Name }

// testifies writes the witness once a beat, if something was flushed since: a count that the
// server is given first and the database afterwards. A server that has a lower one than the
// database has lost what was flushed before.
func (s *Source) testifies(ctx context.Context) {
	ticker := time.NewTicker(s.options.Beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.testify(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("Could not write the witness", "error", err)
		}
	}
}

func (s *Source) testify(ctx context.Context) error {
	s.mu.Lock()
	var flushed int64
	for _, q := range s.queues {
		flushed += q.flushed
	}
	t, history, next, due := s.tenure, s.history, s.witness+1, s.stream != nil && flushed != s.testified
	s.mu.Unlock()
	if !due {
		return nil
	}
	if err := s.server.Testify(ctx, s.witnessKey(), next); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenure == t && s.history == history {
		s.witness, s.testified = next, flushed
	}
	return nil
}

// witnessGone tells whether the server has an older witness than the database knows of.
func (s *Source) witnessGone(ctx context.Context, known int64) (bool, error) {
	if known == 0 {
		return false, nil
	}
	count, err := s.server.Witness(ctx, s.witnessKey())
	return count < known, err
}
