// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/internal/flusher/service"
	"github.com/writebehind/operator/test/load"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

const (
	entries     = 100_000
	batchSize   = 1000
	concurrency = 4
	queue       = "products"
	prefix      = "product:"
)

// patience is fine, since what it waits for is timed.
var patience = programs.Patience{Limit: 2 * time.Minute, Interval: 2 * time.Millisecond}

// rig is a flusher in this process between two real servers, and an application that
// writes.
type rig struct {
	b        *testing.B
	database *postgrestest.Database
	config   *config.Config
	client   *redis.Client
	journal  *journal.Journal
	flusher  *flusher.Flusher
	// application is told how much to write by each benchmark.
	application *load.Load
	stop        func()
}

// newRig starts a flusher with a config of suspended and waits until it takes writes
// with these very settings. There are as many keys as said, and so many calls to Redis
// in one round trip.
func newRig(b *testing.B, server *journaltest.Server, database *postgrestest.Database, c *config.Config, keys, pipeline int) *rig {
	b.Helper()
	r := &rig{b: b, database: database, config: c, client: server.Client(b), flusher: service.New(c, flusher.Options{})}
	r.journal = journal.New(r.client)
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { r.flusher.Run(ctx) })
	until(b, r.journal, func(stats entry.Stats) bool { return stats.State == config.StateOpen && stats.Revision == c.Revision })
	r.application = load.New(load.Options{
		Redis: server.Options(), Queue: queue, KeyPrefix: prefix,
		Keys: keys, Workers: concurrency, Pipeline: pipeline, Seed: 1,
	})
	r.stop = func() {
		r.application.Close()
		cancel()
		running.Wait()
	}
	return r
}

// begin lets a flusher that was suspended flush.
func (r *rig) begin() {
	open := *r.config
	open.Suspend = false
	open.Revision++
	r.flusher.Apply(&open)
}

func (r *rig) stats() entry.Stats {
	r.b.Helper()
	stats, err := r.journal.Stats(r.b.Context(), queue)
	if err != nil {
		r.b.Fatal(err)
	}
	return stats
}

// compare compares every row with the last acknowledged write of its key.
func (r *rig) compare(last map[int64]load.Write) {
	r.b.Helper()
	db, err := pgx.Connect(r.b.Context(), r.database.URL())
	if err != nil {
		r.b.Fatal(err)
	}
	defer db.Close(r.b.Context())
	if _, differences, err := load.Compare(r.b.Context(), db, last); err != nil || len(differences) > 0 {
		r.b.Fatalf("rows differ: %v %v", err, differences[:min(3, len(differences))])
	}
}

// until waits until the queue's numbers are so.
func until(b *testing.B, j *journal.Journal, so func(entry.Stats) bool) {
	b.Helper()
	patience.Eventually(b, "the queue's numbers", func() error {
		stats, err := j.Stats(b.Context(), queue)
		if err == nil && !so(stats) {
			err = fmt.Errorf("they are %+v", stats)
		}
		return err
	})
}

func isEmpty(stats entry.Stats) bool { return stats.Depth == 0 }

// suspended is the config of a flusher between the servers that does not flush yet.
func suspended(b *testing.B, server *journaltest.Server, database *postgrestest.Database) *config.Config {
	b.Helper()
	c := servers.Join(b, server, database).Config
	c.Suspend, c.Revision = true, time.Now().UnixMilli()
	c.Database.Postgres.MaxConnections = concurrency
	c.Flush.IntervalMilliseconds, c.Flush.BatchSize, c.Flush.Concurrency = 1000, batchSize, concurrency
	c.Backpressure.MaxQueueDepth = 2 * entries
	return c
}
