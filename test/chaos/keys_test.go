// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// gone is the content of a cell that is not there.
const gone = "(gone)"

// stroke is one write of a key by capture Replication's application: what its cells become.
// A JSON document and a number have one cell without a name, a hash one for each field, a
// sorted set one for each member.
type stroke struct {
	number          int64
	sentAt, endedAt int64
	state           state
	cells           map[string]string
	// whole says that every other cell is gone.
	whole bool
	// bad says that no row can be made of the key then.
	bad bool
	// unread says that what a cell becomes is told by the answer alone, so that without one
	// it may be anything.
	unread bool
	// happened says that nobody wrote it: Redis was emptied, or came back with other data.
	happened bool
}

// becomes is what a cell is after the write; ok is false where the write leaves it alone.
func (s *stroke) becomes(cell string) (content string, ok bool) {
	content, ok = s.cells[cell]
	if !ok && s.whole {
		return gone, true
	}
	return content, ok
}

// explains tells whether a cell may have a content by the write.
func (s *stroke) explains(cell, content string) bool {
	is, ok := s.becomes(cell)
	return ok && (is == content || s.unread && s.state != acknowledged && content != gone)
}

// change is what a transaction made of one cell.
type change struct {
	cell, content string
	at            int64
	place         place
}

// tracked is one key with what was written to it and what came of that. One writer has it,
// so that the order of its writes is that of their numbers.
type tracked struct {
	table, key string
	// fleeting keys may have a time to live: they vanish at any time, and their rows stay.
	fleeting bool

	mu      sync.Mutex
	strokes []stroke
	// left is how many were left when any were forgotten last.
	left int
	// floor is the number of the write behind what a cell has in the table, last what that is.
	floor   map[string]int64
	last    map[string]string
	waiting []change
	// vanished is the number that a write would have had when Redis was emptied last: what was
	// written before has gone by itself.
	vanished int64
	// backFrom and backTo are when rows may have followed a Redis that had lost writes of the key,
	// and in which it had expired before anybody knew what it was.
	backFrom, backTo int64
}

func (k *tracked) String() string { return k.table + " " + k.key }

// mayVanish tells whether what a write made may have gone by itself. The key is locked.
func (k *tracked) mayVanish(number int64) bool { return k.fleeting || number < k.vanished }

// keys is every key of an application, and what the database did with them.
type keys struct {
	findings *findings
	order    *history

	mu        sync.Mutex
	all       map[string]*tracked
	entries   *entries
	committed int64
	removed   int64

	// heldSince is when Redis began to come to other data, 0 if that is over: rows follow those
	// before it is known what they are.
	heldSince atomic.Int64
}

// hold has what commits judged when it is known what Redis has lost, and release judges it.
func (ks *keys) hold()    { ks.heldSince.Store(microseconds()) }
func (ks *keys) release() { ks.heldSince.Store(0) }

func newKeys(f *findings) *keys {
	return &keys{findings: f, order: newHistory(0, 0, 0, f), all: make(map[string]*tracked), entries: newEntries(f)}
}

// add makes a key known.
func (ks *keys) add(table, key string, fleeting bool) *tracked {
	k := &tracked{table: table, key: key, fleeting: fleeting, floor: make(map[string]int64), last: make(map[string]string)}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	ks.all[table+" "+key] = k
	return k
}

func (ks *keys) find(table, key string) *tracked {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	return ks.all[table+" "+key]
}

func (ks *keys) list() []*tracked {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	return slices.Collect(maps.Values(ks.all))
}

// sent notes a write before it leaves.
func (k *tracked) sent(s stroke) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.sentAt = microseconds()
	k.strokes = append(k.strokes, s)
}

// answered notes what became of a write. contents are what the answer says of its cells.
func (ks *keys) answered(k *tracked, number int64, is state, contents map[string]string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := len(k.strokes) - 1; i >= 0; i-- {
		s := &k.strokes[i]
		if s.number != number {
			continue
		}
		s.state, s.endedAt = is, microseconds()
		maps.Copy(s.cells, contents)
		break
	}
	ks.settle(k)
}

// refused forgets a write: it must never be seen.
func (ks *keys) refused(k *tracked, number int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.strokes = slices.DeleteFunc(k.strokes, func(s stroke) bool { return s.number == number })
	ks.settle(k)
}

// happens notes what nobody wrote, and since when it may be so.
func (k *tracked) happens(s stroke, since int64) {
	s.sentAt, s.happened, s.state = since, true, acknowledged
	s.endedAt = microseconds()
	k.strokes = append(k.strokes, s)
}

// changed notes what a transaction made of a key's row: the cells that are in it.
func (ks *keys) changed(k *tracked, at int64, p place, cells map[string]string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, cell := range slices.Sorted(maps.Keys(cells)) {
		k.waiting = append(k.waiting, change{cell, cells[cell], at, p})
	}
	ks.settle(k)
}

