// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

const (
	// sourceName is the owner of the config, and so the name of the source.
	sourceName = "chaos"
	// usualBacklog holds what is written while a flusher is away, but for the fault that
	// makes it smaller.
	usualBacklog = "16mb"
	// dirtyBytes is the bound of a run's flushers on what is dirty, in place of MostDirty:
	// a database that is away for some seconds has it reached.
	dirtyBytes = 512 << 10
	// streamedRate is how many writes a second are aimed at where nothing else is said.
	streamedRate = 1200
)

// streamed is a world with capture Replication.
type streamed struct {
	*world
	app  *application
	keys *keys
	// trio is what Sentinels choose from; without them there is none.
	trio *journaltest.Trio
	// servers are all that were ever started.
	servers []*journaltest.Server

	mu sync.Mutex
	// histories are the numbers of those that were seen, each µs since 1970, causes the times
	// at which one may have ended.
	histories map[int64]bool
	causes    []int64
	// emptied is when FLUSHALL was called last.
	emptied int64
	// counted are what was excused, and why.
	counted map[string]int64
	// lates says that the mapping late is in the config.
	lates bool
}

// buildBounded makes a flusher whose bound on what is dirty is low: it is no setting.
func buildBounded(t *testing.T) {
	t.Helper()
	const file = "internal/flusher/replica/source.go"
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	const usual = "MostDirty = 256 << 20"
	if !strings.Contains(string(text), usual) {
		t.Fatalf("%s does not say %q", file, usual)
	}
	bounded := filepath.Join(folder, "source.go")
	overlay, _ := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, file): bounded}})
	programs.Must(t, os.WriteFile(bounded, []byte(strings.Replace(string(text), usual, fmt.Sprint("MostDirty = ", dirtyBytes), 1)), 0o600))
	programs.Must(t, os.WriteFile(filepath.Join(folder, "overlay.json"), overlay, 0o600))
	build(t, "bounded", "-overlay", filepath.Join(folder, "overlay.json"))
}

func newStreamed(t *testing.T) *streamed {
	t.Helper()
	buildBounded(t)
	w := &world{t: t, findings: &findings{}, leftOut: make(map[string]string)}
	s := &streamed{world: w, keys: newKeys(w.findings), histories: make(map[int64]bool), counted: make(map[string]int64)}
	if *sentinel {
		s.elect()
	} else {
		server, err := s.newServer()
		if err != nil {
			t.Fatal(err)
		}
		s.app = &application{keys: s.keys, rate: *rate, server: server}
		w.redis = server
	}
	t.Cleanup(func() {
		for _, server := range s.servers {
			server.Close()
		}
	})
	w.rdb = s.app.client(4, 3)
	t.Cleanup(func() { _ = w.rdb.Close() })
	w.disk = w.mount()
	w.postgres = postgrestest.NewServer(t, postgrestest.Options{
		Dir: w.disk,
		Settings: map[string]string{
			"max_wal_size": "64MB", "min_wal_size": "32MB", "checkpoint_timeout": "30s",
			"log_min_messages": "panic", "log_min_error_statement": "panic",
		},
	})
	w.db = w.postgres.NewDatabase(t)
	w.db.Exec(t, schemaSQL())
	s.configure()
	for i := range members + guests {
		w.place(i)
	}
	t.Cleanup(func() {
		for _, f := range w.flushers {
			f.kill()
		}
	})
	return s
}

// redisSettings are as the documents want them.
var redisSettings = []string{
	"appendonly yes", "appendfsync always", "auto-aof-rewrite-min-size 32mb", "aof-load-truncated yes",
	"lazyfree-lazy-expire yes", "lazyfree-lazy-eviction yes", "maxmemory-policy volatile-lru",
	"repl-backlog-size " + usualBacklog, "repl-backlog-ttl 0", "client-output-buffer-limit replica 32mb 0 0", "repl-diskless-sync-delay 0",
}

// newServer starts a Redis.
func (s *streamed) newServer() (*journaltest.Server, error) {
	server, err := journaltest.Start(context.WithoutCancel(s.t.Context()), journaltest.Options{Config: redisSettings})
	if err == nil {
		s.servers = append(s.servers, server)
	}
	return server, err
}

