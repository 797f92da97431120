// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// contentionPause keeps two that met from meeting again: at most 20 ms.
const contentionPause = 20 * time.Millisecond

// reasonRowRefused is the label of a failure that is one row's own.
const reasonRowRefused = "RowRefused"

// reasonForged is the label of entries that no capture function has written.
const reasonForged = "EntryForged"

// flush is the way of one claim through the database.
type flush struct {
	q           *queue
	partition   *partition
	table       Table
	batch       Batch
	claim       *entry.Claim
	settlements []entry.Settlement
	policy      policy
	// isCurrent says that the table was still what it was read as when the claim was
	// already there, which holds the values.
	isCurrent bool
	// passed are the rows that the database took before the one that it refused: they are
	// written at the end. trusting is false once its words pointed at a wrong row.
	passed   []int
	trusting bool
	prefix   string
	// refused are the rows that the database refused alone, with the reason.
	refused map[int]*entry.Fault
	taken   taken
	// refusal is the last row error, in words for the status; refusedRow is what it is about,
	// for the log.
	refusal, refusedRow string
	// searching says that a row is looked for at any error of the rows; doubted are those
	// that failed alone with one that may be the server's own.
	searching bool
	doubted   map[int]*entry.Fault
	// whole says that a batch that is refused is not to be tried in parts.
	whole bool
	// unproved is what a row is refused for of which nothing shows that others get
	// through, and unprovedNeeds what would show it.
	unproved      *entry.Fault
	unprovedNeeds entry.Proof
	// start is what the queue had taken when the flush began.
	start taken
	// before is what was committed before the fresh rows were sent, beforeAgain before
	// those that were refused before.
	before, beforeAgain latest
	// yielded counts the rows that were not sent, so that those behind them come first.
	yielded int
	// ended is the failure that ended the session of a row that was tried again.
	ended error
}

func newFlush(q *queue, p *partition, table Table, claim *entry.Claim, policy policy, prefix string) *flush {
	return &flush{
		q: q, partition: p, table: table, batch: table.NewBatch(), claim: claim,
		settlements: make([]entry.Settlement, len(claim.Entries)),
		refused:     make(map[int]*entry.Fault),
		doubted:     make(map[int]*entry.Fault),
		policy:      policy, prefix: prefix, trusting: true,
		searching: p.doubt.searching() || q.gate.now().known() != nil,
		start:     q.evidence.now(), before: q.evidence.committed(),
	}
}

// write commits what the database takes of the claim and finds an outcome for
// every entry. An error means that nothing may be acknowledged.
func (f *flush) write(ctx context.Context) error {
	defer f.tell()
	err := f.writeAll(ctx)
	if errors.Is(err, errUnproved) {
		f.keep(ctx, f.unproved)
		return nil
	}
	return err
}

func (f *flush) writeAll(ctx context.Context) error {
	now := time.Now()
	doubt, accused := f.q.gate.now().known(), f.q.enders.accuses()
	fresh := make([]int, 0, len(f.claim.Entries))
	var again []int
	for i := range f.claim.Entries {
		e := &f.claim.Entries[i]
		switch {
		case f.settlements[i].Outcome == entry.Done:
			// It was committed before the table was altered.
		case e.Unfit == nil && (e.Garbled || len(e.Key) <= len(f.prefix) || !strings.HasPrefix(e.Key, f.prefix)):
			f.forged(i)
		case e.Lost:
			f.settlements[i].Outcome = entry.Lost
			f.settlements[i].Letter = &entry.DeadLetter{Cause: entry.CauseValueLost, Message: "the value was gone from Redis", LastFailure: now.UTC()}
		case accused && f.sentence(ctx, i):
		case accused && f.setBack(i, &again):
		case e.Attempts == 0:
			fresh = append(fresh, i)
		default:
			again = append(again, i)
		}
	}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return f.commit(ctx, fresh) }, f.commitPassed,
		func(ctx context.Context) error { return f.commitSkipped(ctx, fresh) }, f.weigh, f.commitStuck,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if cause := f.faultOfMapping(); cause != nil {
		f.keep(ctx, cause)
		return nil
	}
	if err := f.commitAgain(ctx, again); err != nil {
		return err
	}
	// Rows that were refused before, among others that were not, say nothing of the
	// mapping unless it is known to be at fault.
	if f.q.gate.now().known() != nil {
		if cause := f.faultOfMapping(); cause != nil {
			f.keep(ctx, cause)
			return nil
		}
	}
	if f.taken.shows(taken{}, f.q.gate.now().obstacle.needs) {
		f.q.resume()
	}
	f.settle(ctx, doubt)
	return nil
}

