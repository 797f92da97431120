// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"fmt"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// probation is how long a row is refused at least before a control that is weak makes
// it a dead letter: at one row a second ten others show in that time whether the
// mapping is at fault. It begins anew with every other row that is refused for the same
// reason, and lasts longer the more there are.
const probation = 12 * time.Second

// endsItsSession is what a dead letter says of a row that ends every session.
const endsItsSession = "its statement ends the session, or crashes the server: see PostgreSQL's log"

// proof is what an entry shows of others when it is committed, and what has to be shown of
// others before its refusal is its own fault.
func (f *flush) proof(i int) entry.Proof { return f.claim.Entries[i].Operation.Proof }

// othersPass tells whether rows get through at this very time where this one failed: in
// this flush, in others since it began, or in a trial with a row of the table.
func (f *flush) othersPass(ctx context.Context, i int, failure *entry.Fault) bool {
	return f.q.evidence.now().shows(f.start, f.proof(i)) || controls(failure) && f.control(ctx, i) != entry.NoneTaken
}

// control tries whether the table takes others than this row, in a transaction that is
// rolled back.
func (f *flush) control(ctx context.Context, i int) entry.Trial {
	if in, _, err := f.fill(ctx, []int{i}); err != nil || len(in) == 0 {
		return entry.NoneTaken
	}
	return f.batch.Control(ctx)
}

// doubt takes note of a row that failed alone with an error that may be the server's.
// Several of them, and none that gets through, end the search.
func (f *flush) doubt(ctx context.Context, i int, failure *entry.Fault) error {
	f.doubted[i] = failure
	if len(f.doubted) < witnesses {
		return nil
	}
	return f.weigh(ctx)
}

// weigh decides of the rows in doubt: where others get through, it is the row that
// fails. Where nothing shows that, it is the server, and the error is told as it is, or
// the table's functions, and the mapping pauses.
func (f *flush) weigh(ctx context.Context) error {
	for i, failure := range f.doubted {
		if !f.othersPass(ctx, i, failure) {
			if failure.Raised {
				f.unproved = failure
				return errUnproved
			}
			return fmt.Errorf("write partition %d: %w", f.partition.number, failure)
		}
		f.refused[i] = failure
		delete(f.doubted, i)
	}
	return nil
}

// sentence settles, without sending it, a row that has ended its sessions alone,
// while others get through. It is set aside, to be tried rarely.
func (f *flush) sentence(ctx context.Context, i int) bool {
	e := &f.claim.Entries[i]
	known := f.q.enders.suspected(e)
	if known == nil {
		return false
	}
	others := f.q.evidence.now().shows(known.at, f.proof(i))
	if !others && !f.controlOfRows(ctx, i) {
		if !f.q.enders.yields(known) {
			return false
		}
		f.yielded++
		f.aside(i, entry.Kept, f.policy.retryAfter(e.Attempts+searchedRetries), known.failure)
		return true
	}
	f.q.enders.convict(known)
	if e.Attempts >= f.policy.maxRetries {
		if others && f.q.enders.reprieve(known) {
			return false
		}
		if left, several, again := f.q.enders.spare(known, &f.q.evidence); !others && left > 0 {
			if several {
				f.unproved, f.unprovedNeeds = known.failure, f.proof(i)
			}
			if !again {
				f.aside(i, entry.Kept, min(left, f.policy.retryAfter(e.Attempts+searchedRetries)), known.failure)
			}
			return !again
		}
		f.dead(i, entry.CauseRefused, endsItsSession, &entry.DeadLetter{SQLState: known.failure.SQLSTATE, Message: endsItsSession})
		return true
	}
	f.setAside(i, f.policy.retryAfter(e.Attempts+searchedRetries))
	return true
}

// setAside keeps a row that ends its session for another try.
func (f *flush) setAside(i int, wait time.Duration) {
	f.settlements[i] = entry.Settlement{Outcome: entry.Refused, Wait: wait}
	f.refuses(&f.claim.Entries[i], "a row is set aside: "+endsItsSession)
	f.q.meter.rowFailed(reasonRowRefused)
}

// setBack keeps a later write of a key that has ended its sessions from the batch of the
// others: they come first, and it is tried alone behind them once it is due.
func (f *flush) setBack(i int, again *[]int) bool {
	is, wait := f.q.enders.rewritten(&f.claim.Entries[i], f.policy)
	switch {
	case !is:
		return false
	case wait <= 0:
		*again = append(*again, i)
	default:
		f.yielded++
		f.setAside(i, wait)
	}
	return true
}

// searchedRetries makes a row that ends its session wait eight times as long as others.
const searchedRetries = 3

// controlOfRows is a control with rows of the table alone: a row that crashes the server
// must not be tried in parts.
func (f *flush) controlOfRows(ctx context.Context, i int) bool {
	if in, _, err := f.fill(ctx, []int{i}); err != nil || len(in) == 0 {
		return false
	}
	return f.batch.ControlOfRows(ctx) != entry.NoneTaken
}

// settle finds an outcome for what is not committed. doubt is what the mapping was
// paused for when the flush began, or nil.
func (f *flush) settle(ctx context.Context, doubt *entry.Fault) {
	for i := range f.settlements {
		// What was skipped when all seemed in vain.
		if f.settlements[i].Outcome == 0 && f.refused[i] == nil {
			f.settlements[i].Outcome = entry.Kept
		}
	}
	for i, failure := range f.refused {
		if doubt != nil && sameFault(failure, doubt) {
			// The mapping was mended while its rows were tried one by one.
			f.settlements[i] = entry.Settlement{Outcome: entry.Kept, Wait: f.policy.retryAfter(0)}
			continue
		}
		f.refuse(ctx, i, failure)
	}
	if f.unproved != nil {
		f.pause(ctx, f.unproved, f.unprovedNeeds, true)
	}
}

