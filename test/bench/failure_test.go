// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/load"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
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
		c := suspended(b, server, database)
		c.Suspend = false
		r := newRig(b, server, database, c, entries/2, 25)
		writing := make(chan error, 1)
		const around = 20 * time.Second
		writes := outageRate * int((outage + 2*around).Seconds())
		go func() { writing <- r.application.Run(b.Context(), load.Volume{Writes: writes, Rate: outageRate}) }()

		usual := r.deepest(around)
		postgres.Kill(syscall.SIGQUIT)
		depth := r.deepest(outage)
		if err := postgres.Restart(b.Context()); err != nil {
			b.Fatal(err)
		}
		returned := time.Now()
		until(b, r.journal, func(stats entry.Stats) bool { return stats.Depth <= usual })
		b.ReportMetric(time.Since(returned).Seconds(), "recovery-s")
		b.ReportMetric(float64(usual), "depth-before")
		b.ReportMetric(float64(depth), "depth-after")
		b.ReportMetric(0, "ns/op")
		if err := <-writing; err != nil {
			b.Fatal(err)
		}
		until(b, r.journal, isEmpty)
		if stats := r.stats(); stats.Dead != 0 || stats.DataLoss != 0 || stats.Writes != int64(writes) {
			b.Errorf("stats are %+v", stats)
		}
		r.compare(r.application.Last())
		r.stop()
	}
}

// deepest watches the queue for a while.
func (r *rig) deepest(d time.Duration) int64 {
	r.b.Helper()
	var most int64
	end := time.After(d)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-end:
			return most
		case <-ticker.C:
			most = max(most, r.stats().Depth)
		}
	}
}

// BenchmarkTakeOver has two flushers share a queue and ends one of them. A key of
// every partition is written at that moment; the time ends when all are flushed.
func BenchmarkTakeOver(b *testing.B) {
	folder := b.TempDir()
	if err := programs.Build(b.Context(), folder, nil, "cmd/flusher"); err != nil {
		b.Fatal(err)
	}
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "told to leave": syscall.SIGTERM} {
		b.Run(name, func(b *testing.B) {
			server := journaltest.New(b, journaltest.AppendOnly("everysec"))
			database := postgrestest.New(b)
			database.Exec(b, load.CreateTable)
			c := suspended(b, server, database)
			c.Suspend, c.Flush.IntervalMilliseconds = false, 100
			file := filepath.Join(b.TempDir(), "config.yaml")
			servers.Put(b, file, c)
			client := server.Client(b)
			start := func() *programs.Process {
				return programs.Run(b, exec.Command(filepath.Join(folder, "flusher"), "--config", file))
			}
			one, other := start(), start()
			var slowest, all time.Duration
			for n := range b.N {
				awaitShares(b, client, 2)
				if !one.Running() {
					b.Fatalf("the flusher has ended by itself (%v)", one.Err())
				}
				one.Signal(signal)
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
				until(b, journal.New(client), isEmpty)
				took := time.Since(ended)
				slowest, all = max(slowest, took), all+took
				<-one.Ended()
				one, other = other, start()
			}
			b.ReportMetric(all.Seconds()/float64(b.N), "s/take-over")
			b.ReportMetric(slowest.Seconds(), "s-slowest")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// awaitShares waits until so many flushers share the partitions evenly.
func awaitShares(b *testing.B, client *redis.Client, flushers int) {
	b.Helper()
	partitions := config.DefaultMapping().Partitions
	patience.Eventually(b, "the partitions are shared", func() error {
		held := make(map[string]int)
		for p := range partitions {
			owner, err := client.HGet(b.Context(), fmt.Sprintf("wb:{%s:%d}:lease", queue, p), "owner").Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			held[owner]++
		}
		for _, n := range held {
			if n != partitions/flushers || len(held) != flushers {
				return fmt.Errorf("%v are held", held)
			}
		}
		return nil
	})
}
