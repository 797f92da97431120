// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
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
)

// BenchmarkStreamWrite has redis-benchmark write to a Redis that is alone, to one with a
// replica that is another Redis, and to one with a flusher of the usual settings, in turn: one
// operation is one turn of each. Reported are medians: calls a second, the part that this is
// of what the Redis alone took in the same turn, what its own processor time is for a call,
// and how many processors everybody has used while the benchmark ran. It is measured once the
// flusher has come to its pace: the same was written for longer than an interval by then.
func BenchmarkStreamWrite(b *testing.B) {
	program := buildFlusher(b)
	// Each run takes longer than an interval.
	for _, load := range []struct{ pipeline, calls int }{{1, 500_000}, {16, 2_500_000}} {
		b.Run(fmt.Sprintf("pipeline=%d", load.pipeline), func(b *testing.B) {
			all := []*written{
				{name: "alone", server: streamed(b)},
				{name: "replica", server: streamed(b)},
				{name: "flusher", server: streamed(b)},
			}
			all[1].joinReplica(b)
			all[2].joinFlusher(b, program)
			for range b.N {
				for _, w := range all {
					w.write(b, load.pipeline, load.calls)
				}
			}
			for _, w := range all {
				w.report(b, all[0])
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// written is a Redis that is written to, with whom it shares the machine.
type written struct {
	name   string
	server *journaltest.Server
	// others are the processes beside it, by what they are called in the report. settle waits
	// until they have done what the writes have made.
	others map[string]func() []int
	settle func()
	// flushed counts the rows so far.
	flushed func() float64

	// Of each turn, rates are calls a second, costs µs of Redis for a call, rows those that were
	// flushed in a second while it ran, and used processors.
	rates, costs, rows []float64
	used               map[string][]float64
}

func (w *written) joinReplica(b *testing.B) {
	replica := journaltest.New(b, journaltest.Config(fmt.Sprintf("replicaof 127.0.0.1 %d", w.server.Port())))
	client := replica.Client(b)
	patience.Eventually(b, "the replica has the stream", func() error {
		info, err := client.Info(b.Context(), "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New(info)
		}
		return err
	})
	w.others = map[string]func() []int{"replica": func() []int { return []int{replica.PID()} }}
	w.fill(b)
}

func (w *written) joinFlusher(b *testing.B, program string) {
	database := postgrestest.New(b)
	database.Exec(b, "CREATE TABLE products (id text PRIMARY KEY, name text)")
	s := startStream(b, program, w.server, database, func(c *config.Config) { c.Flush = config.Default().Flush })
	s.reads()
	w.settle, w.flushed = s.reads, s.flushed
	w.others = map[string]func() []int{
		"flusher":    func() []int { return []int{s.flusher.PID()} },
		"postgresql": func() []int { return serverOf(b, database) },
	}
	w.fill(b)
}

// fill has the backlog of the server be as large as it gets, as that of one that has run for a
// while is.
func (w *written) fill(b *testing.B) {
	b.Helper()
	const length, pipeline = 15 << 10, 100
	client, value := w.server.Client(b), strings.Repeat("x", length)
	for range backlogMebibytes << 20 / length / pipeline {
		if _, err := client.Pipelined(b.Context(), func(p redis.Pipeliner) error {
			for range pipeline {
				p.Set(b.Context(), "filler", value, 0)
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// write is one turn.
func (w *written) write(b *testing.B, pipeline, calls int) {
	b.Helper()
	document := `{"name":"` + strings.Repeat("x", 189) + `"}`
	command := func() *exec.Cmd {
		return exec.CommandContext(b.Context(), "redis-benchmark", "-p", strconv.Itoa(w.server.Port()), "-c", "50", "-n", strconv.Itoa(calls),
			"-P", strconv.Itoa(pipeline), "-r", "100000", "--csv", "SET", prefix+"__rand_int__", document)
	}
	if err := command().Run(); err != nil {
		b.Fatal(err)
	}
	client := w.server.Client(b)
	var flushed float64
	if w.flushed != nil {
		flushed = w.flushed()
	}
	redisBefore := processorTime(b, client)
	before := make(map[string]float64)
	for name, pids := range w.others {
		before[name] = timeOf(pids()...)
	}
	measured := command()
	started := time.Now()
	out, err := measured.Output()
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(started).Seconds()
	if w.used == nil {
		w.used = make(map[string][]float64)
	}
	use := func(name string, seconds float64) { w.used[name] = append(w.used[name], seconds/took) }
	for name, pids := range w.others {
		use(name, timeOf(pids()...)-before[name])
	}
	redisTook := processorTime(b, client) - redisBefore
	use("redis", redisTook)
	use("benchmark", (measured.ProcessState.UserTime() + measured.ProcessState.SystemTime()).Seconds())
	w.rates = append(w.rates, perSecond(b, string(out)))
	w.costs = append(w.costs, redisTook*1e6/float64(calls))
	if w.flushed != nil {
		w.rows = append(w.rows, (w.flushed()-flushed)/took)
		w.settle()
	}
}

func (w *written) report(b *testing.B, alone *written) {
	b.ReportMetric(median(w.rates), "SET/s-"+w.name)
	b.ReportMetric(median(w.costs), "µs-redis/SET-"+w.name)
	if w != alone {
		b.ReportMetric(median(quotients(w.rates, alone.rates)), "x-SET/s-"+w.name)
		b.ReportMetric(median(quotients(w.costs, alone.costs)), "x-redis/SET-"+w.name)
	}
	var shares []string
	for name, used := range w.used {
		shares = append(shares, fmt.Sprintf("%s %.2f", name, median(used)))
	}
	slices.Sort(shares)
	b.Logf("%s: processors used: %s; SET/s %.0f, rows/s %.0f", w.name, strings.Join(shares, ", "), w.rates, w.rows)
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

func quotients(of, by []float64) []float64 {
	all := make([]float64, len(of))
	for i := range of {
		all[i] = of[i] / by[i]
	}
	return all
}

// perSecond reads the table of redis-benchmark: its second column is calls a second.
func perSecond(b *testing.B, table string) float64 {
	b.Helper()
	lines := strings.Split(strings.TrimSpace(table), "\n")
	columns := strings.Split(lines[len(lines)-1], ",")
	for _, column := range columns[1:] {
		if n, err := strconv.ParseFloat(strings.Trim(column, `"`), 64); err == nil {
			return n
		}
	}
	b.Fatalf("redis-benchmark said %q", table)
	return 0
}

// processorTime is what the server's main thread has taken, in seconds.
func processorTime(b *testing.B, client *redis.Client) (seconds float64) {
	b.Helper()
	info, err := client.Info(b.Context(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user_main_thread" || name == "used_cpu_sys_main_thread" {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			seconds += n
		}
	}
	return seconds
}

// serverOf are the processes of the database's server.
func serverOf(b *testing.B, database *postgrestest.Database) []int {
	b.Helper()
	backend, err := strconv.Atoi(database.Value(b, "SELECT pg_backend_pid()"))
	if err != nil {
		b.Fatal(err)
	}
	postmaster := parentOf(backend)
	all := []int{postmaster}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range stats {
		if pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))); parentOf(pid) == postmaster {
			all = append(all, pid)
		}
	}
	return all
}

// The places of what /proc/PID/stat says behind the program's name: its parent, and the time
// that it has taken, and its children that have ended, in hundredths of a second.
const (
	statParent = 1
	statTimes  = 11
	statEnd    = 15
	ticks      = 100
)

// stat is what the system says of a process, behind its name; nil where it has ended.
func stat(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, text, _ := strings.Cut(string(data), ") ")
	return strings.Fields(text)
}

func parentOf(pid int) int {
	words := stat(pid)
	if len(words) <= statParent {
		return 0
	}
	parent, _ := strconv.Atoi(words[statParent])
	return parent
}

// timeOf is the processor time of the processes in seconds.
func timeOf(pids ...int) (seconds float64) {
	for _, pid := range pids {
		words := stat(pid)
		if len(words) < statEnd {
			continue
		}
		for _, word := range words[statTimes:statEnd] {
			n, _ := strconv.ParseFloat(word, 64)
			seconds += n / ticks
		}
	}
	return seconds
}
