// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// TestMain makes sure that nothing which was started goes on after it was stopped.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	products = "products"
	// interval is that of the flushes of a world.
	interval = time.Second
)

// world is a source and a database in memory, in a bubble of its own time.
type world struct {
	t        *testing.T
	source   *enginetest.Source
	database *enginetest.Database
	config   *config.Config
}

// inWorld runs the test in a bubble. edit changes the config before anything is started.
func inWorld(t *testing.T, edit func(*config.Config), test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, source: enginetest.NewSource(), database: enginetest.NewDatabase(products), config: config.Default()}
		w.config.Flush.IntervalMilliseconds = int(interval.Milliseconds())
		m := config.DefaultMapping()
		m.Name, m.KeyPrefix, m.Table, m.KeyColumn, m.Partitions = products, "product:", products, "id", 4
		w.config.Mappings = []config.Mapping{m}
		if edit != nil {
			edit(w.config)
		}
		test(w)
	})
}

// member is a flusher that runs.
type member struct {
	*flusher.Flusher
	faults   *enginetest.Faults
	registry *prometheus.Registry
	cancel   context.CancelFunc
	ended    chan struct{}
}

// start runs a flusher until it is stopped, at the latest when the test ends.
func (w *world) start() *member {
	return w.startOf(func(s flusher.Source) flusher.Source { return s })
}

// startOf runs a flusher of what before makes of the source.
func (w *world) startOf(before func(flusher.Source) flusher.Source) *member {
	m := &member{faults: &enginetest.Faults{}, registry: prometheus.NewRegistry(), ended: make(chan struct{})}
	m.Flusher = flusher.New(w.config, before(m.faults.Source(w.source)), m.faults.Database(w.database), flusher.Options{Registry: m.registry})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	m.cancel = cancel
	go func() {
		defer close(m.ended)
		m.Run(ctx)
	}()
	w.t.Cleanup(m.stop)
	return m
}

func (w *world) startReady() *member {
	w.t.Helper()
	m := w.start()
	w.ready(m)
	return m
}

// ready waits until the flusher is ready and holds a partition.
func (w *world) ready(m *member) {
	w.t.Helper()
	w.within(10*time.Second, "a flusher that is ready", func() error {
		if check := m.Ready(); !check.OK {
			return fmt.Errorf("it is %+v", check)
		}
		if len(m.mapping().Partitions) == 0 {
			return errors.New("it holds nothing")
		}
		return nil
	})
}

func (m *member) stop() {
	m.cancel()
	<-m.ended
}

func (m *member) mapping() config.QueueStatus { return m.Status().Queues[0] }

// within waits for at most so much of the bubble's time.
func (w *world) within(d time.Duration, what string, done func() error) {
	w.t.Helper()
	for deadline := time.Now().Add(d); ; time.Sleep(10 * time.Millisecond) {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within %v: %v", what, d, err)
		}
	}
}

// written waits until there are as many rows.
func (w *world) written(d time.Duration, want int) {
	w.t.Helper()
	w.within(d, "rows", func() error {
		if rows := len(w.database.Rows(products)); rows != want {
			return fmt.Errorf("%d rows are written, want %d", rows, want)
		}
		return nil
	})
}

const goodRow = `{"name":"good"}`

// set writes rows.
func (w *world) set(document string, ids ...int) {
	for _, id := range ids {
		w.source.Set(products, key(id), document)
	}
}

func key(id int) string { return "product:" + strconv.Itoa(id) }

// upTo are the ids 1 to n.
func upTo(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i + 1
	}
	return ids
}

func (w *world) stats() entry.Stats {
	w.t.Helper()
	stats, err := w.source.Stats(w.t.Context(), products)
	if err != nil {
		w.t.Fatal(err)
	}
	return stats
}

// drained waits until nothing waits any more.
func (w *world) drained(d time.Duration) {
	w.t.Helper()
	w.within(d, "an empty queue", func() error {
		if stats := w.stats(); stats.Depth > 0 {
			return fmt.Errorf("the stats are %+v", stats)
		}
		return nil
	})
}

// holds wants so many rows in the table, all of them with the document.
func (w *world) holds(document string, ids ...int) {
	w.t.Helper()
	rows := w.database.Rows(products)
	if len(rows) != len(ids) {
		w.t.Errorf("the table has %d rows, want %d", len(rows), len(ids))
	}
	for _, id := range ids {
		if row := rows[strconv.Itoa(id)]; row != document {
			w.t.Errorf("row %d is %q, want %q", id, row, document)
		}
	}
}
