// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/postgres"
)

const (
	// contentionRetries is how often a batch that met a deadlock or a lock is sent
	// again at once, before it counts as a failure.
	contentionRetries = 5
	// contentionPause keeps two that met from meeting again: at most 20 ms.
	contentionPause = 20 * time.Millisecond
)

// reasonRowRefused is the label of a failure that is one row's own.
const reasonRowRefused = "RowRefused"

// flush is the way of one claim through the database.
type flush struct {
	q         *queue
	partition *partition
	table     *postgres.Table
	batch     *postgres.Batch
	claim     *journal.Claim
	outcomes  []journal.Outcome
	beyond    journal.Beyond
	policy    policy
	// passed are rows that got through in a batch which another row spoiled. trusting
	// says that the server's words may be taken for a hint of which row that was.
	passed   []int
	trusting bool
	prefix   string
	// refused are the rows that the database refused alone, with the reason; taken and
	// deleted count those that are committed. A deletion says nothing of whether rows
	// get through.
	refused        map[int]*postgres.Error
	taken, deleted int
	// refusal is the last row error, in words for the status.
	refusal string
}

func newFlush(q *queue, p *partition, table *postgres.Table, claim *journal.Claim, policy policy, prefix string) *flush {
	return &flush{
		q: q, partition: p, table: table, batch: table.NewBatch(), claim: claim,
		outcomes: make([]journal.Outcome, len(claim.Entries)),
		beyond:   journal.Beyond{Letters: make(map[int]*journal.DeadLetter), Waits: make(map[int]time.Duration)},
		refused:  make(map[int]*postgres.Error),
		policy:   policy, prefix: prefix, trusting: true,
	}
}

// write commits what the database takes of the claim and finds an outcome for
// every entry. An error means that nothing may be acknowledged.
func (f *flush) write(ctx context.Context) error {
	now := time.Now()
	doubt := f.q.faultKnown()
	fresh := make([]int, 0, len(f.claim.Entries))
	var again []int
	for i := range f.claim.Entries {
		e := &f.claim.Entries[i]
		switch {
		case e.Lost:
			f.outcomes[i] = journal.Lost
			f.beyond.Letters[i] = &journal.DeadLetter{Cause: journal.CauseValueLost, Message: "the value was gone from Redis", LastFailure: now.UTC()}
		case e.Attempts == 0:
			fresh = append(fresh, i)
		default:
			again = append(again, i)
		}
	}
	defer f.tell()
	if err := f.commit(ctx, fresh); err != nil {
		return err
	}
	if err := f.commitPassed(ctx); err != nil {
		return err
	}
	if cause := f.faultOfMapping(); cause != nil {
		f.keep(cause)
		return nil
	}
	// What was refused before is written alone, so that it spoils no batch. After the
	// journal was edited by hand there may be more than a claim should have.
	for n, i := range again {
		if n >= retriesAtOnce {
			f.outcomes[i] = journal.Kept
			continue
		}
		if err := f.commit(ctx, []int{i}); err != nil {
			return err
		}
	}
	// Rows that were refused before, among others that were not, say nothing of the
	// mapping unless it is known to be at fault.
	if f.q.faultKnown() != nil {
		if cause := f.faultOfMapping(); cause != nil {
			f.keep(cause)
			return nil
		}
	}
	if f.taken > 0 || f.deleted > 0 && f.q.pausedByDeletions() {
		f.q.resume()
	}
	f.settle(doubt)
	return nil
}

// settle finds an outcome for what is not committed. doubt is what the mapping was
// paused for when the flush began, or nil.
func (f *flush) settle(doubt *postgres.Error) {
	for i := range f.outcomes {
		// What was skipped when all seemed in vain.
		if f.outcomes[i] == 0 && f.refused[i] == nil {
			f.outcomes[i] = journal.Kept
		}
	}
	for i, failure := range f.refused {
		if doubt != nil && sameFault(failure, doubt) {
			// The mapping was mended while its rows were tried one by one.
			f.outcomes[i], f.beyond.Waits[i] = journal.Kept, f.policy.retryAfter(0)
			continue
		}
		f.refuse(i, failure)
	}
}

// tell logs in one line what the claim's refused rows came to: there may be many,
// and each dead letter tells all about itself.
func (f *flush) tell() {
	var refused, dead int
	for _, outcome := range f.outcomes {
		switch outcome {
		case journal.Refused:
			refused++
		case journal.Dead:
			dead++
		}
	}
	if refused+dead > 0 {
		f.q.log.Warn("Rows are refused", "partition", f.partition.number, "retried", refused, "dead", dead, "last", f.refusal)
	}
}

