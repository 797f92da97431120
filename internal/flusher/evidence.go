// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"sync"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

const (
	// mostRemembered bounds the keys of which a queue remembers since when they are
	// refused: a few megabytes. Of those that it forgets the next refusal is like the first.
	mostRemembered = 10_000
	// freeTries is how often a row that waits for others to move on is tried again at
	// no cost: more than any chain that one batch of the default size can make.
	freeTries = 100
)

// fault is what tells one reason of a refusal from another.
type fault struct{ state, constraint, column string }

func faultOf(e *entry.Fault) fault { return fault{e.SQLSTATE, e.Constraint, e.Column} }

// evidence is what a queue knows of whether its mapping takes rows, over all of its
// partitions and over time: a refusal is the row's own only if others get through.
// The zero value is ready.
type evidence struct {
	mu    sync.Mutex
	taken taken
	// clock counts the transactions that were sent, latest is which of those that were
	// committed was sent last.
	clock  moment
	latest latest
	// moved counts the rows that got through after they were stuck.
	moved int64
	// last are the distinct keys that were refused for the first time since a row was
	// last taken, with the reason.
	last map[string]suspectRow
	// known are the refused rows that wait to be tried again.
	known histories
}

type suspectRow struct {
	fault fault
	needs entry.Proof
	at    time.Time
}

// histories are what is remembered of refused rows, by entry.Row.
type histories map[string]*history

// history is what is remembered of one refused row.
type history struct {
	version int64
	since   time.Time
	// reasons are what it was refused for.
	reasons map[fault]*reason
	// stuck says that it waits for another row. Of its refusals free cost it nothing;
	// last is how many rows had moved on at the last one, before at the one before that.
	stuck        bool
	last, before int64
	free         int
}

// mostReasons is how many reasons of one row's refusals are told apart.
const mostReasons = 4

// reason is one that a row was refused for.
type reason struct {
	// first is when it was refused for it first.
	first moment
	// controlled says that a control got through after that.
	controlled bool
}

// moment orders refusals and transactions: one that is sent after a refusal was noted has
// a later one.
type moment int64

// latest is when those transactions were sent last that were committed, by what their
// entries show.
type latest [entry.Proofs]moment

// shows tells whether a transaction was sent after the moment that shows that those get
// through which need this proof.
func (l latest) shows(after moment, needs entry.Proof) bool {
	for proof := range needs + 1 {
		if l[proof] > after {
			return true
		}
	}
	return false
}

// taken counts the entries that were committed, by what each of them shows.
type taken [entry.Proofs]int64

func (t *taken) add(more taken) {
	for proof, n := range more {
		t[proof] += n
	}
}

func (t taken) rows() (n int64) {
	for _, of := range t {
		n += of
	}
	return n
}

// shows tells whether what was taken since then shows that those get through which need
// this proof: a stronger one does for them too.
func (t taken) shows(since taken, needs entry.Proof) bool {
	for proof := range needs + 1 {
		if t[proof] > since[proof] {
			return true
		}
	}
	return false
}

func (e *evidence) now() taken {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.taken
}

// sends is the moment of a transaction that is about to be sent.
func (e *evidence) sends() moment {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clock++
	return e.clock
}

// committed is what was committed until now.
func (e *evidence) committed() latest {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.latest
}

// took notes rows that were committed, and when they were sent.
func (e *evidence) took(more taken, sent moment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.taken.add(more)
	for proof, n := range more {
		if n > 0 {
			e.latest[proof] = max(e.latest[proof], sent)
		}
	}
	for key, row := range e.last {
		if more.shows(taken{}, row.needs) {
			delete(e.last, key)
		}
	}
}

// fresh notes a key that is refused for the first time while nothing is taken.
func (e *evidence) fresh(key string, needs entry.Proof, why fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.last == nil {
		e.last = make(map[string]suspectRow)
	}
	if row, ok := e.last[key]; len(e.last) < mostRemembered && (!ok || row.fault != why) {
		e.last[key] = suspectRow{why, needs, time.Now()}
	}
}

// refusedFor is how many distinct keys were refused for one reason since a row was last
// taken.
func (e *evidence) refusedFor(why fault) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, row := range e.last {
		if row.fault == why {
			n++
		}
	}
	return n
}

// probationOf is how long a row has to be refused for this reason before a control that
// is weak makes it a dead letter, and how long no other one was refused for it for the
// first time. The more of them there are, the longer: they may be the first of ten.
func (e *evidence) probationOf(why fault, since time.Duration) (lasts, quiet time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	rows := 0
	for _, row := range e.last {
		if row.fault == why {
			rows++
			since = min(since, time.Since(row.at))
		}
	}
	return probation * time.Duration(max(1, rows-1)), since
}

// of returns what is known of a refused row. One that was not known, or was written anew,
// is refused for the first time.
func (r *histories) of(key string, version int64) *history {
	h := (*r)[key]
	if h != nil && h.version == version {
		return h
	}
	if *r == nil {
		*r = make(histories)
	}
	if h == nil && len(*r) >= mostRemembered {
		for other := range *r {
			delete(*r, other)
			break
		}
	}
	h = &history{version: version, since: time.Now(), reasons: make(map[fault]*reason), last: -1, before: -1}
	(*r)[key] = h
	return h
}

// of is what is known of one reason. Those that are too many count as one.
func (h *history) of(why fault, now moment) *reason {
	if h.reasons[why] == nil && len(h.reasons) >= mostReasons {
		why = fault{}
	}
	r := h.reasons[why]
	if r == nil {
		r = &reason{first: now}
		h.reasons[why] = r
	}
	return r
}

// refused notes that a row was refused. It tells since when, and whether others got
// through between two refusals for this reason: they were sent after the first of them,
// and committed before this one was sent, when before was known.
func (e *evidence) refused(key string, version int64, why fault, needs entry.Proof, before latest) (since time.Duration, others bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.known.of(key, version)
	r := h.of(why, e.clock)
	return time.Since(h.since), r.controlled || before.shows(r.first, needs)
}

// controlled notes that a control got through after a row was refused: the next refusal is
// the row's own.
func (e *evidence) controlled(key string, version int64, why fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known.of(key, version).of(why, e.clock).controlled = true
}

// waitsForOthers notes that a row is stuck because another one has what it needs, and
// tells whether the refusal costs it nothing: the first two do not, nor does any while
// rows that were stuck have moved on since the last but one. Which of two partitions is
// tried first is chance, hence two.
func (e *evidence) waitsForOthers(key string, version int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.known.of(key, version)
	free := h.free < freeTries && e.moved > h.before
	h.stuck, h.before, h.last = true, h.last, e.moved
	if free {
		h.free++
	}
	return free
}

// moveOn counts rows that got through after they were stuck.
func (e *evidence) moveOn(rows int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.moved += rows
}

// freeOf is how many of a row's refusals cost it nothing.
func (e *evidence) freeOf(key string, version int64) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.known[key]; h != nil && h.version == version {
		return h.free
	}
	return 0
}

// through forgets rows that got through; stuck ones have moved on.
func (e *evidence) through(entries []entry.Entry, rows []int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.known) == 0 {
		return
	}
	for _, i := range rows {
		key := entries[i].Row()
		if h := e.known[key]; h != nil {
			if h.stuck {
				e.moved++
			}
			delete(e.known, key)
		}
	}
}

// buried forgets a row that has become a dead letter.
func (e *evidence) buried(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.known, key)
}

// restart forgets which keys were refused since a row was last taken: none waits now.
func (e *evidence) restart() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.last)
}
