// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"slices"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

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
