// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

func TestAWriteBetweenClaimAndAcknowledgementStaysDirty(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	first := f.set("product:1", `{"n":1}`)
	f.set("product:2", `{"n":1}`)
	l := f.lease("a", 0, 1)
	claim := f.claim(l, 10)
	second := f.set("product:1", `{"n":2}`)
	f.acknowledge(claim, entry.Done)

	pending, err := f.rdb.FCallRO(t.Context(), "wb_pending", []string{"product:1"}, queue).Int64()
	if err != nil || pending <= first || pending > second {
		t.Errorf("wb_pending is %d, %v; want above %d and at most %d", pending, err, first, second)
	}
	if ttl := f.rdb.TTL(t.Context(), "product:1").Val(); ttl != -1 {
		t.Errorf("the dirty key has the TTL %v", ttl)
	}
	again := f.claim(l, 10)
	if keysOf(again) != "1" || again.Entries[0].Value != `{"n":2}` || again.Entries[0].Version != second || again.Entries[0].Writes != 1 {
		t.Errorf("claimed again: %+v", again.Entries)
	}
	f.acknowledge(again, entry.Done)
	if s := f.stats(); s.Depth != 0 || s.Writes != 3 || s.Flushed != 3 || s.Coalesced != 0 {
		t.Errorf("stats are %+v", s)
	}
}

func TestAnAcknowledgementAppliesOnce(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.fill(4)
	l := f.lease("a", 0, 1)
	claim := f.claim(l, 2)
	if !f.acknowledge(claim, entry.Done) {
		t.Error("the first acknowledgement did not apply")
	}
	if f.acknowledge(claim, entry.Done) {
		t.Error("the second acknowledgement applied too")
	}
	if got := keysOf(f.claim(l, 10)); got != "2 3" {
		t.Errorf("left are %q, want 2 3", got)
	}
	if s := f.stats(); s.Depth != 2 || s.Flushed != 2 {
		t.Errorf("stats are %+v", s)
	}
}

// TestAJournalEditedByHandIsMadeAnew in each way that a poll or a claim can notice:
// whatever is wrong, the next claim has every entry, and things add up afterwards.
func TestAJournalEditedByHandIsMadeAnew(t *testing.T) {
	for name, edit := range map[string]func(context.Context, *redis.Client) error{
		"an entry of the queue is gone": func(ctx context.Context, rdb *redis.Client) error { return rdb.RPop(ctx, "wb:{products:0}:q").Err() },
		"the queue is gone":             func(ctx context.Context, rdb *redis.Client) error { return rdb.Del(ctx, "wb:{products:0}:q").Err() },
		"what waits is gone":            func(ctx context.Context, rdb *redis.Client) error { return rdb.Del(ctx, "wb:{products:0}:retry").Err() },
		"one more was refused": func(ctx context.Context, rdb *redis.Client) error {
			late := []redis.Z{{Score: 1, Member: "x"}, {Score: 2, Member: "y"}, {Score: 3, Member: "z"}}
			return rdb.ZAdd(ctx, "wb:{products:0}:late", late...).Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, journaltest.New(t), onePartition)
			f.fill(4)
			l := f.lease("a", 0, 1)
			f.settle(f.claim(l, 2), entry.Refused, time.Minute)
			f.check(nil, edit(t.Context(), f.rdb))
			if load := f.load(); load.Fresh+load.Due == 0 {
				t.Fatalf("nobody would claim: load is %+v", load)
			}
			claim := f.claim(l, 10)
			keys := strings.Fields(keysOf(claim))
			slices.Sort(keys)
			if strings.Join(keys, " ") != "0 1 2 3" || !claim.Rebuilt {
				t.Fatalf("claimed %q, rebuilt %v", keys, claim.Rebuilt)
			}
			if s := f.stats(); s.Refused != 2 {
				t.Errorf("stats are %+v", s)
			}
			f.acknowledge(claim, entry.Done)
			if s := f.stats(); s.Depth != 0 || s.Refused != 0 {
				t.Errorf("stats are %+v", s)
			}
		})
	}
}

// TestAnAnswerThatIsLostIsNoLoss: the journal is further than its owner knows.
func TestAnAnswerThatIsLostIsNoLoss(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.set("product:1", "{}")
	l := f.lease("a", 0, 1)
	known := *l
	claim := f.claim(l, 1)
	if verdict, err := f.j.Begin(t.Context(), lease(0, "a", 2), 0, 0, &known, false); err != nil || verdict != entry.Agreed {
		t.Errorf("after a claim's answer was lost: %v, %v", verdict, err)
	}
	version := claim.Entries[0].Version
	l = f.lease("a", 0, 3)
	claim = f.claim(l, 1)
	known = *l
	f.acknowledge(claim, entry.Done)
	if verdict, err := f.j.Begin(t.Context(), lease(0, "a", 4), version, version, &known, false); err != nil || verdict != entry.Agreed {
		t.Errorf("after an acknowledgement's answer was lost: %v, %v", verdict, err)
	}
	if s := f.stats(); s.DataLoss != 0 {
		t.Errorf("stats are %+v", s)
	}
}

