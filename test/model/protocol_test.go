// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"errors"
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

// parent tells how a state was reached.
type parent struct {
	state state
	move  string
}

// explore visits every state that can be reached. It returns the first violation
// with the steps to it, and how many states there are.
func explore(r rules) (visited map[state]parent, steps string, err error) {
	first := initial()
	visited = map[state]parent{first: {}}
	queue := []state{first}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		for _, m := range s.moves(&r) {
			err := m.broken
			if err == nil {
				err = m.next.check()
			}
			if _, known := visited[m.next]; !known {
				visited[m.next] = parent{s, m.name}
				queue = append(queue, m.next)
			}
			if err != nil {
				return visited, trail(visited, s) + "\n  " + m.name, err
			}
		}
	}
	return visited, "", nil
}

func trail(visited map[state]parent, s state) string {
	var steps []string
	for {
		p := visited[s]
		if p.move == "" {
			break
		}
		steps = append([]string{"\n  " + p.move}, steps...)
		s = p.state
	}
	return strings.Join(steps, "")
}

func TestNoInterleavingLosesOrReorders(t *testing.T) {
	visited, steps, err := explore(all())
	if err != nil {
		t.Fatalf("%v, after:%s", err, steps)
	}
	t.Logf("%d states", len(visited))
	if len(visited) < 100_000 {
		t.Errorf("only %d states: the exploration leaves something out", len(visited))
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
