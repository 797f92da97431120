// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"context"
	"hash/fnv"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/flusher/replica/replicatest"
)

// inHashes is a world with one carrier and a hash whose fields a and b are 1 in the table.
func inHashes(t *testing.T, test func(w *world, sweep func(fate))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx)
		w.start(replica.Bounds{})
		defer w.kill(0)
		w.fields("a", "1", "b", "1")
		time.Sleep(1500 * time.Millisecond)
		if err := w.drain(); err != nil {
			t.Fatal(err)
		}
		h := fnv.New32a()
		_, _ = h.Write([]byte(hashKey(0)))
		test(w, func(f fate) { w.carriers[0].sweep(hashes, int(h.Sum32()%partitions), 10, f) })
		for _, err := range w.errs {
			t.Error(err)
		}
	})
}

// fields writes fields of the hash, and waits until that was read.
func (w *world) fields(pairs ...string) {
	w.redis.Do(func(c *replicatest.Commands) {
		for i := 0; i < len(pairs); i += 2 {
			c.SetField(hashKey(0), pairs[i], pairs[i+1])
		}
	})
	synctest.Wait()
}

func (w *world) expect(t *testing.T, row map[string]string) {
	t.Helper()
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	if got := w.rows[hashKey(0)]; !maps.Equal(got, row) {
		t.Errorf("the row is %v, want %v", got, row)
	}
}

// TestAKeyThatExpiresWhenItIsReadKeepsItsRow has the server tell of it behind the offset of the
// reading in which the key was gone.
func TestAKeyThatExpiresWhenItIsReadKeepsItsRow(t *testing.T) {
	t.Parallel()
	inHashes(t, func(w *world, _ func(fate)) {
		w.fields("a", "2")
		w.redis.Do(func(c *replicatest.Commands) { c.Lapse(hashKey(0)) })
		w.expect(t, map[string]string{"a": "1", "b": "1"})
		if _, dead := w.letter[hashKey(0)]; !dead {
			t.Error("what was lost is no dead letter")
		}
	})
}

// TestTheFieldsOfADeadLetterComeWithTheNextRow looks at a row that was refused as a whole: its
// dead letter goes with a later one, which names other fields.
func TestTheFieldsOfADeadLetterComeWithTheNextRow(t *testing.T) {
	t.Parallel()
	inHashes(t, func(w *world, sweep func(fate)) {
		w.fields("a", "2")
		sweep(partlyDead)
		w.fields("b", "3")
		w.expect(t, map[string]string{"a": "2", "b": "3"})
	})
	inHashes(t, func(w *world, sweep func(fate)) {
		w.fields("a", "2")
		w.redis.Meanwhile(func() { w.fields("b", "3") })
		sweep(partlyDead)
		w.expect(t, map[string]string{"a": "2", "b": "3"})
	})
}

// TestARetryOfWhichNothingComesIsForgotten has a hash expire in a gap of the stream whose row
// was refused before: nothing is written of it, and the database must not keep the retry.
func TestARetryOfWhichNothingComesIsForgotten(t *testing.T) {
	t.Parallel()
	inHashes(t, func(w *world, sweep func(fate)) {
		w.fields("a", "2")
		sweep(partlyRefused)
		aside := func() int {
			all, err := w.store.Aside(w.ctx, "source")
			if err != nil {
				t.Fatal(err)
			}
			return len(all)
		}
		if n := aside(); n != 1 {
			t.Fatalf("%d retries are kept, want that of the row", n)
		}
		w.redis.Hold(true)
		w.redis.Do(func(c *replicatest.Commands) { c.Expire(hashKey(0)) })
		w.overrun()
		w.redis.Cut()
		w.redis.Hold(false)
		w.expect(t, map[string]string{"a": "1", "b": "1"})
		// It goes with what is settled next in its partition.
		w.writes(setsField, 2, false)
		if err := w.drain(); err != nil {
			t.Fatal(err)
		}
		if n := aside(); n != 0 {
			t.Errorf("%d retries are kept, and there is nothing to try", n)
		}
	})
}
