// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"strings"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

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
	if first.Operation != entry.Set || first.Value != `{"second":1}` || first.Writes != 2 || first.Attempts != 0 || !s.Stream && first.First >= first.Version {
		s.t.Errorf("a key that was written twice is %+v", first)
	}
	if last.Operation != entry.Delete || last.Version != version || !s.Stream && last.First != version || last.Value != "" || last.Lost || last.Garbled {
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
		if e.Version != version || e.Value != `{"newer":1}` || e.Attempts != 0 || name == "done" && (e.Writes != 1 || !s.Stream && e.First <= claim.Entries[0].Version) {
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
