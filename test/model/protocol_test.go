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

// exploration is one of each set of states that are images of each other, in the order in
// which they were reached, with the place of the one that each was reached from.
type exploration struct {
	states []state
	from   []int32
}

// explore visits every state that can be reached, or one of its images. It returns the
// first violation with the steps to it, and how many states it has visited.
func explore(r rules) (visited int, steps string, err error) {
	var e exploration
	known := map[state]struct{}{}
	reach := func(s state, from int) {
		s.normalize()
		if _, before := known[s]; !before {
			known[s] = struct{}{}
			e.states, e.from = append(e.states, s), append(e.from, int32(from))
		}
	}
	reach(initial(), 0)
	var moves []move
	for at := 0; at != len(e.states); at++ {
		s := e.states[at]
		moves = s.moves(&r, moves[:0])
		for i := range moves {
			if moves[i].violation() != nil {
				steps, err = e.trail(&r, at)
				return len(e.states), steps, err
			}
			reach(moves[i].next, at)
		}
	}
	return len(e.states), "", nil
}

// trail tells how a violation in one step from a state was reached. The steps are taken once
// more from the beginning, so that each flusher has one number all the way.
func (e *exploration) trail(r *rules, at int) (string, error) {
	var way []int
	for ; at > 0; at = int(e.from[at]) {
		way = append(way, at)
	}
	var steps strings.Builder
	now := initial()
	take := func(wanted func(*move) bool) *move {
		moves := now.moves(r, nil)
		i := slices.IndexFunc(moves, func(m move) bool { return wanted(&m) })
		now = moves[i].next
		steps.WriteString("\n  " + moves[i].name.String())
		return &moves[i]
	}
	for _, at := range slices.Backward(way) {
		take(func(m *move) bool {
			image := m.next
			image.normalize()
			return image == e.states[at]
		})
	}
	last := take(func(m *move) bool { return m.violation() != nil })
	return steps.String(), last.violation()
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
			for _, m := range s.moves(&r, nil) {
				normalize(&m.next)
				if _, before := known[m.next]; !before {
					known[m.next] = struct{}{}
					left = append(left, m.next)
				}
			}
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
