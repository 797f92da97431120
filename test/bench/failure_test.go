// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/load"
)

const (
	outage     = time.Minute
	outageRate = 5000
)

// BenchmarkOutage takes the database away for a minute under 5,000 writes a second.
// "recovery-s" is the time from its return until the queue is as short as before.
func BenchmarkOutage(b *testing.B) {
	for range b.N {
		server := journaltest.New(b, journaltest.AppendOnly("everysec"))
		postgres := postgrestest.NewServer(b, postgrestest.Options{})
		database := postgres.NewDatabase(b)
		database.Exec(b, load.CreateTable)
		c := writeConfig(b, server, database)
		c.Suspend = false
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
			Keys: entries / 2, Workers: concurrency, Pipeline: 25, Seed: 1,
		})
		writing := make(chan error, 1)
		const around = 20 * time.Second
		writes := outageRate * int((outage + 2*around).Seconds())
		go func() { writing <- application.Run(ctx, load.Volume{Writes: writes, Rate: outageRate}) }()

		usual := deepest(b, j, around)
		postgres.Kill(syscall.SIGQUIT)
		depth := deepest(b, j, outage)
		if err := postgres.Restart(b.Context()); err != nil {
			b.Fatal(err)
		}
		returned := time.Now()
		await(b, func() (bool, error) {
			stats, err := j.Stats(ctx, queue)
			return err == nil && stats.Depth <= usual, err
		})
		b.ReportMetric(time.Since(returned).Seconds(), "recovery-s")
		b.ReportMetric(float64(usual), "depth-before")
		b.ReportMetric(float64(depth), "depth-after")
		b.ReportMetric(0, "ns/op")
		if err := <-writing; err != nil {
			b.Fatal(err)
		}
		await(b, empty(ctx, client))
		if stats, err := j.Stats(ctx, queue); err != nil || stats.Dead != 0 || stats.DataLoss != 0 || stats.Writes != int64(writes) {
			b.Errorf("stats are %+v, %v", stats, err)
		}
		same(ctx, b, database, application)
		application.Close()
		cancel()
		running.Wait()
	}
}

// deepest watches the queue for a while.
func deepest(b *testing.B, j *journal.Journal, d time.Duration) int64 {
	b.Helper()
	var most int64
	end := time.After(d)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-end:
			return most
		case <-ticker.C:
			stats, err := j.Stats(b.Context(), queue)
			if err != nil {
				b.Fatal(err)
			}
			most = max(most, stats.Depth)
		}
	}
}

// same compares every row with the last acknowledged write.
func same(ctx context.Context, b *testing.B, database *postgrestest.Database, application *load.Load) {
	b.Helper()
	db, err := pgx.Connect(ctx, database.URL())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close(ctx)
	if _, differences, err := load.Compare(ctx, db, application.Last()); err != nil || len(differences) > 0 {
		b.Fatalf("rows differ: %v %v", err, differences[:min(3, len(differences))])
	}
}

// BenchmarkTakeOver has two flushers share a queue and ends one of them. A key of
// every partition is written at that moment; the time ends when all are flushed.
func BenchmarkTakeOver(b *testing.B) {
	program := filepath.Join(b.TempDir(), "flusher")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/flusher").CombinedOutput(); err != nil {
		b.Fatalf("build the flusher: %v: %s", err, out)
	}
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "told to leave": syscall.SIGTERM} {
		b.Run(name, func(b *testing.B) {
			server := journaltest.New(b, journaltest.AppendOnly("everysec"))
			database := postgrestest.New(b)
			database.Exec(b, load.CreateTable)
			c := writeConfig(b, server, database)
			c.Suspend, c.Flush.IntervalMilliseconds, c.ListenAddress = false, 100, "127.0.0.1:0"
			data, err := c.Marshal()
			if err != nil {
				b.Fatal(err)
			}
			file := filepath.Join(b.TempDir(), "config.yaml")
			if err := os.WriteFile(file, data, 0o600); err != nil {
				b.Fatal(err)
			}
			client := server.Client(b)
			one, other := startProgram(b, program, file), startProgram(b, program, file)
			var slowest, all time.Duration
			for n := range b.N {
				awaitShares(b, client, 2)
				if err := one.Process.Signal(signal); err != nil {
					b.Fatal(err)
				}
				ended := time.Now()
				document, err := load.Product{Stock: int32(n)}.MarshalJSON()
				if err != nil {
					b.Fatal(err)
				}
				for id := range 10 * config.DefaultMapping().Partitions {
					key := fmt.Sprintf("%s%d", prefix, id)
					if err := client.FCall(b.Context(), "wb_set", []string{key}, queue, document).Err(); err != nil {
						b.Fatal(err)
					}
				}
				await(b, empty(b.Context(), client))
				took := time.Since(ended)
				slowest, all = max(slowest, took), all+took
				_ = one.Wait()
				one, other = other, startProgram(b, program, file)
			}
			b.ReportMetric(all.Seconds()/float64(b.N), "s/take-over")
			b.ReportMetric(slowest.Seconds(), "s-slowest")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func startProgram(b *testing.B, program, file string) *exec.Cmd {
	b.Helper()
	command := exec.Command(program, "--config", file)
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return command
}

// awaitShares waits until so many flushers share the partitions evenly.
func awaitShares(b *testing.B, client *redis.Client, flushers int) {
	b.Helper()
	partitions := config.DefaultMapping().Partitions
	await(b, func() (bool, error) {
		held := make(map[string]int)
		for p := range partitions {
			owner, err := client.HGet(b.Context(), fmt.Sprintf("wb:{%s:%d}:lease", queue, p), "owner").Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return false, err
			}
			held[owner]++
		}
		for _, n := range held {
			if n != partitions/flushers {
				return false, nil
			}
		}
		return len(held) == flushers, nil
	})
}
