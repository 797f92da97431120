// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/internal/flusher/replica"
)

// progress is that of the flusher which took the source last.
func (w *world) progress() (p replica.Progress) {
	for _, c := range w.carriers {
		if of := c.source.Progress(); of.Reads {
			p = of
		}
	}
	return p
}

// TestTheWitnessTellsOfAServerThatLostWhatWasFlushed restarts a server, which has no history
// from before that could tell. The event of its new history has to say what it lost, and
// nothing that it has not lost.
func TestTheWitnessTellsOfAServerThatLostWhatWasFlushed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(w *world)
		lost    bool
	}{
		"it has all": {func(w *world) { w.redis.Restart(0) }, false},
		// It has a key that was never flushed less.
		"it lacks what was not flushed": {func(w *world) {
			w.writes(setsText, other, false)
			synctest.Wait()
			w.redis.Restart(1)
		}, false},
		"it lacks what was flushed":                      {func(w *world) { w.redis.Restart(2) }, true},
		"it lacks what was flushed, and nobody reads it": {func(w *world) { w.kill(0); w.redis.Restart(2); w.start(replica.Bounds{}) }, true},
		// The witness must not go up on it: there would be nothing to tell by.
		"it lacks what was flushed, and the stream has not ended": {func(w *world) {
			w.writes(setsText, other, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(texts, flows)
			w.redis.Deafen()
			w.redis.Restart(3)
		}, true},
		// It raises the witness above what the database knows of.
		"it has all, and somebody who was replaced goes on": {func(w *world) {
			a := w.carriers[0]
			w.writes(setsText, other, false)
			synctest.Wait()
			a.store.away.Store(true)
			a.sweepBoth(texts, flows)
			w.start(replica.Bounds{})
			time.Sleep(6 * time.Second)
			w.redis.Restart(0)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := newWorld(ctx)
				w.start(replica.Bounds{})
				defer func() {
					for len(w.carriers) > 0 {
						w.kill(0)
					}
				}()
				for n := range 2 {
					w.set(n + 1)
					time.Sleep(1500 * time.Millisecond)
					w.carriers[0].sweepBoth(texts, flows)
				}
				time.Sleep(2500 * time.Millisecond) // The witness is written last.
				before := w.progress().History
				test.happens(w)
				time.Sleep(6 * time.Second)
				if p := w.progress(); p.History == before || strings.Contains(p.Told, "lost data that was already flushed") != test.lost {
					t.Errorf("after history %d it is %d, and told is %q", before, p.History, p.Told)
				}
				for _, c := range w.carriers {
					c.store.away.Store(false)
				}
				if err := w.drain(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
