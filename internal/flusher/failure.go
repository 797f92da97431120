// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// reactions are what the engine does about a batch that failed, by the kind of the fault.
// Where the fault says more than its kind, that comes first:
//
//	Unsettled     the batch may yet commit: nothing but a new epoch
//	SessionEnded  the same, and the partition's next claims are smaller
//	Stale         those rows are dead letters, the others are written without them
//	AtRows        twice in a row: as a fault that is tried in parts
//	Raised        a function of the table did it: never the server's fault
//	LockHeld      the row waits for the lock, which is no attempt
var reactions = map[entry.Kind]reaction{
	entry.Transient:  {circuit: counts, rests: everyQueue},
	entry.Contention: {tries: 5, rests: everyQueue},
	entry.Locked:     {rests: thisQueue},
	entry.TooHeavy:   {parts: true, control: true, circuit: countsInNeed, rests: everyQueue},
	entry.Order:      {parts: true, ofRow: true, rests: everyQueue},
	entry.Row:        {parts: true, ofRow: true, rests: everyQueue},
	entry.Mapping:    {rests: untilItFits},
}

// reaction is what the engine does about one kind of fault.
type reaction struct {
	// tries is how often the same batch is sent at once, where that is more than once.
	tries int
	// parts means that fewer rows may get through, so that the batch is tried in parts.
	parts bool
	// ofRow means that only rows meet it: one that does so alone is refused. Whoever meets
	// another fault alone is in doubt, since it may as well be the server's.
	ofRow bool
	// control means that a row of the table shows whether it is this row that fails.
	control bool
	// circuit is whether it counts for the circuit, once no part of the batch is tried.
	circuit counting
	// rests is who waits then, beside the partition that begins a new epoch.
	rests resting
}

// counting reports whether a fault is one of the database that is away or unwell.
type counting int

const (
	_ counting = iota // never
	counts
	// countsInNeed is for a time-out or a lack of memory, which may be one batch's own. It
	// is told of a batch only when it lasts down to a single row, and for other rows too.
	countsInNeed
)

// resting says who waits after a fault.
type resting int

const (
	// everyQueue waits until the database may be tried again. After the end of a session the
	// new epoch shows whether the server is there.
	everyQueue resting = iota
	// thisQueue waits for the lock on its table. The database is well.
	thisQueue
	// untilItFits waits for the table to be read again. The probe does so at once and says in
	// full what does not fit. Where it finds nothing, the fault is told, until a batch gets
	// through.
	untilItFits
)

// lockedPause is how long a table that somebody has locked is left alone: about as
// long as a batch waits for the lock, so that at most half of the time is waiting.
const lockedPause = 2 * time.Second

// states are SQLSTATEs, or what they begin with.
type states []string

var (
	// ofOthers refuse a row because another one has, or lacks, what it needs: a unique
	// value, its part of a range, the row that it refers to.
	ofOthers = states{"23505", "23P01", "23503", "23001"}
	// ofValues refuse a row for a value's type, NOT NULL or CHECK: a row that is in the
	// table, written to itself, meets all of them. The rest depends on other rows.
	ofValues = states{"22", "23502", "23514"}
	// inNeed are a time-out and a lack of memory, disk or connections.
	inNeed = states{"57014", "53"}
)

func (s states) have(f *entry.Fault) bool {
	return slices.ContainsFunc(s, func(state string) bool { return strings.HasPrefix(f.SQLSTATE, state) })
}