// commitAgain writes what was refused before, each row alone, so that it spoils no
// batch. After the journal was edited by hand there may be more than a claim should
// have. A row that ends its session ends the round: the next claim needs a new epoch.
func (f *flush) commitAgain(ctx context.Context, again []int) error {
	f.searching = true
	f.beforeAgain = f.q.evidence.committed()
	for n, i := range again {
		if n >= retriesAtOnce {
			f.settlements[i].Outcome = entry.Kept
			continue
		}
		switch err := f.commit(ctx, []int{i}); {
		case endOfSession(err) != nil:
			f.ended, f.settlements[i].Wait = err, f.policy.retryAfter(f.claim.Entries[i].Attempts)
			return nil //nolint:nilerr // What was settled before it is acknowledged first; f.ended keeps the error.
		case err != nil:
			return err
		}
	}
	if err := f.weigh(ctx); err != nil {
		return err
	}
	return f.commitStuck(ctx)
}

// tell logs in one line what the claim's refused rows came to: there may be many,
// and each dead letter tells all about itself.
func (f *flush) tell() {
	var refused, dead int
	for _, s := range f.settlements {
		switch s.Outcome {
		case entry.Refused:
			refused++
		case entry.Dead:
			dead++
		}
	}
	if refused+dead > 0 {
		f.q.log.Warn("Rows are refused", "partition", f.partition.number, "retried", refused, "dead", dead, "last", f.refusedRow, "cause", f.refusal)
	}
}

// commit writes the rows of the given entries in one transaction. When the
// database refuses a row, the others are written without it.
func (f *flush) commit(ctx context.Context, rows []int) error {
	rows, version, err := f.fill(ctx, rows)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return nil
	}
	sent := f.q.evidence.sends()
	err = f.send(ctx, version)
	var failure *entry.Fault
	switch {
	case err == nil:
	case errors.As(err, &failure) && len(failure.Stale) > 0:
		return f.withoutStale(ctx, rows, failure)
	case !errors.As(err, &failure) || !inParts(failure, f.searching):
		if cause := endOfSession(err); cause != nil && len(rows) == 1 {
			e := &f.claim.Entries[rows[0]]
			f.partition.found.row, f.partition.found.convicted = e.Row(), f.q.enders.convicted(e)
			f.q.enders.endedAlone(e, cause, f.partition.doubt.ends+1, &f.q.evidence)
		}
		return err
	case f.whole:
		return nil
	default:
		return f.narrow(ctx, rows, failure)
	}
	var took taken
	for _, i := range rows {
		f.settlements[i].Outcome = entry.Done
		took[f.proof(i)]++
	}
	f.taken.add(took)
	f.q.evidence.took(took, sent)
	f.q.evidence.through(f.claim.Entries, rows)
	f.q.enders.survived(f.claim.Entries, rows)
	f.q.f.metrics.ignored.WithLabelValues(f.q.name).Add(float64(f.batch.Ignored()))
	f.q.f.metrics.batchSize.WithLabelValues(f.q.name).Observe(float64(len(rows)))
	return nil
}

// fill puts the entries into the batch. One that cannot be a row becomes a dead
// letter at once, since no retry can change it, unless the table was altered and has to
// be read anew. It returns the ones that are in and the highest version of them.
func (f *flush) fill(ctx context.Context, rows []int) (in []int, version int64, err error) {
	f.batch.Reset()
	in = make([]int, 0, len(rows))
	for _, i := range rows {
		e := &f.claim.Entries[i]
		if e.Unfit != nil {
			f.unfit(i, e.Unfit)
			continue
		}
		if err := f.batch.Add(strings.TrimPrefix(e.Key, f.prefix), e); err != nil {
			if err := f.current(ctx); err != nil {
				return nil, 0, err
			}
			f.unfit(i, err)
			continue
		}
		in = append(in, i)
		version = max(version, e.Version, e.Upto)
	}
	return in, version, nil
}

