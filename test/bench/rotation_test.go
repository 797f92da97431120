// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/load"
	"github.com/writebehind/operator/test/programs"
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
		c := suspended(b, server, database)
		c.Suspend, c.Flush.IntervalMilliseconds = false, 100
		setURL(b, c, database, "first")
		r := newRig(b, server, database, c, entries/10, 10)
		writing := make(chan error, 1)
		const around = 10 * time.Second
		writes := rotationRate * int((3 * around).Seconds())
		go func() { writing <- r.application.Run(b.Context(), load.Volume{Writes: writes, Rate: rotationRate}) }()
		until(b, r.journal, func(stats entry.Stats) bool { return stats.Flushed > 0 })
		b.ReportMetric(r.longestGap(around).Seconds(), "usual-gap-s")
		database.Exec(b, "ALTER ROLE app PASSWORD 'second'")
		setURL(b, c, database, "second")
		database.Exec(b, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
		b.ReportMetric(r.longestGap(around).Seconds(), "gap-s")
		b.ReportMetric(0, "ns/op")
		if err := <-writing; err != nil {
			b.Fatal(err)
		}
		until(b, r.journal, isEmpty)
		if stats := r.stats(); stats.Dead != 0 || stats.DataLoss != 0 {
			b.Errorf("stats are %+v", stats)
		}
		r.compare(r.application.Last())
		r.stop()
	}
}

// setURL puts the role's URL into the file as a rotated Secret does, whole or not at
// all.
func setURL(b *testing.B, c *config.Config, database *postgrestest.Database, password string) {
	b.Helper()
	url := database.Server().UserURL("app", password, database.Name())
	if err := programs.PutFile(c.Database.Postgres.URLFile, []byte(url)); err != nil {
		b.Fatal(err)
	}
}

// longestGap watches for a while and returns the longest time without a flush.
func (r *rig) longestGap(d time.Duration) time.Duration {
	r.b.Helper()
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
			if n := r.stats().Flushed; n > flushed {
				longest, flushed, last = max(longest, time.Since(last)), n, time.Now()
			}
		}
	}
}
