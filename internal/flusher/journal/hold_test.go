// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

var holdEntries = flag.Int("hold.entries", 1_000_000, "entries of the queue of BenchmarkHold")

// The schema's limits.
const (
	mostBatch      = 10_000
	mostPartitions = 256
)

// mostMembers are more than any queue ever has.
const mostMembers = 10_000

// stopwatch notes for every function the longest call, in the processor's time of Redis'
// main thread: what else the machine does is not in it.
type stopwatch struct {
	rdb     *redis.Client
	longest map[string]time.Duration
	calls   map[string]int
}

func (*stopwatch) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*stopwatch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *stopwatch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !strings.HasPrefix(cmd.Name(), "fcall") {
			return next(ctx, cmd)
		}
		before := s.used(ctx)
		err := next(ctx, cmd)
		took := s.used(ctx) - before
		name := fmt.Sprint(cmd.Args()[1])
		s.longest[name] = max(s.longest[name], took)
		s.calls[name]++
		return err
	}
}

func (s *stopwatch) used(ctx context.Context) time.Duration {
	var all float64
	for line := range strings.Lines(s.rdb.Info(ctx, "cpu").Val()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user_main_thread" || name == "used_cpu_sys_main_thread" {
			seconds, _ := strconv.ParseFloat(value, 64)
			all += seconds
		}
	}
	return time.Duration(all * float64(time.Second))
}

// pile puts entries from to to-1 into partition 0 as writes would have, a thousand in a
// call. refused ones wait for another try.
const pile = `
local ops, q, late, retry, names = {}, {}, {}, {}, {}
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
  local key = 'product:' .. string.format('%.0f', i)
  local version = string.format('%.0f', 1700000000000000 + i)
  ops[#ops + 1] = key
  ops[#ops + 1] = 's' .. ARGV[3] .. ':' .. version .. ':' .. version .. ':1'
  q[#q + 1] = key
  late[#late + 1] = version
  late[#late + 1] = key
  retry[#retry + 1] = 0
  retry[#retry + 1] = key
  names[#names + 1] = key
  names[#names + 1] = '{"name":"a product of the usual length","price":12.5,"stock":7}'
end
redis.call('MSET', unpack(names))
redis.call('HSET', 'wb:{products:0}:ops', unpack(ops))
if ARGV[3] == '0' then
  redis.call('RPUSH', 'wb:{products:0}:q', unpack(q))
else
  redis.call('ZADD', 'wb:{products:0}:late', unpack(late))
  redis.call('ZADD', 'wb:{products:0}:retry', unpack(retry))
end
return 1`

// BenchmarkHold tells for how long the longest call of every function holds Redis, with a
// queue, batches and partitions as large as they can be. No call may take more than 25 ms.
func BenchmarkHold(b *testing.B) {
	server := journaltest.New(b)
	rdb := server.Client(b)
	watch := &stopwatch{rdb: server.Client(b), longest: make(map[string]time.Duration), calls: make(map[string]int)}
	rdb.AddHook(watch)
	ctx := b.Context()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	j := journal.New(rdb)
	for b.Loop() {
		must(rdb.FlushAll(ctx).Err())
		_, err := j.EnsureLibrary(ctx)
		must(err)
		s := settings(func(s *config.QueueSettings) { s.Mapping.Partitions, s.MaxDepth = mostPartitions, 10_000_000 })
		_, err = j.Open(ctx, s, "journal-1", false)
		must(err)
		put := func(from, to, attempts int) {
			for at := from; at < to; at += 1000 {
				must(rdb.Eval(ctx, pile, nil, at, min(at+1000, to), attempts).Err())
			}
		}
		n := *holdEntries
		put(0, n, 0)
		put(n, 2*n, 1)
		members := make([]any, 0, 2*mostMembers)
		for i := range mostMembers {
			members = append(members, fmt.Sprintf("a flusher that is dead, number %d", i), 1)
		}
		must(rdb.HSet(ctx, "wb:{products}:members", members...).Err())
		_, err = j.Beat(ctx, s, "a", leaseTime, entry.Seen{})
		must(err)
		l := lease(0, "a", 1)
		_, err = j.Begin(ctx, l, 0, 0, nil, false)
		must(err)
		numbers := make([]int, mostPartitions)
		for i := range numbers {
			numbers[i] = i
		}
		claim := func() *entry.Claim {
			c, err := j.Claim(ctx, l, "product:", entry.Bounds{Entries: mostBatch, Retries: 16, Bytes: 16 << 20})
			must(err)
			return c
		}
		settle := func(outcome entry.Outcome) {
			c := claim()
			_, err := j.Acknowledge(ctx, c, all(c, outcome, 0))
			must(err)
		}
		settle(entry.Done)
		settle(entry.Refused)
		for range n / 10 / mostBatch {
			settle(entry.Dead)
		}
		_, err = j.Poll(ctx, queue, numbers)
		must(err)
		_, err = j.Stats(ctx, queue)
		must(err)
		for _, err := range j.DeadLetters(ctx, queue) {
			must(err)
		}
		must(rdb.Del(ctx, "wb:{products:0}:q").Err())
		claim()
		must(j.Leave(ctx, queue, "a"))
	}
	for _, name := range slices.Sorted(maps.Keys(watch.longest)) {
		took := watch.longest[name]
		b.Logf("%-20s %6d calls, the longest %v", name, watch.calls[name], took)
		b.ReportMetric(took.Seconds()*1000, name+"-ms")
		if took > 25*time.Millisecond {
			b.Errorf("a call of %s holds Redis for %v", name, took)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPoll tells what a poll of 16 partitions costs Redis in microseconds, where none
// has entries and where each has some. A flusher that has nothing to do polls each of its
// queues up to 20 times a second.
func BenchmarkPoll(b *testing.B) {
	for name, waiting := range map[string]bool{"empty": false, "waiting": true} {
		b.Run(name, func(b *testing.B) {
			rdb := journaltest.New(b).Client(b)
			ctx := b.Context()
			j := journal.New(rdb)
			_, err := j.EnsureLibrary(ctx)
			programs.Must(b, err)
			s := settings(func(s *config.QueueSettings) { s.Mapping.Partitions = 16 })
			_, err = j.Open(ctx, s, "journal-1", false)
			programs.Must(b, err)
			numbers := make([]int, s.Mapping.Partitions)
			for p := range numbers {
				numbers[p] = p
			}
			for key := 0; waiting && key < 1000; key++ {
				programs.Must(b, rdb.FCall(ctx, "wb_set", []string{fmt.Sprintf("product:%d", key)}, queue, "{}").Err())
			}
			watch := &stopwatch{rdb: rdb}
			before := watch.used(ctx)
			for b.Loop() {
				loads, err := j.Poll(ctx, queue, numbers)
				programs.Must(b, err)
				if found := slices.ContainsFunc(loads.Of, func(l entry.Load) bool { return l.Entries > 0 }); found != waiting {
					b.Fatalf("the poll tells %+v", loads)
				}
			}
			b.ReportMetric(float64((watch.used(ctx)-before).Microseconds())/float64(b.N), "redis-µs/op")
		})
	}
}
