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
	// start is what had been taken when its batch began that was refused first.
	start taken
	// stuck says that it waits for another row. Of its refusals free cost it nothing;
	// last is how many rows had moved on at the last one, before at the one before that.
	stuck        bool
	last, before int64
	free         int
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

// took notes rows that were committed.
func (e *evidence) took(more taken) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.taken.add(more)
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
// is refused for the first time; start is what had been taken when its batch began.
func (r *histories) of(key string, version int64, start taken) *history {
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
	h = &history{version: version, since: time.Now(), start: start, last: -1, before: -1}
	(*r)[key] = h
	return h
}

// refused notes that a row was refused. It tells since when, and whether others were
// taken after that.
func (e *evidence) refused(key string, version int64, needs entry.Proof, start taken) (since time.Duration, others bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.known.of(key, version, start)
	return time.Since(h.since), e.taken.shows(h.start, needs)
}

// waitsForOthers notes that a row is stuck because another one has what it needs, and
// tells whether the refusal costs it nothing: the first two do not, nor does any while
// rows that were stuck have moved on since the last but one. Which of two partitions is
// tried first is chance, hence two.
func (e *evidence) waitsForOthers(key string, version int64, start taken) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.known.of(key, version, start)
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
