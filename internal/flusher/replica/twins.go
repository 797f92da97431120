// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

// A name that is written while its mark is out in a claim has a second one: its twin.

// isRewritten tells whether the name of a mark that is out was written again.
func (p *partition) isRewritten(m *mark) bool {
	twin := p.marked.like(m)
	return twin != nil && twin.rewrites()
}

// absorb makes a mark of the claim, read as of that offset, the only one of its name where
// the later one is of nothing behind that, and of nothing else than was read. Of a key that
// is gone everything was read. It returns the offset of the last write that the value has.
func (p *partition) absorb(m *mark, offset int64, gone bool) int64 {
	twin := p.marked.like(m)
	switch {
	case twin == nil || twin.first >= offset:
		return m.last
	case twin.last > offset:
		// It may be of writes before the offset, too.
		return offset
	case !gone && !p.of.covers(m, twin):
		return twin.last
	}
	p.unite(m, twin)
	return m.last
}

// mayHaveExpired tells whether a later mark of the name has words before and behind the offset,
// and one of them is that the key has gone by itself: that may be the last word at the offset.
func (p *partition) mayHaveExpired(m *mark, offset int64) bool {
	twin := p.marked.like(m)
	return twin != nil && twin.expired && twin.first < offset && offset < twin.last
}

// unite makes a mark that is out the only one of its name.
func (p *partition) unite(m, twin *mark) {
	p.leave(twin)
	rewritten, gone := twin.rewrites(), twin.word == Unlinked
	p.merge(m, twin)
	m.word, m.wrote, m.whole, m.scanned, m.asked, m.expired = twin.word, twin.wrote, twin.whole, twin.scanned, twin.asked, twin.expired
	m.last, m.writes, m.command = twin.last, twin.writes, twin.command
	p.of.takeTold(m, twin)
	if m.saved && (rewritten || gone) {
		// What the database has aside is an earlier write, or does not say that the key has
		// gone by itself since.
		p.owes(m)
		m.saved, m.first, m.database = false, twin.first, twin.database
	}
	if rewritten {
		p.of.dropExtra(m)
	}
	p.of.drop(twin)
}

// merge makes twin the mark of both, and counts once what both had.
func (p *partition) merge(m, twin *mark) {
	if m.scanned && twin.scanned {
		p.scanning--
	}
	p.of.join(m, twin)
}

// restore puts a mark that is out back to the head of its place.
func (p *partition) restore(m *mark) {
	m.place = nowhere
	if twin := p.marked.like(m); twin != nil {
		p.merge(m, twin)
		if m.saved {
			p.owes(m)
		} else {
			p.leave(twin)
			twin.first, twin.database = m.first, m.database
			p.owe(twin)
		}
		p.of.drop(m)
		return
	}
	if !m.saved {
		p.owe(m)
		return
	}
	p.back(m)
}
