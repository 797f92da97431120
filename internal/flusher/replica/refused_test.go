// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/internal/flusher/replica"
)

// TestARefusedWriteOfAKeyThatExpiresOutlivesTheFlusher looks at a row that is refused while its
// key expires: neither the database nor Redis has the value then, so the position has to wait
// for it, or the next flusher would meet the expiry alone.
func TestARefusedWriteOfAKeyThatExpiresOutlivesTheFlusher(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx)
		w.start(replica.Bounds{})
		defer func() { w.kill(0) }()
		time.Sleep(2 * time.Second) // The history has begun.
		w.carriers[0].sweep(texts, partitionOf(0), 10, flows)
		w.set(1)
		synctest.Wait()
		w.redis.Meanwhile(func() {
			w.writes(3, 0, false)
			synctest.Wait()
		})
		w.carriers[0].sweep(texts, partitionOf(0), 10, partlyRefused)
		time.Sleep(1500 * time.Millisecond) // The position has moved.
		w.kill(0)
		w.start(replica.Bounds{})
		if err := w.drain(); err != nil {
			t.Fatal(err)
		}
		w.compare()
		for _, err := range w.errs {
			t.Error(err)
		}
	})
}
