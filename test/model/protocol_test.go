// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"errors"
	"testing"

	"github.com/writebehind/operator/test/model/explorer"
)

// all are the rules of the protocol, within bounds that take seconds to explore.
func all() rules {
	return rules{
		commitComparesEpoch: true, commitComparesFlush: true, ackComparesVersions: true,
		newEpochAfterTimeout: true, numberIsNoProof: true,
		maxWrites: 3, maxEpochs: 3, maxClaims: 3,
	}
}

// explore visits every state that can be reached. It returns how many there are, and the first
// violation with the steps to it.
func explore(r rules) (visited int, err error) {
	return explorer.Explore(explorer.Model[state]{
		First: initial(),
		Moves: func(s *state, add explorer.Add[state]) { s.moves(&r, add) },
		Check: (*state).check,
	})
}

func TestNoInterleavingLosesOrReorders(t *testing.T) {
	visited, err := explore(all())
	if err != nil {
		t.Fatal(err)
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
			_, err := explore(r)
			if _, ok := errors.AsType[*explorer.Violation](err); !ok {
				t.Fatal("nothing breaks")
			}
			t.Log(err)
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
			if _, err := explore(r); err != nil {
				t.Error(err)
			}
		})
	}
}
