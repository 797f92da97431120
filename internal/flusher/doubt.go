// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"errors"
	"sync"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

const (
	// searchParts is into how many parts entries are cut in which a row is searched
	// that ends its session: each may be a crash of the server, a part that gets through
	// costs next to nothing, so one of a thousand is found with four ends more.
	searchParts = 8
	// firstEndPause is how long a partition rests after its session has
	// ended twice in a row; it doubles up to longestRetry, since each may be a crash.
	firstEndPause = time.Second
	// endsOfOne is after how many ends in a row a row that was alone is suspect. A
	// server that is stopped may well take one connection, or two, with it.
	endsOfOne = 3
	// mostEnders bounds the rows of which it is remembered that they were alone.
	mostEnders = 1000
)

// doubt is what the failures of a partition's last batches make of its next ones.
// The worker at the partition owns it.
type doubt struct {
	// atRows counts the batches in a row that failed while PostgreSQL was at work on
	// the rows, and answered before that; ends those that ended their session.
	atRows, ends int
	// suspects is within how many of the next entries a row is that ends its session.
	suspects int
	// until is when the partition may be tried again.
	until time.Time
}

// searching tells whether the next batch is to be cut at any error of its rows: the
// one before failed at its rows too, although the server answered in between.
func (d *doubt) searching() bool { return d.atRows > 0 }

// most is how many entries the next claim may take at most; 0 means any number.
func (d *doubt) most() int {
	if d.ends < 2 || d.suspects == 0 {
		return 0
	}
	return max(1, d.suspects/searchParts)
}

// failed notes that a batch of that many entries failed at its rows.
func (d *doubt) failed(failure *entry.Fault, entries int, now time.Time) {
	switch {
	case failure.SessionEnded:
		d.ends++
		d.suspects = entries
		if d.ends >= 2 {
			d.until = now.Add(min(firstEndPause<<min(d.ends-2, 10), longestRetry))
		}
	case failure.AtRows:
		d.atRows++
	}
}

// passed notes that that many entries got an outcome.
func (d *doubt) passed(entries int) {
	d.atRows = 0
	if d.suspects -= entries; d.suspects <= 0 {
		d.suspects, d.ends = 0, 0
	}
}

// enders are the rows of a queue that were alone when their session ended. The zero value
// is ready.
type enders struct {
	mu    sync.Mutex
	known map[string]*ender
}

// ender is a row that was alone when its session ended.
type ender struct {
	version  int64
	attempts int
	ends     int
	// convicted says that it has spent an attempt for that: one more end is enough then.
	convicted bool
	// spared says that it was not sent when it was looked at last, among that several rows
	// ended their sessions and none was taken when its last session ended.
	spared, among bool
	// at is what had been taken when the session ended, since when it was so first, and
	// last when it was so last. since is of the version, ends and last are of the key.
	at          taken
	since, last time.Time
	failure     *entry.Fault
}

// proven reports whether it was alone often enough to be the cause of the ends.
func (e *ender) proven() bool { return e.ends >= endsOfOne || e.convicted }

// endedSession is the reason of all rows that end their session, whatever they are
// answered.
var endedSession = fault{state: "ended"}

// endedAlone notes that a row was alone when its session ended. ends is how many
// sessions of the partition have ended in a row.
func (s *enders) endedAlone(e *entry.Entry, failure *entry.Fault, ends int, evidence *evidence) {
	at := evidence.now()
	evidence.fresh(e.Row(), e.Operation.Proof, endedSession)
	lasts, _ := evidence.probationOf(endedSession, 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known[e.Row()]
	if known == nil || known.version != e.Version {
		before := known
		if s.known == nil || len(s.known) >= mostEnders {
			s.known = make(map[string]*ender)
		}
		known = &ender{version: e.Version, since: time.Now()}
		if before != nil {
			known.ends = before.ends
		}
		s.known[e.Row()] = known
	}
	known.ends, known.last = max(known.ends+1, ends), time.Now()
	known.attempts, known.at, known.failure, known.among = e.Attempts, at, failure, lasts > probation
}

// accuses tells whether any row is known that was alone when its session ended: as a rule none
// is, and then no entry has to be looked up.
func (s *enders) accuses() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known) > 0
}

// suspected returns what is known of a row whose session ended when it was last
// tried, often enough to be the row's own fault; nil otherwise.
func (s *enders) suspected(e *entry.Entry) *ender {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known[e.Row()]
	if known == nil || known.version != e.Version || known.attempts != e.Attempts || !known.proven() {
		return nil
	}
	return known
}

// rewritten reports whether an entry is a later write of a key that has ended its sessions,
// and for how long it is not to be tried: the longer, the more ends there were. It may be
// well by now, and may as well be another version each time that it is looked at.
func (s *enders) rewritten(e *entry.Entry, p policy) (is bool, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known[e.Row()]
	if known == nil || known.version == e.Version || !known.proven() {
		return false, 0
	}
	return true, p.retryAfter(known.ends) - time.Since(known.last)
}

// convict notes that the row has spent an attempt for a session that ended.
func (s *enders) convict(e *ender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.convicted = true
}

// convicted tells whether the row has spent an attempt for a session that ended.
func (s *enders) convicted(entry *entry.Entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.known[entry.Row()]
	return e != nil && e.version == entry.Version && e.convicted
}

// spare tells for how long a row that has used up its attempts is not to be a dead letter
// yet, if none was taken since its last session ended: others may still show that
// all rows end their sessions. Where several did, every second look sends it again.
func (s *enders) spare(e *ender, evidence *evidence) (left time.Duration, several, again bool) {
	lasts, quiet := evidence.probationOf(endedSession, time.Since(e.since))
	left, several = lasts-quiet, lasts > probation
	if evidence.refusedFor(endedSession) >= trialBatch {
		left = longestRetry
	}
	if left <= 0 || !several {
		return max(0, left), several, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	again = e.spared
	e.spared = !e.spared
	return left, several, again
}

// yields tells whether a row of which nothing shows that others get through lets those
// behind it pass first: every second time, or the first row of an empty table would hold
// up for ever the ones that can show it.
func (s *enders) yields(e *ender) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.spared = !e.spared
	return e.spared
}

// reprieve tells whether a row is to be sent once more, although others got through since
// its last session ended: they may do so since all that ended sessions was mended.
func (s *enders) reprieve(e *ender) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	among := e.among
	e.among = false
	return among
}

// survived forgets rows that got through.
func (s *enders) survived(entries []entry.Entry, rows []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) == 0 {
		return
	}
	for _, i := range rows {
		delete(s.known, entries[i].Row())
	}
}

// stumbled notes what a failed batch says of the partition's next one.
func (p *partition) stumbled(err error, entries int) {
	if failure, ok := errors.AsType[*entry.Fault](err); ok {
		p.doubt.failed(failure, entries, time.Now())
	}
}
