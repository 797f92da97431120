// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package bench measures the engine against real servers, beside the limit that
// the same database sets in the same run: only the quotient of the two says
// something about the engine.
package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/load"
)

const (
	entries     = 100_000
	batchSize   = 1000
	concurrency = 4
	queue       = "products"
	prefix      = "product:"
)

// upsert is the statement that carries one batch, fed from memory: what a
// flusher could reach if Redis, the ledger and the claims cost nothing.
const upsert = `INSERT INTO products (id, name, price, stock, updated_at)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::numeric[], $4::integer[], $5::timestamptz[])
ON CONFLICT (id) DO UPDATE SET name = excluded.name, price = excluded.price, stock = excluded.stock, updated_at = excluded.updated_at`

// BenchmarkDrain drains a full queue, first into an empty table and then over
// the same rows, each time beside the raw limit.
func BenchmarkDrain(b *testing.B) {
	database := postgrestest.New(b)
	database.Exec(b, load.CreateTable)
	server := journaltest.New(b, journaltest.AppendOnly("everysec"))
	for _, table := range []string{"insert", "update"} {
		before := func() {
			if table == "insert" {
				database.Exec(b, "TRUNCATE products")
			}
			database.Exec(b, "CHECKPOINT")
		}
		b.Run(table+"/raw", func(b *testing.B) {
			for range b.N {
				before()
				report(b, raw(b, database.Pool()))
			}
		})
		b.Run(table+"/drain", func(b *testing.B) {
			for range b.N {
				before()
				report(b, drain(b, server, database))
			}
		})
	}
}

func report(b *testing.B, took time.Duration) {
	b.Helper()
	b.ReportMetric(entries/took.Seconds(), "rows/s")
	b.ReportMetric(took.Seconds()*1000, "ms")
	b.ReportMetric(0, "ns/op")
}

// scattered is the order of the raw rows. Partitions take keys by their hash, so a
// batch of the flusher holds no neighbours either.
var scattered = rand.New(rand.NewPCG(1, 1)).Perm(entries)

// raw writes all entries from memory, in batches, over as many connections as
// the flusher has.
func raw(b *testing.B, pool *pgxpool.Pool) time.Duration {
	b.Helper()
	batches := make(chan int, entries/batchSize)
	for first := 1; first <= entries; first += batchSize {
		batches <- first
	}
	close(batches)
	var workers sync.WaitGroup
	started := time.Now()
	for range concurrency {
		workers.Go(func() {
			for first := range batches {
				if err := rawBatch(b.Context(), pool, first); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	return time.Since(started)
}

func rawBatch(ctx context.Context, pool *pgxpool.Pool, first int) error {
	var (
		ids    = make([]int64, batchSize)
		names  = make([]string, batchSize)
		prices = make([]string, batchSize)
		stocks = make([]int32, batchSize)
		times  = make([]time.Time, batchSize)
	)
	for i := range batchSize {
		ids[i] = int64(scattered[first-1+i] + 1)
		names[i] = fmt.Sprintf("Product %d, edition 1", ids[i])
		prices[i] = fmt.Sprintf("%d.%02d", i, i%100)
		stocks[i] = int32(i)
		times[i] = time.Now()
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, upsert, pgx.QueryExecModeCacheStatement, ids, names, prices, stocks, times)
		return err
	})
}

// drain fills the queue while it is suspended, and measures from the moment when
// it no longer is until it is empty. Every row is compared afterwards.
func drain(b *testing.B, server *journaltest.Server, database *postgrestest.Database) time.Duration {
	b.Helper()
	c := writeConfig(b, server, database)
	ctx, cancel := context.WithCancel(b.Context())
	f := flusher.New(c, flusher.Options{})
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	defer running.Wait()
	defer cancel()

	client := server.Client(b)
	await(b, func() (bool, error) {
		stats, err := load.ReadStats(ctx, client, queue)
		return err == nil && stats.State == "open" && stats.Max == int64(c.Backpressure.MaxQueueDepth), nil
	})
	application := load.New(load.Options{
		Redis: server.Options(), Queue: queue, KeyPrefix: prefix,
		Keys: entries, Workers: concurrency, Pipeline: 200, Seed: 1,
	})
	defer application.Close()
	if err := application.Fill(ctx); err != nil {
		b.Fatal(err)
	}
	open := *c
	open.Suspend = false
	open.Revision++
	started := time.Now()
	f.Apply(&open)
	await(b, empty(ctx, client))
	took := time.Since(started)

	db, err := pgx.Connect(ctx, database.URL())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close(ctx)
	if _, differences, err := load.Compare(ctx, db, application.Last()); err != nil || len(differences) > 0 {
		b.Fatalf("rows differ: %v %v", err, differences[:min(3, len(differences))])
	}
	return took
}

func empty(ctx context.Context, client *redis.Client) func() (bool, error) {
	return func() (bool, error) {
		stats, err := load.ReadStats(ctx, client, queue)
		return err == nil && stats.Depth == 0, err
	}
}

// await looks every few milliseconds until it is so.
func await(b *testing.B, look func() (bool, error)) {
	b.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(2 * time.Minute)
	for {
		if done, err := look(); err != nil {
			b.Fatal(err)
		} else if done {
			return
		}
		select {
		case <-ticker.C:
		case <-timeout:
			b.Fatal("not within two minutes")
		}
	}
}

func writeConfig(b *testing.B, server *journaltest.Server, database *postgrestest.Database) *config.Config {
	b.Helper()
	path := filepath.Join(b.TempDir(), "config.yaml")
	text := fmt.Sprintf(`suspend: true
revision: %d
redis: {external: {addresses: [%q]}}
database: {postgres: {urlFile: %q, maxConnections: %d}}
mappings: [{name: %s, keyPrefix: %q, table: products, keyColumn: id}]
flush: {intervalMilliseconds: 1000, batchSize: %d, concurrency: %d}
backpressure: {maxQueueDepth: %d}
`, time.Now().UnixMilli(), server.Addr(), database.URLFile(b), concurrency, queue, prefix, batchSize, concurrency, 2*entries)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	c, err := config.Read(path)
	if err != nil {
		b.Fatal(err)
	}
	return c
}
