// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// SourceUnderTest is an empty source with its application's side.
type SourceUnderTest struct {
	flusher.Source
	// Set and Delete write a key of the queue, and return the version.
	Set    func(queue, key, value string) int64
	Delete func(queue, key string) int64
}

const (
	suiteQueue = "products"
	// suiteTTL is long enough that no lease runs out by accident.
	suiteTTL = 60_000
	// aside is a wait that no test outlives, and no clock that was put back explains.
	aside = time.Minute
)

// SourceConforms proves that a source does what the engine expects of one. make makes an
// empty one for each test.
func SourceConforms(t *testing.T, make func(t *testing.T) SourceUnderTest) {
	for name, test := range map[string]func(*sourceTest){
		"a queue is made once":                      (*sourceTest).queueIsMadeOnce,
		"there may be no queue":                     (*sourceTest).noQueue,
		"members share the partitions":              (*sourceTest).membersShare,
		"only the owner claims, in its epoch":       (*sourceTest).onlyTheOwner,
		"a claim is bounded, and in order":          (*sourceTest).claimIsBounded,
		"a claim makes the one before it void":      (*sourceTest).claimVoids,
		"an acknowledgement applies once":           (*sourceTest).acknowledgementAppliesOnce,
		"every outcome":                             (*sourceTest).everyOutcome,
		"a write after the claim stays dirty":       (*sourceTest).rewrittenStaysDirty,
		"a refused entry waits aside":               (*sourceTest).refusedWaits,
		"a newer write supersedes a dead letter":    (*sourceTest).superseded,
		"source and ledger are compared":            (*sourceTest).compared,
		"a poll counts what waits":                  (*sourceTest).pollCounts,
		"a call of somebody who has given up fails": (*sourceTest).givenUp,
	} {
		t.Run(name, func(t *testing.T) {
			s := &sourceTest{SourceUnderTest: make(t), t: t}
			s.settings = config.QueueSettings{
				Owner: "test", Revision: 1, Mapping: config.DefaultMapping(), MaxDepth: 1000, WhenFull: config.WhenFullReject, State: config.StateOpen,
			}
			s.settings.Mapping.Name, s.settings.Mapping.KeyPrefix, s.settings.Mapping.Partitions = suiteQueue, "product:", 1
			s.must(s.Prepare(t.Context()))
			test(s)
		})
	}
}

type sourceTest struct {
	SourceUnderTest
	t        *testing.T
	settings config.QueueSettings
}

