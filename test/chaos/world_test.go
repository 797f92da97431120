// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

const (
	queue  = "items"
	prefix = "item:"
	// members is how many flushers there are, guests how many more may join.
	members = 3
	guests  = 2
	// batchSize is small, so that a claim of a busy partition fills it.
	batchSize  = 100
	partitions = 8
	// capacity is less than there are keys: a database that is away for some seconds
	// fills the queue.
	capacity = 6000
	// diskMegabytes is the disk of PostgreSQL: a fresh server takes 40, its log of
	// changes at most 160, the rest is room for the history.
	diskMegabytes = "512"
)

// leaseTime is how long a flusher that is not heard of keeps its partitions; the
// program's default.
const leaseTime = 4 * time.Second

// world is everything that a run needs.
type world struct {
	t        *testing.T
	findings *findings
	history  *history
	crowd    *crowd
	redis    *journaltest.Server
	rdb      *redis.Client
	journal  *journal.Journal
	postgres *postgrestest.Server
	db       *postgrestest.Database
	flushers []*flusher
	reader   *reader
	// altered counts the changes of the table's columns.
	altered int
	// deepest is the most that the queue was seen to hold.
	deepest int64

	// disk is the folder of PostgreSQL's small disk; empty where none can be had.
	disk    string
	leftOut map[string]string

	configMu sync.Mutex
	config   *config.Config
}

// newWorld starts the servers.
func newWorld(t *testing.T, options ...journaltest.Option) *world {
	t.Helper()
	build(t, "usual")
	w := &world{t: t, findings: &findings{}, leftOut: make(map[string]string)}
	w.history = newHistory(ownKeys, sharedKeys+spareKeys+chainKeys, batchSize, w.findings)
	w.redis = journaltest.New(t, options...)
	client := w.redis.Options()
	client.ContextTimeoutEnabled = true
	w.rdb = w.redis.ClientWith(t, client)
	w.journal = journal.New(w.rdb)
	w.disk = w.mount()
	w.postgres = postgrestest.NewServer(t, postgrestest.Options{
		Dir: w.disk,
		Settings: map[string]string{
			"max_wal_size": "64MB", "min_wal_size": "32MB", "checkpoint_timeout": "30s",
			"log_min_messages": "panic", "log_min_error_statement": "panic",
		},
	})
	w.db = w.postgres.NewDatabase(t)
	w.db.Exec(t, tableSQL)
	w.reader = &reader{pool: w.db.Pool(), history: w.history}
	w.crowd = &crowd{history: w.history, server: w.redis, queue: queue, prefix: prefix, rate: *rate}
	w.configure()
	for i := range members + guests {
		w.place(i)
	}
	t.Cleanup(func() {
		for _, f := range w.flushers {
			f.kill()
		}
	})
	return w
}