// settle judges what has committed for a key, as soon as the answers to all of its writes are
// known. The key is locked.
func (ks *keys) settle(k *tracked) {
	if ks.heldSince.Load() != 0 || slices.ContainsFunc(k.strokes, func(s stroke) bool { return s.state == sent }) {
		return
	}
	for _, c := range k.waiting {
		ks.judge(k, c)
	}
	k.waiting = k.waiting[:0]
	k.forget()
}

// clockSkew is how far the clock of a transaction may be behind that of a writer: they are
// one, but read at different steps.
const clockSkew = int64(10 * time.Millisecond / time.Microsecond)

func (ks *keys) judge(k *tracked, c change) {
	last, known := k.last[c.cell]
	if !known {
		last = gone
	}
	if c.content == last {
		return
	}
	floor := k.floor[c.cell]
	vanishes := c.content == gone && !isText(k.table) && k.mayVanish(floor)
	for i := range k.strokes {
		s := &k.strokes[i]
		if vanishes && s.happened {
			// It may have gone before, and writes that Redis had not lost yet may follow.
			continue
		}
		if s.number > floor && s.sentAt <= c.at+clockSkew && s.explains(c.cell, c.content) {
			k.floor[c.cell], k.last[c.cell] = s.number, c.content
			return
		}
	}
	k.last[c.cell] = c.content
	if vanishes {
		// It vanished, and what came then has no such cell.
		return
	}
	if s := k.wentBackTo(c); s != nil {
		k.floor[c.cell] = s.number
		return
	}
	ks.findings.add(stale, "%v cell %q: %s committed at %s after %s (write %d) at %v: it is older, was refused, or was never written; it was written by %v",
		k, c.cell, c.content, time.UnixMicro(c.at).Format("15:04:05.000"), last, floor, c.place, k.writesOf(c.cell))
}

// wentBackTo is the write that a row has come back to with a Redis that had lost those after it;
// nil if none is.
func (k *tracked) wentBackTo(c change) *stroke {
	if c.at < k.backFrom-clockSkew || c.at > k.backTo {
		return nil
	}
	for i := len(k.strokes) - 1; i >= 0; i-- {
		if s := &k.strokes[i]; s.sentAt <= c.at+clockSkew && s.explains(c.cell, c.content) {
			return s
		}
	}
	return nil
}

// forget drops what can no longer matter, once there is twice as much as was left before. What
// says of a whole key matters as long as any of its cells may come to be by an earlier write,
// or by this one: also one that was never in the table. The key is locked.
func (k *tracked) forget() {
	if len(k.strokes) < max(50, 2*k.left) {
		return
	}
	lowest := int64(math.MaxInt64)
	for _, cell := range k.cellsOf() {
		lowest = min(lowest, k.floor[cell])
	}
	k.strokes = slices.DeleteFunc(k.strokes, func(s stroke) bool {
		if s.whole || len(s.cells) == 0 {
			return s.number < lowest
		}
		for cell := range s.cells {
			if s.number >= k.floor[cell] {
				return false
			}
		}
		return true
	})
	k.left = len(k.strokes)
}

// possible are the writes that may be the last one which says what the cell is: the last
// that was acknowledged, and those after it whose answers were lost.
func (k *tracked) possible(cell string) (last *stroke, perhaps []*stroke) {
	for i := range k.strokes {
		s := &k.strokes[i]
		if _, ok := s.becomes(cell); !ok {
			continue
		}
		if s.state == acknowledged {
			last, perhaps = s, nil
		} else {
			perhaps = append(perhaps, s)
		}
	}
	return last, perhaps
}

// writesOf are the last writes that say what a cell is.
func (k *tracked) writesOf(cell string) (all []*stroke) {
	for i := range k.strokes {
		if _, ok := k.strokes[i].becomes(cell); ok {
			all = append(all, &k.strokes[i])
		}
	}
	return all[max(0, len(all)-8):]
}

// cellsOf are all cells that the key ever had.
func (k *tracked) cellsOf() []string {
	all := make(map[string]bool)
	for cell := range k.last {
		all[cell] = true
	}
	for i := range k.strokes {
		for cell := range k.strokes[i].cells {
			all[cell] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (s *stroke) String() string {
	if s == nil {
		return "no write"
	}
	how := map[state]string{sent: "is under way", acknowledged: "was acknowledged", unknown: "has no answer"}[s.state]
	if s.happened {
		how = "came with what happened to Redis"
	}
	return fmt.Sprintf("write %d of %s, which %s and makes it %v", s.number,
		time.UnixMicro(s.sentAt).Format("15:04:05.000"), how, s.cells)
}
