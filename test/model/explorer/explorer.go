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
	// Image, if set, makes a state the one of its images that is visited: of states from which
	// the same follows, with other numbers, one stands for all.
	Image func(s *S)
	// Most is how many states may be visited, if it is not 0: beyond is ErrMore.
	Most int
}

// exploration knows of each state from which one it was reached first. Of the states themselves only those are kept that are still to be visited: of the others
// a hash of 64 bits is enough. That two of a million states share one happens once in
// thirty million explorations.
type exploration[S comparable] struct {
	Model[S]
	seed   maphash.Seed
	known  map[uint64]struct{}
	from   []int32
	hashes []uint64
	now    []S
	next   []S
}

// ErrMore means that not every state was visited.
var ErrMore = errors.New("there are more states")

// Explore visits every state that can be reached, those with the fewest steps first. It returns
// how many there are, and the first violation, which is a *Violation.
func Explore[S comparable](m Model[S]) (visited int, err error) {
	e := exploration[S]{Model: m, seed: maphash.MakeSeed(), known: make(map[uint64]struct{})}
	e.reach(m.First, 0)
	for at := 0; len(e.next) > 0; {
		e.now, e.next = e.next, e.now[:0]
		for i := range e.now {
			broken := false
			m.Moves(&e.now[i], func(_ Label, to S, breaks error) {
				if broken = broken || e.violation(&to, breaks) != nil; !broken {
					e.reach(to, at)
				}
			})
			if broken {
				return len(e.from), e.explain(at)
			}
			at++
		}
		if m.Most > 0 && len(e.from) > m.Most {
			return len(e.from), fmt.Errorf("%w than %d", ErrMore, m.Most)
		}
	}
	return len(e.from), nil
}

// violation is what the step breaks, or the state that it leads to.
func (e *exploration[S]) violation(to *S, broken error) error {
	if broken != nil {
		return broken
	}
	return e.Check(to)
}

func (e *exploration[S]) reach(s S, from int) {
	hash := e.hash(&s)
	if _, before := e.known[hash]; before {
		return
	}
	e.known[hash] = struct{}{}
	e.from, e.hashes, e.next = append(e.from, int32(from)), append(e.hashes, hash), append(e.next, s) //nolint:gosec // So many do not fit into memory.
}

// hash makes the state its image.
func (e *exploration[S]) hash(s *S) uint64 {
	if e.Image != nil {
		e.Image(s)
	}
	return maphash.Comparable(e.seed, *s)
}

// explain tells how a violation in one step from a state is reached. The steps are taken once
// more from the beginning, so that everything has one number all the way.
func (e *exploration[S]) explain(at int) *Violation {
	var way []int
	for ; at > 0; at = int(e.from[at]) {
		way = append(way, at)
	}
	var steps strings.Builder
	now := e.First
	for _, at := range slices.Backward(way) {
		next, found := now, false
		e.Moves(&now, func(by Label, to S, _ error) {
			if image := to; !found && e.hash(&image) == e.hashes[at] {
				next, found = to, true
				steps.WriteString("\n  " + by.String())
			}
		})
		now = next
	}
	v := &Violation{}
	e.Moves(&now, func(by Label, to S, broken error) {
		if what := e.violation(&to, broken); what != nil && v.What == "" {
			steps.WriteString("\n  " + by.String())
			v.What, v.Steps = what.Error(), steps.String()
		}
	})
	return v
}
