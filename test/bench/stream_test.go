// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/load"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

// seldom is for what the flusher has work with: to put its metrics together takes two milliseconds.
var seldom = programs.Patience{Limit: patience.Limit, Interval: 50 * time.Millisecond}

// stream is a flusher, a process of its own, that reads the replication stream of a Redis.
type stream struct {
	b        *testing.B
	server   *journaltest.Server
	database *postgrestest.Database
	client   *redis.Client
	pair     *servers.Pair
	flusher  *programs.Flusher
}

const backlogMebibytes = 2048

// streamed is a Redis whose backlog holds whatever is written here.
func streamed(b *testing.B) *journaltest.Server {
	b.Helper()
	return journaltest.New(b, journaltest.Config("lazyfree-lazy-expire yes", "lazyfree-lazy-eviction yes",
		"repl-diskless-sync-delay 0", fmt.Sprintf("repl-backlog-size %dmb", backlogMebibytes), "client-output-buffer-limit replica 0 0 0"))
}

// buildFlusher returns the path of the program.
func buildFlusher(b *testing.B) string {
	b.Helper()
	folder := b.TempDir()
	if err := programs.Build(b.Context(), folder, nil, "cmd/flusher"); err != nil {
		b.Fatal(err)
	}
	return filepath.Join(folder, "flusher")
}

// startStream starts a flusher, which flushes as BenchmarkDrain's unless it is told otherwise.
func startStream(b *testing.B, program string, server *journaltest.Server, database *postgrestest.Database, edits ...func(*config.Config)) *stream {
	b.Helper()
	s := &stream{b: b, server: server, database: database, client: server.Client(b), pair: servers.Join(b, server, database)}
	c := s.pair.Config
	c.Capture = config.CaptureReplication
	c.Revision = time.Now().UnixMilli()
	c.Database.Postgres.MaxConnections = concurrency
	c.Flush.IntervalMilliseconds, c.Flush.BatchSize, c.Flush.Concurrency = 1000, batchSize, concurrency
	for _, edit := range edits {
		edit(c)
	}
	servers.Put(b, s.pair.File, c)
	s.flusher = programs.RunFlusher(b, patience, exec.Command(program, "--config", s.pair.File))
	return s
}

// stop ends the flusher, so that another one may begin anew.
func (s *stream) stop() {
	s.b.Helper()
	s.flusher.Stop(s.b, time.Minute)
}

// suspend has the flusher read on and flush nothing, or flush again.
func (s *stream) suspend(how bool) {
	s.b.Helper()
	c := s.pair.Config
	c.Suspend = how
	c.Revision++
	servers.Put(s.b, s.pair.File, c)
	s.until("the settings are in force", func(status *config.Status) bool { return status.Suspended == how && status.Revision == c.Revision })
}

// until waits until the flusher's status is so.
func (s *stream) until(what string, so func(*config.Status) bool) {
	s.b.Helper()
	s.flusher.Eventually(s.b, patience, what, func() error {
		status, err := s.status()
		if err == nil && !so(status) {
			err = fmt.Errorf("the status is %+v, %+v", *status, status.Replication)
		}
		return err
	})
}

// flushed counts the rows so far. The numbers of the status are up to a second old.
func (s *stream) flushed() float64 {
	s.b.Helper()
	return s.counted("writebehind_writes_total{", `outcome="flushed"`)
}

// counted is what a metric of the flusher counts that begins so, with that label.
func (s *stream) counted(metric, label string) float64 {
	s.b.Helper()
	response, err := s.get("/metrics")
	if err != nil {
		s.b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, metric) && strings.Contains(line, label) {
			n, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, " "):]), 64)
			if err != nil {
				s.b.Fatal(err)
			}
			return n
		}
	}
	return 0
}

