// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// piecemeal opens a queue whose claims, acknowledgements and repairs are made of calls
// for two entries each.
func piecemeal(t *testing.T) *fixture {
	f := open(t, journaltest.New(t), onePartition)
	f.check(nil, f.j.Piecemeal(t.Context(), 2))
	return f
}

// room calls back before each page.
type room struct {
	before  func()
	refuses bool
	most    int
	taken   int
	used    int
}

func (r *room) take(bytes int) {
	if r.before != nil {
		r.before()
	}
	r.taken, r.most = bytes, max(r.most, bytes)
}

func (r *room) Take(_ context.Context, bytes int) error { r.take(bytes); return nil }

func (r *room) TryTake(bytes int) bool {
	r.take(bytes)
	return !r.refuses
}

func (r *room) Settle(used int) { r.used += used }

func (f *fixture) claimIn(l *entry.Term, most entry.Bounds, r *room) *entry.Claim {
	f.t.Helper()
	most.Room = r
	claim, err := f.j.Claim(f.t.Context(), l, "product:", most)
	f.check(nil, err)
	return claim
}

func TestAClaimOfManyPagesIsOneClaim(t *testing.T) {
	f := piecemeal(t)
	f.fill(7)
	l := f.lease("a", 0, 1)
	wrote := false
	claim := f.claimIn(l, upTo(7), &room{before: func() {
		// A write between two pages: the entry is as new as its own page.
		if !wrote && l.Step > 0 {
			f.set("product:5", `{"late":1}`)
			wrote = true
		}
	}})
	if keysOf(claim) != "0 1 2 3 4 5 6" || claim.Entries[5].Value != `{"late":1}` || claim.Entries[5].Writes != 2 {
		t.Errorf("the claim is %+v", claim.Entries)
	}
	if !f.acknowledge(claim, entry.Done) || f.acknowledge(claim, entry.Done) {
		t.Error("the acknowledgement does not apply once")
	}
	if s := f.stats(); s.Depth != 0 || s.Flushed != 7 || f.load().Step != l.Step {
		t.Errorf("stats are %+v, the step is %d and %d", s, f.load().Step, l.Step)
	}
}

func TestAPageOfAVoidClaimIsRefused(t *testing.T) {
	for name, meanwhile := range map[string]func(*fixture){
		"another epoch has begun":     func(f *fixture) { f.begin(0, "a", 2, 0, 0) },
		"another claim was made":      func(f *fixture) { f.claim(lease(0, "a", 1), 1) },
		"the lease has another owner": func(f *fixture) { f.check(nil, f.j.Leave(f.t.Context(), queue, "a")); f.lease("b", 0, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			f := piecemeal(t)
			f.fill(6)
			l := f.lease("a", 0, 1)
			done := false
			bounds := upTo(6)
			bounds.Room = &room{before: func() {
				if l.Step == 1 && !done {
					done = true
					f.check(f.rdb.HSet(t.Context(), "wb:{products:0}:meta", "step", 0).Result())
					meanwhile(f)
					f.check(f.rdb.HSet(t.Context(), "wb:{products:0}:meta", "step", 1).Result())
				}
			}}
			claim, err := f.j.Claim(t.Context(), l, "product:", bounds)
			if !errors.Is(err, entry.ErrClaimVoid) && !errors.Is(err, entry.ErrLeaseLost) {
				t.Errorf("the claim is %+v, %v", claim, err)
			}
		})
	}
}

// TestAClaimAsksForRoomPageByPage: a value that is larger than a page is asked for by its
// own length, and what there is no room for stays for the next claim.
func TestAClaimAsksForRoomPageByPage(t *testing.T) {
	f := piecemeal(t)
	f.j.PageBytes(1000)
	large := strings.Repeat("x", 5000)
	for i, value := range []string{large, "small", "small", large} {
		f.set(fmt.Sprintf("product:%d", i), value)
	}
	l := f.lease("a", 0, 1)
	r := &room{refuses: true}
	claim := f.claimIn(l, upTo(4), r)
	if keysOf(claim) != "0" || r.most < 5000 || r.most > 7000 || r.used < 5000 || r.used > 6000 {
		t.Errorf("claimed %s; asked for %d bytes, %d used", keysOf(claim), r.most, r.used)
	}
	f.acknowledge(claim, entry.Done)
	r = &room{}
	if claim = f.claimIn(l, upTo(4), r); keysOf(claim) != "1 2 3" {
		t.Errorf("claimed %s", keysOf(claim))
	}
	f.acknowledge(claim, entry.Done)
	for i := range 3 {
		f.set(fmt.Sprintf("product:%d", i), large)
	}
	if claim, err := f.j.Claim(t.Context(), l, "product:", entry.Bounds{Entries: 3, Bytes: 11_000}); err != nil || keysOf(claim) != "0 1" {
		t.Errorf("of 11,000 bytes: claimed %s, %v", keysOf(claim), err)
	}
}