func TestAValueThatIsGoneIsADataLossEvent(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.set("product:1", "{}")
	f.rdb.Del(t.Context(), "product:1")
	claim := f.claim(f.lease("a", 0, 1), 10)
	if len(claim.Entries) != 1 || !claim.Entries[0].Lost {
		t.Fatalf("claim is %+v", claim.Entries)
	}
	f.acknowledge(claim, entry.Lost)
	if s := f.stats(); s.DataLoss != 1 || s.Depth != 0 || s.Flushed != 0 {
		t.Errorf("stats are %+v", s)
	}
}

func TestOnlyTheOwnerInItsEpochMayClaimAndAcknowledge(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	ctx := t.Context()
	f.set("product:1", "{}")
	before := f.lease("a", 0, 1)
	claim := f.claim(before, 10)
	f.check(nil, f.j.Leave(ctx, queue, "a"))
	after := f.lease("b", 0, 2)

	if _, err := f.j.Claim(ctx, before, "product:", upTo(10)); !errors.Is(err, entry.ErrLeaseLost) {
		t.Errorf("the predecessor's claim answers %v", err)
	}
	if _, err := f.j.Acknowledge(ctx, claim, all(claim, entry.Done, 0)); !errors.Is(err, entry.ErrLeaseLost) {
		t.Errorf("the predecessor's acknowledgement answers %v", err)
	}
	if _, err := f.j.Begin(ctx, before, 0, 0, nil, false); !errors.Is(err, entry.ErrLeaseLost) {
		t.Errorf("the predecessor begins again: %v", err)
	}
	other := *after
	other.Incarnation = "journal-0"
	if _, err := f.j.Begin(ctx, &other, 0, 0, nil, false); !errors.Is(err, entry.ErrLeaseLost) {
		t.Errorf("an epoch of another life of the queue begins: %v", err)
	}
	if _, err := f.j.Claim(ctx, &other, "product:", upTo(10)); !errors.Is(err, entry.ErrLeaseLost) {
		t.Errorf("a lease of another life of the queue claims: %v", err)
	}
	if _, err := f.j.Claim(ctx, after, "item:", upTo(10)); !errors.Is(err, entry.ErrLeaseLost) {
		t.Errorf("a claim for another prefix answers %v", err)
	}
	f.acknowledge(f.claim(after, 10), entry.Done)
	if s := f.stats(); s.Flushed != 1 || s.Depth != 0 {
		t.Errorf("stats are %+v", s)
	}
}

func TestANewEpochOrANewClaimMakesTheOldClaimVoid(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	ctx := t.Context()
	f.set("product:1", "{}")
	l := f.lease("a", 0, 1)
	old := f.claim(l, 10)
	f.claim(l, 10)
	if _, err := f.j.Acknowledge(ctx, old, all(old, entry.Done, 0)); !errors.Is(err, entry.ErrClaimVoid) {
		t.Errorf("a claim that was replaced is acknowledged: %v", err)
	}
	old = f.claim(l, 10)
	f.begin(0, "a", 2, 0, 0)
	old.Term.Epoch = 2
	if _, err := f.j.Acknowledge(ctx, old, all(old, entry.Done, 0)); !errors.Is(err, entry.ErrClaimVoid) {
		t.Errorf("a claim of the last epoch is acknowledged: %v", err)
	}
	if s := f.stats(); s.Depth != 1 {
		t.Errorf("stats are %+v", s)
	}
}