// mount makes a small disk for PostgreSQL, or says why there is none. It goes with
// the test, and with this process if that is killed.
func (w *world) mount() string {
	folder, err := os.MkdirTemp("", "chaos")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := mountMemory(folder, diskMegabytes); err != nil {
		w.leftOut[diskFull] = fmt.Sprintf("no small disk can be mounted: %v", err)
		_ = os.Remove(folder)
		return ""
	}
	// The kernel does not take a mount away with the process that made it; a shell
	// that waits for the end of its input does.
	guard := exec.Command("/bin/sh", "-c", `cat >/dev/null; umount -l "$1" 2>/dev/null; rmdir "$1" 2>/dev/null; true`, "sh", folder)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var input io.WriteCloser
	if input, err = guard.StdinPipe(); err == nil {
		err = guard.Start()
	}
	w.t.Cleanup(func() {
		if err := unmount(folder); err != nil {
			w.t.Errorf("Unmount PostgreSQL's disk: %v", err)
		}
		if input != nil {
			_ = input.Close()
			_ = guard.Wait()
		}
		_ = os.Remove(folder)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return folder
}

func (w *world) configure() {
	c := config.Default()
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Table, m.KeyColumn = queue, prefix, "public.items", "id"
	m.Partitions, m.TimeToLiveSeconds = partitions, 2
	c.Mappings = []config.Mapping{m}
	c.Revision = 1
	c.Flush = config.Flush{
		IntervalMilliseconds: 100, BatchSize: batchSize, Concurrency: 2, MaxRetries: 2,
		CircuitBreaker: config.CircuitBreaker{FailureThreshold: 3, OpenMilliseconds: 500},
	}
	c.Database.Postgres.StatementTimeoutSeconds = 2
	c.Database.Postgres.MaxConnections = 2
	c.Backpressure.MaxQueueDepth = capacity
	c.ListenAddress = "127.0.0.1:0"
	w.config = c
}

// place prepares a place for one flusher, with ways of its own to the servers.
func (w *world) place(number int) {
	dir := w.t.TempDir()
	f := &flusher{number: number, file: filepath.Join(dir, "config.yaml"), findings: w.findings, logs: *logs}
	name := strconv.Itoa(number)
	f.toRedis = newProxy(w.t, "redis-"+name, w.redis.Addr())
	f.toPostgres = newProxy(w.t, "postgres-"+name, net.JoinHostPort("127.0.0.1", strconv.Itoa(w.postgres.Port())))
	target, err := url.Parse(w.db.URL())
	if err != nil {
		w.t.Fatal(err)
	}
	target.Host = f.toPostgres.Listen
	if err := os.WriteFile(filepath.Join(dir, "uri"), []byte(target.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.flushers = append(w.flushers, f)
	if err := w.writeConfig(f); err != nil {
		w.t.Fatal(err)
	}
}

// writeConfig puts a flusher's config in place, whole or not at all.
func (w *world) writeConfig(f *flusher) error {
	c := *w.config
	if c.Redis.External.Mode == config.ModeStandalone {
		c.Redis.External.Addresses = []string{f.toRedis.Listen}
	}
	c.Database.Postgres.URLFile = filepath.Join(filepath.Dir(f.file), "uri")
	data, err := c.Marshal()
	if err != nil {
		return err
	}
	return programs.PutFile(f.file, data)
}

// reconfigure gives all flushers new live settings.
func (w *world) reconfigure(change func(c *config.Config)) error {
	w.configMu.Lock()
	defer w.configMu.Unlock()
	change(w.config)
	w.config.Revision++
	for _, f := range w.flushers {
		if err := w.writeConfig(f); err != nil {
			return err
		}
	}
	return nil
}

// startFlushers starts the members and waits until they share all partitions.
func (w *world) startFlushers() {
	w.t.Helper()
	for _, f := range w.flushers[:members] {
		if err := f.start(); err != nil {
			w.t.Fatal(err)
		}
	}
	w.must("every flusher holds partitions, and the ledger all of them", time.Minute, func(ctx context.Context) error {
		for _, f := range w.flushers[:members] {
			status, err := f.status(ctx)
			if err == nil && len(status.Queues[0].Partitions) == 0 {
				err = errors.New("it holds none")
			}
			if err != nil {
				return fmt.Errorf("flusher %d: %w", f.number, err)
			}
		}
		var begun int
		err := w.db.Pool().QueryRow(ctx, "SELECT count(*) FROM writebehind.ledger").Scan(&begun)
		if err == nil && begun != partitions {
			err = fmt.Errorf("the ledger has %d of %d", begun, partitions)
		}
		return err
	})
}

// pollInterval separates two looks at something that is waited for.
const pollInterval = 50 * time.Millisecond

// await looks until check has nothing to complain about, and returns the last
// complaint when the time or the context is over.
func await(ctx context.Context, within time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

// every does something at an interval until the context ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

func (w *world) must(what string, within time.Duration, check func(context.Context) error) {
	w.t.Helper()
	if err := await(context.WithoutCancel(w.t.Context()), within, check); err != nil {
		w.findings.report(w.t)
		w.t.Fatalf("%s: not within %v: %v", what, within, err)
	}
}
