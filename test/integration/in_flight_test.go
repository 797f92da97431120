// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/test/programs"
)

// batches is how many batches of the queue the flusher has written.
func (s *stack) batches(p *programs.Flusher) int {
	s.t.Helper()
	_, metrics := s.get(p, "/metrics")
	for line := range strings.Lines(metrics) {
		if number, ok := strings.CutPrefix(line, `writebehind_batch_size_count{queue="products"} `); ok {
			var count int
			_, err := fmt.Sscan(number, &count)
			s.must(err)
			return count
		}
	}
	return 0
}

// TestWhatIsInFlightMayChangeWhileTheFlusherRuns: 8 MiB have room for two documents of
// 1 MB, each counted three times, 64 for as many as a claim takes.
func TestWhatIsInFlightMayChangeWhileTheFlusherRuns(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Mappings[0].Partitions = 1
	s.write()
	p := s.startReady()
	document := fmt.Sprintf(`{"name":%q}`, strings.Repeat("x", 1_000_000))
	for _, step := range []struct{ mebibytes, least, most int }{{8, 12, 24}, {64, 2, 6}, {8, 12, 24}} {
		s.suspend(p)
		before := s.batches(p)
		for id := range int64(24) {
			s.set(id, document)
		}
		s.config.Flush.MaxInFlightMebibytes = step.mebibytes
		s.resume()
		s.drained()
		if got := s.batches(p) - before; got < step.least || got > step.most {
			t.Errorf("with %d MiB 24 documents are written in %d batches, want %d to %d", step.mebibytes, got, step.least, step.most)
		}
	}
	if strings.Contains(p.Said(), "the flusher restarts") {
		t.Error("the flusher restarts")
	}
}
