// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// earlier is a flusher of the release before this one. It makes its calls as that does,
// and so it does at the roll-back, when nobody replaces the newer library.
type earlier struct {
	*fixture
	member      string
	epoch, step int64
}

func (e *earlier) do(function string, args ...any) *redis.Cmd {
	return e.rdb.FCall(e.t.Context(), function, nil, append([]any{queue}, args...)...)
}

func (e *earlier) opens() {
	e.t.Helper()
	reply, err := e.do("wb_engine_open", "test", 1, "journal-of-nobody", "product:", 1, "Latest", "JSON", 0, 1000, "Reject", "open", false).Slice()
	e.check(nil, err)
	if got := fmt.Sprint(reply); got != "[journal-1 1 0 1]" {
		e.t.Errorf("wb_engine_open answers %s", got)
	}
}

// beats returns the epoch of the only partition, or -1 while another flusher has it.
func (e *earlier) beats() int64 {
	e.t.Helper()
	reply, err := e.do("wb_engine_beat", e.member, leaseTime, "product:", "Latest", "JSON").Slice()
	e.check(nil, err)
	if len(reply) == 4 && reply[1] == "journal-1" {
		return -1
	}
	if len(reply) != 6 || reply[0] != journal.LibraryVersion || reply[1] != "journal-1" || reply[2] != int64(1) || reply[4] != int64(0) {
		e.t.Fatalf("wb_engine_beat answers %v", reply)
	}
	return reply[5].(int64)
}

func (e *earlier) begins(committed int64) {
	e.t.Helper()
	verdict, err := e.do("wb_engine_begin", 0, e.member, e.epoch, "journal-1", 0, committed, 0, 0).Int()
	e.check(nil, err)
	if e.step = 0; verdict != 0 {
		e.t.Errorf("wb_engine_begin answers %d", verdict)
	}
}

// earlierClaim is as much of an answer as that release reads.
type earlierClaim struct {
	number  int64
	entries []string
	values  []any
}

func (e *earlier) claims(most, bytes int) earlierClaim {
	e.t.Helper()
	reply, err := e.do("wb_engine_claim", 0, e.member, e.epoch, "journal-1", e.step, "product:", most, bytes, most).Slice()
	e.check(nil, err)
	count := int(reply[1].(int64))
	if count > 0 {
		e.step++
	}
	c := earlierClaim{number: reply[0].(int64)}
	for i := range count {
		_ = reply[3].([]any)[i].(string)
		c.entries = append(c.entries, reply[4].([]any)[i].(string))
	}
	for _, group := range reply[5].([]any) {
		c.values = append(c.values, group.([]any)...)
	}
	if len(c.values) < count {
		e.t.Fatalf("a claim of %d entries has %d values", count, len(c.values))
	}
	return c
}

// acknowledges gives every entry the outcome, followed by what the outcome needs.
func (e *earlier) acknowledges(c earlierClaim, outcome, beyond string) (top int64) {
	e.t.Helper()
	var floor, coalesced int64
	args := make([]any, 8)
	for _, entry := range c.entries {
		var attempts, version, first, writes int64
		_, err := fmt.Sscanf(entry[1:], "%d:%d:%d:%d", &attempts, &version, &first, &writes)
		e.check(nil, err)
		switch outcome {
		case "d":
			floor, top, coalesced = max(floor, version), max(top, version), coalesced+writes-1
		case "x":
			floor = max(floor, version)
		}
		args = append(args, outcome+entry+beyond)
	}
	copy(args, []any{0, e.member, e.epoch, "journal-1", c.number, floor, top, coalesced})
	for i, want := range []int64{1, 0} {
		applied, err := e.do("wb_engine_ack", args...).Int64()
		e.check(nil, err)
		if applied != want {
			e.t.Errorf("acknowledgement %d answers %d, want %d", i, applied, want)
		}
		e.step += applied
	}
	return top
}

