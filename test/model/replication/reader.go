// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replication

import "errors"

// term is what a reader has of the ledger.
type term int8

const (
	noTerm term = iota
	inForce
	// outdated is one that the reader takes for being in force.
	outdated
)

// place is where the one claim of a reader stands.
type place int8

const (
	idle place = iota
	// claimed has read the keys, waiting has sent the batch, settling has yet to tell the
	// database what became of entries that are no rows.
	claimed
	waiting
	settling
)

const (
	// detached is no stream. Otherwise it is one more than the place of the server.
	detached = 0
	// endless is no limit.
	endless = 127
)

// plan is what the database is to know of an entry.
type plan int8

const (
	_ plan = iota
	// forget takes a retry away, retry keeps one, letter is a dead letter of a value that
	// was lost.
	forget
	retry
	letter
	// later is none: a later write of the key is dirty.
	later
)

// reader is a flusher that reads the source, as far as it knows.
type reader struct {
	reads bool
	// leads says that nobody else has taken the lease since: instead of comparing epochs the
	// model takes note of it when somebody does.
	leads bool

	history, id int8
	// safe is where another one can begin, offset how far the stream was read, and next where
	// it is read on: that is less where it was attached to once more.
	safe, offset, next int8
	stream             int8
	horizon, limit     int8
	broken             bool
	// stored is the position as the reader has told it.
	stored position
	// scanned says that all keys were come across, by the offset scannedAt.
	scanned   bool
	scannedAt int8
	witness   int8
	// flushed says that there were rows since the witness was written, and vouched what was
	// committed then.
	flushed bool
	vouched many

	term    term
	carried int8

	marks, out [keys]mark
	owed       [keys]debt
	// hasRetry says that the database has, or may have, a retry.
	hasRetry [keys]bool
	// hasLetter says that there is a dead letter, and lettered is the highest version of any.
	hasLetter [keys]bool
	lettered  int8

	// spilling says how far keys have come that go to the database as spilled.
	spilling stage
	spilled  [keys]aside

	at place
	// asOf is the offset of which the keys were read, asOfID the history; lasts and wrotes
	// say what they were then.
	asOf, asOfID int8
	lasts, wrote [keys]int8
	rows         [keys]row
	plan         [keys]plan
}

func (me *reader) isClean() bool {
	for key := range keys {
		if me.marks[key].is || me.out[key].is {
			return false
		}
	}
	return true
}

// isScannedAt tells whether the scan has met all keys that there were at the offset, but for
// those that the stream tells of from there on.
func (me *reader) isScannedAt(offset int8) bool { return me.scanned && offset >= me.scannedAt }

// finished tells whether all that the scan marked is settled.
func (me *reader) finished(r *Rules) bool {
	if !me.scanned || r.ScanIsReadTo && !me.isScannedAt(me.offset) {
		return false
	}
	if !r.ScanIsItsMarks {
		return true
	}
	for key := range keys {
		if me.marks[key].scanned || me.out[key].scanned {
			return false
		}
	}
	return true
}

// takeOver begins a tenure with what the database has.
func (s *state) takeOver(me *reader) error {
	for i := range s.readers {
		s.readers[i].leads = false
	}
	s.store.told.valid = false
	p := s.store.position
	*me = reader{
		reads: true, leads: true, history: p.history, id: p.id, safe: p.offset, offset: p.offset, next: p.offset, limit: endless,
		stored: p, scanned: p.scanned, witness: p.witness,
	}
	for key, a := range s.store.aside {
		if a.history == 0 {
			continue
		}
		m := mark{is: true, first: before, last: a.offset, word: a.word, wrote: a.word == written || a.word == unlinked, saved: true}
		if a.history != p.history {
			m.last = p.offset
			m.lapse(a.word == deleted)
		}
		me.marks[key], me.hasRetry[key] = m, true
	}
	for key, version := range s.store.letters {
		me.hasLetter[key], me.lettered = version > 0, max(me.lettered, version)
	}
	return nil
}

// crash forgets everything. What was sent goes on.
func (s *state) crash(f int) {
	s.abandon(f)
	s.readers[f] = reader{}
}