// faultOfMapping returns what the database refuses every row for, if that is the
// mapping's fault and not the rows': the batch is large enough to tell, or the mapping
// is paused already, be it for another fault of its table. It is nil otherwise.
func (f *flush) faultOfMapping() *postgres.Error {
	cause := f.oneFault()
	if cause == nil {
		return nil
	}
	if len(f.refused) < trialBatch && f.q.faultKnown() == nil {
		return nil
	}
	return cause
}

// oneFault returns what all rows were refused for, nil if one of their kind got
// through or there are several reasons.
func (f *flush) oneFault() *postgres.Error {
	var cause *postgres.Error
	for i, failure := range f.refused {
		deletion := f.claim.Entries[i].Operation == journal.OperationDelete
		if f.taken > 0 || deletion && f.deleted > 0 || cause != nil && !sameFault(failure, cause) {
			return nil
		}
		cause = failure
	}
	return cause
}

func sameFault(a, b *postgres.Error) bool {
	return a.SQLSTATE == b.SQLSTATE && a.Constraint == b.Constraint && a.Column == b.Column
}

// keep pauses the mapping. Its rows wait, none of them has spent an attempt, and the
// next trial sees others.
func (f *flush) keep(cause *postgres.Error) {
	for i := range f.outcomes {
		if f.outcomes[i] == 0 {
			f.outcomes[i] = journal.Kept
			f.beyond.Waits[i] = f.policy.retryAfter(0)
		}
	}
	f.refusal = cause.Message()
	deletions := true
	for i := range f.refused {
		deletions = deletions && f.claim.Entries[i].Operation == journal.OperationDelete
	}
	f.q.pause(f.policy, cause, deletions)
}

// commit writes the rows of the given entries in one transaction. When the
// database refuses a row, the others are written without it.
func (f *flush) commit(ctx context.Context, rows []int) error {
	rows, version := f.fill(rows)
	if len(rows) == 0 {
		return nil
	}
	if fields := f.batch.UnknownFields(); len(fields) > 0 && f.taken+f.deleted == 0 && f.q.outdated(fields) {
		return errNewFields
	}
	err := f.send(ctx, version)
	var failure *postgres.Error
	if errors.As(err, &failure) && ofRows(failure) {
		return f.narrow(ctx, rows, failure)
	}
	if err != nil {
		return err
	}
	for _, i := range rows {
		f.outcomes[i] = journal.Done
		if f.claim.Entries[i].Operation == journal.OperationDelete {
			f.deleted++
		} else {
			f.taken++
		}
	}
	f.q.f.metrics.ignored.WithLabelValues(f.q.name).Add(float64(f.batch.Ignored()))
	f.q.f.metrics.batchSize.WithLabelValues(f.q.name).Observe(float64(len(rows)))
	return nil
}

// narrow writes apart what was refused together. Where the server's words point at
// one row, that one is set aside, those before it wait for the end, since they got
// through, and those after it are tried in parts, since where one row is bad others
// may be. Without such words the halves are tried.
func (f *flush) narrow(ctx context.Context, rows []int, failure *postgres.Error) error {
	if len(rows) == 1 {
		f.refused[rows[0]] = failure
		return nil
	}
	if f.hopeless() {
		return nil
	}
	suspicion, ok := f.batch.Suspect(failure)
	if !ok || !f.trusting {
		half := len(rows) / 2
		return f.commitEach(ctx, rows[:half], rows[half:])
	}
	f.passed = append(f.passed, pick(rows, suspicion.Before)...)
	part := max(1, len(f.claim.Entries)/restParts)
	rest := slices.Collect(slices.Chunk(pick(rows, suspicion.After), part))
	suspect := rows[suspicion.Entry]
	if f.claim.Entries[suspect].Attempts < f.policy.maxRetries {
		// It will be tried alone: an innocent one loses nothing but time.
		f.refused[suspect] = failure
	} else {
		rest = append(rest, []int{suspect})
	}
	return f.commitEach(ctx, rest...)
}

// restParts is into how many parts a batch is cut once a bad row was found in it.
const restParts = 4

