// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replication

// readOn takes the next command of the stream.
func (s *state) readOn(r *Rules, me *reader, number int8) error {
	c := s.made[number]
	me.next++
	before := me.next - 1
	if r.TransactionsAreWhole {
		before = me.safe
	}
	switch {
	case c.kind == flushAll:
		me.applyFlush(r, before, me.next)
	case c.kind < flushAll:
		me.apply(r, number, c, before, me.next)
	}
	me.offset = max(me.offset, me.next)
	if (c.kind != ping || !r.PingsAreNoPosition) && (!c.open || !r.TransactionsAreWhole) {
		me.safe = me.next
	}
	if me.isClean() {
		return s.acknowledge(r, me)
	}
	return nil
}

// scan marks the keys that are there.
func (s *state) scan(me *reader) {
	v := s.primary()
	for key := range int8(keys) {
		if last, _ := s.at(v, key, v.length); !s.isThere(last) {
			continue
		}
		m := &me.marks[key]
		switch {
		case !m.is:
			*m = mark{is: true, first: me.safe, last: me.safe, word: seen, scanned: true}
		case !m.saved:
			m.scanned = true
		}
	}
	me.scanned, me.scannedAt = true, v.length
}

// testify writes the witness, unless the server has not the one before.
func (s *state) testify(r *Rules, me *reader) {
	v := s.primary()
	s.witnesses++
	if r.WitnessIsOfTheSame && (v.id != me.id || s.witnessAt(v, v.length) < me.witness) {
		me.stream = detached
		return
	}
	me.witness++
	s.run(command{kind: testify, number: me.witness})
	me.flushed, me.vouched = false, s.committed
}

func (me *reader) isDirty() bool {
	for key := range me.marks {
		if me.marks[key].is {
			return true
		}
	}
	return false
}

// claim takes all marks, and reads their keys in one moment.
func (s *state) claim(r *Rules, me *reader, offset int8) {
	v := s.primary()
	if r.HistoryIsCompared && v.id != me.id || r.OffsetIsCompared && offset < me.offset {
		me.stream = detached
		return
	}
	me.out, me.marks = me.marks, [keys]mark{}
	me.at, me.asOf, me.asOfID = claimed, offset, v.id
	s.seen |= v.upTo(offset)
	for key := range int8(keys) {
		if me.out[key].is {
			me.lasts[key], me.wrote[key] = s.at(v, key, offset)
		}
	}
}

// evaluate makes rows of what was read, and sends them.
func (s *state) evaluate(r *Rules, f int, me *reader, told bool) error {
	if r.HistoryIsCompared && me.id != me.asOfID {
		me.void(r)
		return nil
	}
	var version int8
	sends, loses := false, false
	for key := range int8(keys) {
		if !me.out[key].is {
			continue
		}
		upTo, w := s.evaluateKey(r, me, key, told)
		version = max(version, upTo)
		sends, loses = sends || w != none && w != lose, loses || w == lose
	}
	me.horizon = max(me.horizon, version)
	me.lasts, me.wrote = [keys]int8{}, [keys]int8{}
	switch {
	case sends:
		s.send(r, f, me, version)
	case loses:
		return s.conclude(r, me, nobody)
	default:
		me.void(r)
	}
	return nil
}

// evaluateKey makes the row of one key, and tells the version that it may have.
func (s *state) evaluateKey(r *Rules, me *reader, key int8, told bool) (version int8, w operation) {
	there := s.isThere(me.lasts[key])
	if !there && (!told && r.GoneIsAwaited || r.ExpiryIsOfItsTime && me.mayHaveExpired(key, me.asOf)) {
		me.restore(r, key)
		return 0, none
	}
	version = me.asOf
	if told {
		version = me.absorb(r, key, me.asOf)
	}
	m := &me.out[key]
	me.rows[key] = row{operation: put, number: me.lasts[key]}
	if !there {
		me.rows[key] = m.gone(r, me.lasts[key], me.wrote[key])
	}
	if w = me.rows[key].operation; w == none {
		if r.SeenStaysWithTheLater && me.marks[key].is {
			me.restore(r, key)
		}
		*m = mark{}
		me.owed[key] = debt{}
		return 0, none
	}
	if r.ReadIsNewerThanKept && there && m.word == unlinked {
		m.kept = 0
	}
	if version = max(version, m.last); w == lose {
		me.rows[key].version = version
	}
	return version, w
}

// gone says what becomes of the row of a key that is gone.
func (m *mark) gone(r *Rules, last, wrote int8) row {
	switch {
	case m.word == unlinked && !r.UnlinkKeepsTheRow:
		return row{operation: remove, number: last}
	case m.word == unlinked && m.wrote && m.kept > 0:
		return row{operation: put, number: m.kept}
	case m.word == unlinked && m.wrote:
		return row{operation: lose, number: wrote}
	case m.word != unlinked && m.word != seen:
		return row{operation: remove, number: last}
	}
	return row{}
}