// abandon lets the reader's batch go on without anybody waiting.
func (s *state) abandon(f int) {
	for i := range s.network {
		if s.network[i].used && s.network[i].owner == int8(f)+1 {
			s.network[i].owner = 0
		}
	}
}

// attach asks the primary to go on with the stream, and finds out whether that is still the
// history.
func (s *state) attach(r *Rules, f int, me *reader) error {
	v := s.primary()
	continued := me.continues(v)
	behind := v.id != me.id && me.horizon > v.branch && r.HorizonIsCompared
	if me.history != 0 && v.before == me.id {
		lacks := behind || !continued && me.safe > v.branch
		if r.ReadsAgain && !me.broken && lacks && me.isStoredBefore(v) {
			return s.readAgain(r, f, me)
		}
		if err := s.endsAHistory(me, continued, lacks); err != nil {
			return err
		}
	}
	me.stream = s.current + 1
	switch {
	case me.history == 0, !continued:
		return s.beginHistory(r, f, me, v.length, me.broken)
	case me.broken, behind:
		return s.beginHistory(r, f, me, me.safe, true)
	case v.id != me.id && r.LedgerIsCompared && me.term == noTerm:
		me.limit = min(me.limit, v.branch)
	}
	if v.id != me.id && r.LettersAreDoubted && me.lettered > v.branch {
		me.doubtLetters()
	}
	return s.goOn(r, me)
}

// continues tells whether a server goes on with the stream from where it was read.
func (me *reader) continues(v *server) bool {
	same := v.id == me.id && me.safe <= v.length
	return me.history != 0 && me.safe >= v.first && (same || v.before == me.id && me.safe <= v.branch)
}

// endsAHistory looks whether a fail-over has to end the history, of which the server lacks something
// that was read, or could not go on.
func (s *state) endsAHistory(me *reader, continued, lacks bool) error {
	v := s.primary()
	switch {
	case !continued && me.safe >= v.first && !s.hasLostWrites():
		return errors.New("a fail-over that lost no write ends the history")
	case !me.broken && lacks && me.isStoredBefore(v) && me.stored.offset >= v.first && s.untold&s.seen == 0:
		return errors.New("a fail-over that lost nothing which was read for a row ends the history")
	}
	return nil
}

// readAgain forgets all of the stream. The next one has another epoch.
func (s *state) readAgain(r *Rules, f int, me *reader) error {
	if r.ReadsAgainAnew || !me.leads {
		s.crash(f)
		return nil
	}
	s.abandon(f)
	valid := s.store.told.valid
	err := s.takeOver(me)
	s.store.told.valid = valid
	return err
}

// isStoredBefore tells whether the position in the database is one that a server has which took
// over.
func (me *reader) isStoredBefore(v *server) bool {
	return me.stored.history == me.history && me.stored.id == me.id && me.stored.offset <= v.branch
}

// doubtLetters has the keys of dead letters read again, of which the server may hold what was
// there before.
func (me *reader) doubtLetters() {
	for key := range keys {
		m := &me.marks[key]
		switch {
		case !me.hasLetter[key]:
		case !m.is:
			*m = mark{is: true, first: me.safe, last: me.safe, word: seen, scanned: true}
		case !m.saved:
			m.scanned = true
		}
	}
}

// hasLostWrites tells whether Redis has lost more than PINGs since the last event.
func (s *state) hasLostWrites() bool {
	for number := int8(1); number <= s.count; number++ {
		if s.untold.has(number) && s.made[number].kind != ping {
			return true
		}
	}
	return false
}

// goOn reads the history on from a stream.
func (s *state) goOn(r *Rules, me *reader) error {
	if v := s.primary(); v.id != me.id {
		me.offset, me.id = me.safe, v.id
		if r.LastsAreRewound {
			me.rewind(r, me.safe)
		}
		if r.ScanIsReadTo && !me.isScannedAt(me.offset) {
			// What was not there may be there again.
			me.scanned, me.scannedAt = false, 0
		}
	}
	me.next = me.safe
	return s.acknowledge(r, me)
}

