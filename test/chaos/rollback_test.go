// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// wentBack means that a server has come back with older data: what was written before
// may be lost. What is written from now on is held to the full standard, and a row
// may only ever hold what was acknowledged, or may have been.
//
// The database may then hold something else than what was seen to commit: rows tells
// what, and the order of its epochs begins again where its clock did. Without rows it holds what it held,
// but Redis may flush writes again that are older.
func (h *history) wentBack(boundary int64, rows map[int64]int64) {
	h.settleAll()
	h.boundary.Store(boundary)
	if rows == nil {
		return
	}
	h.mu.Lock()
	clear(h.partitions)
	h.mu.Unlock()
	for i := range h.records {
		r := &h.records[i]
		r.mu.Lock()
		number := rows[r.id]
		r.order, r.last, r.present = 0, commit{number: number}, number != 0
		if w := r.find(number); w != nil {
			r.order = r.earliest(w)
		} else if number != 0 {
			h.findings.add(phantom, "key %d came back with write %d, which was never made", r.id, number)
		}
		r.mu.Unlock()
	}
}

// settleLost judges what commits again after Redis went back: any write of before, as
// long as nothing that was written since is there. It reports whether that was it.
func (h *history) settleLost(r *record, c commit) bool {
	boundary := h.boundary.Load()
	if boundary == 0 || r.last.number > boundary {
		return false
	}
	if !c.removed {
		w := r.find(c.number)
		if c.number > boundary || w == nil || w.operation != set && w.operation != partial {
			return false
		}
		r.order, r.last, r.present = r.earliest(w), c, true
		return true
	}
	for i := range r.writes {
		if w := &r.writes[i]; w.operation == remove && w.number <= boundary && r.present && c.number == r.last.number {
			r.last, r.present = c, false
			return true
		}
	}
	return false
}

// rollback is a world in which a server is put back to an older state.
type rollback struct {
	*world
	seed     uint64
	watchers sync.WaitGroup
	stop     context.CancelFunc
}

func newRollback(t *testing.T, options ...journaltest.Option) *rollback {
	t.Helper()
	w := newWorld(t, options...)
	w.history.whole = true
	w.startFlushers()
	b := &rollback{world: w, seed: rand.Uint64N(1 << 32)}
	t.Logf("the seed of the writers is %d", b.seed)
	b.crowd.startWriters(t.Context(), b.seed)
	return b
}

// read carries the history until stopReading.
func (b *rollback) read() {
	ctx, stop := context.WithCancel(b.t.Context())
	b.stop = stop
	b.watchers.Go(func() { b.reader.run(ctx) })
}

func (b *rollback) stopReading() {
	b.stop()
	b.watchers.Wait()
}

// positions are the highest versions in the ledger, by partition.
func (b *rollback) positions() map[string]int64 {
	b.t.Helper()
	all := make(map[string]int64)
	for _, row := range b.db.Rows(b.t, "SELECT partition, position FROM writebehind.ledger") {
		all[row[0]], _ = strconv.ParseInt(row[1], 10, 64)
	}
	return all
}

// flushedOn waits until every partition has flushed more than it had, and some
// thousands of writes have been acknowledged.
func (b *rollback) flushedOn() {
	b.t.Helper()
	before, written := b.positions(), b.crowd.acknowledged.Load()
	b.must("every partition flushes on", time.Minute, func(context.Context) error {
		now := b.positions()
		for p := range partitions {
			if name := strconv.Itoa(p); now[name] <= before[name] {
				return fmt.Errorf("partition %s stands at %d", name, now[name])
			}
		}
		if n := b.crowd.acknowledged.Load() - written; n < 2*int64(b.crowd.rate) {
			return fmt.Errorf("%d writes were acknowledged", n)
		}
		return nil
	})
}

// finish stops the writers, waits until the queue is empty, and judges.
func (b *rollback) finish(atLeast int64) {
	b.t.Helper()
	b.crowd.stopWriters()
	b.recover()
	stats := b.finalStats()
	b.checkDataLoss(stats, atLeast)
	for _, f := range b.flushers {
		f.leave()
	}
	b.stopReading()
	if err := b.reader.finish(context.WithoutCancel(b.t.Context())); err != nil {
		b.t.Fatal(err)
	}
	b.history.verdict(b.outcomes())
	b.t.Logf("%d writes acknowledged, %d unknown, %d rows committed, %d data-loss events",
		b.crowd.acknowledged.Load(), b.crowd.unknown.Load(), b.history.committed, stats.DataLoss)
	b.findings.report(b.t)
}

// copyFolder copies files with their owners. Files that grow meanwhile are cut where
// they happen to end.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("Copy %s: %v: %s", from, err, out)
	}
}

