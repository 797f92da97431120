// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// all are the rules of the protocol, within bounds that take seconds to explore.
func all() rules {
	return rules{
		commitComparesEpoch: true, commitComparesFlush: true, ackComparesVersions: true,
		newEpochAfterTimeout: true, numberIsNoProof: true,
		maxWrites: 3, maxEpochs: 3, maxClaims: 3,
	}
}

// exploration is every state that was reached, in the order in which it was, with the
// state that it was reached from first and the step.
type exploration struct {
	states []state
	from   []int32
	by     []label
}

// explore visits every state that can be reached. It returns the first violation with the
// steps to it, and how many states there are.
func explore(r rules) (visited int, steps string, err error) {
	var e exploration
	known := map[state]struct{}{}
	reach := func(s state, from int, by label) {
		if _, before := known[s]; !before {
			known[s] = struct{}{}
			e.states, e.from, e.by = append(e.states, s), append(e.from, int32(from)), append(e.by, by)
		}
	}
	reach(initial(), 0, label{})
	for at := 0; at != len(e.states); at++ {
		s := e.states[at]
		for _, m := range s.moves(&r) {
			err := m.broken
			if err == nil {
				err = m.next.check()
			}
			if err != nil {
				return len(e.states), e.trail(at) + "\n  " + m.name.String(), err
			}
			reach(m.next, at, m.name)
		}
	}
	return len(e.states), "", nil
}

// trail tells how a state was reached.
func (e *exploration) trail(at int) string {
	var steps []string
	for ; at > 0; at = int(e.from[at]) {
		steps = append(steps, "\n  "+e.by[at].String())
	}
	slices.Reverse(steps)
	return strings.Join(steps, "")
}

func TestNoInterleavingLosesOrReorders(t *testing.T) {
	visited, steps, err := explore(all())
	if err != nil {
		t.Fatalf("%v, after:%s", err, steps)
	}
	t.Logf("%d states", visited)
	if visited < 100_000 {
		t.Errorf("only %d states: the exploration leaves something out", visited)
	}
}

// TestTheRulesAreNeeded takes rules away: each time something must break, or the
// exploration would not notice if the engine broke it.
func TestTheRulesAreNeeded(t *testing.T) {
	for name, without := range map[string]func(*rules){
		"a commit compares neither epoch nor flush number": func(r *rules) {
			r.commitComparesEpoch, r.commitComparesFlush = false, false
		},
		"no flush number, and no new epoch after a lost answer": func(r *rules) {
			r.commitComparesFlush, r.newEpochAfterTimeout = false, false
		},
		"a taken number counts as proof, and no new epoch after a lost answer": func(r *rules) {
			r.numberIsNoProof, r.newEpochAfterTimeout = false, false
		},
		"an acknowledgement does not compare versions": func(r *rules) { r.ackComparesVersions = false },
	} {
		t.Run(name, func(t *testing.T) {
			r := all()
			without(&r)
			_, steps, err := explore(r)
			if _, ok := errors.AsType[*violation](err); !ok {
				t.Fatal("nothing breaks")
			}
			t.Logf("%v, after:%s", err, steps)
		})
	}
}

// TestSomeRulesStandInForEachOther says which rules are a second line of defence.
func TestSomeRulesStandInForEachOther(t *testing.T) {
	for name, without := range map[string]func(*rules){
		"flush numbers fence a predecessor too":                             func(r *rules) { r.commitComparesEpoch = false },
		"epochs fence late transactions too":                                func(r *rules) { r.commitComparesFlush = false },
		"a taken number is harmless if every lost answer takes a new epoch": func(r *rules) { r.numberIsNoProof = false },
	} {
		t.Run(name, func(t *testing.T) {
			r := all()
			without(&r)
			if _, steps, err := explore(r); err != nil {
				t.Errorf("%v, after:%s", err, steps)
			}
		})
	}
}