// TestTheOrderIsMadeAnewWhileWritersGoOn has a take-over in the middle too.
func TestTheOrderIsMadeAnewWhileWritersGoOn(t *testing.T) {
	f := piecemeal(t)
	f.fill(9)
	l := f.lease("a", 0, 1)
	f.acknowledge(f.claim(l, 1), entry.Refused)
	f.check(f.rdb.Del(t.Context(), "wb:{products:0}:q").Result())
	calls := 0
	interrupted, cancel := context.WithCancel(t.Context())
	bounds := upTo(20)
	bounds.Room = &room{before: func() {
		if calls++; calls == 4 {
			cancel()
		}
		f.set(fmt.Sprintf("product:%d", 9+calls), "{}") // a new key
		f.set("product:3", "{}")                        // one that is dirty
	}}
	if claim, err := f.j.Claim(interrupted, l, "product:", bounds); err == nil {
		t.Fatalf("claimed %s in spite of the end", keysOf(claim))
	}
	if pending := f.stats(); pending.Depth != 13 || pending.OldestMilliseconds < 0 {
		t.Errorf("meanwhile stats are %+v", pending)
	}
	f.check(nil, f.j.Leave(t.Context(), queue, "a"))
	f.set("product:20", "{}")
	claim := f.claim(f.lease("b", 0, 2), 20)
	if keysOf(claim) != "0 1 2 3 4 5 6 7 8 10 11 12 13 20" || !claim.Rebuilt {
		t.Errorf("claimed %s, made anew: %v", keysOf(claim), claim.Rebuilt)
	}
	f.acknowledge(claim, entry.Done)
	if s := f.stats(); s.Depth != 0 {
		t.Errorf("stats are %+v", s)
	}
	if left := f.rdb.Keys(t.Context(), "wb:{products:0}:mend").Val(); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// TestEntriesThatAreDeletedByHandAreALoss: their keys stand in the order, or wait for
// another try, and nothing else tells of them.
func TestEntriesThatAreDeletedByHandAreALoss(t *testing.T) {
	const q, ops = "wb:{products:0}:q", "wb:{products:0}:ops"
	for name, c := range map[string]struct {
		edit       func(f *fixture)
		gone, left int64
	}{
		"all":       {func(f *fixture) { f.check(f.rdb.Del(f.t.Context(), ops).Result()) }, 7, 0},
		"one":       {func(f *fixture) { f.check(f.rdb.HDel(f.t.Context(), ops, "product:5").Result()) }, 1, 6},
		"a refused": {func(f *fixture) { f.check(f.rdb.HDel(f.t.Context(), ops, "product:0").Result()) }, 1, 6},
		"one that stands there twice": {func(f *fixture) {
			f.check(f.rdb.HDel(f.t.Context(), ops, "product:5").Result())
			f.check(f.rdb.RPush(f.t.Context(), q, "product:5", "product:5").Result())
		}, 1, 6},
		"none, but keys twice": {func(f *fixture) {
			f.check(f.rdb.RPush(f.t.Context(), q, "product:5", "product:5", "product:6").Result())
		}, 0, 7},
		"none, but keys of others":     {func(f *fixture) { f.check(f.rdb.RPush(f.t.Context(), q, "order:1", "product:").Result()) }, 0, 7},
		"none, but the order":          {func(f *fixture) { f.check(f.rdb.Del(f.t.Context(), q).Result()) }, 0, 7},
		"all, and one is written anew": {func(f *fixture) { f.check(f.rdb.Del(f.t.Context(), ops).Result()); f.set("product:9", "{}") }, 7, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := piecemeal(t)
			f.fill(7)
			l := f.lease("a", 0, 1)
			f.settle(f.claim(l, 1), entry.Refused, time.Minute)
			c.edit(f)
			claim := f.claim(l, 20)
			if claim.Gone != c.gone || int64(len(claim.Entries)) != c.left || !claim.Rebuilt {
				t.Errorf("%d entries are gone and %d claimed, want %d and %d", claim.Gone, len(claim.Entries), c.gone, c.left)
			}
			f.acknowledge(claim, entry.Done)
			if again := f.claim(l, 20); again.Gone != 0 || again.Rebuilt || len(again.Entries) != 0 {
				t.Errorf("the next claim is %+v", again)
			}
			if s := f.stats(); s.DataLoss != min(c.gone, 1) || s.Depth != 0 || s.Coalesced != 0 || s.Writes != s.Flushed+c.gone {
				t.Errorf("stats are %+v", s)
			}
			if left := f.rdb.Exists(t.Context(), "wb:{products:0}:gone", "wb:{products:0}:mend").Val(); left != 0 {
				t.Error("the repair leaves keys behind")
			}
		})
	}
}

