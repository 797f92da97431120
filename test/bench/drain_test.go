// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/load"
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
	r := newRig(b, server, database, suspended(b, server, database), entries, 200)
	defer r.stop()
	if err := r.application.Fill(b.Context()); err != nil {
		b.Fatal(err)
	}
	started := time.Now()
	r.begin()
	until(b, r.journal, isEmpty)
	took := time.Since(started)
	r.compare(r.application.Last())
	return took
}