func (s *sourceTest) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *sourceTest) is(err, want error, what string) {
	s.t.Helper()
	if !errors.Is(err, want) {
		s.t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func (s *sourceTest) open(incarnation string, lost bool) entry.Opened {
	s.t.Helper()
	opened, err := s.Open(s.t.Context(), s.settings, incarnation, lost)
	s.must(err)
	return opened
}

func (s *sourceTest) beat(member string) entry.Membership {
	s.t.Helper()
	beat, err := s.Beat(s.t.Context(), s.settings, member, suiteTTL, entry.Seen{})
	s.must(err)
	return beat
}

// term begins an epoch of the only partition.
func (s *sourceTest) term(member string, epoch int64) *entry.Term {
	s.t.Helper()
	s.open("life", false)
	s.beat(member)
	t := &entry.Term{Shard: entry.Shard{Queue: suiteQueue, Incarnation: "life"}, Member: member, Epoch: epoch}
	_, err := s.Begin(s.t.Context(), t, 0, 0, nil, false)
	s.must(err)
	return t
}

// fill writes the keys 1 to n.
func (s *sourceTest) fill(n int) {
	for i := range n {
		s.Set(suiteQueue, "product:"+strconv.Itoa(i+1), "{}")
	}
}

func upTo(n int) entry.Bounds { return entry.Bounds{Entries: n, Retries: n, Bytes: 1 << 20} }

func (s *sourceTest) claim(t *entry.Term, most entry.Bounds) *entry.Claim {
	s.t.Helper()
	claim, err := s.Claim(s.t.Context(), t, s.settings.Mapping.KeyPrefix, most)
	s.must(err)
	return claim
}

// keys are those of the claim, without their prefix.
func keys(c *entry.Claim) string {
	var names []string
	for i := range c.Entries {
		names = append(names, strings.TrimPrefix(c.Entries[i].Key, "product:"))
	}
	return strings.Join(names, " ")
}

func (s *sourceTest) claims(t *entry.Term, most entry.Bounds, want string) *entry.Claim {
	s.t.Helper()
	claim := s.claim(t, most)
	if got := keys(claim); got != want {
		s.t.Errorf("claimed are %q, want %q", got, want)
	}
	return claim
}

// all are settlements of all entries of the claim.
func all(c *entry.Claim, settlement entry.Settlement) []entry.Settlement {
	return slices.Repeat([]entry.Settlement{settlement}, len(c.Entries))
}

func (s *sourceTest) acknowledge(c *entry.Claim, settlements ...entry.Settlement) entry.Receipt {
	s.t.Helper()
	if len(settlements) == 1 {
		settlements = all(c, settlements[0])
	}
	receipt, err := s.Acknowledge(s.t.Context(), c, settlements)
	s.must(err)
	return receipt
}

var (
	done    = entry.Settlement{Outcome: entry.Done}
	kept    = entry.Settlement{Outcome: entry.Kept}
	refused = entry.Settlement{Outcome: entry.Refused}
)

func letter() *entry.DeadLetter {
	return &entry.DeadLetter{Cause: entry.CauseRefused, Message: "no", LastFailure: time.Now().UTC()}
}

func (s *sourceTest) stats() entry.Stats {
	s.t.Helper()
	stats, err := s.Stats(s.t.Context(), suiteQueue)
	s.must(err)
	return stats
}

func (s *sourceTest) load() entry.Load {
	s.t.Helper()
	loads, err := s.Poll(s.t.Context(), suiteQueue, []int{0})
	s.must(err)
	if len(loads.Of) != 1 {
		s.t.Fatalf("one partition has %d loads", len(loads.Of))
	}
	return loads.Of[0]
}

func (s *sourceTest) queueIsMadeOnce() {
	s.settings.Revision = 2
	if first := s.open("life", true); !first.Made || first.Incarnation != "life" || first.Partitions != 1 || first.Revision != 2 {
		s.t.Errorf("the queue is made as %+v", first)
	}
	if losses := s.stats().DataLoss; losses != 1 {
		s.t.Errorf("a queue that was lost begins with %d data-loss events", losses)
	}
	s.settings.Revision, s.settings.State, s.settings.Mapping.Partitions = 1, config.StatePaused, 4
	if second := s.open("another", true); second.Made || second.Incarnation != "life" || second.Partitions != 1 || second.Revision != 2 {
		s.t.Errorf("the queue is opened as %+v", second)
	}
	if stats := s.stats(); stats.State != config.StateOpen || stats.DataLoss != 1 || stats.Incarnation != "life" {
		s.t.Errorf("older settings have come into force: %+v", stats)
	}
	s.settings.Revision = 3
	s.open("another", false)
	if stats := s.stats(); stats.State != config.StatePaused || stats.Revision != 3 {
		s.t.Errorf("newer settings are not in force: %+v", stats)
	}
}

func (s *sourceTest) noQueue() {
	ctx := s.t.Context()
	_, err := s.Beat(ctx, s.settings, "a", suiteTTL, entry.Seen{})
	s.is(err, entry.ErrNoQueue, "a beat")
	loads, err := s.Poll(ctx, suiteQueue, []int{0})
	s.must(err)
	if len(loads.Of) != 1 || loads.Of[0].Entries != 0 {
		s.t.Errorf("what waits is %+v", loads)
	}
	_, err = s.Stats(ctx, suiteQueue)
	s.is(err, entry.ErrNoQueue, "the numbers")
	held, err := s.Holds(ctx, &entry.Term{Shard: entry.Shard{Queue: suiteQueue}, Member: "a", Epoch: 1})
	if held || err != nil {
		s.t.Errorf("a term of no queue is held: %v, %v", held, err)
	}
	s.must(s.Leave(ctx, suiteQueue, "a"))
}

func (s *sourceTest) membersShare() {
	ctx := s.t.Context()
	s.settings.Mapping.Partitions = 4
	s.open("life", false)
	if beat := s.beat("a"); len(beat.Held) != 4 || beat.Share != 4 || beat.Partitions != 4 || beat.Incarnation != "life" || beat.Outdated {
		s.t.Errorf("the only member is told %+v", beat)
	}
	if beat := s.beat("b"); len(beat.Held) != 0 || beat.Share != 2 {
		s.t.Errorf("the second member is told %+v", beat)
	}
	for _, asks := range []struct {
		member string
		want   bool
	}{{"x", true}, {"y", false}, {"x", true}} {
		if one, err := s.Onlooks(ctx, suiteQueue, asks.member, time.Minute); one != asks.want || err != nil {
			s.t.Errorf("that %s looks on is %v, %v, want %v", asks.member, one, err, asks.want)
		}
	}
	before, err := s.Poll(ctx, suiteQueue, nil)
	s.must(err)
	s.must(s.Release(ctx, suiteQueue, "a", 1, 3))
	s.must(s.Release(ctx, suiteQueue, "b", 0)) // which it does not hold
	free, err := s.Free(ctx, suiteQueue)
	s.must(err)
	if slices.Sort(free); !slices.Equal(free, []int{1, 3}) {
		s.t.Errorf("free are %v", free)
	}
	after, err := s.Poll(ctx, suiteQueue, nil)
	s.must(err)
	if after.Left <= before.Left {
		s.t.Errorf("nothing tells that partitions were given back: %d, then %d", before.Left, after.Left)
	}
	for member, want := range map[string][2]int{"a": {0, 2}, "b": {1, 3}} {
		held := s.beat(member).Held
		if _, first := held[want[0]]; !first || len(held) != 2 {
			s.t.Errorf("%s holds %v, want %v", member, held, want)
		}
	}
	s.must(s.Leave(ctx, suiteQueue, "a"))
	if beat := s.beat("b"); len(beat.Held) != 4 || beat.Share != 4 {
		s.t.Errorf("the last member is told %+v", beat)
	}
}

func (s *sourceTest) onlyTheOwner() {
	ctx := s.t.Context()
	before := s.term("a", 1)
	s.fill(1)
	claim := s.claim(before, upTo(10))
	s.must(s.Leave(ctx, suiteQueue, "a"))
	after := s.term("b", 2)
	_, err := s.Claim(ctx, before, "product:", upTo(10))
	s.is(err, entry.ErrLeaseLost, "a claim of the predecessor")
	_, err = s.Acknowledge(ctx, claim, all(claim, done))
	s.is(err, entry.ErrLeaseLost, "an acknowledgement of the predecessor")
	_, err = s.Begin(ctx, before, 0, 0, nil, false)
	s.is(err, entry.ErrLeaseLost, "a new epoch of the predecessor")
	other := *after
	other.Incarnation = "another"
	_, err = s.Claim(ctx, &other, "product:", upTo(10))
	s.is(err, entry.ErrLeaseLost, "a claim in another life of the queue")
	_, err = s.Claim(ctx, after, "item:", upTo(10))
	s.is(err, entry.ErrLeaseLost, "a claim for another prefix")
	for term, want := range map[*entry.Term]bool{before: false, after: true, &other: false} {
		if held, err := s.Holds(ctx, term); held != want || err != nil {
			s.t.Errorf("that %+v holds is %v, %v", term, held, err)
		}
	}
	older := *after
	older.Step--
	_, err = s.Claim(ctx, &older, "product:", upTo(10))
	s.is(err, entry.ErrStep, "a claim at another step")
	s.acknowledge(s.claims(after, upTo(10), "1"), done)
}

func (s *sourceTest) claimIsBounded() {
	t := s.term("a", 1)
	if c := s.claims(t, upTo(10), ""); len(c.Entries) != 0 {
		s.t.Errorf("an empty queue gives %+v", c)
	}
	s.fill(4)
	s.Set(suiteQueue, "product:1", `{"second":1}`)
	s.Set(suiteQueue, "product:5", strings.Repeat("x", 1000))
	s.Set(suiteQueue, "product:6", "{}")
	version := s.Delete(suiteQueue, "product:7")
	s.claims(t, upTo(2), "1 2")
	s.claims(t, entry.Bounds{Entries: 10, Bytes: 100}, "1 2 3 4")
	claim := s.claims(t, upTo(10), "1 2 3 4 5 6 7")
	first, last := claim.Entries[0], claim.Entries[6]
	if first.Operation != entry.Set || first.Value != `{"second":1}` || first.Writes != 2 || first.Attempts != 0 || first.First >= first.Version {
		s.t.Errorf("a key that was written twice is %+v", first)
	}
	if !last.Deletes() || last.Version != version || last.First != version || last.Value != "" || last.Lost || last.Garbled {
		s.t.Errorf("a deletion is %+v", last)
	}
	s.acknowledge(s.claims(t, upTo(4), "1 2 3 4"), done)
	s.claims(t, entry.Bounds{Entries: 10, Bytes: 100}, "5") // larger than all bounds, and first
	room := &countingRoom{}
	s.claims(t, entry.Bounds{Entries: 10, Bytes: 1 << 20, Room: room}, "5 6 7")
	if room.taken == 0 || room.settled != room.taken {
		s.t.Errorf("%d pages took room, %d told how much", room.taken, room.settled)
	}
}

type countingRoom struct{ taken, settled int }

func (r *countingRoom) Take(context.Context, int) error { r.taken++; return nil }
func (r *countingRoom) TryTake(int) bool                { r.taken++; return true }
func (r *countingRoom) Settle(int)                      { r.settled++ }

func (s *sourceTest) claimVoids() {
	ctx := s.t.Context()
	t := s.term("a", 1)
	s.fill(2)
	old := s.claim(t, upTo(10))
	s.claim(t, upTo(1))
	_, err := s.Acknowledge(ctx, old, all(old, done))
	s.is(err, entry.ErrClaimVoid, "a claim that was replaced")
	old = s.claim(t, upTo(10))
	after := s.term("a", 2)
	old.Term = after
	_, err = s.Acknowledge(ctx, old, all(old, done))
	s.is(err, entry.ErrClaimVoid, "a claim of the epoch before")
	if depth := s.stats().Depth; depth != 2 {
		s.t.Errorf("%d entries are left", depth)
	}
}

func (s *sourceTest) acknowledgementAppliesOnce() {
	t := s.term("a", 1)
	s.fill(3)
	claim := s.claim(t, upTo(2))
	if receipt := s.acknowledge(claim, done); !receipt.Applied {
		s.t.Error("it did not apply")
	}
	if receipt := s.acknowledge(claim, done); receipt.Applied {
		s.t.Error("it applied twice")
	}
	if stats := s.stats(); stats.Depth != 1 || stats.Flushed != 2 || stats.Coalesced != 0 || stats.Writes != 3 {
		s.t.Errorf("the numbers are %+v", stats)
	}
	s.claims(t, upTo(10), "3")
}

func (s *sourceTest) everyOutcome() {
	t := s.term("a", 1)
	s.fill(6)
	claim := s.claims(t, upTo(10), "1 2 3 4 5 6")
	s.acknowledge(claim, done, kept, entry.Settlement{Outcome: entry.Refused, Wait: aside},
		entry.Settlement{Outcome: entry.Dead, Letter: letter()}, entry.Settlement{Outcome: entry.Lost, Letter: letter()},
		entry.Settlement{Outcome: entry.Forged})
	stats := s.stats()
	if stats.Depth != 2 || stats.Dead != 2 || stats.Refused != 1 || stats.DataLoss != 1 || stats.Flushed != 1 {
		s.t.Errorf("the numbers are %+v", stats)
	}
	if load := s.load(); load.Entries != 2 || load.Fresh != 1 || load.Due != 0 || load.DeadLetters != 2 {
		s.t.Errorf("what waits is %+v", load)
	}
	s.claims(t, upTo(10), "2")
	for name, settlement := range map[string]entry.Settlement{
		"no outcome": {}, "a dead letter of which nothing is said": {Outcome: entry.Dead},
	} {
		claim := s.claim(t, upTo(10))
		if _, err := s.Acknowledge(s.t.Context(), claim, all(claim, settlement)); err == nil {
			s.t.Errorf("%s is acknowledged", name)
		}
	}
	claim = s.claim(t, upTo(10))
	if _, err := s.Acknowledge(s.t.Context(), claim, nil); err == nil {
		s.t.Error("settlements of no entry are acknowledged")
	}
}

func (s *sourceTest) rewrittenStaysDirty() {
	for name, settlement := range map[string]entry.Settlement{
		"done": done, "kept": kept, "refused": refused,
		"dead": {Outcome: entry.Dead, Letter: letter()},
	} {
		t := s.term("a", time.Now().UnixMicro())
		s.fill(1)
		claim := s.claims(t, upTo(10), "1")
		version := s.Set(suiteQueue, "product:1", `{"newer":1}`)
		s.acknowledge(claim, settlement)
		again := s.claims(t, upTo(10), "1")
		if len(again.Entries) != 1 {
			continue
		}
		e := again.Entries[0]
		if e.Version != version || e.Value != `{"newer":1}` || e.Attempts != 0 || name == "done" && (e.Writes != 1 || e.First <= claim.Entries[0].Version) {
			s.t.Errorf("%s: the newer write is %+v", name, e)
		}
		if dead := s.stats().Dead; dead != 0 {
			s.t.Errorf("%s: a write that is newer than a dead letter leaves %d of them", name, dead)
		}
		s.acknowledge(again, done)
	}
}

func (s *sourceTest) refusedWaits() {
	t := s.term("a", 1)
	s.fill(3)
	claim := s.claims(t, upTo(3), "1 2 3")
	s.acknowledge(claim, refused, entry.Settlement{Outcome: entry.Refused, Wait: aside}, done)
	s.Set(suiteQueue, "product:4", "{}")
	if load := s.load(); load.Entries != 3 || load.Fresh != 1 || load.Due != 1 {
		s.t.Errorf("what waits is %+v", load)
	}
	s.claims(t, entry.Bounds{Entries: 10, Bytes: 1 << 20}, "4") // no retries
	again := s.claims(t, upTo(10), "1 4")
	if e := again.Entries[0]; e.Attempts != 1 || e.FirstRefused == 0 || e.Version != claim.Entries[0].Version {
		s.t.Errorf("a refused entry is %+v", e)
	}
	s.acknowledge(again, entry.Settlement{Outcome: entry.Kept}, done)
	if e := s.claims(t, upTo(10), "1").Entries[0]; e.Attempts != 1 {
		s.t.Errorf("an entry that was not tried again is %+v", e)
	}
	s.Set(suiteQueue, "product:2", "{}")
	if load := s.load(); load.Fresh != 1 {
		s.t.Errorf("a refused key that is written is not fresh: %+v", load)
	}
}

func (s *sourceTest) superseded() {
	t := s.term("a", 1)
	s.fill(1)
	s.acknowledge(s.claim(t, upTo(1)), entry.Settlement{Outcome: entry.Dead, Letter: letter()})
	s.fill(1)
	if receipt := s.acknowledge(s.claim(t, upTo(1)), done); receipt.Superseded != 1 {
		s.t.Errorf("the receipt is %+v", receipt)
	}
	if stats := s.stats(); stats.Dead != 0 || stats.Depth != 0 {
		s.t.Errorf("the numbers are %+v", stats)
	}
}

func (s *sourceTest) compared() {
	ctx := s.t.Context()
	t := s.term("a", 1)
	s.fill(1)
	claim := s.claim(t, upTo(1))
	version := claim.Entries[0].Version
	s.acknowledge(claim, done)
	begin := func(what string, epoch, floor, committed int64, held *entry.Term, want entry.Agreement) *entry.Term {
		s.t.Helper()
		after := &entry.Term{Shard: t.Shard, Member: "a", Epoch: epoch}
		got, err := s.Begin(ctx, after, floor, committed, held, false)
		s.must(err)
		if got != want {
			s.t.Errorf("%s: agreement %d, want %d", what, got, want)
		}
		return after
	}
	t = begin("both know the same", 2, version, version, t, entry.Agreed)
	t = begin("the ledger has lost a flush", 3, 0, version-1, t, entry.DatabaseWentBack)
	ahead := time.Now().Add(time.Minute).UnixMicro()
	t = begin("the source has lost a flush", 4, ahead, ahead, t, entry.RedisWentBack)
	if losses := s.stats().DataLoss; losses != 2 {
		s.t.Errorf("%d data-loss events are counted", losses)
	}
	if next := s.Set(suiteQueue, "product:2", "{}"); next <= ahead {
		s.t.Errorf("version %d is given out below the floor %d", next, ahead)
	}
	// What was claimed may have committed, though the answer is lost.
	claim = s.claim(t, upTo(1))
	begin("a claim was out", 5, ahead, claim.Entries[0].Version, t, entry.Agreed)
}

func (s *sourceTest) pollCounts() {
	t := s.term("a", 1)
	s.fill(2)
	claim := s.claim(t, upTo(1))
	load := s.load()
	if load.Entries != 2 || load.Fresh != 2 || load.HeadUndated || load.Step != t.Step || t.Step == 0 {
		s.t.Errorf("what waits is %+v at step %d", load, t.Step)
	}
	s.acknowledge(claim, done)
	if load := s.load(); load.Entries != 1 || load.Step != t.Step {
		s.t.Errorf("what waits is %+v at step %d", load, t.Step)
	}
	loads, err := s.Poll(s.t.Context(), suiteQueue, []int{0})
	s.must(err)
	if loads.Writes != 2 || loads.Since == 0 {
		s.t.Errorf("the queue is %+v", loads)
	}
	if seen := s.beat("a").Seen; seen != (entry.Seen{Incarnation: "life", Since: loads.Since, Writes: 2}) {
		s.t.Errorf("a beat has seen %+v, a poll %+v", seen, loads)
	}
}

func (s *sourceTest) givenUp() {
	t := s.term("a", 1)
	s.fill(1)
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	_, err := s.Claim(ctx, t, "product:", upTo(1))
	s.is(err, context.Canceled, "a claim")
	_, err = s.Beat(ctx, s.settings, "a", suiteTTL, entry.Seen{})
	s.is(err, context.Canceled, "a beat")
	if check := s.Check(ctx); check.OK {
		s.t.Error("a check finds nothing wrong")
	}
	s.claims(s.term("a", 2), upTo(1), "1")
}