func (s *stream) get(path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(s.b.Context(), http.MethodGet, "http://"+s.flusher.Address+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	// It is not to compress what it says.
	request.Header.Set("Accept-Encoding", "identity")
	return http.DefaultClient.Do(request)
}

func (s *stream) status() (*config.Status, error) {
	response, err := s.get("/status")
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	status := new(config.Status)
	if err := json.NewDecoder(response.Body).Decode(status); err != nil {
		return nil, err
	}
	if status.Replication == nil || len(status.Queues) == 0 {
		return nil, errors.New("the status says nothing of the stream")
	}
	return status, nil
}

// carried tells whether everything is in the table that was read, and all was read.
func carried(status *config.Status) bool {
	r := status.Replication
	return r.Attached && r.Scanned && r.BehindBytes == 0 && status.Queues[0].Depth == 0
}

// reads waits until the flusher reads the stream and has read all keys.
func (s *stream) reads() {
	s.b.Helper()
	s.until("the stream is read", carried)
}

// set writes so many products with plain SETs. The edition is part of each value.
func (s *stream) set(keys, edition int) {
	s.b.Helper()
	const pipeline = 500
	for first := 1; first <= keys; first += pipeline {
		if _, err := s.client.Pipelined(s.b.Context(), func(p redis.Pipeliner) error {
			for id := first; id < min(first+pipeline, keys+1); id++ {
				document, err := product(id, edition).MarshalJSON()
				if err != nil {
					return err
				}
				p.Set(s.b.Context(), prefix+strconv.Itoa(id), document, 0)
			}
			return nil
		}); err != nil {
			s.b.Fatal(err)
		}
	}
}

func product(id, edition int) load.Product {
	return load.Product{Name: fmt.Sprintf("Product %d, edition %d", id, edition), PriceCents: int64(id), Stock: int32(edition), UpdatedAt: time.Unix(0, 0).UTC()}
}

// rows tells how many rows are of that edition.
func (s *stream) rows(edition int) int {
	s.b.Helper()
	n, err := strconv.Atoi(s.database.Value(s.b, "SELECT count(*) FROM products WHERE stock = $1", edition))
	if err != nil {
		s.b.Fatal(err)
	}
	return n
}

// BenchmarkStreamDrain updates the rows of keys that are dirty all at once: beside
// BenchmarkDrain's update, by the raw statement and with the capture functions.
func BenchmarkStreamDrain(b *testing.B) {
	database := postgrestest.New(b)
	database.Exec(b, load.CreateTable)
	s := startStream(b, buildFlusher(b), streamed(b), database)
	s.reads()
	s.set(entries, 0)
	s.reads()
	edition := 0
	b.Run("raw", func(b *testing.B) {
		for range b.N {
			database.Exec(b, "VACUUM ANALYZE products")
			database.Exec(b, "CHECKPOINT")
			report(b, raw(b, database.Pool()))
		}
	})
	b.Run("drain", func(b *testing.B) {
		for range b.N {
			edition++
			s.suspend(true)
			s.set(entries, edition)
			s.until("all keys are dirty", func(status *config.Status) bool { return status.Queues[0].Depth == entries })
			database.Exec(b, "VACUUM ANALYZE products")
			database.Exec(b, "CHECKPOINT")
			before := s.flushed()
			// Until the file is noticed nothing is flushed.
			s.suspend(false)
			flusher, redis := s.processor(), processorTime(b, s.client)
			started := time.Now()
			s.flusher.Eventually(b, seldom, "all is flushed", func() error {
				if n := s.flushed() - before; n < entries {
					return fmt.Errorf("%v rows are", n)
				}
				return nil
			})
			report(b, time.Since(started))
			b.ReportMetric((s.processor()-flusher)*1e6/entries, "µs-flusher/row")
			b.ReportMetric((processorTime(b, s.client)-redis)*1e6/entries, "µs-redis/row")
			if n := s.rows(edition); n != entries {
				b.Fatalf("%d rows of edition %d", n, edition)
			}
		}
	})
	s.stop()
}

const million = 1_000_000

// BenchmarkStreamMemory has a million keys dirty, and looks at what the flusher takes for
// each beyond its name; "drained" is what it takes for each when none is dirty any more.
func BenchmarkStreamMemory(b *testing.B) {
	database := postgrestest.New(b)
	database.Exec(b, load.CreateTable)
	program := buildFlusher(b)
	for range b.N {
		s := startStream(b, program, streamed(b), database)
		s.reads()
		empty := s.resident()
		s.suspend(true)
		s.set(million, 1)
		s.until("all keys are dirty", func(status *config.Status) bool { return status.Queues[0].Depth == million })
		names := float64(len(prefix)*million + 6*million)
		b.ReportMetric((s.resident()-empty-names)/million, "B/key")
		s.suspend(false)
		most := 0.0
		s.until("all is flushed", func(status *config.Status) bool {
			most = max(most, s.resident())
			return status.Queues[0].Depth == 0
		})
		b.ReportMetric((most-empty-names)/million, "B/key-draining")
		b.ReportMetric(0, "ns/op")
		s.stop()
	}
}

// processor is what the flusher has taken of its processors, in seconds.
func (s *stream) processor() float64 {
	s.b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.flusher.PID()))
	if err != nil {
		s.b.Fatal(err)
	}
	// Behind the name, which is in parentheses, the 12th and 13th fields are ticks.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	ticks := 0.0
	for _, field := range fields[11:13] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			s.b.Fatal(err)
		}
		ticks += n
	}
	return ticks / 100
}

// resident is the memory of the flusher, in bytes.
func (s *stream) resident() float64 {
	s.b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.flusher.PID()))
	if err != nil {
		s.b.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(data))[1])
	if err != nil {
		s.b.Fatal(err)
	}
	return float64(pages * os.Getpagesize())
}