// beginHistory brings all that is known into another history.
func (s *state) beginHistory(r *Rules, f int, me *reader, start int8, flushed bool) error {
	v := s.primary()
	first := me.stored.history == 0
	if !first && r.WitnessIsCompared && s.witnessAt(v, v.length) < me.stored.witness {
		flushed = true
	}
	if me.isFenced(r.MoveIsFenced) {
		s.crash(f)
		return nil
	}
	var broken error
	switch {
	case first:
		// Nothing was promised of what is gone by now.
		s.toldAt, s.untold = s.count, 0
	case r.LossIsTold:
		broken = s.tell(flushed)
	}
	s.store.histories++
	next := position{history: s.store.histories, id: v.id, offset: start, witness: me.witness}
	s.moveTo(me, next)
	told := me.offset >= me.horizon
	s.abandon(f)
	me.void(r)
	sure := told && me.term != noTerm || !r.LapseNeedsToBeSure
	me.history, me.id, me.safe, me.offset = next.history, v.id, start, start
	me.horizon, me.limit, me.broken, me.scanned, me.scannedAt = 0, endless, false, false, 0
	me.term, me.carried, me.owed, me.lettered = noTerm, 0, [keys]debt{}, 0
	for key := range me.marks {
		m := &me.marks[key]
		if !m.is {
			continue
		}
		m.first, m.last = start, start
		m.lapse(sure)
		if m.scanned = !m.saved; m.saved {
			m.first = before
		}
	}
	if err := s.goOn(r, me); broken == nil {
		broken = err
	}
	return broken
}

// begin begins a term, and ends the claim of the one before.
func (s *state) begin(r *Rules, f int, me *reader) error {
	committed := s.acquire(r, f, ledgerOf(r, me.history))
	switch {
	case me.isFenced(r.TermsAreFenced):
		s.crash(f)
		return nil
	case committed > me.limit:
		me.broken, me.stream = true, detached
		return nil
	case committed < me.carried:
		return errors.New("the ledger has less than was committed")
	}
	me.void(r)
	me.term = inForce
	me.carried, me.horizon = max(me.carried, committed), max(me.horizon, committed)
	me.limit = endless
	return nil
}

// isRecorded tells whether the database has the name of the history that is read.
func (me *reader) isRecorded(r *Rules) bool {
	return me.limit == endless && (!r.NameIsRecorded || me.stored.id == me.id)
}

// position is how far the source is carried now.
func (me *reader) position(r *Rules) position {
	p := me.stored
	p.witness = me.witness
	if me.history != p.history || me.limit != endless {
		return p
	}
	p.id, p.offset, p.scanned = me.id, me.carriedTo(r), me.finished(r)
	return p
}

// carriedTo is where reading has to begin to meet again all that is dirty and not saved.
func (me *reader) carriedTo(r *Rules) int8 {
	at := me.safe
	if !r.PositionIsTheOldestMark {
		return at
	}
	for key := range keys {
		if m := &me.marks[key]; m.is && !m.saved {
			at = min(at, m.first)
		}
		if m := &me.out[key]; m.is && !m.saved && (me.at != settling || r.SettlesBeforeMoving) {
			at = min(at, m.first)
		}
	}
	return at
}

// move tells the database how far the source is carried.
func (s *state) move(r *Rules, f int, me *reader) error {
	if me.isFenced(r.MoveIsFenced) {
		s.crash(f)
		return nil
	}
	to := me.position(r)
	s.moveTo(me, to)
	if v := s.primary(); v.id == to.id && to.offset > 0 && s.made[v.log[to.offset-1]].open {
		return errors.New("the position is in the midst of a transaction, where nobody can begin to read")
	}
	return nil
}

func (s *state) moveTo(me *reader, to position) {
	if to.witness > s.store.position.witness {
		s.attested = me.vouched
	}
	s.store.position, me.stored = to, to
}

// acknowledge tells the server what is kept.
func (s *state) acknowledge(r *Rules, me *reader) error {
	if me.stream == detached || r.AcknowledgesWhenAgreed && me.limit != endless || r.AcknowledgesAfterScan && !me.finished(r) {
		return nil
	}
	upTo := me.offset
	for _, marks := range [][keys]mark{me.marks, me.out} {
		for key := range marks {
			if m := &marks[key]; m.is {
				upTo = min(upTo, m.first)
			}
		}
	}
	for _, o := range me.owed {
		if o.is {
			upTo = min(upTo, o.first)
		}
	}
	if me.stream != s.current+1 {
		return nil
	}
	return s.acknowledged(upTo)
}
