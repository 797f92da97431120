// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
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
	encoding encoding
	// life is the history that the marks are of.
	life int64
	order
	// out are those of the claim in its order.
	out []*mark
	// letters are the ids with a dead letter in the database, each with the number of the look
	// at them since which that is known; stored are those of which it has, or may have, a
	// retry.
	letters map[string]int64
	// rereads are those of them that are no dead letters: somebody wants the name read anew.
	rereads map[string]struct{}
	stored  map[string]struct{}
	// lettered is the highest version of a dead letter that is known to be of this history.
	lettered int64
	// forgotten are those of stored of which nothing is to be written any more.
	forgotten map[string]struct{}

	// gone has the keys of members that have gone without a word of the application, while
	// anything is dirty: by the offset.
	gone     map[string]int64
	mostGone int
	// ofGone are the members of these that were written, while a page is evaluated.
	ofGone map[string][]written

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

func newPartition(of *dirty, e encoding) *partition {
	return &partition{
		encoding: e, floor: math.MaxInt64, order: order{of: of, marked: newIndex(of)}, letters: make(map[string]int64),
		rereads: make(map[string]struct{}), stored: make(map[string]struct{}), forgotten: make(map[string]struct{}),
	}
}

// enter puts a mark that is nowhere to a place's end.
func (p *partition) enter(m *mark, at place) {
	if m.saved && !m.asked {
		p.floor = min(p.floor, m.first)
	}
	p.order.enter(m, at)
}

// add makes a mark of an id, and enters it. What it is like says the rest.
func (p *partition) add(id []byte, like mark) *mark {
	m := p.of.add(id, like)
	p.put(m)
	return m
}

// put enters a mark that is new.
func (p *partition) put(m *mark) {
	if m.scanned {
		p.scanning++
	}
	at := inFresh
	if m.saved {
		at = inKept
		if p.of.attempts(m) > 0 {
			at = inWaiting
		}
	}
	p.enter(m, at)
}

// settle drops a mark that is nowhere, since nothing is to be written of it any more.
func (p *partition) settle(m *mark) {
	if m.scanned {
		p.scanning--
	}
	p.of.drop(m)
}

// forget drops a mark of which nothing is to be written.
func (p *partition) forget(m *mark) {
	id := string(p.of.id(m))
	delete(p.owed, id)
	_, stored := p.stored[id]
	_, dead := p.letters[id]
	// The name of a key of members would take what there is of these along, and that of one
	// with a dead letter the letter.
	if stored && !dead && (!p.encoding.members || isOfMember(id)) {
		p.forgotten[id] = struct{}{}
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
	if m.more {
		e := p.of.extra(m)
		e.attempts, e.firstRefused = 0, 0
	}
	m.since = time.Now().UnixMicro()
	p.enter(m, inFresh)
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
	p.pay(m)
}

// pay has a mark that is carried, or that the database has aside, stand for all that is owed.
func (p *partition) pay(m *mark) {
	if first, ok := p.owed[string(p.of.id(m))]; ok {
		m.first = min(m.first, first)
		delete(p.owed, string(p.of.id(m)))
	}
}

// take adds up to so many marks to the claim, of which so many may have been refused.
func (p *partition) take(most, retries int, now time.Time) []*mark {
	p.ripen(now)
	from := len(p.out)
	for len(p.out)-from < most {
		m := p.next(retries > 0)
		if m == nil {
			break
		}
		if m.place == inDue {
			retries--
		}
		p.takeOut(m)
		p.out = append(p.out, m)
	}
	return p.out[from:]
}

// takeOut has a mark be out in the claim.
func (p *partition) takeOut(m *mark) {
	m.saved = m.place != inFresh
	p.leave(m)
	m.place = inClaim
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
	if first, ok := p.owed[string(p.of.id(m))]; !ok || m.first < first {
		p.owed[string(p.of.id(m))] = m.first
	}
	p.floor = min(p.floor, m.first)
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
func (p *partition) length() int { return p.marked.length() + len(p.out) }

func (p *partition) countFresh() int {
	n := p.fresh.length + p.kept.length
	for _, m := range p.out {
		if p.of.attempts(m) == 0 {
			n++
		}
	}
	return n
}

// oldest is where reading has to begin to meet again what is dirty and not saved.
func (p *partition) oldest() (at Point, ok bool) {
	at.Offset = math.MaxInt64
	if m := p.of.at(p.fresh.head); m != nil {
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
	for m := range p.aside() {
		p.floor = min(p.floor, m.unsettled())
	}
	for _, m := range p.out {
		p.floor = min(p.floor, m.unsettled())
	}
	return p.floor
}

// head is when the first of the fresh marks was made, in µs since 1970; 0 if there is none.
func (p *partition) head() int64 {
	var since int64
	for _, number := range []uint32{p.fresh.head, p.kept.head} {
		if m := p.of.at(number); m != nil && (since == 0 || m.since < since) {
			since = m.since
		}
	}
	for _, m := range p.out {
		if p.of.attempts(m) == 0 && (since == 0 || m.since < since) {
			since = m.since
		}
	}
	return since
}
