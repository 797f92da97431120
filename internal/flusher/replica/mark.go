// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"math"
	"slices"
	"time"
)

// seen is the word of a name that a scan has come across: nothing is known of what was done
// to it.
const seen Word = 0

// mark says that a name is dirty. There may be millions, so it is small: what few of them
// have stands in extra.
type mark struct {
	// id is the key or, in a queue of members, the key and the member: see appendID.
	id            string
	before, after *mark
	// first is where reading has to begin to meet the first write again, last the offset
	// behind the newest.
	first, last int64
	// since is when the first write was met, in µs since 1970.
	since int64
	extra *extra
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
}

// markBytes is about what a mark takes beside its id: itself, and its place in a map.
const (
	markBytes  = 136
	extraBytes = 136
)

// extra is what few marks have.
type extra struct {
	// value is what SET wrote last, if hasValue, or the fields of an entry of a stream.
	value    string
	hasValue bool
	// members are the fields that were named.
	members []string
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

func (m *mark) attempts() int {
	if m.extra == nil {
		return 0
	}
	return m.extra.attempts
}

// more is the mark's extra, which is made if there is none.
func (m *mark) more() *extra {
	if m.extra == nil {
		m.extra = &extra{index: -1}
	}
	return m.extra
}

// bytes is about what the mark takes.
func (m *mark) bytes() int {
	n := len(m.id) + markBytes
	if m.extra != nil {
		n += extraBytes + len(m.extra.value)
		for _, member := range m.extra.members {
			n += len(member) + 16
		}
	}
	return n
}

// value is the newest value, if the stream told it.
func (m *mark) value() (value string, ok bool) {
	if m.extra == nil {
		return "", false
	}
	return m.extra.value, m.extra.hasValue
}

func (m *mark) members() []string {
	if m.extra == nil {
		return nil
	}
	return m.extra.members
}

func (m *mark) setValue(value string) { m.more().value, m.extra.hasValue = value, true }

func (m *mark) dropValue() {
	if m.extra != nil {
		m.extra.value, m.extra.hasValue = "", false
	}
}

// mostFields is how many fields of a hash are named. Where more were written, all are read.
const mostFields = 64

// name adds a field that was named.
func (m *mark) name(field string) {
	switch {
	case m.whole || slices.Contains(m.members(), field):
	case len(m.members()) >= mostFields:
		m.wholly()
	default:
		m.more().members = append(m.extra.members, field)
	}
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
func (m *mark) covers(other *mark) bool {
	if m.whole || len(m.members()) == 0 && len(other.members()) == 0 {
		return m.whole || !other.whole
	}
	missing := func(field string) bool { return !slices.Contains(m.members(), field) }
	return !other.whole && !slices.ContainsFunc(other.members(), missing)
}

// wholly has the hash read whole.
func (m *mark) wholly() {
	m.whole = true
	if m.extra != nil {
		m.extra.members = nil
	}
}

// precedes makes later the mark of both, where the mark is of writes before it. Whose first
// it is, and its place, the caller decides.
func (m *mark) precedes(later *mark) {
	if later.last < m.last {
		// The stream tells once more of writes before those that a retry is of.
		later.word, later.wrote = m.word, m.wrote
		later.dropValue()
	}
	later.asked = later.asked || m.asked && !later.rewrites()
	if later.word == seen || later.word == Unlinked && !later.wrote && m.word == Deleted {
		later.word = m.word
	}
	if later.word != Deleted {
		if value, ok := m.value(); ok && (!later.wrote || later.last < m.last) {
			later.setValue(value)
		}
		later.wrote = later.wrote || m.wrote
	}
	later.scanned, later.expired = later.scanned || m.scanned, later.expired || m.expired
	later.writes += m.writes
	later.since = min(later.since, m.since)
	later.last = max(later.last, m.last)
	if m.whole {
		later.wholly()
	}
	for _, field := range m.members() {
		later.name(field)
	}
	if later.command == 0 {
		later.command = m.command
	}
}

// marks is a list of marks.
type marks struct {
	head, tail *mark
	length     int
}

func (l *marks) append(m *mark)  { l.insert(m, l.tail) }
func (l *marks) prepend(m *mark) { l.insert(m, nil) }

// insert puts a mark behind another one, or before all.
func (l *marks) insert(m, behind *mark) {
	m.before, m.after = behind, l.head
	if behind != nil {
		m.after, behind.after = behind.after, m
	} else {
		l.head = m
	}
	if m.after != nil {
		m.after.before = m
	} else {
		l.tail = m
	}
	l.length++
}

func (l *marks) remove(m *mark) {
	if m.before == nil {
		l.head = m.after
	} else {
		m.before.after = m.after
	}
	if m.after == nil {
		l.tail = m.before
	} else {
		m.after.before = m.before
	}
	m.before, m.after = nil, nil
	l.length--
}

// waiting are marks by the time of their next attempt: a heap.
type waiting []*mark

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].extra.due.Before(w[j].extra.due) }

func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].extra.index, w[j].extra.index = i, j
}

// Push adds a mark.
func (w *waiting) Push(x any) {
	m, _ := x.(*mark)
	m.extra.index = len(*w)
	*w = append(*w, m)
}

// Pop takes the last mark away.
func (w *waiting) Pop() any {
	last := len(*w) - 1
	m := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return m
}
