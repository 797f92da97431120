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
		Image: (*state).normalize,
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

// TestImagesStandForEveryState visits every state within smaller bounds, and then images
// alone: each of the states has an image among those, and they have no others.
func TestImagesStandForEveryState(t *testing.T) {
	r := all()
	r.maxWrites, r.maxEpochs, r.maxClaims = 2, 2, 2
	visit := func(normalize func(*state)) map[state]struct{} {
		start := initial()
		known, left := map[state]struct{}{start: {}}, []state{start}
		for len(left) > 0 {
			s := left[len(left)-1]
			left = left[:len(left)-1]
			s.moves(&r, func(_ explorer.Label, next state, _ error) {
				normalize(&next)
				if _, before := known[next]; !before {
					known[next] = struct{}{}
					left = append(left, next)
				}
			})
		}
		return known
	}
	every, images := visit(func(*state) {}), visit((*state).normalize)
	for _, c := range []struct {
		of, among map[state]struct{}
	}{{every, images}, {images, every}} {
		for s := range c.of {
			if !hasImage(s, c.among) {
				t.Fatalf("no image of %+v is among %d states", s, len(c.among))
			}
		}
	}
	if 3*len(images) > len(every) {
		t.Errorf("%d images stand for %d states only", len(images), len(every))
	}
}

// hasImage swaps all that nothing tells apart, in every way.
func hasImage(s state, among map[state]struct{}) bool {
	for n := range 8 {
		image := s
		if n&1 != 0 {
			image.swapKeys()
		}
		if n&2 != 0 {
			image.swapFlushers()
		}
		if n&4 != 0 {
			swap(&image.network)
		}
		if _, is := among[image]; is {
			return true
		}
	}
	return false
}
