// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// polled counts the polls of a source.
type polled struct {
	flusher.Source
	polls atomic.Int64
}

func (p *polled) Poll(ctx context.Context, queue string, partitions []int) (entry.Loads, error) {
	p.polls.Add(1)
	return p.Source.Poll(ctx, queue, partitions)
}

// TestAnEmptyQueueIsPolledLessOften is what docs/operations.md says: twenty times a second
// while entries wait, four times while none do, and more often the shorter the interval is.
func TestAnEmptyQueueIsPolledLessOften(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		interval time.Duration
		rows     int
		want     int64
	}{
		"nothing waits":                      {interval, 0, 4},
		"nothing waits, for an hour at most": {time.Hour, 0, 4},
		"nothing waits, and 400 ms":          {400 * time.Millisecond, 0, 10},
		"nothing waits, and 100 ms":          {100 * time.Millisecond, 0, 20},
		"rows wait for an hour":              {time.Hour, 3, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(k *config.Config) { k.Flush.IntervalMilliseconds = int(c.interval.Milliseconds()) }, func(w *world) {
				source := &polled{}
				m := w.startOf(func(s flusher.Source) flusher.Source {
					source.Source = s
					return source
				})
				w.ready(m)
				if c.rows > 0 {
					w.set(goodRow, upTo(c.rows)...)
				}
				time.Sleep(2 * time.Second)
				before := source.polls.Load()
				const seconds = 10
				time.Sleep(seconds * time.Second)
				if got := source.polls.Load() - before; got < c.want*seconds-1 || got > c.want*seconds+c.want {
					t.Errorf("it was polled %d times in %d s, want %d times a second", got, seconds, c.want)
				}
			})
		})
	}
}
