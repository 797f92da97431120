// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

const payloads = "wb:{products:0}:payloads"

// soundLetter is what is known of a letter, as the journal has it.
const soundLetter = `{"key":"product:1","operation":"set","version":1,"attempts":4,"cause":"Refused","message":"no"}`

// known are the queue's letters as a walk tells them, by key.
func (f *fixture) known() map[string]*entry.DeadLetter {
	f.t.Helper()
	all := make(map[string]*entry.DeadLetter)
	for letter, err := range f.j.DeadLetters(f.t.Context(), queue) {
		f.check(nil, err)
		all[letter.Key] = letter
	}
	return all
}

// TestNobodyReadsPayloadsToListLetters: whoever may not even read them lists all.
func TestNobodyReadsPayloadsToListLetters(t *testing.T) {
	server := journaltest.New(t, journaltest.User("lister on >secret ~wb:{products}:queue ~wb:{products:0}:dlq +@all"))
	f := open(t, server, onePartition)
	f.bury(f.lease("a", 0, 1), "product:1", strings.Repeat("x", 1<<20))
	lister := &fixture{t: t, j: journal.New(server.ClientAs(t, "lister", "secret"))}
	if letters := lister.known(); len(letters) != 1 || letters["product:1"].SQLState != "23514" {
		t.Errorf("listed are %v", letters)
	}
	if n := f.rdb.HGet(t.Context(), "wb:{products:0}:dlq", "product:1").Val(); len(n) > 1000 {
		t.Errorf("the letter has %d bytes beside its payload", len(n))
	}
}

// TestAPayloadGoesWithItsLetter: otherwise it stays for ever, or comes to belong to a
// later letter of the key.
func TestAPayloadGoesWithItsLetter(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(f *fixture, l *entry.Term)
		left string
	}{
		"replayed": {func(f *fixture, _ *entry.Term) { f.check(f.j.Replay(f.t.Context(), queue, f.known()["product:1"])) }, ""},
		"discarded": {func(f *fixture, _ *entry.Term) {
			f.check(nil, f.j.Discard(f.t.Context(), queue, f.known()["product:1"]))
		}, ""},
		"superseded": {func(f *fixture, l *entry.Term) {
			f.set("product:1", "{}")
			f.acknowledge(f.claim(l, 10), entry.Done)
		}, ""},
		"newer":           {func(f *fixture, l *entry.Term) { f.bury(l, "product:1", "newer") }, "newer"},
		"newer and empty": {func(f *fixture, l *entry.Term) { f.bury(l, "product:1", "") }, ""},
		"a deletion":      {func(f *fixture, l *entry.Term) { f.del("product:1"); f.acknowledge(f.claim(l, 10), entry.Dead) }, ""},
		"a value that is lost": {func(f *fixture, l *entry.Term) {
			f.set("product:1", "{}")
			f.rdb.Del(f.t.Context(), "product:1")
			f.acknowledge(f.claim(l, 10), entry.Lost)
		}, ""},
		"deleted by hand, and another flushed": {func(f *fixture, l *entry.Term) {
			f.check(f.rdb.Del(f.t.Context(), "wb:{products:0}:dlq").Result())
			f.set("product:2", "{}")
			f.acknowledge(f.claim(l, 10), entry.Done)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, journaltest.New(t), onePartition)
			l := f.lease("a", 0, 1)
			f.bury(l, "product:1", "bad")
			if got := f.rdb.HGetAll(t.Context(), payloads).Val(); !maps.Equal(got, map[string]string{"product:1": "bad"}) {
				t.Fatalf("payloads are %v", got)
			}
			c.end(f, l)
			if got := f.rdb.HGet(t.Context(), payloads, "product:1").Val(); got != c.left || c.left == "" && f.rdb.Exists(t.Context(), payloads).Val() != 0 {
				t.Errorf("the payload is %q, want %q", got, c.left)
			}
			for _, letter := range f.deadLetters() {
				if letter.Payload != c.left {
					t.Errorf("the letter is %+v", letter)
				}
			}
		})
	}
}

