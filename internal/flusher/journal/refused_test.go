// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

func TestARefusedVersionThatWasWrittenOverIsStillMissing(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	first := f.set("product:1", `{"bad":true}`)
	claim := f.claim(f.lease("a", 0, 1), 10)
	f.set("product:1", `{"good":true}`)
	f.acknowledge(claim, entry.Refused)
	pending, err := f.rdb.FCallRO(t.Context(), "wb_pending", []string{"product:1"}, queue).Int64()
	if err != nil || pending != first {
		t.Errorf("wb_pending is %d, %v; want %d, which never reached the database", pending, err, first)
	}
	if s := f.stats(); s.Depth != 1 || s.Writes != 2 || s.Coalesced != 1 || s.Refused != 0 {
		t.Errorf("stats are %+v", s)
	}
}

func TestARefusedEntryWaitsAsideAndIsOvertaken(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.fill(3)
	l := f.lease("a", 0, 1)
	f.settle(f.claim(l, 1), entry.Refused, time.Minute)
	claim := f.claim(l, 10)
	if keysOf(claim) != "1 2" {
		t.Fatalf("claimed %q: one that waits is in the way", keysOf(claim))
	}
	if load := f.load(); load.Entries != 3 || load.Fresh != 2 || load.Due != 0 || load.HeadUndated {
		t.Errorf("load is %+v", load)
	}
	f.acknowledge(claim, entry.Kept)
	if claim = f.claim(l, 10); keysOf(claim) != "1 2" {
		t.Fatalf("kept entries changed: %q %+v", keysOf(claim), claim.Entries)
	}
	f.set("product:0", `{"good":true}`)
	f.acknowledge(claim, entry.Done)
	claim = f.claim(l, 10)
	if keysOf(claim) != "0" || claim.Entries[0].Attempts != 0 {
		t.Errorf("a new version waits, or keeps the old one's attempts: %+v", claim.Entries)
	}
	if s := f.stats(); s.Refused != 0 || s.Depth != 1 {
		t.Errorf("stats are %+v", s)
	}
}

func TestWhatIsDueIsTriedBeforeTheRestAndAFewAtATime(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.fill(5)
	l := f.lease("a", 0, 1)
	f.acknowledge(f.claim(l, 4), entry.Refused)
	if load := f.load(); load.Entries != 5 || load.Fresh != 1 || load.Due != 4 {
		t.Errorf("load is %+v", load)
	}
	claimed := func(bounds entry.Bounds) string {
		claim, err := f.j.Claim(t.Context(), l, "product:", bounds)
		f.check(claim, err)
		if claim.Rebuilt {
			t.Error("the journal takes itself to be edited by hand")
		}
		keys := strings.Fields(keysOf(claim))
		slices.Sort(keys)
		return strings.Join(keys, " ")
	}
	if got := claimed(entry.Bounds{Entries: 10, Retries: 0, Bytes: 1 << 20}); got != "4" {
		t.Errorf("claimed %q without retries, want 4", got)
	}
	first := claimed(entry.Bounds{Entries: 10, Retries: 2, Bytes: 1 << 20})
	if len(strings.Fields(first)) != 3 || !strings.HasSuffix(first, "4") {
		t.Errorf("claimed %q, want two that were refused and 4", first)
	}
	// A claim that was never acknowledged has left its retries at the head.
	if again := claimed(entry.Bounds{Entries: 10, Retries: 2, Bytes: 1 << 20}); again != first {
		t.Errorf("claimed %q after %q: retries pile up", again, first)
	}
	if load := f.load(); load.Entries != 5 || load.Fresh != 1 || load.Due != 4 {
		t.Errorf("load is %+v", load)
	}
	if got := claimed(upTo(10)); got != "0 1 2 3 4" {
		t.Errorf("claimed %q, want all", got)
	}
}

