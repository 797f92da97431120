// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

func TestDistinctKeysAreCountedUntilARowIsTaken(t *testing.T) {
	t.Parallel()
	var e evidence
	why, other := fault{state: "P0001"}, fault{state: "23502", column: "must"}
	for n := range 5 {
		e.fresh(fmt.Sprint(n), entry.RowsPass, why)
		e.fresh(fmt.Sprint(n), entry.RowsPass, why)
		e.fresh(fmt.Sprint("removal", n), entry.RemovalsPass, why)
		e.fresh(fmt.Sprint("other", n), entry.RowsPass, other)
	}
	if got := e.refusedFor(why); got != 10 {
		t.Errorf("%d keys are refused, want 10", got)
	}
	e.took(taken{entry.RemovalsPass: 1}, e.sends())
	if got := e.refusedFor(why); got != 5 {
		t.Errorf("%d keys are refused after a removal, want the 5 of rows", got)
	}
	e.took(taken{entry.RowsPass: 1}, e.sends())
	if got := e.refusedFor(why) + e.refusedFor(other); got != 0 {
		t.Errorf("%d keys are refused after a row was taken", got)
	}
}

func TestOnlyWhatIsTakenAfterTheFirstRefusalIsEvidence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var e evidence
		why := fault{state: "P0001"}
		refused := func(key string, version int64, needs entry.Proof, want bool, since time.Duration) {
			t.Helper()
			if for_, others := e.refused(key, version, why, needs, e.committed()); others != want || for_ != since {
				t.Errorf("%s is refused for %v with others taken %v, want %v and %v", key, for_, others, since, want)
			}
		}
		before := e.sends()
		e.took(taken{1, 1}, e.sends())
		refused("a", 1, entry.RowsPass, false, 0)
		time.Sleep(time.Second)
		refused("a", 1, entry.RowsPass, false, time.Second)
		refused("removal", 1, entry.RemovalsPass, false, 0)
		e.took(taken{entry.RemovalsPass: 1}, e.sends())
		refused("a", 1, entry.RowsPass, false, time.Second)
		refused("removal", 1, entry.RemovalsPass, true, 0)
		// What was sent before the refusal may have been committed before it.
		e.took(taken{entry.RowsPass: 1}, before)
		refused("a", 1, entry.RowsPass, false, time.Second)
		sent, earlier := e.sends(), e.committed()
		e.took(taken{entry.RowsPass: 1}, sent)
		// What was committed after the row was sent may have been sent after the refusal.
		if _, others := e.refused("a", 1, why, entry.RowsPass, earlier); others {
			t.Error("what was committed after the row was sent is evidence")
		}
		refused("a", 1, entry.RowsPass, true, time.Second)
		// A new version has a history of its own, and so has another reason.
		refused("a", 2, entry.RowsPass, false, 0)
		e.took(taken{entry.RowsPass: 1}, e.sends())
		why.state = "23514"
		refused("a", 2, entry.RowsPass, false, 0)
		e.controlled("a", 2, why)
		refused("a", 2, entry.RowsPass, true, 0)
		// Reasons that differ each time are one in the end.
		for n := range mostReasons {
			why.state = fmt.Sprint(n)
			refused("b", 1, entry.RowsPass, false, 0)
		}
		why.state = "one more"
		refused("b", 1, entry.RowsPass, false, 0)
		e.took(taken{entry.RowsPass: 1}, e.sends())
		why.state = "and another"
		refused("b", 1, entry.RowsPass, true, 0)
	})
}

