// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"container/heap"
	"math"
	"slices"
	"time"
)

// partition has the marks of one partition. The source's lock is held by whoever uses it.
//
//	           mark                    claim                 Done, Dead, Lost
//	nowhere ─────────▶ fresh or kept ─────────▶ in the claim ────────────────▶ nowhere
//	                     ▲       ▲                │   │   │
//	                     │       └── void, Kept ──┘   │   └ Refused ▶ waiting ▶ due ┐
//	                     │                            │                  │       │  │
//	                     └──── marked again ──────────┴──────────────────┴───────┘  │
//	                                              ▲                                 │
//	                                              └───────── claim ─────────────────┘
//
// What is out in a claim is not in the map: a name that is written meanwhile has a second
// mark, and the two become one when the claim ends or shows the later write.
type partition struct {
	of       *dirty
	encoding encoding
	// life is the history that the marks are of.
	life int64
	// marked are those that are not out, by id.
	marked map[string]*mark
	// fresh are in the order of their firsts, which never fall. kept, due and waiting are
	// saved, so that none of them holds the position.
	fresh, kept, due marks
	waiting          waiting
	// turns counts what was ever appended to fresh.
	turns uint64
	// out are those of the claim in its order.
	out []*mark
	// letters are the ids with a dead letter in the database, each with the number of the look
	// at them since which that is known; stored are those of which it has, or may have, a
	// retry.
	letters map[string]int64
	stored  map[string]struct{}
	// lettered is the highest version of a dead letter that is known to be of this history.
	lettered int64
	// forgotten are those of stored of which nothing is to be written any more.
	forgotten map[string]struct{}

	// gone has the keys of members that have gone without a word of the application, while
	// anything is dirty: by the offset.
	gone     map[string]int64
	mostGone int

	// epoch is that of the term that has begun, 0 if none has. step, claim and acknowledged
	// are those of the term: see entry.Term.
	epoch, step         int64
	claim, acknowledged int64
	// carried is the highest version that was committed in this tenure.
	carried int64
	// scanning counts the marks that a scan waits for.
	scanning int
	// refused is when the oldest mark was made that was refused, as found at that time.
	refused   int64
	refusedAt time.Time
	// owed has the firsts of writes that were in the database aside, or refused, and are
	// neither since a later one of the name is dirty.
	owed map[string]int64
	// floor is no higher than the first of any mark that is saved, as found at that time.
	floor   int64
	floorAt time.Time
}

// dirty is what all partitions of a source share: how much the marks take.
type dirty struct {
	marks, bytes, values int
}

func newPartition(of *dirty, e encoding) *partition {
	return &partition{
		of: of, encoding: e, floor: math.MaxInt64, marked: make(map[string]*mark), letters: make(map[string]int64), stored: make(map[string]struct{}),
		forgotten: make(map[string]struct{}),
	}
}

// enter puts a mark that is nowhere to a place's end.
func (p *partition) enter(m *mark, at place) {
	m.place = at
	p.marked[m.id] = m
	if m.saved && !m.asked {
		p.floor = min(p.floor, m.first)
	}
	switch at {
	case inFresh:
		p.turns++
		p.fresh.append(m)
	case inKept:
		m.more().turn = p.turns
		p.kept.append(m)
	case inDue:
		p.due.append(m)
	case inWaiting:
		heap.Push(&p.waiting, m)
	}
}

// leave takes a mark from its place, which is not the claim.
func (p *partition) leave(m *mark) {
	switch m.place {
	case inFresh:
		p.fresh.remove(m)
	case inKept:
		p.kept.remove(m)
	case inDue:
		p.due.remove(m)
	case inWaiting:
		heap.Remove(&p.waiting, m.extra.index)
	}
	m.place = nowhere
	delete(p.marked, m.id)
}

// change changes a mark, and accounts for what it takes then.
func (p *partition) change(m *mark, how func()) {
	bytes, values := m.bytes(), valueBytes(m)
	how()
	p.of.bytes += m.bytes() - bytes
	p.of.values += valueBytes(m) - values
}

// add enters a new mark.
func (p *partition) add(m *mark) {
	p.of.marks++
	p.of.bytes += m.bytes()
	p.of.values += valueBytes(m)
	if m.scanned {
		p.scanning++
	}
	at := inFresh
	if m.saved {
		at = inKept
		if m.attempts() > 0 {
			at = inWaiting
		}
	}
	p.enter(m, at)
}

// settle drops a mark that is nowhere, since nothing is to be written of it any more.
func (p *partition) settle(m *mark) {
	m.place = nowhere
	p.of.marks--
	p.of.bytes -= m.bytes()
	p.of.values -= valueBytes(m)
	if m.scanned {
		p.scanning--
	}
}

