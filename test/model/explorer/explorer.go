// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package explorer visits every state that a model can reach.
package explorer

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// Label names a step. It is put into words only for the way to a violation: there are
// millions of steps.
type Label struct {
	// Words say what is done, with a verb %d for each of the first Numbers.
	Words   string
	Numbers [3]int8
}

func (l Label) String() string {
	var numbers []any
	for i := range strings.Count(l.Words, "%d") {
		numbers = append(numbers, l.Numbers[i])
	}
	return fmt.Sprintf(l.Words, numbers...)
}

// Violation is what must never happen, and how it does.
type Violation struct {
	What string
	// Steps lead to it from the beginning, each on a line of its own.
	Steps string
}

func (v *Violation) Error() string { return v.What + ", after:" + v.Steps }

// Add takes one step that is possible in a state: what it is called, where it leads, and what
// it breaks, if anything.
type Add[S any] func(by Label, to S, broken error)

// Model is what is explored.
type Model[S comparable] struct {
	First S
	// Moves adds every step that somebody could take next.
	Moves func(s *S, add Add[S])
	// Check says what a state breaks, if anything.
	Check func(s *S) error
	// Most is how many states may be visited, if it is not 0: beyond is ErrMore.
	Most int
}

// exploration knows of each state from which one it was reached first, and by which step.
// Of the states themselves only those are kept that are still to be visited: of the others
// a hash of 64 bits is enough. That two of a million states share one happens once in
// thirty million explorations.
type exploration[S comparable] struct {
	seed  maphash.Seed
	known map[uint64]struct{}
	from  []int32
	by    []Label
	now   []S
	next  []S
}

// ErrMore means that not every state was visited.
var ErrMore = errors.New("there are more states")

// Explore visits every state that can be reached, those with the fewest steps first. It returns
// how many there are, and the first violation, which is a *Violation.
func Explore[S comparable](m Model[S]) (visited int, err error) {
	e := exploration[S]{seed: maphash.MakeSeed(), known: make(map[uint64]struct{})}
	e.reach(m.First, 0, Label{})
	for at := 0; len(e.next) > 0; {
		e.now, e.next = e.next, e.now[:0]
		for i := range e.now {
			m.Moves(&e.now[i], func(by Label, to S, broken error) {
				if err != nil {
					return
				}
				if broken == nil {
					broken = m.Check(&to)
				}
				if broken != nil {
					err = &Violation{What: broken.Error(), Steps: e.trail(at) + "\n  " + by.String()}
					return
				}
				e.reach(to, at, by)
			})
			if err != nil {
				return len(e.by), err
			}
			at++
		}
		if m.Most > 0 && len(e.by) > m.Most {
			return len(e.by), fmt.Errorf("%w than %d", ErrMore, m.Most)
		}
	}
	return len(e.by), nil
}

func (e *exploration[S]) reach(s S, from int, by Label) {
	hash := maphash.Comparable(e.seed, s)
	if _, before := e.known[hash]; before {
		return
	}
	e.known[hash] = struct{}{}
	e.from, e.by, e.next = append(e.from, int32(from)), append(e.by, by), append(e.next, s) //nolint:gosec // So many do not fit into memory.
}

// trail tells how a state was reached.
func (e *exploration[S]) trail(at int) string {
	var steps []string
	for ; at > 0; at = int(e.from[at]) {
		steps = append(steps, "\n  "+e.by[at].String())
	}
	slices.Reverse(steps)
	return strings.Join(steps, "")
}
