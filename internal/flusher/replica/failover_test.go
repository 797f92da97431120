// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/internal/flusher/replica"
)

// TestAFailOverWhileNobodyReadsIsTakenForWhatItIs looks at a server that is replaced together
// with the flusher, before that one has told how far it was: the next flusher has to find out
// from the ledger whether the server which took over has what was flushed.
func TestAFailOverWhileNobodyReadsIsTakenForWhatItIs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(w *world)
		lost    bool
	}{
		"it lacks what was flushed": {func(w *world) {
			w.set(2)
			synctest.Wait()
			w.carriers[0].sweep(texts, partitionOf(0), 10, flows)
			w.kill(0)
			w.failOver(1)
		}, true},
		"it has all that was flushed": {func(w *world) {
			w.set(2)
			synctest.Wait()
			w.carriers[0].sweep(texts, partitionOf(0), 10, flows)
			w.kill(0)
			w.failOver(0)
		}, false},
		"what was flushed came from itself": {func(w *world) {
			w.failOver(0)
			synctest.Wait()
			time.Sleep(100 * time.Millisecond)
			w.set(2)
			synctest.Wait()
			w.carriers[0].sweep(texts, partitionOf(0), 10, flows)
			w.kill(0)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := newWorld(ctx)
				w.start(replica.Bounds{})
				defer func() { w.kill(0) }()
				w.set(1)
				time.Sleep(1500 * time.Millisecond)
				w.carriers[0].sweep(texts, partitionOf(0), 10, flows)
				time.Sleep(1600 * time.Millisecond) // The position has moved, and moves in a while.
				test.happens(w)
				w.start(replica.Bounds{})
				if err := w.drain(); err != nil {
					t.Fatal(err)
				}
				w.compare()
				for _, err := range w.errs {
					t.Error(err)
				}
				told := w.carriers[0].source.Progress().Told
				if strings.Contains(told, "already flushed") != test.lost {
					t.Errorf("told is %q", told)
				}
			})
		})
	}
}

// TestNothingIsAcknowledgedBeforeTheLedgerWasCompared has a server take over from one whose
// flusher has ended. Whether it has what was flushed is known when every partition has begun a
// term: before, nobody who waits for a write is answered.
func TestNothingIsAcknowledgedBeforeTheLedgerWasCompared(t *testing.T) {
	t.Parallel()
	for name, missing := range map[string]int{"it has all": 0, "it lacks what was flushed": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := newWorld(ctx)
				w.start(replica.Bounds{})
				defer func() { w.kill(0) }()
				w.set(1)
				time.Sleep(1500 * time.Millisecond)
				for _, queue := range []string{texts, hashes, boards, streams} {
					w.carriers[0].sweepBoth(queue, flows)
				}
				time.Sleep(1600 * time.Millisecond) // The position has moved, and moves in a while.
				w.set(2)
				synctest.Wait()
				w.carriers[0].sweepBoth(texts, flows)
				w.kill(0)
				w.failOver(missing)

				var mu sync.Mutex
				var answered []string
				w.redis.Acknowledged(func(id string, offset int64) {
					w.acknowledged(id, offset)
					mu.Lock()
					defer mu.Unlock()
					answered = append(answered, id)
				})
				isAnswered := func(id string) bool {
					time.Sleep(2500 * time.Millisecond)
					mu.Lock()
					defer mu.Unlock()
					return slices.Contains(answered, id)
				}
				c := w.start(replica.Bounds{})
				id, _ := w.redis.End()
				if isAnswered(id) {
					t.Error("before a term has begun something is acknowledged")
				}
				c.sweep(hashes, 0, 10, flows)
				c.sweep(boards, 0, 10, flows)
				if isAnswered(id) {
					t.Error("before the terms of the partitions have begun something is acknowledged")
				}
				if err := w.drain(); err != nil {
					t.Fatal(err)
				}
				if !isAnswered(id) {
					t.Error("nothing is acknowledged, though all is flushed")
				}
				for _, err := range w.errs {
					t.Error(err)
				}
			})
		})
	}
}
