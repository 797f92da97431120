// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"
	"slices"
	"time"
)

// seen is the word of a name that a scan has come across: nothing is known of what was done
// to it.
const seen Word = 0

// mark says that a name is dirty. There may be millions, so it is small and has no pointers: what
// few of them have stands in extra.
type mark struct {
	// first is where reading has to begin to meet the first write again, last the offset
	// behind the newest.
	first, last int64
	// since is when the first write was met, in µs since 1970.
	since int64
	// number is the mark's own, before and after are those of its neighbours in a list.
	number, before, after uint32
	// id is the key or, in a queue of members, the key and the member, told what the stream
	// told: what SET wrote last, the fields of an entry of a stream or, if listed, the members
	// that were named.
	id, told ref
	// writes counts the writes. database is the one that is selected at first.
	writes   int32
	database int16
	command  uint16
	word     Word
	place    place
	// wrote says that something was written that is not in the table yet, whole that the
	// hash is to be read whole, scanned that a scan waits for it, and saved that the database
	// has it aside: it holds the position no longer. asked says that it stands for a dead
	// letter that somebody wants tried again: the letter is what the database has aside.
	// expired says that it is among the words that the key has gone by itself.
	wrote, whole, scanned, saved, asked, expired bool
	// listed is said above, and more says that there is an extra.
	listed, more bool
}

// extra is what few marks have.
type extra struct {
	of *mark
	// attempts and firstRefused are as in an entry, due is when the next attempt may be made,
	// and index the place among those that wait for that.
	attempts     int
	firstRefused int64
	due          time.Time
	index        int
	// turn is when a mark that was kept comes first, by the count of those before it.
	turn uint64
}

// place is where a mark is.
type place byte

const (
	nowhere place = iota
	// inFresh and inKept are in turn, inDue was refused and can be tried, inWaiting cannot
	// yet, and inClaim is out.
	inFresh
	inKept
	inDue
	inWaiting
	inClaim
)

// none is the extra of a mark that has none. Nobody writes to it.
var none = &extra{index: -1}

func (d *dirty) extra(m *mark) *extra {
	if !m.more {
		return none
	}
	return d.extras[m.number]
}

// more is the mark's extra, which is made if there is none.
func (d *dirty) more(m *mark) *extra {
	if !m.more {
		m.more = true
		d.extras[m.number] = &extra{of: m, index: -1}
	}
	return d.extras[m.number]
}

func (d *dirty) dropExtra(m *mark) {
	if m.more {
		m.more = false
		delete(d.extras, m.number)
	}
}

// attempts is how often a mark was refused.
func (d *dirty) attempts(m *mark) int { return d.extra(m).attempts }

// hasValue tells whether the stream told the newest value.
func (m *mark) hasValue() bool { return m.told != 0 && !m.listed }

// value is the newest value, if the stream told it.
func (d *dirty) value(m *mark) string {
	if !m.hasValue() {
		return ""
	}
	return string(d.texts.of(m.told))
}

// valueBytes is how long it is.
func (d *dirty) valueBytes(m *mark) int {
	if !m.hasValue() {
		return 0
	}
	return len(d.texts.of(m.told))
}

func (d *dirty) setValue(m *mark, value []byte) {
	d.tell(m, value, false)
	d.values += len(value)
}

func (d *dirty) tell(m *mark, told []byte, listed bool) {
	d.untell(m)
	m.told, m.listed = d.texts.add(told), listed
	d.tidy()
}

func (d *dirty) dropValue(m *mark) {
	if m.hasValue() {
		d.untell(m)
	}
}

// untell forgets what the stream told.
func (d *dirty) untell(m *mark) {
	if m.told != 0 {
		d.values -= d.valueBytes(m)
		d.texts.drop(m.told)
		m.told, m.listed = 0, false
	}
}

// named are the members that were named, until the mark is changed.
func (d *dirty) named(m *mark) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !m.listed {
			return
		}
		for rest := d.texts.of(m.told); len(rest) > 0; {
			length, n := binary.Uvarint(rest)
			end := n + int(length) //nolint:gosec // It is the length of a text.
			if !yield(rest[n:end]) {
				return
			}
			rest = rest[end:]
		}
	}
}

func (d *dirty) members(m *mark) (members []string) {
	for member := range d.named(m) {
		members = append(members, string(member))
	}
	return members
}

// mostFields is how many fields of a hash are named. Where more were written, all are read.
const mostFields = 64

// name adds a member to those that were named, up to so many fields.
func (d *dirty) name(m *mark, member []byte) {
	if m.whole {
		return
	}
	members := 0
	for other := range d.named(m) {
		if members++; members == mostFields && !bytes.Equal(other, member) {
			d.wholly(m)
			return
		}
		if bytes.Equal(other, member) {
			return
		}
	}
	var all []byte
	if m.listed {
		all = d.texts.of(m.told)
	}
	all = append(binary.AppendUvarint(slices.Clip(all), uint64(len(member))), member...)
	d.tell(m, all, true)
}

// takeTold gives the mark what another one was told.
func (d *dirty) takeTold(m, from *mark) {
	d.untell(m)
	m.told, m.listed, from.told, from.listed = from.told, from.listed, 0, false
}

// rewrites tells whether the mark is of more than that its key has gone by itself, or was
// come across.
func (m *mark) rewrites() bool { return m.wrote || m.word == Deleted }

// unsettled is the first of the mark's writes that whoever waits for them must not be told of
// yet. One that has been a dead letter was told of.
func (m *mark) unsettled() int64 {
	if m.asked {
		return math.MaxInt64
	}
	return m.first
}

// covers tells whether what is read for the mark is all that has to be read for the other.
func (d *dirty) covers(m, other *mark) bool {
	if m.whole || !m.listed && !other.listed {
		return m.whole || !other.whole
	}
	members := d.members(m)
	missing := func(field string) bool { return !slices.Contains(members, field) }
	return !other.whole && !slices.ContainsFunc(d.members(other), missing)
}

// wholly has the hash read whole.
func (d *dirty) wholly(m *mark) {
	m.whole = true
	if m.listed {
		d.untell(m)
	}
}

// join makes later the mark of both, where the mark is of writes before it. Whose first it is, and
// its place, the caller decides, and drops the mark.
func (d *dirty) join(m, later *mark) {
	if later.last < m.last {
		// The stream tells once more of writes before those that a retry is of.
		later.word, later.wrote = m.word, m.wrote
		d.dropValue(later)
	}
	later.asked = later.asked || m.asked && !later.rewrites()
	if later.word == seen || later.word == Unlinked && !later.wrote && m.word == Deleted {
		later.word = m.word
	}
	if later.word != Deleted {
		if m.hasValue() && (!later.wrote || later.last < m.last) {
			d.takeTold(later, m)
		}
		later.wrote = later.wrote || m.wrote
	}
	later.scanned, later.expired = later.scanned || m.scanned, later.expired || m.expired
	later.writes += m.writes
	later.since = min(later.since, m.since)
	later.last = max(later.last, m.last)
	if m.whole {
		d.wholly(later)
	}
	for member := range d.named(m) {
		d.name(later, member)
	}
	if later.command == 0 {
		later.command = m.command
	}
}

// waiting are the extras of marks by the time of their next attempt: a heap.
type waiting []*extra

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].due.Before(w[j].due) }

func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push adds a mark.
func (w *waiting) Push(x any) {
	e, _ := x.(*extra)
	e.index = len(*w)
	*w = append(*w, e)
}

// Pop takes the last mark away.
func (w *waiting) Pop() any {
	last := len(*w) - 1
	e := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return e
}