// TestAJournalThatWentBackIsNotTakenForTheOneBefore puts back what Redis held before
// a claim or an acknowledgement, with the same owner, epoch and life of the queue.
func TestAJournalThatWentBackIsNotTakenForTheOneBefore(t *testing.T) {
	for name, until := range map[string]string{"an acknowledgement is gone": "acknowledge", "a claim is gone": "claim"} {
		t.Run(name, func(t *testing.T) {
			f := open(t, journaltest.New(t), onePartition)
			ctx := t.Context()
			l := f.lease("a", 0, 1)
			f.set("product:1", "{}")
			f.acknowledge(f.claim(l, 10), entry.Done)
			f.set("product:2", "{}")
			var older map[string]string
			if until == "claim" {
				older = f.snapshot()
			}
			claim := f.claim(l, 10)
			if until == "acknowledge" {
				older = f.snapshot()
			}
			f.acknowledge(claim, entry.Done)
			if load := f.load(); load.Step != l.Step {
				t.Fatalf("the journal is at step %d, its owner at %d", load.Step, l.Step)
			}
			f.restore(older)
			if load := f.load(); load.Step == l.Step {
				t.Errorf("both are at step %d", load.Step)
			}
			f.set("product:3", "{}")
			if _, err := f.j.Claim(ctx, l, "product:", upTo(10)); !errors.Is(err, entry.ErrStep) {
				t.Errorf("a claim answers %v", err)
			}
			// The ledger alone would not tell where a claim was out that explains it.
			version := claim.Entries[0].Version
			verdict, err := f.j.Begin(ctx, lease(0, "a", 2), 0, version, l, false)
			if err != nil || verdict != entry.RedisWentBack || f.stats().DataLoss != 1 {
				t.Errorf("the verdict is %v, %v; stats are %+v", verdict, err, f.stats())
			}
			// The answer is lost, and the owner knows of no later epoch.
			verdict, err = f.j.Begin(ctx, lease(0, "a", 3), 0, version, l, false)
			if err != nil || verdict != entry.Agreed || f.stats().DataLoss != 1 {
				t.Errorf("told again: the verdict is %v, %v; stats are %+v", verdict, err, f.stats())
			}
		})
	}
}

func TestNoVersionIsGivenOutBelowTheFloor(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	const ahead = 3_000_000_000_000_000 // µs: the database has seen the year 2065
	f.beat("a")
	f.begin(0, "a", 1, ahead, 0)
	for i, want := range []int64{ahead + 1, ahead + 2, ahead + 3} {
		if got := f.set("product:1", fmt.Sprint(i)); got != want {
			t.Errorf("write %d got version %d, want %d", i, got, want)
		}
	}
	l := lease(0, "a", 1)
	f.acknowledge(f.claim(l, 1), entry.Done)
	if got := f.set("product:2", "{}"); got != ahead+4 {
		t.Errorf("after the flush another key got version %d, want %d", got, int64(ahead+4))
	}
}

func TestAnEditedQueueIsRebuilt(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.fill(3)
	f.rdb.Del(t.Context(), "wb:{products:0}:q")
	claim := f.claim(f.lease("a", 0, 1), 10)
	if !claim.Rebuilt || keysOf(claim) != "0 1 2" {
		t.Errorf("claim is %+v", claim)
	}
}

func TestMembersShareThePartitions(t *testing.T) {
	f := open(t, journaltest.New(t), func(s *config.QueueSettings) { s.Mapping.Partitions = 10 })
	ctx := t.Context()
	held := func(member string) (int, int) {
		beat := f.beat(member)
		return len(beat.Held), beat.Share
	}
	if n, share := held("a"); n != 10 || share != 10 {
		t.Fatalf("alone: holds %d of a share of %d", n, share)
	}
	if n, share := held("b"); n != 0 || share != 5 {
		t.Fatalf("newcomer: holds %d of a share of %d", n, share)
	}
	if n, share := held("a"); n != 10 || share != 5 {
		t.Fatalf("the first: holds %d of a share of %d", n, share)
	}
	f.check(nil, f.j.Release(ctx, queue, "a", 0, 1, 2, 3, 4))
	if n, _ := held("b"); n != 5 {
		t.Errorf("after the release the newcomer holds %d", n)
	}
	if _, share := held("c"); share != 3 {
		t.Errorf("the third of three has a share of %d, want 3", share)
	}
	f.check(nil, f.j.Leave(ctx, queue, "a"))
	if n, _ := held("c"); n != 5 {
		t.Errorf("after the first left, the third holds %d, want 5", n)
	}
}

func TestAClaimIsBoundedInBytes(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	value := `"` + strings.Repeat("x", 1000) + `"`
	for i := range 200 {
		f.set(fmt.Sprintf("product:%d", i), value)
	}
	l := f.lease("a", 0, 1)
	for limit, want := range map[int]int{10_020: 10, 10_019: 9, 1: 1} {
		claim, err := f.j.Claim(t.Context(), l, "product:", entry.Bounds{Entries: 1000, Bytes: limit})
		f.check(nil, err)
		if n := len(claim.Entries); n != want {
			t.Errorf("claimed %d entries of 1,002 bytes for %d bytes, want %d", n, limit, want)
		}
	}
	f.acknowledge(f.claim(l, 190), entry.Done)
	if s := f.stats(); s.Depth != 10 {
		t.Errorf("depth is %d, want 10", s.Depth)
	}
}