func (s *streamed) configure() {
	c := config.Default()
	c.Capture, c.Owner, c.Revision = config.CaptureReplication, sourceName, 1
	c.Mappings = mappingsOf(products, sessions, views, scores, events)
	if s.trio != nil {
		c.Redis.External = s.bySentinels()
	}
	c.Flush = config.Flush{
		IntervalMilliseconds: 100, BatchSize: batchSize, Concurrency: 2, MaxInFlightMebibytes: 64, MaxRetries: 2,
		CircuitBreaker: config.CircuitBreaker{FailureThreshold: 3, OpenMilliseconds: 500},
	}
	c.Database.Postgres.StatementTimeoutSeconds = 2
	c.Database.Postgres.MaxConnections = 2
	c.ListenAddress = "127.0.0.1:0"
	s.config = c
}

func TestWhatAnApplicationWritesIsCarried(t *testing.T) {
	chosen := *seed
	if chosen == 0 {
		chosen = rand.Uint64N(1 << 32)
	}
	last := lasting(0.4)
	lasts := time.Duration(last * float64(time.Minute))
	say("seed %d: make chaos CAPTURE=Replication MINUTES=%v SEED=%d", chosen, last, chosen)
	t.Cleanup(func() {
		if t.Failed() {
			say("failed with seed %d", chosen)
			t.Logf("the seed was %d: replay with make chaos CAPTURE=Replication MINUTES=%v SEED=%d", chosen, last, chosen)
		}
	})
	s := newStreamed(t)
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "chaos.rate" })
	if !given {
		s.app.rate = streamedRate
	}
	for _, f := range s.flushers[:members] {
		if err := f.start(); err != nil {
			t.Fatal(err)
		}
	}
	s.must("a flusher reads the stream", time.Minute, func(ctx context.Context) error {
		_, err := s.reading(ctx)
		return err
	})

	started := time.Now()
	s.app.start(t.Context(), chosen)
	watching, stopWatching := context.WithCancel(t.Context())
	var watchers sync.WaitGroup
	reader := &tableReader{pool: s.db.Pool(), keys: s.keys, seen: s.sees}
	watchers.Go(func() { reader.run(watching) })
	watchers.Go(func() { s.watchHistories(watching) })
	storm := newStorm(s.world, chosen, s.kinds())
	watchers.Go(func() { s.progress(watching, storm, started) })
	waiting, stopWaiting := context.WithCancel(t.Context())
	var barriers sync.WaitGroup
	barriers.Go(func() { s.waits(waiting, chosen) })

	faults, over := context.WithTimeout(t.Context(), lasts)
	storm.rage(faults)
	over()
	stopWaiting()
	barriers.Wait()
	s.app.halt()
	s.drain()
	stopWatching()
	watchers.Wait()
	r := s.conclude(storm, reader)
	r.Seed, r.Seconds = chosen, time.Since(started).Seconds()
	r.print()
	if *report != "" {
		if err := r.save(*report); err != nil {
			t.Error(err)
		}
	}
	s.findings.report(t)
}

var errNobodyReads = errors.New("no flusher reads the stream")

// reading is the status of the flusher that reads the stream.
func (s *streamed) reading(ctx context.Context) (*config.Status, error) {
	for _, f := range s.flushers {
		status, err := f.status(ctx)
		if err == nil && status.Replication != nil && status.Replication.Reads && status.Replication.Attached {
			return status, nil
		}
	}
	return nil, errNobodyReads
}

// drain waits, with everything healed, until nothing is on its way any more.
func (s *streamed) drain() {
	s.t.Helper()
	if err := s.setLate(true); err != nil {
		s.t.Fatal(err)
	}
	for _, f := range s.flushers[:members] {
		if err := f.start(); err != nil {
			s.t.Fatal(err)
		}
	}
	since := time.Now()
	s.must("all is carried", drainTime, func(ctx context.Context) error {
		status, err := s.reading(ctx)
		if err != nil {
			return err
		}
		if len(status.Queues) != len(s.config.Mappings) {
			return fmt.Errorf("it has %d queues", len(status.Queues))
		}
		for _, q := range status.Queues {
			if q.Depth != 0 {
				since = time.Now()
				return fmt.Errorf("queue %s is %+v, replication %+v", q.Name, q, status.Replication)
			}
		}
		// The witness is written after the last flush, and pings go on. How far Redis has come is
		// looked at once a second.
		if r := status.Replication; !r.Scanned || r.BehindBytes > 200 {
			since = time.Now()
			return fmt.Errorf("replication is %+v", r)
		}
		if time.Since(since) < 3*time.Second {
			return errors.New("it has only just become so")
		}
		return nil
	})
}