// unfit sets an entry aside that cannot be a row. A value that does not fit its column is
// refused in PostgreSQL's stead, with the SQLSTATE that it gives for the same. A removal is
// done then: no row has such a key.
func (f *flush) unfit(i int, err error) {
	letter := &entry.DeadLetter{Message: err.Error()}
	row, known := errors.AsType[*entry.Unfit](err)
	switch {
	case known && row.OfKey && f.claim.Entries[i].Operation.Proof == entry.RemovalsPass:
		f.settlements[i].Outcome = entry.Done
	case known && row.OfKey:
		f.dead(i, entry.CauseNotAKey, err.Error(), letter)
	case known && row.Column != "":
		letter.SQLState, letter.Column = row.SQLSTATE, row.Column
		f.dead(i, entry.CauseRefused, err.Error(), letter)
	default:
		f.dead(i, entry.CauseNotADocument, err.Error(), letter)
	}
}

// send writes the batch under the next flush number.
func (f *flush) send(ctx context.Context, version int64) error {
	p := f.partition
	at := entry.Place{
		Shard: p.lease.Shard,
		Epoch: p.epoch, Flush: p.flush + 1, Version: version,
	}
	for attempt := 1; ; attempt++ {
		outcome, err := f.batch.Write(ctx, at)
		failure, failed := errors.AsType[*entry.Fault](err)
		if err == nil || failed && failure.AtRows && !databaseFails(err) {
			p.found.works = true
		}
		if failed && isSentAgain(failure, attempt) {
			if !pause(ctx, rand.N(contentionPause)) {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("write partition %d: %w", p.number, err)
		}
		if outcome == entry.Altered {
			return errAltered
		}
		if outcome != entry.Committed {
			return fmt.Errorf("write partition %d: %w", p.number, errFenced)
		}
		p.flush++
		return nil
	}
}

// pause waits, and reports false if the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// forged drops an entry that no function of the library has written: its key is outside
// of the mapping's prefix, or it is no entry. As a dead letter it would show the value
// of a key that may be another queue's.
func (f *flush) forged(i int) {
	e := &f.claim.Entries[i]
	f.settlements[i].Outcome = entry.Forged
	f.refuses(e, "an entry is not flushed: it was written into the journal by hand, and its key is outside of the mapping's keyPrefix; "+
		"see whose rights reach the journal of this queue, and the flusher's log for the key")
	f.q.log.Warn("An entry that no capture function has written is dropped", "partition", f.partition.number, "key", shown(e.Key), "keyPrefix", f.prefix)
	f.q.meter.rowFailed(reasonForged)
}

// refuses notes what keeps an entry from its row. why is for lastError, which anybody reads
// who reaches the flusher's port, so it names no key: the log does.
func (f *flush) refuses(e *entry.Entry, why string) { f.refusal, f.refusedRow = why, shownRow(e) }

// shownKey is how much of a key stands in logs.
const shownKey = 100

// shown is a key as a person can read it: quoted, and cut where it is long.
func shown(key string) string {
	if len(key) > shownKey {
		return fmt.Sprintf("%q... (%d bytes)", key[:shownKey], len(key))
	}
	return fmt.Sprintf("%q", key)
}

// shownRow is what an entry is about, with its member if that is a row of its own.
func shownRow(e *entry.Entry) string {
	if e.Member == "" {
		return "key " + shown(e.Key)
	}
	return "key " + shown(e.Key) + ", member " + shown(e.Member) + ","
}

// dead makes an entry a dead letter. public may stand in logs and status, the
// letter's own message only in the letter.
func (f *flush) dead(i int, cause, public string, letter *entry.DeadLetter) {
	e := &f.claim.Entries[i]
	letter.Cause, letter.LastFailure = cause, time.Now().UTC()
	if letter.Attempts == 0 {
		letter.Attempts = e.Attempts + 1
	}
	f.q.evidence.buried(e.Row())
	f.settlements[i] = entry.Settlement{Outcome: entry.Dead, Letter: letter}
	f.refuses(e, "a row is a dead letter: "+public)
	f.q.meter.rowFailed(reasonRowRefused)
}