// forget drops a mark of which nothing is to be written.
func (p *partition) forget(m *mark) {
	delete(p.owed, m.id)
	_, stored := p.stored[m.id]
	_, dead := p.letters[m.id]
	// The name of a key of members would take what there is of these along, and that of one
	// with a dead letter the letter.
	if stored && !dead && (!p.encoding.members || isOfMember(m.id)) {
		p.forgotten[m.id] = struct{}{}
	}
	p.settle(m)
}

func isOfMember(id string) bool {
	_, _, one := namesOf(id)
	return one
}

// renew puts a mark that is saved among the fresh ones, since it is written again.
func (p *partition) renew(m *mark, at Point) {
	p.leave(m)
	p.owes(m)
	m.asked = false
	m.saved, m.first, m.database = false, at.Offset, int16(at.Database) //nolint:gosec // There are few databases.
	if m.extra != nil {
		m.extra.attempts, m.extra.firstRefused = 0, 0
	}
	m.since = time.Now().UnixMicro()
	p.enter(m, inFresh)
}

// ripen makes those due whose time has come.
func (p *partition) ripen(now time.Time) {
	for len(p.waiting) > 0 && !now.Before(p.waiting[0].extra.due) {
		m, _ := heap.Pop(&p.waiting).(*mark)
		m.place = inDue
		p.due.append(m)
	}
}

// store notes that the database has, or may have, a retry of the name.
func (p *partition) store(id string) {
	p.stored[id] = struct{}{}
	delete(p.forgotten, id)
}

// save notes that the database has a mark that is nowhere.
func (p *partition) save(m *mark) {
	if m.saved = true; m.scanned {
		m.scanned, m.first = false, before
		p.scanning--
	}
	if first, ok := p.owed[m.id]; ok {
		m.first = min(m.first, first)
		delete(p.owed, m.id)
	}
}

// take adds up to so many marks to the claim, of which so many may have been refused.
func (p *partition) take(most, retries int, now time.Time) []*mark {
	p.ripen(now)
	from := len(p.out)
	for len(p.out)-from < most {
		m := p.kept.head
		switch {
		case retries > 0 && p.due.head != nil:
			m = p.due.head
			retries--
		case m == nil || p.fresh.head != nil && p.turns-uint64(p.fresh.length) < m.extra.turn: //nolint:gosec // It is no less.
			if m = p.fresh.head; m == nil {
				return p.out[from:]
			}
		}
		came := m.place
		p.leave(m)
		m.place = inClaim
		m.saved = came != inFresh
		p.out = append(p.out, m)
	}
	return p.out[from:]
}

// absorb makes a mark of the claim, read as of that offset, the only one of its name where
// the later one is of nothing behind that, and of nothing else than was read. Of a key that
// is gone everything was read. It returns the offset of the last write that the value has.
func (p *partition) absorb(m *mark, offset int64, gone bool) int64 {
	twin := p.marked[m.id]
	switch {
	case twin == nil || twin.first >= offset:
		return m.last
	case twin.last > offset:
		// It may be of writes before the offset, too.
		return offset
	case !gone && !m.covers(twin):
		return twin.last
	}
	p.unite(m, twin)
	return m.last
}

// mayHaveExpired tells whether a later mark of the name has words before and behind the offset,
// and one of them is that the key has gone by itself: that may be the last word at the offset.
func (p *partition) mayHaveExpired(m *mark, offset int64) bool {
	twin := p.marked[m.id]
	return twin != nil && twin.expired && twin.first < offset && offset < twin.last
}

// unite makes a mark that is out the only one of its name.
func (p *partition) unite(m, twin *mark) {
	p.leave(twin)
	before, rewritten, gone := m.bytes()+twin.bytes(), twin.rewrites(), twin.word == Unlinked
	attempts, refused := m.attempts(), int64(0)
	if attempts > 0 {
		refused = m.extra.firstRefused
	}
	p.merge(m, twin)
	m.word, m.wrote, m.whole, m.scanned, m.asked, m.expired = twin.word, twin.wrote, twin.whole, twin.scanned, twin.asked, twin.expired
	m.last, m.writes, m.command, m.extra = twin.last, twin.writes, twin.command, twin.extra
	if m.saved && (rewritten || gone) {
		// What the database has aside is an earlier write, or does not say that the key has
		// gone by itself since.
		p.owes(m)
		m.saved, m.first, m.database = false, twin.first, twin.database
	}
	if !rewritten && attempts > 0 {
		m.more().attempts, m.extra.firstRefused = attempts, refused
	}
	p.of.bytes += m.bytes() - before
}

