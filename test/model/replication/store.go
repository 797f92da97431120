// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replication

import "fmt"

const (
	// histories is how many there may be: the first one, and one for each loss.
	histories = 5
	// inFlight is how many batches may be on their way to the database.
	inFlight = 2
)

// position is how far the stream was carried, as the database has it.
type position struct {
	history, id, offset int8
	scanned             bool
	witness             int8
}

// aside is a retry that the database keeps.
type aside struct {
	word            word
	history, offset int8
}

// nobody is the key that is refused where none is.
const nobody = -1

// operation is what becomes of a row.
type operation int8

const (
	none operation = iota
	put
	remove
	// lose writes nothing: the value is gone, which is counted.
	lose
)

// row is what is to be written of a key: what the command with the number made of it.
type row struct {
	operation operation
	number    int8
	// version is that of a dead letter.
	version int8
}

// batch is on its way to the database. owner is 0 when nobody waits for its answer, or else
// one more than the number of the reader. valid says that no term has begun since: instead of
// comparing epochs the model takes note of it when one begins.
type batch struct {
	used, valid bool
	owner       int8
	ledger      int8
	version     int8
	rows        [keys]row
}

// store is the database. Of each key the table has the number of the command that its row is
// of, or that took the row away.
type store struct {
	position  position
	histories int8
	aside     [keys]aside
	// letters are the versions of the dead letters.
	letters [keys]int8
	// known are the incarnations that the ledger has, version the highest that each has of
	// what was committed.
	known   [histories]bool
	version [histories]int8
	table   [keys]int8
	// told is what somebody has told of what is no row who does not wait for the answer any
	// more.
	told told
}

// told is what the database is to know of each key, what is aside then, and which command is
// lost by which version. valid says that it takes effect.
type told struct {
	used, valid bool
	plan        [keys]plan
	aside       [keys]aside
	lost        [keys]int8
	version     [keys]int8
}

// take has what was told take effect.
func (s *state) take(t *told) {
	for key := range t.plan {
		switch t.plan[key] {
		case forget:
			s.store.aside[key], s.store.letters[key] = aside{}, 0
		case letter:
			s.store.aside[key], s.store.letters[key] = aside{}, t.version[key]
			s.counted[key] = max(s.counted[key], t.lost[key])
		case retry:
			s.store.aside[key] = t.aside[key]
		}
	}
}

// ledgerOf is the row of the ledger for a history.
func ledgerOf(r *Rules, history int8) int8 {
	if !r.IncarnationPerHistory {
		return 1
	}
	return history
}

// acquire begins a term in the ledger: what was sent before takes no effect any more. The
// first of a history shuts out those of all others.
func (s *state) acquire(r *Rules, f int, ledger int8) (committed int8) {
	all := !s.store.known[ledger]
	s.store.known[ledger] = true
	for i := range s.network {
		if s.network[i].used && (all || s.network[i].ledger == ledger) {
			s.network[i].valid = false
		}
	}
	for i := range s.readers {
		if o := &s.readers[i]; i != f && o.term == inForce && (all || ledgerOf(r, o.history) == ledger) {
			o.term = outdated
		}
	}
	return s.store.version[ledger]
}

// write writes the rows of a batch but that of one key, which is refused.
func (s *state) write(b *batch, refused int8) (wrote bool, broken error) {
	for key, w := range b.rows {
		if w.operation != put && w.operation != remove || int8(key) == refused {
			continue
		}
		wrote = true
		before := s.store.table[key]
		if w.number < before && !s.lost.has(before) && broken == nil {
			broken = fmt.Errorf("the row of key %d goes back from command %d to %d", key, before, w.number)
		}
		s.store.table[key] = w.number
		s.committed |= 1 << w.number
	}
	if wrote {
		s.store.version[b.ledger] = max(s.store.version[b.ledger], b.version)
	}
	return wrote, broken
}

// isFenced tells whether a reader that was replaced is kept from the store.
func (me *reader) isFenced(rule bool) bool { return rule && !me.leads }
