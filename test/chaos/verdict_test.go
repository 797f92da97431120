// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import "fmt"

// letter is what matters of a dead letter.
type letter struct {
	version int64
	// number is that of the write, as its payload tells it.
	number int64
}

// outcome is what a key came to in the end.
type outcome struct {
	// row is the number of the write in the table, 0 where there is no row.
	row    int64
	letter *letter
}

func (o outcome) String() string {
	text := "no row"
	if o.row != 0 {
		text = fmt.Sprintf("the row of write %d", o.row)
	}
	if o.letter != nil {
		text += fmt.Sprintf(" and a dead letter of write %d (version %d)", o.letter.number, o.letter.version)
	}
	return text
}

// verdict compares what every key came to with what was promised, when nothing is on
// its way any more.
func (h *history) verdict(of func(id int64) outcome) {
	h.settleAll()
	for i := range h.records {
		r := &h.records[i]
		r.mu.Lock()
		h.judge(r, of(r.id))
		r.mu.Unlock()
	}
}

func (h *history) judge(r *record, o outcome) {
	// A loss by a fault that is allowed to lose data leaves the table as it is.
	if row := r.row(); row != o.row {
		h.findings.add(lost, "key %d came to %v, but the last that committed is %v", r.id, o, r.last)
		return
	}
	last := r.lastAcknowledged()
	if last == nil && o.letter == nil {
		// Only writes without an answer since what has committed, if any.
		return
	}
	if last != nil && (r.explains(last, o) || last.number <= h.boundary.Load()) {
		return
	}
	for i := range r.writes {
		w := &r.writes[i]
		if w.state == unknown && (last == nil || r.latest(w) > r.latest(last)) && r.explains(w, o) {
			return
		}
	}
	h.findings.add(lost, "key %d came to %v, though %s", r.id, o, last.described())
}

// row is the number of the committed row, 0 for none.
func (r *record) row() int64 {
	if !r.present {
		return 0
	}
	return r.last.number
}

func (r *record) lastAcknowledged() *write {
	var last *write
	for i := range r.writes {
		w := &r.writes[i]
		if w.state == acknowledged && (last == nil || r.latest(w) > r.latest(last)) {
			last = w
		}
	}
	return last
}

// explains reports whether a key comes to this when w is its last write. The row that
// stays behind a dead letter is whatever committed before: an earlier good write may
// have been coalesced with the refused one.
func (r *record) explains(w *write, o outcome) bool {
	died := o.letter != nil && (o.letter.number == w.number || w.state == acknowledged && o.letter.version == w.version)
	if died && w.sentAt <= r.trapped {
		return true
	}
	switch w.operation {
	case poison:
		return died
	case partial:
		// There was no row to change.
		return died && o.row == 0 || o.letter == nil && o.row == w.number
	case remove:
		return o.letter == nil && o.row == 0
	default:
		return o.letter == nil && o.row == w.number
	}
}

func (w *write) described() string {
	if w == nil {
		return "no write was acknowledged"
	}
	what := map[operation]string{set: "sets it", remove: "removes it", poison: "is refused by the table", partial: "changes it"}[w.operation]
	return fmt.Sprintf("its last acknowledged write %d (version %d) %s", w.number, w.version, what)
}
