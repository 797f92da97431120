// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replication

// stage is how far keys have come that are spilled.
type stage int8

const (
	notSpilling stage = iota
	// noted are what the database is to know, kept is what it knows.
	noted
	kept
)

// spillMoves have the database take what is dirty, so that it holds the position no longer.
func (s *state) spillMoves(r *Rules, b *Bounds, f int, step step) {
	me := &s.readers[f]
	switch me.spilling {
	case notSpilling:
		if s.spills < b.Spills && me.hasFresh(r) && (me.at != settling || !r.SettlesInOrder) {
			step("looks at what it is to spill", func(n *state, me *reader) error {
				n.spills++
				me.noteSpilled(r)
				return nil
			})
		}
	case noted:
		if s.store.told.used && r.SettlesInOrder {
			return
		}
		step("tells what it spills", func(n *state, me *reader) error {
			n.spill(r, me)
			return nil
		})
	case kept:
		step("knows what is spilled", func(_ *state, me *reader) error {
			me.takeSpilled(r)
			return nil
		})
	}
}

// isFresh tells whether a mark may be spilled.
func (me *reader) isFresh(r *Rules, key int) bool {
	m := &me.marks[key]
	return m.is && !m.saved && (!r.SpillLeavesWhatIsOut || !me.out[key].is)
}

func (me *reader) hasFresh(r *Rules) bool {
	for key := range keys {
		if me.isFresh(r, key) {
			return true
		}
	}
	return false
}

// noteSpilled looks at what is dirty.
func (me *reader) noteSpilled(r *Rules) {
	me.spilling = noted
	for key := range keys {
		if !me.isFresh(r, key) {
			continue
		}
		m := &me.marks[key]
		me.spilled[key] = aside{m.word, me.history, m.last}
		me.hasRetry[key] = me.hasRetry[key] || r.SpillIsNoted
	}
}

// spill tells the database.
func (s *state) spill(r *Rules, me *reader) {
	if me.isFenced(r.SettleIsFenced) {
		me.spilling, me.spilled = notSpilling, [keys]aside{}
		return
	}
	me.spilling = kept
	for key, a := range me.spilled {
		if a.history != 0 {
			s.store.aside[key] = a
		}
	}
}

// takeSpilled notes that the database has a mark, if that is still what it was.
func (me *reader) takeSpilled(r *Rules) {
	for key, a := range me.spilled {
		m := &me.marks[key]
		if a.history == me.history && m.is && !m.saved && (m.last == a.offset || !r.SpillIsCompared) {
			me.save(int8(key), m)
		}
	}
	me.spilling, me.spilled = notSpilling, [keys]aside{}
}
