// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replication

// word is what the stream said last of a key.
type word int8

const (
	// seen is the word of a key that a scan has come across.
	seen word = iota
	written
	deleted
	unlinked
)

// mark says that a key is dirty, as that of the source does.
type mark struct {
	is bool
	// first is where reading has to begin to meet the first write again, last the offset
	// behind the newest.
	first, last int8
	word        word
	// kept is the number of the command whose value the stream told, if that is the newest.
	kept                  int8
	wrote, scanned, saved bool
	// expired says that an expiry is among the words.
	expired bool
}

func (m *mark) rewrites() bool { return m.wrote || m.word == deleted }

// precedes makes later the mark of both.
func (m *mark) precedes(r *Rules, later *mark) {
	if later.last < m.last && r.ToldAgainIsEarlier {
		// It was told once more of earlier writes.
		later.word, later.wrote, later.kept = m.word, m.wrote, m.kept
	}
	if later.word == seen || later.word == unlinked && !later.wrote && m.word == deleted {
		later.word = m.word
	}
	if later.word != deleted {
		if m.kept > 0 && !later.wrote {
			later.kept = m.kept
		}
		later.wrote = later.wrote || m.wrote
	}
	later.scanned, later.expired = later.scanned || m.scanned, later.expired || m.expired
	later.last = max(later.last, m.last)
}

// lapse has the mark go over into another history.
func (m *mark) lapse(sure bool) {
	switch {
	case sure && m.word == deleted:
	case sure && m.wrote && m.kept > 0:
		m.word = unlinked
	default:
		m.word, m.wrote, m.kept = seen, false, 0
	}
}

// unlink has the key gone without a word of the application.
func (m *mark) unlink() {
	m.expired = true
	if m.word != deleted {
		m.word = unlinked
	}
}

// apply marks what a command did that ends at the offset. Reading has to begin before it, or
// before its transaction, to meet it again.
func (me *reader) apply(r *Rules, number int8, c command, before, offset int8) {
	m := &me.marks[c.number]
	switch {
	case !m.is && c.kind == unlink && !me.isOut():
		return
	case !m.is:
		*m = mark{is: true, first: before, scanned: r.ScanIsReadTo && !me.isScannedAt(before)}
	case offset < m.last, m.saved && offset == m.last:
		return
	case m.saved:
		me.owes(c.number, m)
		m.saved, m.first = false, before
	}
	m.last = offset
	switch c.kind {
	case unlink:
		m.unlink()
	case deletes:
		m.word, m.wrote, m.kept = deleted, false, 0
	case set:
		m.word, m.wrote, m.kept = written, true, number
	case increment:
		m.word, m.wrote, m.kept = written, true, 0
	}
}

// applyFlush has all keys gone. No row is deleted for it.
func (me *reader) applyFlush(r *Rules, before, offset int8) {
	for key := range int8(keys) {
		if m := &me.marks[key]; m.is && r.FlushKeepsTheRows {
			if m.saved && r.FlushHoldsThePosition {
				me.owes(key, m)
				m.saved, m.first = false, before
			}
			m.unlink()
			m.last = max(m.last, offset)
		}
		if m := &me.marks[key]; me.out[key].is && !m.is && r.FlushKeepsTheRows && r.FlushIsOfWhatIsOut {
			*m = mark{is: true, first: before, last: offset, word: unlinked, expired: true, scanned: r.ScanIsReadTo && !me.isScannedAt(before)}
		}
	}
}

// rewind has no mark know of a write behind the offset.
func (me *reader) rewind(r *Rules, offset int8) {
	for key := range keys {
		me.marks[key].rewind(r, offset)
		me.out[key].rewind(r, offset)
	}
}

// rewind forgets what was said of the key behind the offset: what had been said before is not
// known any more.
func (m *mark) rewind(r *Rules, offset int8) {
	if m.last <= offset {
		return
	}
	m.last = offset
	switch {
	case m.word == seen, !r.WordsAreRewound:
	case !m.saved && m.first >= offset:
		m.word, m.wrote, m.kept = seen, false, 0
	case m.saved || m.expired:
		m.word, m.wrote, m.kept = unlinked, true, 0
	default:
		m.word, m.wrote, m.kept = written, true, 0
	}
}

// isOut tells whether anything is out in a claim.
func (me *reader) isOut() bool {
	for key := range me.out {
		if me.out[key].is {
			return true
		}
	}
	return false
}

// restore puts a mark that is out back.
func (me *reader) restore(r *Rules, key int8) {
	m := me.out[key]
	me.out[key] = mark{}
	twin := &me.marks[key]
	switch {
	case !m.is:
	case !twin.is:
		me.marks[key] = m
	default:
		m.precedes(r, twin)
		if m.saved {
			me.owes(key, &m)
		} else {
			twin.first = m.first
		}
	}
}

// void ends the claim: what is out is as dirty as before.
func (me *reader) void(r *Rules) {
	for key := range int8(keys) {
		me.restore(r, key)
	}
	me.at, me.asOf, me.asOfID = idle, 0, 0
	me.rows, me.plan = [keys]row{}, [keys]plan{}
}

// mayHaveExpired tells whether the last word at the offset is that of a later mark, which is of
// writes before and behind it, and may be that the key has expired.
func (me *reader) mayHaveExpired(key, offset int8) bool {
	twin := &me.marks[key]
	return twin.is && twin.expired && twin.first < offset && offset < twin.last
}

// absorb makes a mark that is out, read as of the offset, the only one of its key where the
// later one is of nothing behind that. It returns the offset of the last write that the value
// has.
func (me *reader) absorb(r *Rules, key, offset int8) int8 {
	m, twin := &me.out[key], &me.marks[key]
	if !twin.is || twin.first >= offset {
		return m.last
	}
	if twin.last > offset {
		if r.LaterMayBeEarlier {
			return offset
		}
		return m.last
	}
	told := twin.rewrites() || r.ExpiryHoldsThePosition && twin.word == unlinked
	m.precedes(r, twin)
	m.word, m.wrote, m.kept, m.scanned, m.last, m.expired = twin.word, twin.wrote, twin.kept, twin.scanned, twin.last, twin.expired
	if told && m.saved {
		me.owes(key, m)
		m.saved, m.first = false, twin.first
	}
	*twin = mark{}
	return m.last
}

// owes notes that the first write of a mark is not carried, though the mark goes on as one of
// a later write.
func (me *reader) owes(key int8, m *mark) {
	if o := &me.owed[key]; !o.is || m.first < o.first {
		*o = debt{true, m.first}
	}
}

// debt is where the first of the writes was made that are owed.
type debt struct {
	is    bool
	first int8
}

// before is the first of a mark of which the stream does not tell.
const before = 0

// save notes that the database has a mark aside.
func (me *reader) save(key int8, m *mark) {
	m.saved = true
	if m.scanned {
		m.scanned, m.first = false, before
	}
	if o := &me.owed[key]; o.is {
		m.first = min(m.first, o.first)
		*o = debt{}
	}
}