// refuse settles a row that the database refused alone: it is tried again until its
// retries are used up, and then as long as nothing shows that others get through.
func (f *flush) refuse(ctx context.Context, i int, failure *entry.Fault) {
	e := &f.claim.Entries[i]
	needs := f.proof(i)
	before, first := f.beforeAgain, e.Attempts == 0
	if first {
		before = f.before
	}
	since, others := f.q.evidence.refused(e.Row(), e.Version, faultOf(failure), needs, before)
	if first && f.policy.maxRetries == 0 {
		// There is no second refusal to wait for.
		others = others || f.q.evidence.now().shows(f.start, needs)
	}
	free := movesOn(failure) && f.q.evidence.waitsForOthers(e.Row(), e.Version)
	// Before this refusal.
	attempts := e.Attempts - f.q.evidence.freeOf(e.Row(), e.Version)
	if free {
		attempts++
	}
	wait := f.policy.retryAfter(max(0, attempts))
	// What another flusher's rows do is not seen here.
	waiting := movesOn(failure) && since < f.policy.patience()
	if waiting {
		// Each row of a chain waits for the one before it: longer pauses would add up.
		wait = f.policy.retryAfter(0)
	}
	switch {
	case failure.LockHeld && e.Attempts > 0:
		// Whoever holds the lock will let it go, and no attempt is spent until then.
		f.aside(i, entry.Kept, min(max(since, wait), longestRetry), failure)
		return
	case failure.LockHeld, free, attempts < f.policy.maxRetries:
		f.aside(i, entry.Refused, wait, failure)
		return
	case waiting:
		f.aside(i, entry.Kept, wait, failure)
		return
	}
	if !others && f.spared(ctx, i, failure, since, wait) {
		return
	}
	f.dead(i, entry.CauseRefused, failure.Message, &entry.DeadLetter{
		SQLState: failure.SQLSTATE, Constraint: failure.Constraint, Column: failure.Column, Message: wholeStory(failure), Attempts: max(0, attempts) + 1,
	})
}

// spared keeps a refused row whose attempts are used up, if neither others nor a control
// show that the refusal is its own.
func (f *flush) spared(ctx context.Context, i int, failure *entry.Fault, since, wait time.Duration) bool {
	e, why := &f.claim.Entries[i], faultOf(failure)
	lasts, quiet := f.q.evidence.probationOf(why, since)
	left := lasts - quiet
	outcome := entry.Kept
	switch trial := f.control(ctx, i); {
	case trial == entry.NoneTaken:
		f.unproved, f.unprovedNeeds = failure, f.proof(i)
	case (trial == entry.PartTaken || !plain(failure)) && left > 0:
		if e.Attempts == 0 {
			outcome = entry.Refused
		}
		if lasts > probation {
			f.unproved, f.unprovedNeeds = failure, f.proof(i)
		}
		wait = min(wait, left)
	case e.Attempts == 0:
		// It may not be tried again.
		return false
	default:
		// What refused all rows may have been mended just before the control: that
		// shows something of the refusal that comes after it.
		f.q.evidence.controlled(e.Row(), e.Version, why)
	}
	f.aside(i, outcome, wait, failure)
	return true
}

// wholeStory is what a dead letter says: PostgreSQL's own words and, of a row that waited
// for another, what may help.
func wholeStory(failure *entry.Fault) string {
	detail := failure.Detail
	switch {
	case detail == "":
		return failure.Message
	case movesOn(failure):
		return detail + "\n" + failure.Message
	}
	return detail
}

// aside keeps a refused row for another try.
func (f *flush) aside(i int, outcome entry.Outcome, wait time.Duration, failure *entry.Fault) {
	f.settlements[i] = entry.Settlement{Outcome: outcome, Wait: wait}
	f.refuses(&f.claim.Entries[i], "a row is refused: "+failure.Message)
	f.q.meter.rowFailed(reasonRowRefused)
}

// faultOfMapping returns what the database refuses every row for, if that is the
// mapping's fault and not the rows': ten different ones were refused for it since a row
// was last taken, in whatever partition and however slowly, or the mapping is paused
// already, be it for another fault of its table. It is nil otherwise.
func (f *flush) faultOfMapping() *entry.Fault {
	for i := range f.refused {
		if f.taken.shows(taken{}, f.proof(i)) {
			return nil
		}
	}
	for i, failure := range f.refused {
		// Those that were refused before, among others that were not, say nothing.
		if e := &f.claim.Entries[i]; e.Attempts == 0 {
			f.q.evidence.fresh(e.Row(), f.proof(i), faultOf(failure))
		}
	}
	known := f.q.gate.now().known() != nil
	for _, failure := range f.refused {
		if known || f.q.evidence.refusedFor(faultOf(failure)) >= trialBatch {
			return failure
		}
	}
	return nil
}

func sameFault(a, b *entry.Fault) bool { return faultOf(a) == faultOf(b) }

// keep pauses the mapping. Its rows wait, none of them has spent an attempt, and the
// next trial sees others.
func (f *flush) keep(ctx context.Context, cause *entry.Fault) {
	for i := range f.settlements {
		if f.settlements[i].Outcome == 0 {
			f.settlements[i].Outcome = entry.Kept
			f.settlements[i].Wait = f.policy.retryAfter(0)
		}
	}
	f.refusal = cause.Message
	needs := entry.Weakest
	for _, rows := range []map[int]*entry.Fault{f.refused, f.doubted} {
		for i := range rows {
			needs = min(needs, f.proof(i))
		}
	}
	f.pause(ctx, cause, needs, f.unproved != nil)
}