// send puts the batch on its way. If too many are, an older one that nobody waits for has
// been lost.
func (s *state) send(r *Rules, f int, me *reader, version int8) {
	at := 0
	for i := range s.network {
		if !s.network[i].used {
			at = i
			break
		}
		if s.network[i].owner == 0 {
			at = i
		}
	}
	s.network[at] = batch{
		used: true, valid: me.term == inForce, owner: int8(f) + 1, ledger: ledgerOf(r, me.history), version: version, rows: me.rows,
	}
	me.at = waiting
}

// deliver has a batch arrive.
func (s *state) deliver(r *Rules, bounds *Bounds, i, refused int8) (broken error) {
	b := s.network[i]
	s.network[i] = batch{}
	fenced, wrote := r.BatchesAreFenced && !b.valid, false
	if !fenced {
		wrote, broken = s.write(&b, refused)
	}
	if b.owner == 0 {
		return broken
	}
	me := &s.readers[b.owner-1]
	if fenced {
		me.void(r)
		me.term = noTerm
		return broken
	}
	if wrote {
		me.carried, me.flushed = max(me.carried, b.version), bounds.Witnesses > 0
	}
	if err := s.conclude(r, me, refused); broken == nil {
		broken = err
	}
	return broken
}

// conclude plans what the database is to know beside the rows. Without such a thing the claim
// is over at once.
func (s *state) conclude(r *Rules, me *reader, refused int8) error {
	settles := false
	for key := range int8(keys) {
		m, twin := &me.out[key], &me.marks[key]
		if !m.is {
			continue
		}
		switch {
		case refused == key && twin.is && !r.RefusedIsAside:
			me.plan[key] = later
		case refused == key:
			me.plan[key] = retry
			settles = true
		case me.rows[key].operation == lose && twin.is && twin.rewrites():
			me.plan[key] = later
		case me.rows[key].operation == lose:
			me.plan[key] = letter
			settles = true
		case me.hasRetry[key], me.hasLetter[key]:
			me.plan[key] = forget
			settles = true
		}
		if me.plan[key] == letter {
			me.hasLetter[key], me.lettered = true, max(me.lettered, me.rows[key].version)
		}
		me.hasRetry[key] = me.hasRetry[key] || me.plan[key] == retry
	}
	if !settles {
		return s.finish(r, me)
	}
	me.at = settling
	return nil
}

// settle tells the database what is no row, and ends the claim.
func (s *state) settle(r *Rules, f int, me *reader) error {
	if me.isFenced(r.SettleIsFenced) {
		s.crash(f)
		return nil
	}
	t := me.told(true)
	s.take(&t)
	return s.finish(r, me)
}

// told is what the database is to know of what is out.
func (me *reader) told(valid bool) told {
	t := told{used: true, valid: valid, plan: me.plan}
	for key := range me.plan {
		switch me.plan[key] {
		case retry:
			t.aside[key] = aside{me.out[key].word, me.history, me.out[key].last}
		case letter:
			t.lost[key], t.version[key] = me.rows[key].number, me.rows[key].version
		}
	}
	return t
}

// finish takes the marks out of the claim with what became of them.
func (s *state) finish(r *Rules, me *reader) error {
	for key := range int8(keys) {
		m, twin := me.out[key], &me.marks[key]
		me.out[key] = mark{}
		if !m.is {
			continue
		}
		lost := me.rows[key].operation == lose
		waits := !lost && (me.plan[key] == retry || me.plan[key] == later)
		if twin.is && (waits || lost && twin.rewrites()) {
			me.owes(key, &m)
		} else if o := &me.owed[key]; o.is {
			m.first = min(m.first, o.first)
			*o = debt{}
		}
		switch {
		case waits && twin.is:
			me.yield(r, key, &m)
		case waits:
			me.save(key, &m)
			me.marks[key] = m
		case lost:
			s.counted[key] = max(s.counted[key], me.rows[key].number)
			me.hasRetry[key] = me.hasRetry[key] && twin.rewrites()
		default:
			me.hasRetry[key], me.hasLetter[key] = false, false
			if !r.WrittenAgainStays {
				*twin = mark{}
			}
		}
	}
	me.void(r)
	return s.acknowledge(r, me)
}

// yield has the later mark of the key stand for one that is not settled, too.
func (me *reader) yield(r *Rules, key int8, m *mark) {
	twin := &me.marks[key]
	lost := !twin.wrote && twin.word == unlinked && m.wrote
	if r.RefusedKeepsItsFirst && !m.saved && !twin.rewrites() {
		twin.first = m.first
	}
	m.precedes(r, twin)
	if lost && me.rows[key].operation == put {
		twin.kept = me.rows[key].number
	}
}
