// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// operation is what a write does to its key.
type operation uint8

const (
	set operation = iota
	remove
	// poison is a set that the table or the flusher must refuse.
	poison
	// partial is a set that names some of the columns: it changes a row that is there,
	// and cannot make one.
	partial
)

// state is what is known of a write.
type state uint8

const (
	// sent means that the answer is still to come.
	sent state = iota
	acknowledged
	// unknown means that the answer was lost. The write has either taken effect
	// already or never will: the connection is gone.
	unknown
)

// write is one call of a writer. Times are in µs since 1970, as versions are.
type write struct {
	number          int64
	version         int64
	sentAt, endedAt int64
	operation       operation
	state           state
}

// place is where in the ledger something committed.
type place struct {
	journal   string
	partition int
	epoch     int64
	flush     int64
}

func (p place) String() string {
	return fmt.Sprintf("partition %d, epoch %d, flush %d", p.partition, p.epoch, p.flush)
}

// commit is one row of one committed statement. The number of a set is its own; the
// number of a removal is that of the row which was removed.
type commit struct {
	removed bool
	number  int64
	place   place
	// rows counts the rows that have committed in this epoch, up to here.
	rows int64
}

// skew is how far a version may lie ahead of the clock: it is at least one more than
// the version before.
const skew = int64(time.Second / time.Microsecond)

// record is one key's part of the history. Writes older than the committed one are
// forgotten as soon as they can no longer matter.
type record struct {
	mu sync.Mutex
	id int64
	// shared keys have several writers, and their order is the versions'. A key of
	// one writer has the order of its numbers.
	shared bool
	writes []write
	// newest is the highest version acknowledged.
	newest int64
	// trapped is until when, in µs, the table may have refused the key for a fault's
	// sake: a write of before may be a dead letter.
	trapped int64

	// order is the place in that order of what is in the database, last the commit
	// that put it there; present says whether it is a row. Before anything has
	// committed, last is zero.
	order   int64
	last    commit
	present bool
	waiting []commit
}

// history is what the writers did and what the database did with it.
type history struct {
	records  []record
	findings *findings
	// batch is the most rows of one claim.
	batch int64
	// whole keeps every write. It is for histories in which an older state comes back.
	whole bool
	// boundary is the number of the last write before data was lost, 0 where none may
	// be; see wentBack.
	boundary atomic.Int64

	mu         sync.Mutex
	partitions map[partition]*progress
	committed  int64
	removed    int64
	rewritten  int64
}

type partition struct {
	journal string
	number  int
}

// progress is how far a partition has come.
type progress struct {
	epoch, flush int64
	// rows counts what has committed in each epoch.
	rows map[int64]int64
}

func newHistory(own, shared int, batch int64, f *findings) *history {
	h := &history{records: make([]record, own+shared), findings: f, batch: batch, partitions: make(map[partition]*progress)}
	for i := range h.records {
		h.records[i].id, h.records[i].shared = int64(i), i >= own
	}
	return h
}

func microseconds() int64 { return time.Now().UnixMicro() }

// sent notes a write before it leaves.
func (h *history) sent(id, number int64, o operation) {
	r := &h.records[id]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, write{number: number, operation: o, sentAt: microseconds()})
}

func (h *history) acknowledged(id, number, version int64) {
	r := &h.records[id]
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.find(number); w != nil {
		w.state, w.version = acknowledged, version
	}
	if !r.shared && version <= r.newest {
		h.findings.add(stale, "key %d: write %d got version %d after %d", id, number, version, r.newest)
	}
	r.newest = max(r.newest, version)
}

func (h *history) unknown(id, number int64) {
	r := &h.records[id]
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.find(number); w != nil {
		w.state, w.endedAt = unknown, microseconds()
	}
}

// trap means that the table refuses a key's rows, until the time given.
func (h *history) trap(id, until int64) {
	r := &h.records[id]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trapped = until
}

// refused forgets a write: it must never be seen.
func (h *history) refused(id, number int64) {
	r := &h.records[id]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = slices.DeleteFunc(r.writes, func(w write) bool { return w.number == number })
}

func (r *record) find(number int64) *write {
	for i := len(r.writes) - 1; i >= 0; i-- {
		if r.writes[i].number == number {
			return &r.writes[i]
		}
	}
	return nil
}

// latest is the latest place in the key's order that the write may have.
func (r *record) latest(w *write) int64 {
	switch {
	case !r.shared:
		return w.number
	case w.state == acknowledged:
		return w.version
	default:
		return w.endedAt + skew
	}
}

// earliest is the earliest place in the key's order that the write may have, given
// that it comes after what has committed.
func (r *record) earliest(w *write) int64 {
	switch {
	case !r.shared:
		return w.number
	case w.state == acknowledged:
		return w.version
	default:
		return max(r.order, w.sentAt)
	}
}

// batchOf notes a committed statement and each of its rows. Statements of one key
// come in the order of their commits.
func (h *history) batchOf(removed bool, at place, ids, numbers []int64) {
	rows := h.advance(at, int64(len(ids)))
	h.mu.Lock()
	if removed {
		h.removed += int64(len(ids))
	} else {
		h.committed += int64(len(ids))
	}
	h.mu.Unlock()
	for i, id := range ids {
		if id < 0 || id >= int64(len(h.records)) {
			h.findings.add(phantom, "key %d was never written, and committed at %v", id, at)
			continue
		}
		r := &h.records[id]
		r.mu.Lock()
		r.waiting = append(r.waiting, commit{removed: removed, number: numbers[i], place: at, rows: rows})
		h.settle(r)
		r.mu.Unlock()
	}
}

