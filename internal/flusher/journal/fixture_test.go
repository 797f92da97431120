// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// awayServer is what the Redis client leaves for a second when it is closed while a server
// or Sentinel is away.
const awayServer = "github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"

// TestMain makes sure that nothing which was started goes on after it was stopped.
func TestMain(m *testing.M) {
	journal.Quiet()
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(awayServer))
}

const queue = "products"

// leaseTime is long enough that no lease runs out by accident.
const leaseTime = 60_000

func settings(change ...func(*config.QueueSettings)) config.QueueSettings {
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Partitions = queue, "product:", 4
	s := config.QueueSettings{
		Owner: "test", Revision: 1, Mapping: m,
		MaxDepth: 1000, WhenFull: config.WhenFullReject, State: config.StateOpen,
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

// onePartition makes the order of a test's entries plain.
func onePartition(s *config.QueueSettings) { s.Mapping.Partitions = 1 }

type fixture struct {
	t   *testing.T
	rdb *redis.Client
	j   *journal.Journal
}

// open starts a Redis with the queue in it.
func open(t *testing.T, server *journaltest.Server, change ...func(*config.QueueSettings)) *fixture {
	t.Helper()
	f := &fixture{t: t, rdb: server.Client(t)}
	f.j = journal.New(f.rdb)
	f.check(f.j.EnsureLibrary(t.Context()))
	if _, err := f.j.Open(t.Context(), settings(change...), "journal-1", false); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) check(_ any, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) set(key, value string) int64 {
	f.t.Helper()
	version, err := f.rdb.FCall(f.t.Context(), "wb_set", []string{key}, queue, value).Int64()
	f.check(nil, err)
	return version
}

// fill writes the keys product:0 to product:n-1.
func (f *fixture) fill(n int) {
	f.t.Helper()
	for i := range n {
		f.set(fmt.Sprintf("product:%d", i), "{}")
	}
}

func (f *fixture) del(key string) int64 {
	f.t.Helper()
	version, err := f.rdb.FCall(f.t.Context(), "wb_del", []string{key}, queue).Int64()
	f.check(nil, err)
	return version
}

func (f *fixture) stats() entry.Stats {
	f.t.Helper()
	stats, err := f.j.Stats(f.t.Context(), queue)
	f.check(nil, err)
	return stats
}

// lease takes every partition for the member and begins the epoch on it.
func (f *fixture) lease(member string, partition int, epoch int64) *entry.Term {
	f.t.Helper()
	f.beat(member)
	l := lease(partition, member, epoch)
	_, err := f.j.Begin(f.t.Context(), l, 0, 0, nil, false)
	f.check(nil, err)
	return l
}

func lease(partition int, member string, epoch int64) *entry.Term {
	return &entry.Term{Shard: entry.Shard{Queue: queue, Partition: partition, Incarnation: "journal-1"}, Member: member, Epoch: epoch}
}

func (f *fixture) beat(member string) entry.Membership {
	f.t.Helper()
	beat, err := f.j.Beat(f.t.Context(), settings(), member, leaseTime, entry.Seen{})
	f.check(beat, err)
	return beat
}

func (f *fixture) begin(partition int, member string, epoch, floor, committed int64) entry.Agreement {
	f.t.Helper()
	verdict, err := f.j.Begin(f.t.Context(), lease(partition, member, epoch), floor, committed, nil, false)
	f.check(nil, err)
	return verdict
}

func (f *fixture) claim(l *entry.Term, most int) *entry.Claim {
	f.t.Helper()
	claim, err := f.j.Claim(f.t.Context(), l, "product:", upTo(most))
	f.check(nil, err)
	return claim
}

func (f *fixture) acknowledge(c *entry.Claim, outcome entry.Outcome) bool {
	f.t.Helper()
	return f.settle(c, outcome, 0).Applied
}

// settle acknowledges with the same outcome, and wait before another try, for all.
func (f *fixture) settle(c *entry.Claim, outcome entry.Outcome, wait time.Duration) entry.Receipt {
	f.t.Helper()
	receipt, err := f.j.Acknowledge(f.t.Context(), c, all(c, outcome, wait))
	f.check(nil, err)
	return receipt
}

func (f *fixture) load() entry.Load {
	f.t.Helper()
	loads, err := f.j.Poll(f.t.Context(), queue, []int{0})
	f.check(nil, err)
	return loads.Of[0]
}

// upTo are the bounds of a claim that takes whatever is there, up to a number.
func upTo(entries int) entry.Bounds {
	return entry.Bounds{Entries: entries, Retries: entries, Bytes: 1 << 20}
}

// all settles every entry of the claim alike.
func all(c *entry.Claim, outcome entry.Outcome, wait time.Duration) []entry.Settlement {
	settlements := make([]entry.Settlement, len(c.Entries))
	for i := range settlements {
		settlements[i] = settled(outcome, wait)
	}
	return settlements
}

// settled has what a dead letter tells, if the entry becomes one.
func settled(outcome entry.Outcome, wait time.Duration) entry.Settlement {
	s := entry.Settlement{Outcome: outcome, Wait: wait}
	if outcome == entry.Dead || outcome == entry.Lost {
		s.Letter = &entry.DeadLetter{
			Attempts: 4, Cause: entry.CauseRefused, SQLState: "23514", Constraint: "products_stock_check",
			Message: "new row violates\na check", LastFailure: time.Now().UTC(),
		}
	}
	return s
}

// dump is everything that Redis holds, so that a test can say that nothing has
// changed.
func dump(t *testing.T, rdb *redis.Client) map[string]string {
	t.Helper()
	all := make(map[string]string)
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		value, err := rdb.Dump(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		ttl, err := rdb.PTTL(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		all[key] = fmt.Sprintf("%v %x", ttl > 0, value)
	}
	return all
}

// scriptDenied is what a function answers that meets a key which its user may not
// touch: Redis 7.0 has no code of its own for it, later ones say NOPERM.
const scriptDenied = "ERR|NOPERM"

func mustFail(t *testing.T, cmd redis.Cmder, codes string) {
	t.Helper()
	err := cmd.Err()
	got := ""
	if err != nil {
		got, _, _ = strings.Cut(err.Error(), " ")
	}
	if !slices.Contains(strings.Split(codes, "|"), got) {
		t.Errorf("%v: got error %v, want one of code %s", cmd.Args(), err, codes)
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func keysOf(c *entry.Claim) string {
	var keys []string
	for _, e := range c.Entries {
		keys = append(keys, strings.TrimPrefix(e.Key, "product:"))
	}
	return strings.Join(keys, " ")
}

// snapshot is what Redis holds, as DUMP gives it.
func (f *fixture) snapshot() map[string]string {
	f.t.Helper()
	all := make(map[string]string)
	for _, key := range f.rdb.Keys(f.t.Context(), "*").Val() {
		value, err := f.rdb.Dump(f.t.Context(), key).Result()
		f.check(nil, err)
		all[key] = value
	}
	return all
}

// restore puts a snapshot back.
func (f *fixture) restore(snapshot map[string]string) {
	f.t.Helper()
	f.check(f.rdb.FlushDB(f.t.Context()).Result())
	for key, value := range snapshot {
		f.check(f.rdb.Restore(f.t.Context(), key, 0, value).Result())
	}
}
