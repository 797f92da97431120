// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"container/heap"
	"iter"
	"time"
)

// order has the marks of a partition that are not out in a claim: which comes next, and which is of
// a name.
type order struct {
	of *dirty
	// marked are all of them, by id.
	marked index
	// fresh are in the order of their firsts, which never fall. kept, due and waiting are
	// saved, so that none of them holds the position.
	fresh, kept, due marks
	waiting          waiting
	// turns counts what was ever appended to fresh.
	turns uint64
}

// enter puts a mark that is nowhere to a place's end.
func (o *order) enter(m *mark, at place) {
	m.place = at
	o.marked.enter(m)
	switch at {
	case inFresh:
		o.turns++
		o.of.append(&o.fresh, m)
	case inKept:
		o.of.more(m).turn = o.turns
		o.of.append(&o.kept, m)
	case inDue:
		o.of.append(&o.due, m)
	case inWaiting:
		heap.Push(&o.waiting, o.of.more(m))
	}
}

// leave takes a mark from its place, which is not the claim.
func (o *order) leave(m *mark) {
	switch m.place {
	case inFresh:
		o.of.remove(&o.fresh, m)
	case inKept:
		o.of.remove(&o.kept, m)
	case inDue:
		o.of.remove(&o.due, m)
	case inWaiting:
		heap.Remove(&o.waiting, o.of.extra(m).index)
	}
	m.place = nowhere
	o.marked.leave(m)
}

// back puts a mark that is nowhere, and saved, before all others of its place.
func (o *order) back(m *mark) {
	o.marked.enter(m)
	if o.of.attempts(m) > 0 {
		m.place = inDue
		o.of.prepend(&o.due, m)
		return
	}
	m.place = inKept
	o.of.prepend(&o.kept, m)
}

// owe puts a mark that is nowhere among the fresh ones by its first: as a rule before all of
// them, but for one that was saved and is written again.
func (o *order) owe(m *mark) {
	m.place = inFresh
	o.marked.enter(m)
	at := o.of.at(o.fresh.tail)
	if head := o.of.at(o.fresh.head); head != nil && m.first <= head.first {
		at = nil
	}
	for at != nil && at.first > m.first {
		at = o.of.at(at.before)
	}
	o.of.insert(&o.fresh, m, at)
}

// ripen makes those due whose time has come.
func (o *order) ripen(now time.Time) {
	for len(o.waiting) > 0 && !now.Before(o.waiting[0].due) {
		e, _ := heap.Pop(&o.waiting).(*extra)
		e.of.place = inDue
		o.of.append(&o.due, e.of)
	}
}

// next is the mark whose turn it is, nil if there is none. One that was refused may come first.
func (o *order) next(refused bool) *mark {
	kept, fresh := o.of.at(o.kept.head), o.of.at(o.fresh.head)
	switch {
	case refused && o.due.length > 0:
		return o.of.at(o.due.head)
	case kept == nil, fresh != nil && o.turns-uint64(o.fresh.length) < o.of.extra(kept).turn: //nolint:gosec // It is no less.
		return fresh
	}
	return kept
}

// aside are the marks that are saved.
func (o *order) aside() iter.Seq[*mark] {
	return func(yield func(*mark) bool) {
		for _, l := range []*marks{&o.kept, &o.due} {
			for m := range o.of.in(l) {
				if !yield(m) {
					return
				}
			}
		}
		for _, x := range o.waiting {
			if !yield(x.of) {
				return
			}
		}
	}
}