// merge makes twin the mark of both, and counts once what both had.
func (p *partition) merge(m, twin *mark) {
	scanned := m.scanned && twin.scanned
	held := valueBytes(m) + valueBytes(twin)
	m.precedes(twin)
	p.of.values += valueBytes(twin) - held
	p.of.marks--
	if scanned {
		p.scanning--
	}
}

func valueBytes(m *mark) int {
	value, _ := m.value()
	return len(value)
}

// restore puts a mark that is out back to the head of its place.
func (p *partition) restore(m *mark) {
	m.place = nowhere
	if twin := p.marked[m.id]; twin != nil {
		before := m.bytes() + twin.bytes()
		p.merge(m, twin)
		if m.saved {
			p.owes(m)
		} else {
			p.leave(twin)
			twin.first, twin.database = m.first, m.database
			p.owe(twin)
		}
		p.of.bytes += twin.bytes() - before
		return
	}
	if !m.saved {
		p.owe(m)
		return
	}
	p.marked[m.id] = m
	switch {
	case m.attempts() > 0:
		m.place = inDue
		p.due.prepend(m)
	default:
		m.place = inKept
		p.kept.prepend(m)
	}
}

// owes notes that the first write of a mark is not carried, though the mark goes on as one of
// a later write.
func (p *partition) owes(m *mark) {
	if m.asked {
		return // It has been a dead letter.
	}
	if p.owed == nil {
		p.owed = make(map[string]int64)
	}
	if first, ok := p.owed[m.id]; !ok || m.first < first {
		p.owed[m.id] = m.first
	}
	p.floor = min(p.floor, m.first)
}

// owe puts a mark that is nowhere among the fresh ones by its first: as a rule before all of
// them, but for one that was saved and is written again.
func (p *partition) owe(m *mark) {
	m.place, p.marked[m.id] = inFresh, m
	at := p.fresh.tail
	if head := p.fresh.head; head != nil && m.first <= head.first {
		at = nil
	}
	for at != nil && at.first > m.first {
		at = at.before
	}
	p.fresh.insert(m, at)
}

// void ends a claim that is not acknowledged: what is out is as dirty as before, and whoever
// still makes the claim notices by its number.
func (p *partition) void() {
	p.claim++
	out := p.out
	p.out = nil
	for _, m := range slices.Backward(out) {
		p.restore(m)
	}
}

// length counts the marks, fresh those that were never refused.
func (p *partition) length() int { return len(p.marked) + len(p.out) }

func (p *partition) countFresh() int {
	n := p.fresh.length + p.kept.length
	for _, m := range p.out {
		if m.attempts() == 0 {
			n++
		}
	}
	return n
}

// oldest is where reading has to begin to meet again what is dirty and not saved.
func (p *partition) oldest() (at Point, ok bool) {
	at.Offset = math.MaxInt64
	if m := p.fresh.head; m != nil {
		at, ok = Point{m.first, int(m.database)}, true
	}
	for _, m := range p.out {
		if !m.saved && m.first < at.Offset {
			at, ok = Point{m.first, int(m.database)}, true
		}
	}
	return at, ok
}

// unsettled is where the first of the writes was made that are in the database aside. It is
// looked for among all of them once a second at most, and may be lower in between.
func (p *partition) unsettled(now time.Time) int64 {
	if p.kept.length+p.due.length+len(p.waiting)+len(p.out)+len(p.owed) == 0 {
		p.floor = math.MaxInt64
		return p.floor
	}
	if now.Sub(p.floorAt) < time.Second {
		return p.floor
	}
	p.floor, p.floorAt = math.MaxInt64, now
	for _, first := range p.owed {
		p.floor = min(p.floor, first)
	}
	for _, l := range []*marks{&p.kept, &p.due} {
		for m := l.head; m != nil; m = m.after {
			p.floor = min(p.floor, m.unsettled())
		}
	}
	for _, all := range [][]*mark{p.waiting, p.out} {
		for _, m := range all {
			p.floor = min(p.floor, m.unsettled())
		}
	}
	return p.floor
}

// head is when the first of the fresh marks was made, in µs since 1970; 0 if there is none.
func (p *partition) head() int64 {
	var since int64
	for _, m := range []*mark{p.fresh.head, p.kept.head} {
		if m != nil && (since == 0 || m.since < since) {
			since = m.since
		}
	}
	for _, m := range p.out {
		if m.attempts() == 0 && (since == 0 || m.since < since) {
			since = m.since
		}
	}
	return since
}
