// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"hash/maphash"
	"iter"
)

// dirty has the marks of all partitions of a source, and what they keep. Of a million keys
// nothing is a thing of its own to the collector: marks stand in chunks, and point at each
// other, at their texts and at what few have by numbers. The source's lock is held by whoever
// uses it.
type dirty struct {
	chunks []*chunk
	// vacant are places among the chunks at which there is none, free marks that are not used.
	vacant []int
	free   marks
	// count is how many are used.
	count  int
	texts  texts
	extras map[uint32]*extra
	// values are the bytes of values among the texts.
	values int
	// hash is that of ids.
	hash func(id []byte) uint32
}

const (
	// chunkMarks are so many that a chunk is 16 KiB with its count.
	chunkMarks = 255
	// markBytes is what a mark takes beside its texts: itself, and its place in an index.
	markBytes  = 64 + 14
	extraBytes = 120
)

// chunk has marks, of which so many are used.
type chunk struct {
	marks [chunkMarks]mark
	used  int
}

func newDirty() *dirty {
	seed := maphash.MakeSeed()
	hash := func(id []byte) uint32 { return uint32(maphash.Bytes(seed, id)) } //nolint:gosec // A part of it is enough.
	return &dirty{extras: make(map[uint32]*extra), hash: hash}
}

// at is the mark of a number, nil of 0.
func (d *dirty) at(number uint32) *mark {
	if number == 0 {
		return nil
	}
	number--
	return &d.chunks[number/chunkMarks].marks[number%chunkMarks]
}

// add makes a mark of an id that is like another one.
func (d *dirty) add(id []byte, like mark) *mark {
	if d.free.length == 0 {
		d.grow()
	}
	m := d.at(d.free.head)
	d.remove(&d.free, m)
	like.number = m.number
	*m = like
	m.id = d.texts.add(id)
	d.chunks[(m.number-1)/chunkMarks].used++
	d.count++
	return m
}

// grow makes a chunk.
func (d *dirty) grow() {
	at := len(d.chunks)
	if last := len(d.vacant) - 1; last >= 0 {
		at, d.vacant = d.vacant[last], d.vacant[:last]
		d.chunks[at] = new(chunk)
	} else {
		d.chunks = append(d.chunks, new(chunk))
	}
	for i := range d.chunks[at].marks {
		m := &d.chunks[at].marks[i]
		m.number = uint32(at*chunkMarks + i + 1) //nolint:gosec // The bound on what is dirty is reached before.
		d.append(&d.free, m)
	}
}

// drop forgets a mark. A chunk without any goes where marks are free beside it.
func (d *dirty) drop(m *mark) {
	d.untell(m)
	d.dropExtra(m)
	d.texts.drop(m.id)
	*m = mark{number: m.number}
	d.prepend(&d.free, m)
	d.count--
	at := int(m.number-1) / chunkMarks
	if c := d.chunks[at]; c.used > 1 || d.free.length < 2*chunkMarks {
		c.used--
	} else {
		for i := range c.marks {
			d.remove(&d.free, &c.marks[i])
		}
		d.chunks[at] = nil
		d.vacant = append(d.vacant, at)
	}
	d.tidy()
}

// all are the marks that are used, in no order.
func (d *dirty) all() iter.Seq[*mark] {
	return func(yield func(*mark) bool) {
		for _, c := range d.chunks {
			if c == nil {
				continue
			}
			for i := range c.marks {
				if m := &c.marks[i]; m.id != 0 && !yield(m) {
					return
				}
			}
		}
	}
}

// tidy moves texts together where most of them are gone.
func (d *dirty) tidy() {
	if !d.texts.untidy() {
		return
	}
	for m := range d.all() {
		m.id = d.texts.tidy(m.id)
		if m.told != 0 {
			m.told = d.texts.tidy(m.told)
		}
	}
}

// bytes is what the marks take, and what is free because marks have gone that stood among
// others.
func (d *dirty) bytes() int {
	free := max(0, d.free.length-2*chunkMarks)
	return d.count*markBytes + free*(markBytes-indexBytes) + len(d.extras)*extraBytes + d.texts.used
}

// id is the key of a mark or, in a queue of members, the key and the member: see appendID. It is
// good until the mark is dropped.
func (d *dirty) id(m *mark) []byte { return d.texts.of(m.id) }

// marks is a list of marks.
type marks struct {
	head, tail uint32
	length     int
}

func (d *dirty) append(l *marks, m *mark)  { d.insert(l, m, d.at(l.tail)) }
func (d *dirty) prepend(l *marks, m *mark) { d.insert(l, m, nil) }

// insert puts a mark behind another one, or before all.
func (d *dirty) insert(l *marks, m, behind *mark) {
	m.before, m.after = 0, l.head
	if behind != nil {
		m.before, m.after = behind.number, behind.after
		behind.after = m.number
	} else {
		l.head = m.number
	}
	if after := d.at(m.after); after != nil {
		after.before = m.number
	} else {
		l.tail = m.number
	}
	l.length++
}

func (d *dirty) remove(l *marks, m *mark) {
	if before := d.at(m.before); before != nil {
		before.after = m.after
	} else {
		l.head = m.after
	}
	if after := d.at(m.after); after != nil {
		after.before = m.before
	} else {
		l.tail = m.before
	}
	m.before, m.after = 0, 0
	l.length--
}

// in are the marks of a list, from its head.
func (d *dirty) in(l *marks) iter.Seq[*mark] {
	return func(yield func(*mark) bool) {
		for m := d.at(l.head); m != nil && yield(m); m = d.at(m.after) {
		}
	}
}