func TestAnOlderCopyOfRedisIsToldAndFlushingGoesOn(t *testing.T) {
	b := newRollback(t, journaltest.AppendOnly("everysec"), journaltest.Config("auto-aof-rewrite-percentage 0"))
	b.read()
	b.flushedOn()
	files, older := filepath.Join(b.redis.Dir(), "appendonlydir"), filepath.Join(t.TempDir(), "appendonlydir")
	copyFolder(t, files, older)
	b.flushedOn()
	b.redis.MustKill(t)
	// The flushers commit what they have claimed, and then have nothing to claim.
	b.stopReading()
	if err := b.reader.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.history.wentBack(b.crowd.numbers.Load(), nil)
	b.read()
	copyFolder(t, older, files)
	b.redis.MustRestart(t)
	if written, known := b.crowd.acknowledged.Load(), b.finalStats().Writes; known >= written {
		t.Fatalf("Redis knows of %d writes, and %d were acknowledged: nothing was lost", known, written)
	}
	b.flushedOn()
	// Each partition's ledger is ahead of its journal, but it is one loss: whoever sees
	// it first tells it, a flusher of all partitions or each one of its own.
	b.finish(1)
}

// TestAnOlderCopyOfRedisWhileSuspendedIsTold puts it back while nothing is claimed, so
// that neither the ledger nor an owner's step can tell.
func TestAnOlderCopyOfRedisWhileSuspendedIsTold(t *testing.T) {
	b := newRollback(t, journaltest.AppendOnly("everysec"), journaltest.Config("auto-aof-rewrite-percentage 0"))
	b.read()
	b.flushedOn()
	suspend := func(on bool) {
		t.Helper()
		if err := b.reconfigure(func(c *config.Config) { c.Suspend = on }); err != nil {
			t.Fatal(err)
		}
	}
	suspend(true)
	b.must("the flushers are suspended", time.Minute, func(ctx context.Context) error {
		for _, f := range b.flushers[:members] {
			status, err := f.status(ctx)
			if err == nil && (!status.Suspended || status.Revision != b.config.Revision) {
				err = errors.New("it is not")
			}
			if err != nil {
				return fmt.Errorf("flusher %d: %w", f.number, err)
			}
		}
		return nil
	})
	writtenOn := func() {
		t.Helper()
		before := b.crowd.acknowledged.Load()
		b.must("writers write on", time.Minute, func(context.Context) error {
			if n := b.crowd.acknowledged.Load() - before; n < int64(b.crowd.rate) {
				return fmt.Errorf("%d writes were acknowledged", n)
			}
			return nil
		})
	}
	writtenOn()
	files, older := filepath.Join(b.redis.Dir(), "appendonlydir"), filepath.Join(t.TempDir(), "appendonlydir")
	copyFolder(t, files, older)
	writtenOn()
	b.redis.MustKill(t)
	b.stopReading()
	if err := b.reader.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.history.wentBack(b.crowd.numbers.Load(), nil)
	b.read()
	copyFolder(t, older, files)
	b.redis.MustRestart(t)
	if written, known := b.crowd.acknowledged.Load(), b.finalStats().Writes; known >= written {
		t.Fatalf("Redis knows of %d writes, and %d were acknowledged: nothing was lost", known, written)
	}
	writtenOn()
	suspend(false)
	b.flushedOn()
	b.finish(1)
}

func TestAnOlderCopyOfPostgreSQLIsToldAndFlushingGoesOn(t *testing.T) {
	b := newRollback(t, journaltest.AppendOnly("always"))
	b.flushedOn()
	files, older := filepath.Join(b.postgres.Dir(), "data"), filepath.Join(t.TempDir(), "data")
	b.postgres.Shutdown()
	copyFolder(t, files, older)
	if err := b.postgres.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.flushedOn()
	b.postgres.Kill(syscall.SIGQUIT)
	// Nobody may write before it is known what the older copy holds.
	for _, f := range b.flushers {
		f.toPostgres.Stop()
	}
	copyFolder(t, older, files)
	if err := b.postgres.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.must("the database answers", time.Minute, b.db.Pool().Ping)
	b.db.Exec(t, "TRUNCATE history")
	rows := make(map[int64]int64)
	for _, row := range b.db.Rows(t, "SELECT id, n FROM items") {
		id, err := strconv.ParseInt(row[0], 10, 64)
		number, err2 := strconv.ParseInt(row[1], 10, 64)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		rows[id] = number
	}
	b.history.wentBack(b.crowd.numbers.Load(), rows)
	b.read()
	for _, f := range b.flushers {
		if err := f.toPostgres.Start(); err != nil {
			t.Fatal(err)
		}
	}
	b.flushedOn()
	b.finish(partitions)
}
