// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/load"
)

const rotationRate = 2000

// BenchmarkRotation changes the database's password under 2,000 writes a second, and
// ends every session that was made with the old one. "gap-s" is the longest time
// without a flush; "usual-gap-s" is that of the time before.
func BenchmarkRotation(b *testing.B) {
	for range b.N {
		server := journaltest.New(b, journaltest.AppendOnly("everysec"))
		database := postgrestest.NewServer(b, postgrestest.Options{}).NewDatabase(b)
		database.Exec(b, load.CreateTable)
		database.Exec(b, "CREATE ROLE app LOGIN SUPERUSER PASSWORD 'first'")
		c := writeConfig(b, server, database)
		c.Suspend, c.Flush.IntervalMilliseconds = false, 100
		setURL(b, c, database, "first")
		ctx, cancel := context.WithCancel(b.Context())
		var running sync.WaitGroup
		running.Go(func() { flusher.New(c, flusher.Options{}).Run(ctx) })
		client := server.Client(b)
		j := journal.New(client)
		await(b, func() (bool, error) {
			_, err := j.Stats(ctx, queue)
			return err == nil, nil
		})
		application := load.New(load.Options{
			Redis: server.Options(), Queue: queue, KeyPrefix: prefix,
			Keys: entries / 10, Workers: concurrency, Pipeline: 10, Seed: 1,
		})
		writing := make(chan error, 1)
		const around = 10 * time.Second
		writes := rotationRate * int((3 * around).Seconds())
		go func() { writing <- application.Run(ctx, load.Volume{Writes: writes, Rate: rotationRate}) }()
		await(b, func() (bool, error) {
			stats, err := j.Stats(ctx, queue)
			return stats.Flushed > 0, err
		})
		b.ReportMetric(longestGap(b, j, around).Seconds(), "usual-gap-s")
		database.Exec(b, "ALTER ROLE app PASSWORD 'second'")
		setURL(b, c, database, "second")
		database.Exec(b, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
		b.ReportMetric(longestGap(b, j, around).Seconds(), "gap-s")
		b.ReportMetric(0, "ns/op")
		if err := <-writing; err != nil {
			b.Fatal(err)
		}
		await(b, empty(ctx, client))
		if stats, err := j.Stats(ctx, queue); err != nil || stats.Dead != 0 || stats.DataLoss != 0 {
			b.Errorf("stats are %+v, %v", stats, err)
		}
		same(ctx, b, database, application)
		application.Close()
		cancel()
		running.Wait()
	}
}

// setURL puts the role's URL into the file as a rotated Secret does, whole or not at
// all.
func setURL(b *testing.B, c *config.Config, database *postgrestest.Database, password string) {
	b.Helper()
	url := database.Server().UserURL("app", password, database.Name())
	path := c.Database.Postgres.URLFile
	if err := os.WriteFile(path+".new", []byte(url), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		b.Fatal(err)
	}
}

// longestGap watches for a while and returns the longest time without a flush.
func longestGap(b *testing.B, j *journal.Journal, d time.Duration) time.Duration {
	b.Helper()
	var longest time.Duration
	var flushed int64
	last := time.Now()
	end := time.After(d)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-end:
			return max(longest, time.Since(last))
		case <-ticker.C:
			stats, err := j.Stats(b.Context(), queue)
			if err != nil {
				b.Fatal(err)
			}
			if stats.Flushed > flushed {
				longest, flushed, last = max(longest, time.Since(last)), stats.Flushed, time.Now()
			}
		}
	}
}
