// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"iter"
	"math"
	"slices"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

// book is what is dirty of all queues. The source's lock is held by whoever uses it.
type book struct {
	queues []*queue
	dirty  *dirty
	bounds Bounds
	// commands are the names of those that wrote last.
	commands vocabulary
	// scratch is room for an id.
	scratch []byte
	// collect is Options.Collect, paced how much was dirty when it was told last.
	collect func(percent int)
	paced   int
}

func newBook(mappings []config.Mapping, o *Options) *book {
	b := &book{dirty: newDirty(), bounds: o.Bounds, commands: newVocabulary(), collect: o.Collect}
	for i := range mappings {
		b.queues = append(b.queues, newQueue(mappings[i], b.dirty))
	}
	return b
}

// anew forgets all marks.
func (b *book) anew() {
	b.dirty = newDirty()
	for i, q := range b.queues {
		b.queues[i] = q.anew(b.dirty)
	}
	b.pace()
}

// find is the queue of the name, or nil.
func (b *book) find(name string) *queue {
	for _, q := range b.queues {
		if q.mapping.Name == name {
			return q
		}
	}
	return nil
}

// partitions are those of all queues.
func (b *book) partitions() iter.Seq2[*queue, *partition] {
	return func(yield func(*queue, *partition) bool) {
		for _, q := range b.queues {
			for _, p := range q.partitions {
				if !yield(q, p) {
					return
				}
			}
		}
	}
}

// isFull tells whether the marks take what they may. hasRoom tells whether what the stream does
// not tell of may be marked: a scan, and letters, wait while the marks take half of that.
func (b *book) isFull() bool { return b.dirty.bytes() >= b.bounds.Dirty }

func (b *book) hasRoom() bool { return b.dirty.bytes() <= b.bounds.Dirty/2 }

// oldest is where reading has to begin to meet again what is dirty and not saved.
func (b *book) oldest() (at Point, ok bool) {
	at.Offset = math.MaxInt64
	for _, p := range b.partitions() {
		if first, dirty := p.oldest(); dirty && first.Offset < at.Offset {
			at, ok = first, true
		}
	}
	return at, ok
}

// unsettled is where the first of the writes was made that are in the database aside.
func (b *book) unsettled(now time.Time) int64 {
	first := int64(math.MaxInt64)
	for _, p := range b.partitions() {
		first = min(first, p.unsettled(now))
	}
	return first
}

// scanned tells whether all scans are finished, where the stream is carried up to an offset.
func (b *book) scanned(carried int64) bool {
	return !slices.ContainsFunc(b.queues, func(q *queue) bool { return !q.scan.finished(q, carried) })
}

// allBegun tells whether every partition has a term.
func (b *book) allBegun() bool {
	for _, p := range b.partitions() {
		if p.epoch == 0 {
			return false
		}
	}
	return true
}

// flushed counts the rows of all queues.
func (b *book) flushed() (rows int64) {
	for _, q := range b.queues {
		rows += q.flushed
	}
	return rows
}

// doubtLetters has what has dead letters read again where a server takes over that shares the
// history up to the branch, and may lack what one of them is about: a write before that took the
// place of, or that a key is gone. Of a letter of an earlier history it is not known, so that it may
// be read for nothing. As after a scan the next reader knows of that until it is settled.
func (b *book) doubtLetters(branch int64, at Point) {
	for q, p := range b.partitions() {
		if p.lettered <= branch {
			continue
		}
		for id := range p.letters {
			p.come([]byte(id), at, q.encoding.named)
		}
	}
}

// vocabulary numbers the names of commands, of which there are a few hundred.
type vocabulary struct {
	numbers map[string]uint16
	names   []string
}

func newVocabulary() vocabulary {
	return vocabulary{numbers: map[string]uint16{"": 0}, names: []string{""}}
}

func (v *vocabulary) number(name string) uint16 {
	n, ok := v.numbers[name]
	if !ok && len(v.names) < 1<<16 {
		n = uint16(len(v.names)) //nolint:gosec // It was just compared.
		v.numbers[name] = n
		v.names = append(v.names, name)
	}
	return n
}