// TestTheReleaseBeforeGoesOnWithThisLibrary has a flusher of this release and one of the
// release before take a queue over from one another, at an upgrade and a roll-back.
func TestTheReleaseBeforeGoesOnWithThisLibrary(t *testing.T) {
	t.Parallel()
	f := open(t, journaltest.New(t), onePartition, by("test", 1, "public.products"))
	e := &earlier{fixture: f, member: "old", epoch: 7}
	e.opens()
	f.fill(800)
	f.set("product:0", "[]")

	// This release has claimed several pages when it dies, and committed nothing.
	if c := f.claim(f.lease("new", 0, 6), 800); len(c.Entries) != 800 {
		t.Fatalf("this release claims %d entries", len(c.Entries))
	}
	if epoch := e.beats(); epoch != -1 {
		t.Errorf("the partition of a flusher that lives is leased, in epoch %d", epoch)
	}
	f.check(nil, f.j.Leave(t.Context(), queue, "new"))
	if epoch := e.beats(); epoch != 0 {
		t.Errorf("the free partition is leased in epoch %d", epoch)
	}
	e.begins(0)
	var top int64
	for left := 800; left > 0; {
		c := e.claims(800, 1<<20)
		if len(c.entries) == 0 {
			t.Fatalf("%d entries are left and none is claimed", left)
		}
		left -= len(c.entries)
		top = max(top, e.acknowledges(c, "d", ""))
	}

	// A value larger than a claim, a refusal and a death.
	f.set("product:5", strings.Repeat("x", 2000))
	c := e.claims(10, 1000)
	if len(c.values) != 1 || len(c.values[0].(string)) != 2000 {
		t.Fatalf("the large document is not claimed: %v", c.entries)
	}
	e.acknowledges(c, "r", "\n0")
	e.acknowledges(e.claims(10, 1000), "x", "\n"+`{"operation":"set","sqlstate":"23514"}`)
	poll, err := f.rdb.Do(t.Context(), "FCALL_RO", "wb_engine_poll", 0, queue, 0).Slice()
	f.check(nil, err)
	if width := int(poll[1].(int64)); width < 8 || len(poll) != 2+width || poll[2+6] != int64(1) || poll[2+7] != e.step {
		t.Errorf("wb_engine_poll answers %v, and the step is %d", poll, e.step)
	}
	letters, err := f.rdb.Do(t.Context(), "FCALL_RO", "wb_engine_letters", 0, queue, 0, "0", 100).Slice()
	f.check(nil, err)
	letter := letters[1].([]any)
	f.check(f.rdb.FCall(t.Context(), "wb_engine_replay", []string{letter[0].(string)}, queue, letter[1]).Result())
	e.acknowledges(e.claims(10, 1000), "x", "\n"+`{"operation":"set","sqlstate":"23514"}`)
	letter[1] = f.rdb.HGet(t.Context(), "wb:{products:0}:dlq", "product:5").Val() + "\n" + strings.Repeat("x", 2000)
	f.check(f.rdb.FCall(t.Context(), "wb_engine_discard", []string{"product:5"}, queue, letter[1]).Result())

	// It leaves with a claim out; this release goes on, and then it comes back.
	f.set("product:6", "{}")
	e.claims(10, 1000)
	if given, err := e.do("wb_engine_leave", "old").Int(); err != nil || given != 1 {
		t.Errorf("wb_engine_leave answers %d, %v", given, err)
	}
	f.beat("new")
	next := lease(0, "new", 8)
	if verdict, err := f.j.Begin(t.Context(), next, 0, top, nil, false); err != nil || verdict != entry.Agreed {
		t.Errorf("this release finds %v, %v", verdict, err)
	}
	taken := f.claim(next, 10)
	if keysOf(taken) != "6" {
		t.Errorf("this release claims %s", keysOf(taken))
	}
	f.acknowledge(taken, entry.Done)
	f.check(nil, f.j.Leave(t.Context(), queue, "new"))
	e.epoch = 9
	e.beats()
	e.begins(taken.Entries[0].Version)
	if s := f.stats(); s.Depth != 0 || s.Dead != 0 || s.DataLoss != 0 || s.Refused != 0 || s.Flushed != 801 || s.Coalesced != 1 {
		t.Errorf("stats are %+v", s)
	}
}