// TestProbationBeginsAnewWithEveryOtherRow plays a mapping that refuses a row every five
// seconds: a lone row is proved bad in the end, none of several before ten show that it is
// the mapping.
func TestProbationBeginsAnewWithEveryOtherRow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var e evidence
		why, start := fault{state: "P0001"}, time.Now()
		over := func() bool {
			lasts, quiet := e.probationOf(why, time.Since(start))
			return quiet >= lasts
		}
		e.fresh("0", entry.RowsPass, why)
		if time.Sleep(probation - 1); over() {
			t.Error("the probation of a lone row is over too early")
		}
		if time.Sleep(time.Nanosecond); !over() {
			t.Error("the probation of a lone row does not end")
		}
		for n := 1; n < trialBatch; n++ {
			e.fresh(fmt.Sprint(n), entry.RowsPass, why)
			e.fresh(fmt.Sprint("other", n), entry.RowsPass, fault{state: "23502"})
			if time.Sleep(5 * time.Second); over() {
				t.Errorf("the probation is over when %d rows were refused, the last a moment ago", n+1)
			}
		}
		// Those that were refused before do not make it longer.
		time.Sleep((trialBatch-1)*probation - 5*time.Second - 1)
		if e.fresh("0", entry.RowsPass, why); over() {
			t.Error("the probation of ten is over too early")
		}
		if time.Sleep(time.Nanosecond); !over() {
			t.Error("the probation of ten does not end")
		}
		e.took(taken{entry.RowsPass: 1}, e.sends())
		if lasts, _ := e.probationOf(why, 0); lasts != probation {
			t.Errorf("it lasts %v after a row was taken, want %v", lasts, probation)
		}
	})
}

// TestOneOfManyRowsThatEndTheirSessionsIsSpared: a lone one is not for long.
func TestOneOfManyRowsThatEndTheirSessionsIsSpared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q queue
		lose := func(key string) *ender {
			e := entry.Entry{Key: key, Operation: entry.Set, Version: 1}
			q.enders.endedAlone(&e, &entry.Fault{SessionEnded: true}, endsOfOne, &q.evidence)
			return q.enders.suspected(&e)
		}
		first := lose("0")
		if left, several, again := q.enders.spare(first, &q.evidence); left != probation || several || again {
			t.Errorf("a lone row is spared for %v, of several: %v, sent again: %v", left, several, again)
		}
		time.Sleep(probation)
		if left, _, _ := q.enders.spare(first, &q.evidence); left != 0 {
			t.Errorf("a lone row is spared for %v more", left)
		}
		for n := 1; n < trialBatch; n++ {
			if e := lose(fmt.Sprint(n)); q.enders.reprieve(e) != (n > 1) || q.enders.reprieve(e) {
				t.Errorf("row %d is sent once more: want that of the third and later, once", n+1)
			}
			time.Sleep(5 * time.Second)
			for look := range 4 {
				left, several, again := q.enders.spare(first, &q.evidence)
				if left <= 0 && n > 1 || several != (n > 1) || again != (several && look%2 == 1) {
					t.Errorf("with %d rows it is spared for %v, of several: %v, sent again at look %d: %v", n+1, left, several, look, again)
				}
			}
		}
		time.Sleep(time.Hour)
		if left, _, _ := q.enders.spare(first, &q.evidence); left <= 0 {
			t.Error("one of ten is spared no more")
		}
		q.evidence.took(taken{entry.RowsPass: 1}, q.evidence.sends())
		if left, several, _ := q.enders.spare(first, &q.evidence); left != 0 || several {
			t.Errorf("it is spared for %v when a row was taken, of several: %v", left, several)
		}
	})
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	t.Parallel()
	var e evidence
	for n := range mostRemembered + 100 {
		e.refused(fmt.Sprint(n), 1, fault{}, entry.RowsPass, latest{})
		e.fresh(fmt.Sprint(n), entry.RowsPass, fault{})
	}
	if len(e.known) != mostRemembered || len(e.last) != mostRemembered {
		t.Errorf("%d and %d keys are remembered, want %d", len(e.known), len(e.last), mostRemembered)
	}
	e.buried(fmt.Sprint(mostRemembered + 99))
	if len(e.known) != mostRemembered-1 {
		t.Error("a dead letter is remembered")
	}
}