func TestARefusedEntryThatIsWrittenWhileItIsTriedAgainIsFresh(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.set("product:1", `{"bad":true}`)
	l := f.lease("a", 0, 1)
	f.acknowledge(f.claim(l, 1), entry.Refused)
	claim := f.claim(l, 1)
	f.set("product:1", `{"good":true}`)
	f.settle(claim, entry.Refused, time.Minute)
	claim = f.claim(l, 10)
	if keysOf(claim) != "1" || claim.Entries[0].Attempts != 0 || claim.Entries[0].Value != `{"good":true}` {
		t.Fatalf("claimed %+v", claim.Entries)
	}
	f.acknowledge(claim, entry.Done)
	if s := f.stats(); s.Depth != 0 || s.Refused != 0 || s.Writes != s.Flushed+s.Coalesced {
		t.Errorf("stats are %+v", s)
	}
}

// TestRefusedEntriesOfAnEarlierLibrary lay in the queue: the first claim has them
// wait aside, or every look at the queue would have to pass them.
func TestRefusedEntriesOfAnEarlierLibrary(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition, func(s *config.QueueSettings) { s.MaxDepth = 5000 })
	ctx := t.Context()
	const refused = 1500
	f.fill(refused)
	l := f.lease("a", 0, 1)
	f.acknowledge(f.claim(l, refused), entry.Refused)
	f.set("product:fresh", "{}")
	waiting := f.rdb.ZRange(ctx, "wb:{products:0}:retry", 0, -1).Val()
	f.check(f.rdb.LPush(ctx, "wb:{products:0}:q", waiting).Result())
	f.check(f.rdb.Del(ctx, "wb:{products:0}:retry").Result())

	claim, err := f.j.Claim(ctx, l, "product:", entry.Bounds{Entries: 10, Retries: 5, Bytes: 1 << 20})
	f.check(nil, err)
	if len(claim.Entries) != 6 || !claim.Rebuilt {
		t.Errorf("claimed %d entries, rebuilt %v; want 5 refused ones and the fresh one", len(claim.Entries), claim.Rebuilt)
	}
	if load := f.load(); load.Fresh != 1 || load.Due != refused || load.Entries != refused+1 {
		t.Errorf("load is %+v", load)
	}
}

// TestTimesOfTheNextTrySurviveNoClockThatWasPutBack lets a refusal have been noted
// while Redis' clock was a year ahead.
func TestTimesOfTheNextTrySurviveNoClockThatWasPutBack(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.set("product:1", "{}")
	l := f.lease("a", 0, 1)
	f.settle(f.claim(l, 1), entry.Refused, time.Minute)
	if claim := f.claim(l, 1); len(claim.Entries) != 0 {
		t.Fatalf("claimed %q before its time", keysOf(claim))
	}
	const year = 365 * 24 * 3600 * 1000
	f.check(f.rdb.ZIncrBy(t.Context(), "wb:{products:0}:retry", year, "product:1").Result())
	if load := f.load(); load.Due != 1 {
		t.Errorf("load is %+v", load)
	}
	if claim := f.claim(l, 1); keysOf(claim) != "1" {
		t.Errorf("claimed %q", keysOf(claim))
	}
}

func TestTheOldestEntryCountsThoughItWasRefused(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	first := f.set("product:old", "{}")
	l := f.lease("a", 0, 1)
	f.acknowledge(f.claim(l, 1), entry.Refused)
	newer := f.set("product:new", "{}")
	f.acknowledge(f.claim(l, 1), entry.Refused) // new is behind old now
	s := f.stats()
	if least := (newer - first) / 1000; s.OldestMilliseconds < least {
		t.Errorf("the oldest is %d ms old, want at least %d", s.OldestMilliseconds, least)
	}
	f.acknowledge(f.claim(l, 10), entry.Done)
	if s := f.stats(); s.OldestMilliseconds != 0 || s.Refused != 0 {
		t.Errorf("stats of an empty queue are %+v", s)
	}
}