// advance checks that a partition only goes forward, and returns the rows of its
// epoch so far.
func (h *history) advance(at place, rows int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := partition{at.journal, at.partition}
	p := h.partitions[key]
	if p == nil {
		p = &progress{rows: make(map[int64]int64)}
		h.partitions[key] = p
	}
	switch {
	case at.epoch == 0:
		h.findings.add(phantom, "%d rows committed without a move of the ledger", rows)
	case at.epoch < p.epoch, at.epoch == p.epoch && at.flush < p.flush:
		h.findings.add(stale, "partition %d: %d rows committed in epoch %d, flush %d, after epoch %d, flush %d",
			at.partition, rows, at.epoch, at.flush, p.epoch, p.flush)
	default:
		p.epoch, p.flush = at.epoch, at.flush
	}
	p.rows[at.epoch] += rows
	return p.rows[at.epoch]
}

// rowsOf is how many rows have committed in an epoch.
func (h *history) rowsOf(at place) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.partitions[partition{at.journal, at.partition}]; p != nil {
		return p.rows[at.epoch]
	}
	return 0
}

// settle judges what has committed for a key, as soon as the answers to all of its
// writes are known. The record is locked.
func (h *history) settle(r *record) {
	if slices.ContainsFunc(r.writes, func(w write) bool { return w.state == sent }) {
		return
	}
	for _, c := range r.waiting {
		switch {
		case h.settleLost(r, c):
		case c.removed:
			h.settleRemoval(r, c)
		case r.present && c.number == r.last.number:
			h.settleAgain(r, c)
		default:
			h.settleSet(r, c)
		}
	}
	r.waiting = r.waiting[:0]
}

// settleAll judges what is left once every answer is known.
func (h *history) settleAll() {
	for i := range h.records {
		r := &h.records[i]
		r.mu.Lock()
		h.settle(r)
		r.mu.Unlock()
	}
}

func (h *history) settleSet(r *record, c commit) {
	w := r.find(c.number)
	switch {
	case w == nil && !r.shared && c.number > r.order:
		h.findings.add(phantom, "key %d: write %d committed at %v, and was refused or never made", r.id, c.number, c.place)
	case w == nil:
		h.findings.add(stale, "key %d: write %d committed at %v after write %d at %v: it is older, or was refused",
			r.id, c.number, c.place, r.last.number, r.last.place)
	case w.operation != set && w.operation != partial:
		h.findings.add(phantom, "key %d: write %d committed at %v, which no table takes", r.id, c.number, c.place)
	case r.latest(w) <= r.order:
		h.findings.add(stale, "key %d: write %d (version %d) committed at %v after write %d at %v, which is newer",
			r.id, c.number, w.version, c.place, r.last.number, r.last.place)
	default:
		h.move(r, w, c)
		return
	}
	// Told once; from here on the table is what it is.
	r.last, r.present = c, true
}

// settleAgain judges a write that commits once more with nothing in between. After a
// lost answer the next epoch may write it again, since that changes nothing; but not
// the same epoch, and not once the flush must have been acknowledged: a claim has no
// more rows than a batch.
func (h *history) settleAgain(r *record, c commit) {
	before, after := r.last.place, c.place
	since := h.rowsOf(before) - r.last.rows
	switch {
	case before.journal == after.journal && after.epoch <= before.epoch:
		h.findings.add(repeated, "key %d: write %d committed at %v and again at %v", r.id, c.number, before, after)
	case since >= h.batch:
		h.findings.add(repeated, "key %d: write %d committed at %v and again at %v, though %d rows of the earlier epoch came after it",
			r.id, c.number, before, after, since)
	default:
		h.mu.Lock()
		h.rewritten++
		h.mu.Unlock()
	}
	r.last = c
}

// settleRemoval judges the removal of a row. Which write it was is not known; the
// earliest that it can be is a lower bound for all that follows.
func (h *history) settleRemoval(r *record, c commit) {
	if !r.present || c.number != r.last.number {
		h.findings.add(stale, "key %d: a removal at %v met write %d where write %d had committed", r.id, c.place, c.number, r.last.number)
	}
	var first *write
	for i := range r.writes {
		w := &r.writes[i]
		if w.operation == remove && r.latest(w) > r.order && (first == nil || r.earliest(w) < r.earliest(first)) {
			first = w
		}
	}
	if first == nil {
		h.findings.add(stale, "key %d: write %d was removed at %v, though no removal came after it", r.id, c.number, c.place)
		r.last, r.present = c, false
		return
	}
	h.move(r, first, c)
}

// move makes a write the committed one and forgets what can no longer matter.
func (h *history) move(r *record, w *write, c commit) {
	before := r.last.number
	keep := w.number
	r.order = max(r.order, r.earliest(w))
	r.last, r.present = c, !c.removed
	r.writes = slices.DeleteFunc(r.writes, func(w write) bool {
		if w.number == keep || h.whole {
			return false
		}
		return r.latest(&w) < r.order || !c.removed && w.number == before
	})
}

func (c commit) String() string {
	if c.removed {
		return "no row"
	}
	return fmt.Sprintf("write %d", c.number)
}