func TestAStuckRowIsTriedForNothingWhileOthersMoveOn(t *testing.T) {
	t.Parallel()
	var e evidence
	tries := func(want ...bool) {
		t.Helper()
		for n, w := range want {
			if got := e.waitsForOthers("a", 1); got != w {
				t.Errorf("try %d is free: %v, want %v", n+1, got, w)
			}
		}
	}
	tries(true, true, false)
	e.waitsForOthers("b", 1)
	e.through([]entry.Entry{{Key: "b"}, {Key: "c"}}, []int{0, 1})
	tries(true, true, false)
	if got := e.freeOf("a", 1); got != 4 {
		t.Errorf("%d tries were free, want 4", got)
	}
	for range 2 * freeTries {
		e.moveOn(1)
		e.waitsForOthers("a", 1)
	}
	if got := e.freeOf("a", 1); got != freeTries {
		t.Errorf("%d tries were free, want at most %d", got, freeTries)
	}
}

// TestTheSearchForARowThatEndsItsSession plays it: how many sessions it costs to find
// one of a thousand, and how long it takes.
func TestTheSearchForARowThatEndsItsSession(t *testing.T) {
	t.Parallel()
	ended := &entry.Fault{Kind: entry.Transient, SessionEnded: true}
	for _, bad := range []int{0, 1, 499, 500, 998, 999} {
		var d doubt
		now, start := time.Unix(0, 0), time.Unix(0, 0)
		left, ends := 1000-bad, 0
		for at := 0; ; {
			claim := 1000 - at
			if most := d.most(); most > 0 {
				claim = min(claim, most)
			}
			if at+claim > bad {
				ends++
				if claim == 1 && d.ends+1 >= endsOfOne {
					break
				}
				d.failed(ended, claim, now)
				now = later(now, d.until)
				continue
			}
			at += claim
			d.passed(claim)
		}
		if ends > 7 || now.Sub(start) > time.Minute {
			t.Errorf("row %d of 1000 cost %d sessions and %v; %d entries were behind it", bad, ends, now.Sub(start), left)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func TestADoubtEndsWhenTheRowsGetThrough(t *testing.T) {
	t.Parallel()
	var d doubt
	d.failed(&entry.Fault{Kind: entry.Transient}, 100, time.Now())
	if d.searching() || d.most() != 0 {
		t.Error("a server that is away makes its rows suspect")
	}
	d.failed(&entry.Fault{Kind: entry.Transient, AtRows: true}, 100, time.Now())
	if !d.searching() {
		t.Error("an error at the rows does not make them suspect")
	}
	d.failed(&entry.Fault{SessionEnded: true}, 100, time.Now())
	if d.most() != 0 {
		t.Error("one session that ended makes the rows suspect")
	}
	d.failed(&entry.Fault{SessionEnded: true}, 100, time.Now())
	if d.most() != 100/searchParts || d.until.IsZero() {
		t.Errorf("after two sessions that ended: %+v", d)
	}
	d.passed(60)
	if d.most() != 40/searchParts {
		t.Errorf("after 60 of 100 got through: %+v", d)
	}
	d.passed(40)
	if d.most() != 0 || d.searching() || d.ends != 0 {
		t.Errorf("after all got through: %+v", d)
	}
}

// TestMembersOfOneKeyAreRowsOfTheirOwn: one that gets through says nothing of another one's
// refusals, and ten that are refused are ten.
func TestMembersOfOneKeyAreRowsOfTheirOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var e evidence
		member := func(n int) entry.Entry {
			return entry.Entry{Key: "board", Member: fmt.Sprint(n), Operation: entry.Set, Version: int64(n)}
		}
		bad, good := member(1), member(2)
		e.refused(bad.Row(), bad.Version, fault{}, entry.RowsPass, e.committed())
		time.Sleep(time.Minute)
		e.refused(good.Row(), good.Version, fault{}, entry.RowsPass, e.committed())
		e.through([]entry.Entry{good}, []int{0})
		if since, _ := e.refused(bad.Row(), bad.Version, fault{}, entry.RowsPass, e.committed()); since != time.Minute {
			t.Errorf("a member is refused for %v, want the minute since it was first", since)
		}
		why := fault{state: "23514"}
		for n := range trialBatch {
			one := member(n)
			e.fresh(one.Row(), entry.RowsPass, why)
		}
		if n := e.refusedFor(why); n != trialBatch {
			t.Errorf("%d members of one key count as %d rows", trialBatch, n)
		}
	})
}