// TestLettersOfTheReleaseBeforeGoOn: their payload follows what is known, behind a line
// feed.
func TestLettersOfTheReleaseBeforeGoOn(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	ctx := t.Context()
	l := f.lease("a", 0, 1)
	for i := 1; i <= 5; i++ {
		f.check(f.rdb.HSet(ctx, "wb:{products:0}:dlq", fmt.Sprintf("product:%d", i), soundLetter+"\n"+`{"n":`+fmt.Sprint(i)+"}\n").Result())
	}
	letters := f.known()
	if got := slices.Sorted(maps.Keys(letters)); len(got) != 5 || letters["product:1"].Cause != entry.CauseRefused {
		t.Fatalf("listed are %v", got)
	}
	if whole, err := f.j.DeadLetter(ctx, queue, "product:2"); err != nil || whole.Payload != "{\"n\":2}\n" || whole.Attempts != 4 {
		t.Errorf("the letter is %+v, %v", whole, err)
	}
	f.check(f.j.Replay(ctx, queue, letters["product:1"]))
	if got := f.rdb.Get(ctx, "product:1").Val(); got != "{\"n\":1}\n" {
		t.Errorf("replayed is %q", got)
	}
	f.acknowledge(f.claim(l, 10), entry.Done)
	f.check(nil, f.j.Discard(ctx, queue, letters["product:2"]))
	f.set("product:3", "{}")
	f.acknowledge(f.claim(l, 10), entry.Done)
	f.bury(l, "product:4", "again")
	all := f.deadLetters()
	if s := f.stats(); s.Dead != 2 || all["product:4"].Payload != "again" || all["product:5"].Payload != "{\"n\":5}\n" {
		t.Errorf("stats are %+v, letters %v", s, all)
	}
	// The release before names a letter by all of it, whichever form it has.
	for _, key := range []string{"product:4", "product:5"} {
		name := all[key]
		known := f.rdb.HGet(ctx, "wb:{products:0}:dlq", key).Val()
		known, _, _ = strings.Cut(known, "\n")
		mustFail(t, f.rdb.FCall(ctx, "wb_engine_discard", []string{key}, queue, known+"\n"), "WBNOLETTER")
		mustFail(t, f.rdb.FCall(ctx, "wb_engine_discard", []string{key}, queue, known+"\n"+name.Payload+"x"), "WBNOLETTER")
		f.check(f.rdb.FCall(ctx, "wb_engine_discard", []string{key}, queue, known+"\n"+name.Payload).Result())
	}
}

// BenchmarkLetters tells for how long the longest call of every function holds Redis where
// letters are large. None that needs no payload may take more than 10 ms.
func BenchmarkLetters(b *testing.B) {
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
	large := "[" + strings.Repeat("9", 8_000_000)
	for b.Loop() {
		must(rdb.FlushAll(ctx).Err())
		_, err := j.EnsureLibrary(ctx)
		must(err)
		s := settings(onePartition)
		_, err = j.Open(ctx, s, "journal-1", false)
		must(err)
		_, err = j.Beat(ctx, s, "a", leaseTime, entry.Seen{})
		must(err)
		l := lease(0, "a", 1)
		_, err = j.Begin(ctx, l, 0, 0, nil, false)
		must(err)
		for i := range 20 {
			must(rdb.FCall(ctx, "wb_set", []string{fmt.Sprintf("product:%d", i)}, queue, large).Err())
			c, err := j.Claim(ctx, l, "product:", entry.Bounds{Entries: 1, Retries: 1, Bytes: 16 << 20})
			must(err)
			_, err = j.Acknowledge(ctx, c, all(c, entry.Dead, 0))
			must(err)
		}
		for letter, err := range j.DeadLetters(ctx, queue) {
			must(err)
			must(j.Discard(ctx, queue, letter))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(watch.longest)) {
		took := watch.longest[name]
		b.Logf("%-20s %6d calls, the longest %v", name, watch.calls[name], took)
		b.ReportMetric(took.Seconds()*1000, name+"-ms")
		if took > 10*time.Millisecond && (name == "wb_engine_known" || name == "wb_engine_discard") {
			b.Errorf("a call of %s holds Redis for %v", name, took)
		}
	}
	b.ReportMetric(0, "ns/op")
}
