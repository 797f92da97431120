// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bytes"
	"iter"
)

// index finds marks by their ids.
type index struct {
	of *dirty
	// numbers are those of the marks by the hash of the id, others those of which another mark
	// has the hash.
	numbers map[uint32]uint32
	others  map[string]uint32
	// most is how many were in it at once: a map never shrinks.
	most int
}

// indexBytes is about what a place in the map takes: eight bytes and one, of which two thirds
// are used.
const indexBytes = 14

func newIndex(of *dirty) index {
	return index{of: of, numbers: make(map[uint32]uint32), others: make(map[string]uint32)}
}

// find is the mark of an id, nil if there is none.
func (x *index) find(id []byte) *mark {
	if m := x.of.at(x.numbers[x.of.hash(id)]); m != nil && bytes.Equal(x.of.id(m), id) {
		return m
	}
	if len(x.others) == 0 {
		return nil
	}
	return x.of.at(x.others[string(id)])
}

// like is the mark of the id that another one has.
func (x *index) like(m *mark) *mark { return x.find(x.of.id(m)) }

// enter has a mark found, whose id no other one has.
func (x *index) enter(m *mark) {
	id := x.of.id(m)
	hash := x.of.hash(id)
	if x.numbers[hash] != 0 {
		x.others[string(id)] = m.number
	} else {
		x.numbers[hash] = m.number
	}
	x.most = max(x.most, x.length())
}

// leave has a mark not found any more.
func (x *index) leave(m *mark) {
	id := x.of.id(m)
	if hash := x.of.hash(id); x.numbers[hash] == m.number {
		delete(x.numbers, hash)
	} else {
		delete(x.others, string(id))
	}
	if x.length() == 0 && x.most > chunkMarks {
		*x = newIndex(x.of)
	}
}

func (x *index) length() int { return len(x.numbers) + len(x.others) }

// all are the marks, in no order. They may leave meanwhile.
func (x *index) all() iter.Seq[*mark] {
	return func(yield func(*mark) bool) {
		for _, number := range x.numbers {
			if !yield(x.of.at(number)) {
				return
			}
		}
		for _, number := range x.others {
			if !yield(x.of.at(number)) {
				return
			}
		}
	}
}