// TestWhatIsGoneIsToldOfAClaimThatFails at a page after the one that has told it.
func TestWhatIsGoneIsToldOfAClaimThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		step string
		want error
	}{
		"the lease is lost":             {"lease", entry.ErrLeaseLost},
		"Redis came back with old data": {"meta", entry.ErrStep},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := piecemeal(t)
			f.fill(7)
			l := f.lease("a", 0, 1)
			f.check(f.rdb.HDel(t.Context(), "wb:{products:0}:ops", "product:1", "product:5").Result())
			most := upTo(20)
			most.Room = &room{before: func() {
				// Once the first page is there, and the number has been told.
				if l.Step == 1 {
					f.check(f.rdb.Del(t.Context(), "wb:{products:0}:"+c.step).Result())
				}
			}}
			claim, err := f.j.Claim(t.Context(), l, "product:", most)
			if !errors.Is(err, c.want) {
				t.Fatalf("the claim fails with %v", err)
			}
			if claim == nil || claim.Gone != 2 || !claim.Rebuilt {
				t.Errorf("the claim tells %+v", claim)
			}
		})
	}
}

// TestACursorFromBeforeARestartLosesNothing: Redis orders its hashes by chance in every
// process, so that a cursor from another one passes entries over.
func TestACursorFromBeforeARestartLosesNothing(t *testing.T) {
	f := piecemeal(t)
	f.fill(9)
	f.check(f.rdb.Del(t.Context(), "wb:{products:0}:q").Result())
	f.check(f.rdb.HSet(t.Context(), "wb:{products:0}:meta", "mending", "moving").Result())
	if claim := f.claim(f.lease("a", 0, 1), 20); keysOf(claim) != "0 1 2 3 4 5 6 7 8" {
		t.Errorf("claimed %s", keysOf(claim))
	}
}

// TestDeadLettersAreListedWithoutTheirPayloads also has letters of the release before, a
// newer write of one, and names that the release before gives.
func TestDeadLettersAreListedWithoutTheirPayloads(t *testing.T) {
	f := piecemeal(t)
	l := f.lease("a", 0, 1)
	large := strings.Repeat("x", 100_000)
	for i := range 20 {
		f.bury(l, fmt.Sprintf("product:%d", i), large)
	}
	list := func(least, most int) {
		t.Helper()
		raw, err := f.rdb.Do(t.Context(), "FCALL_RO", "wb_engine_known", 0, journal.Settings(
			"queue", queue, "partition", "0", "cursor", "0", "count", "1000", "bytes", "250000")).Slice()
		f.check(nil, err)
		if n := len(raw[1].([]any)) / 2; n < least || n > most || len(fmt.Sprint(raw)) > 10_000 {
			t.Errorf("one call lists %d letters, in %d bytes", n, len(fmt.Sprint(raw)))
		}
	}
	list(20, 20)
	for i := range 20 {
		key := fmt.Sprintf("product:%d", i)
		old := f.rdb.HGet(t.Context(), "wb:{products:0}:dlq", key).Val() + "\n" + large
		f.check(f.rdb.HSet(t.Context(), "wb:{products:0}:dlq", key, old).Result())
	}
	list(3, 10)
	all := make(map[string]*entry.DeadLetter)
	for letter, err := range f.j.DeadLetters(t.Context(), queue) {
		f.check(nil, err)
		if letter.Payload != "" {
			t.Errorf("%s comes with %d bytes", letter.Key, len(letter.Payload))
		}
		all[letter.Key] = letter
	}
	if len(all) != 20 {
		t.Errorf("%d letters are listed", len(all))
	}
	if whole, err := f.j.DeadLetter(t.Context(), queue, "product:3"); err != nil || whole.Payload != large {
		t.Errorf("the letter is %.100v, %v", whole, err)
	}
	if _, err := f.j.DeadLetter(t.Context(), queue, "product:99"); !errors.Is(err, entry.ErrNoLetter) {
		t.Errorf("of a key without letter: %v", err)
	}
	f.check(f.j.Replay(t.Context(), queue, all["product:3"]))
	f.check(nil, f.j.Discard(t.Context(), queue, all["product:4"]))
	before := f.rdb.HGet(t.Context(), "wb:{products:0}:dlq", "product:5").Val()
	f.bury(l, "product:5", "newer")
	for _, name := range []string{before, before[:len(before)/2], ""} {
		mustFail(t, f.rdb.FCall(t.Context(), "wb_engine_discard", []string{"product:5"}, queue, name), "WBNOLETTER")
	}
	f.check(f.rdb.FCall(t.Context(), "wb_engine_replay", []string{"product:6"}, queue,
		f.rdb.HGet(t.Context(), "wb:{products:0}:dlq", "product:6").Val()).Result())
	if s := f.stats(); s.Dead != 18 || f.rdb.Get(t.Context(), "product:6").Val() != large {
		t.Errorf("stats are %+v", s)
	}
}