func (f *flush) commitEach(ctx context.Context, parts ...[]int) error {
	for _, part := range parts {
		if err := f.commit(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// commitPassed writes the rows that stood before a bad one. Should one of them be
// refused after all, the server's words were misleading: then halves are tried.
func (f *flush) commitPassed(ctx context.Context) error {
	passed := f.passed
	f.passed, f.trusting = nil, false
	return f.commit(ctx, passed)
}

// hopeless tells whether so many rows were refused for one reason, and none got
// through, that it is no use to try the others: the mapping is at fault.
func (f *flush) hopeless() bool {
	return len(f.passed) == 0 && len(f.refused) >= 10*trialBatch && f.faultOfMapping() != nil
}

func pick(rows, at []int) []int {
	picked := make([]int, len(at))
	for i, n := range at {
		picked[i] = rows[n]
	}
	return picked
}

// ofRows tells whether fewer rows may get through where these did not. Only then,
// and only after an error whose transaction is known to be over, may other rows
// take the same flush number.
func ofRows(failure *postgres.Error) bool {
	switch failure.Kind {
	case postgres.Row, postgres.Order, postgres.TooHeavy:
		return !failure.Unsettled
	default:
		return false
	}
}

// fill puts the entries into the batch. One that cannot be a row becomes a dead
// letter at once, since no retry can change it. It returns the ones that are in and
// the highest version of them.
func (f *flush) fill(rows []int) (in []int, version int64) {
	f.batch.Reset()
	in = make([]int, 0, len(rows))
	for _, i := range rows {
		e := &f.claim.Entries[i]
		key := strings.TrimPrefix(e.Key, f.prefix)
		var err error
		if e.Operation == journal.OperationDelete {
			err = f.batch.Delete(key)
		} else {
			err = f.batch.Set(key, []byte(e.Value))
		}
		if err != nil {
			cause := journal.CauseNotADocument
			var row *postgres.RowError
			if errors.As(err, &row) && row.OfKey {
				cause = journal.CauseNotAKey
			}
			f.dead(i, cause, err.Error(), &journal.DeadLetter{Message: err.Error()})
			continue
		}
		in = append(in, i)
		version = max(version, e.Version)
	}
	return in, version
}

// send writes the batch under the next flush number. Contention is retried at
// once; it ends in a definite error of the server, so the number is still free.
func (f *flush) send(ctx context.Context, version int64) error {
	p := f.partition
	at := postgres.Position{
		Journal: p.lease.Journal, Queue: f.q.name, Partition: p.number,
		Epoch: p.epoch, Flush: p.flush + 1, Version: version,
	}
	for attempt := 1; ; attempt++ {
		outcome, err := f.q.f.database.Write(ctx, f.table, at, f.batch)
		var failure *postgres.Error
		if errors.As(err, &failure) && failure.Kind == postgres.Contention && !failure.Unsettled && attempt < contentionRetries {
			if !pause(ctx, rand.N(contentionPause)) {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("write partition %d: %w", p.number, err)
		}
		if outcome != postgres.Committed {
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

// refuse settles a row that the database refused alone: it is tried again until its
// retries are used up.
func (f *flush) refuse(i int, failure *postgres.Error) {
	e := &f.claim.Entries[i]
	if e.Attempts >= f.policy.maxRetries {
		message := failure.Detail()
		if message == "" {
			message = failure.Message()
		}
		f.dead(i, journal.CauseRefused, failure.Message(), &journal.DeadLetter{
			SQLState: failure.SQLSTATE, Constraint: failure.Constraint, Column: failure.Column, Message: message,
		})
		return
	}
	f.outcomes[i] = journal.Refused
	f.beyond.Waits[i] = f.policy.retryAfter(e.Attempts)
	f.refusal = fmt.Sprintf("key %s is refused: %s", shown(e.Key), failure.Message())
	f.q.f.metrics.failures.WithLabelValues(reasonRowRefused, f.q.name).Inc()
}

// shownKey is how much of a key stands in logs and status.
const shownKey = 100

// shown is a key as a person can read it: quoted, and cut where it is long.
func shown(key string) string {
	if len(key) > shownKey {
		return fmt.Sprintf("%q... (%d bytes)", key[:shownKey], len(key))
	}
	return fmt.Sprintf("%q", key)
}

// dead makes an entry a dead letter. public may stand in logs and status, the
// letter's own message only in the letter.
func (f *flush) dead(i int, cause, public string, letter *journal.DeadLetter) {
	e := &f.claim.Entries[i]
	letter.Cause, letter.Attempts, letter.LastFailure = cause, e.Attempts+1, time.Now().UTC()
	f.outcomes[i], f.beyond.Letters[i] = journal.Dead, letter
	f.refusal = fmt.Sprintf("key %s is a dead letter: %s", shown(e.Key), public)
	f.q.f.metrics.failures.WithLabelValues(reasonRowRefused, f.q.name).Inc()
}