// failed decides what an error means for the partition, and reports it. Whatever is
// not known to have been rolled back makes the partition begin a new epoch: that
// fences a transaction which is still on its way, and the new claim holds values
// at least as new.
func (q *queue) failed(ctx context.Context, p *partition, err error) {
	if ctx.Err() != nil {
		return
	}
	p.epoch = 0
	fault, _ := errors.AsType[*entry.Fault](err)
	misfit, _ := errors.AsType[*entry.Misfit](err)
	switch {
	case isAny(err, gobreaker.ErrOpenState, gobreaker.ErrTooManyRequests):
		// Nothing was tried.
		return
	case isAny(err, entry.ErrLeaseLost, entry.ErrClaimVoid, errFenced, entry.ErrNoQueue, entry.ErrNoFunctions):
		q.log.Info("Another flusher has taken the partition", "partition", p.number, "cause", err)
		q.member.lose(p)
		return
	case errors.Is(err, entry.ErrStep):
		// The new epoch counts it.
		q.log.Warn("Redis came back with an older journal", "partition", p.number, "cause", err)
		return
	case misfit != nil:
		// The table was altered, so that it was read again, and fits no longer.
		q.meter.batchFailed(misfit.Reason, misfit.Message)
		q.misfit(misfit)
	case fault != nil:
		q.meter.batchFailed(fault.Reason, err.Error())
		q.rest(fault)
	case q.refuse(ctx, err):
		return
	default:
		q.meter.batchFailed(q.f.source.Explain(err).Reason, q.f.redisFailed(err).Message)
	}
	q.log.Warn("Could not flush", "partition", p.number, "error", err)
}

// rest has those wait who are to after a fault of the database.
func (q *queue) rest(fault *entry.Fault) {
	switch reactions[fault.Kind].rests {
	case untilItFits:
		check := config.Check{Reason: fault.Reason, Message: fmt.Sprintf("mapping %s: no batch can be written: %s", q.name, fault.Message)}
		q.gate.after(func(p *passage) { p.unwritable(check) })
		nudge(q.f.lookAtDatabase)
	case thisQueue:
		q.gate.after(func(p *passage) { p.locked = time.Now().Add(lockedPause) })
	case everyQueue:
		if !fault.SessionEnded {
			q.f.databaseBackoff.failed(time.Now())
		}
	}
}

// stepFailed decides what an error of the loop means. Redis is left alone for a while,
// unless the loop ends, the queue has to be opened again, or it is another config's.
func (q *queue) stepFailed(ctx context.Context, err error) {
	switch {
	case errors.Is(err, context.Canceled):
	case isAny(err, entry.ErrNoQueue, entry.ErrNoFunctions):
		q.member.after(func(l *life) { l.opened = nil })
	case q.refuse(ctx, err):
	default:
		q.f.redisFailed(err)
	}
}

func isAny(err error, of ...error) bool {
	return slices.ContainsFunc(of, func(one error) bool { return errors.Is(err, one) })
}

// inParts reports whether fewer rows may get through where these did not. Only then,
// and only after an error whose transaction is known to be over, may other rows
// take the same flush number. While a row is searched for, that is so of any error
// that came while PostgreSQL was at work on the rows.
func inParts(f *entry.Fault, searching bool) bool {
	return !f.Unsettled && !f.SessionEnded && (reactions[f.Kind].parts || f.AtRows && searching)
}

// ofOneRow reports whether an error that a row meets alone is of the kind that only rows
// meet.
func ofOneRow(f *entry.Fault) bool { return reactions[f.Kind].ofRow }

// isSentAgain reports whether a batch that was sent so often is sent once more at once. It ended
// in a definite error of the server, so its number is still free.
func isSentAgain(f *entry.Fault, times int) bool {
	return !f.Unsettled && times < reactions[f.Kind].tries
}

// controls reports whether a row of the table may show whose fault it is. A full disk, a
// lost link or a lock may well spare a single row.
func controls(f *entry.Fault) bool { return reactions[f.Kind].control || f.Raised }

// movesOn reports whether a row waits for another one.
func movesOn(f *entry.Fault) bool { return ofOthers.have(f) }

// plain reports whether a row of the table meets the same fault, if that is the mapping's. A
// trigger may know whether a row is new.
func plain(f *entry.Fault) bool { return !f.Raised && ofValues.have(f) }

// endOfSession returns the failure that ended the session in which rows were written, or nil.
func endOfSession(err error) *entry.Fault {
	if failure, ok := errors.AsType[*entry.Fault](err); ok && failure.SessionEnded {
		return failure
	}
	return nil
}

// databaseFails reports whether an error says that the database is away or unwell. What a
// function means that was called for a row does not, whatever its SQLSTATE.
func databaseFails(err error) bool {
	failure, ok := errors.AsType[*entry.Fault](err)
	if !ok || failure.Raised {
		return false
	}
	circuit := reactions[failure.Kind].circuit
	return circuit == counts || circuit == countsInNeed && inNeed.have(failure)
}