// BenchmarkStreamScan has a flusher begin with a million keys that the table has already.
// "rows" are those that it writes, and "ms-longest" is the longest that Redis did not answer.
func BenchmarkStreamScan(b *testing.B) {
	database := postgrestest.New(b)
	database.Exec(b, load.CreateTable)
	program, server := buildFlusher(b), streamed(b)
	filler := &stream{b: b, client: server.Client(b)}
	filler.set(million, 1)
	database.Exec(b, `INSERT INTO products SELECT id, 'Product ' || id || ', edition 1', id / 100.0, 1, 'epoch' FROM generate_series(1, $1) id`, million)
	for range b.N {
		database.Exec(b, `DROP SCHEMA IF EXISTS writebehind CASCADE`)
		database.Exec(b, "VACUUM ANALYZE products")
		before := database.Value(b, "SELECT txid_current()")
		ctx, cancel := context.WithCancel(b.Context())
		longest := make(chan time.Duration, 1)
		go pings(ctx, server.Client(b), longest)
		started := time.Now()
		s := startStream(b, program, server, database)
		s.reads()
		b.ReportMetric(time.Since(started).Seconds(), "s")
		cancel()
		b.ReportMetric((<-longest).Seconds()*1000, "ms-longest")
		written := database.Value(b, "SELECT count(*) FROM products WHERE xmin::text::bigint > $1::bigint", before)
		n, err := strconv.ParseFloat(written, 64)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(n, "rows")
		b.ReportMetric(0, "ns/op")
		s.stop()
	}
}

// pings tells the longest time that an answer took.
func pings(ctx context.Context, client *redis.Client, longest chan<- time.Duration) {
	var most time.Duration
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			longest <- most
			return
		case asked := <-ticker.C:
			if client.Ping(ctx).Err() == nil {
				most = max(most, time.Since(asked))
			}
		}
	}
}

// BenchmarkStreamBarrier has eight clients wait after each write until it is committed: with
// WAITAOF where the server knows it, otherwise with WAIT. The flusher has the settings that it
// has by default, or a short interval. One operation is a few writes of each client.
func BenchmarkStreamBarrier(b *testing.B) {
	program := buildFlusher(b)
	for _, interval := range []int{config.Default().Flush.IntervalMilliseconds, 50} {
		database := postgrestest.New(b)
		database.Exec(b, load.CreateTable)
		s := startStream(b, program, streamed(b), database, func(c *config.Config) {
			c.Flush = config.Default().Flush
			c.Flush.IntervalMilliseconds = interval
		})
		s.reads()
		wait := []any{"WAITAOF", 0, 1, 30_000}
		if s.client.Do(b.Context(), wait...).Err() != nil {
			wait = []any{"WAIT", 1, 30_000}
		}
		b.Run(fmt.Sprintf("%s/interval=%dms", wait[0], interval), func(b *testing.B) {
			s.b = b
			s.barrier(wait, max(2, 5000/interval))
		})
		s.b = b
		s.stop()
	}
}

// barrier has each client write so many times for each operation, and wait each time.
func (s *stream) barrier(wait []any, writes int) {
	b := s.b
	const clients = 8
	took := make(chan []time.Duration, clients)
	batches, commits := s.counted("writebehind_batch_size_count{", ""), s.commits()
	started := time.Now()
	for c := range clients {
		go func() {
			mine, err := s.waits(c, clients, writes*b.N, wait)
			if err != nil {
				b.Error(err)
			}
			took <- mine
		}()
	}
	var all []time.Duration
	for range clients {
		all = append(all, <-took...)
	}
	seconds := time.Since(started).Seconds()
	if len(all) != clients*writes*b.N {
		b.Fatalf("%d writes of %d", len(all), clients*writes*b.N)
	}
	slices.Sort(all)
	b.ReportMetric(all[len(all)/2].Seconds()*1000, "ms-p50")
	b.ReportMetric(all[len(all)*99/100].Seconds()*1000, "ms-p99")
	b.ReportMetric((s.counted("writebehind_batch_size_count{", "")-batches)/seconds, "batches/s")
	b.ReportMetric(float64(s.commits()-commits)/seconds, "commits/s")
	b.ReportMetric(float64(len(all))/seconds, "writes/s")
	b.ReportMetric(0, "ns/op")
}

// waits writes so many times, and waits after each.
func (s *stream) waits(client, clients, writes int, wait []any) (took []time.Duration, err error) {
	options := s.server.Options()
	options.ReadTimeout = time.Minute // WAIT takes its time.
	own := redis.NewClient(options)
	defer func() { _ = own.Close() }()
	conn := own.Conn()
	defer func() { _ = conn.Close() }()
	for n := client; n < clients*writes; n += clients {
		document, err := product(n, 1).MarshalJSON()
		if err != nil {
			return took, err
		}
		started := time.Now()
		if err := conn.Set(s.b.Context(), prefix+strconv.Itoa(n), document, 0).Err(); err != nil {
			return took, err
		}
		answer := conn.Do(s.b.Context(), wait...)
		took = append(took, time.Since(started))
		switch replicas, err := committed(answer); {
		case err != nil:
			return took, err
		case replicas != 1:
			return took, fmt.Errorf("%v: %d replicas", wait, replicas)
		}
	}
	return took, nil
}

// committed is how many replicas have what was waited for: the last number of the answer.
func committed(answer *redis.Cmd) (int64, error) {
	if numbers, err := answer.Int64Slice(); err == nil {
		return numbers[len(numbers)-1], nil
	}
	return answer.Int64()
}

// commits counts the transactions of the database so far.
func (s *stream) commits() int64 {
	s.b.Helper()
	n, err := strconv.ParseInt(s.database.Value(s.b, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"), 10, 64)
	if err != nil {
		s.b.Fatal(err)
	}
	return n
}
