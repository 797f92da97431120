// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// TestNoRowDiesOfATableThatTakesNone, at neither end of the time in which it takes none:
// others are taken in the batch that meets the first refusal, or again right after the
// last one.
func TestNoRowDiesOfATableThatTakesNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		// refuses tells whether the victim is refused at the n-th time that it is sent,
		// and whether all others are from then on.
		refuses func(n int32) bool
		others  func(n int32) bool
		until   time.Duration
	}{
		"others are taken with the first refusal": {
			refuses: func(int32) bool { return true }, others: func(n int32) bool { return n > 1 }, until: time.Minute,
		},
		"others are taken after the last refusal": {
			refuses: func(n int32) bool { return n <= 3 }, others: func(n int32) bool { return n == 1 || n == 2 }, until: time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(c *config.Config) { c.Mappings[0].Partitions, c.Flush.MaxRetries = 1, 2 }, func(w *world) {
				w.startReady()
				w.set(goodRow, 1)
				w.drained(interval + time.Second)
				var sent atomic.Int32
				w.database.Rule(products, func(key string, _ []byte) *entry.Fault {
					switch {
					case key == "2" && c.refuses(sent.Add(1)), key != "2" && c.others(sent.Load()):
						return enginetest.RefuseRow()
					}
					return nil
				})
				w.set(goodRow, 3, 2, 4)
				time.Sleep(c.until)
				if letters := w.source.DeadLetters(products); len(letters) > 0 {
					t.Errorf("dead letters: %+v", letters)
				}
				w.database.Rule(products, nil)
				w.drained(2 * time.Minute)
				w.holds(goodRow, upTo(4)...)
			})
		})
	}
}
