// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

var journalAlways = journaltest.AppendOnly("always")

// writers write to Redis until they are stopped, and remember the last write of
// every key that Redis has acknowledged.
type writers struct {
	s    *stack
	stop context.CancelFunc
	done sync.WaitGroup
	// pace bounds the writes in a second.
	pace *rate.Limiter

	mu           sync.Mutex
	last         map[int64]string // "" is a deletion
	acknowledged int
	failure      error
}

// startWriters makes each of n writers write to keys of its own, so that the last
// write of a key is known. All together they write so often in a second: no claim is
// without entries then, and faster they would only keep the flushers from their turn.
func (s *stack) startWriters(n int, keysEach int64, seed uint64, perSecond rate.Limit) *writers {
	ctx, stop := context.WithCancel(s.t.Context())
	w := &writers{s: s, stop: stop, pace: rate.NewLimiter(perSecond, 10), last: make(map[int64]string)}
	for i := range n {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		w.done.Go(func() { w.write(ctx, random, int64(i)*keysEach, keysEach) })
	}
	return w
}

func (w *writers) write(ctx context.Context, random *rand.Rand, from, count int64) {
	for n := 0; ctx.Err() == nil; n++ {
		if w.pace.Wait(ctx) != nil {
			return
		}
		id := from + random.Int64N(count)
		key := []string{fmt.Sprintf("product:%d", id)}
		document := fmt.Sprintf(`{"name":"n%d","price":%d.25,"stock":%d}`, n, n%1000, n)
		var err error
		if random.IntN(20) == 0 {
			document = ""
			err = w.s.rdb.FCall(context.WithoutCancel(ctx), "wb_del", key, "products").Err()
		} else {
			err = w.s.rdb.FCall(context.WithoutCancel(ctx), "wb_set", key, "products", document).Err()
		}
		w.mu.Lock()
		if err != nil {
			w.failure = errors.Join(w.failure, err)
			w.mu.Unlock()
			return
		}
		w.last[id] = document
		w.acknowledged++
		w.mu.Unlock()
	}
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acknowledged
}

func (w *writers) waitFor(n int) {
	w.s.t.Helper()
	w.s.eventually(fmt.Sprintf("%d writes are acknowledged", n), func() error {
		if got := w.count(); got < n {
			return fmt.Errorf("%d so far", got)
		}
		return nil
	})
}

// finish stops the writers, waits for the queue to drain and compares every row
// with the last acknowledged write of its key.
func (w *writers) finish() {
	t := w.s.t
	t.Helper()
	w.stop()
	w.done.Wait()
	if w.failure != nil {
		t.Fatalf("a write failed: %v", w.failure)
	}
	w.s.drained()
	rows := make(map[string]string)
	for _, row := range w.s.db.Rows(t, "SELECT id::text, format('{\"name\":\"%s\",\"price\":%s,\"stock\":%s}', name, price, stock) FROM products") {
		rows[row[0]] = row[1]
	}
	wrong := 0
	for id, want := range w.last {
		key := fmt.Sprint(id)
		if got := rows[key]; got != want {
			wrong++
			if wrong <= 10 {
				t.Errorf("key %d: the row is %q, the last acknowledged write %q", id, got, want)
			}
		}
		delete(rows, key)
	}
	if len(rows) > 0 {
		t.Errorf("%d rows were never written", len(rows))
	}
	t.Logf("%d acknowledged writes to %d keys, %d rows wrong", w.acknowledged, len(w.last), wrong)
}

// TestAFlusherKilledTenTimesLosesNothing kills whichever of two flushers, at any
// moment, under load.
func TestAFlusherKilledTenTimesLosesNothing(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 99))
	s := newStack(t)
	s.config.Flush.IntervalMilliseconds = 50
	s.config.Flush.BatchSize = 50
	s.write()
	flushers := []*programs.Flusher{s.startReady(), s.startReady()}
	w := s.startWriters(4, 500, seed, 1500)
	for range 10 {
		w.waitFor(w.count() + 500 + random.IntN(1000))
		victim := random.IntN(len(flushers))
		flushers[victim].Kill()
		flushers[victim] = s.startReady()
	}
	w.finish()
	stats := s.stats()
	if stats.DataLoss != 0 || stats.Refused != 0 || stats.Writes != stats.Flushed+stats.Coalesced {
		t.Errorf("stats are %+v", stats)
	}
}

// TestAStoppedFlusherThatComesBackWritesNothingStale stops a flusher in the middle
// of its work until the other has taken everything over, and lets it go on with
// whatever it had in hand.
func TestAStoppedFlusherThatComesBackWritesNothingStale(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := newStack(t)
	s.config.Flush.IntervalMilliseconds = 20
	s.config.Flush.BatchSize = 20
	s.write()
	flushers := []*programs.Flusher{s.startReady(), s.startReady()}
	w := s.startWriters(4, 100, seed, 1500)
	for i := range 3 {
		stopped, other := flushers[i%2], flushers[(i+1)%2]
		w.waitFor(w.count() + 500)
		stopped.Signal(syscall.SIGSTOP)
		s.eventually("the other holds every partition", func() error {
			if n := len(s.status(other).Queues[0].Partitions); n != 16 {
				return fmt.Errorf("%d of them", n)
			}
			return nil
		})
		w.waitFor(w.count() + 500)
		stopped.Signal(syscall.SIGCONT)
		s.eventually("both share the partitions again", func() error {
			if n := len(s.status(stopped).Queues[0].Partitions); n != 8 {
				return fmt.Errorf("it holds %d", n)
			}
			return nil
		})
	}
	w.finish()
}
