// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/postgres"
)

// maxClaimBytes bounds the values of one claim, so that a batch of large
// documents does not fill the memory of either side: 16 MiB.
const maxClaimBytes = 16 << 20

// contentionRetries is how often a batch that met a deadlock or a lock is sent
// again at once, before it counts as a failure.
const contentionRetries = 5

// reasonRowRefused is the label of a failure that is one row's own.
const reasonRowRefused = "RowRefused"

// errFenced says that another flusher has taken the partition over in the ledger.
var errFenced = errors.New("another flusher holds the partition")

// begin enters a new epoch of a partition just leased: first in the ledger, which
// fences every predecessor, then in the journal, which makes its claim void.
func (q *queue) begin(ctx context.Context, p *partition) {
	q.mu.Lock()
	id := q.journalID
	q.mu.Unlock()
	ledger, err := q.f.database.Acquire(ctx, id, q.name, p.number)
	if err == nil {
		err = q.f.journal.Begin(ctx, q.name, p.number, q.f.instance, ledger.Epoch, ledger.Position)
	}
	if err != nil {
		q.failed(ctx, p, fmt.Errorf("take over partition %d: %w", p.number, err))
		return
	}
	p.epoch, p.flush = ledger.Epoch, ledger.Flush
	q.log.Debug("Partition is taken over", "partition", p.number, "epoch", p.epoch, "flush", p.flush)
}

// sweep flushes the first target entries of a partition, batch by batch. Entries
// that come in meanwhile wait for the next one: a key that is written all the time
// must not keep its partition busy for ever.
func (q *queue) sweep(ctx context.Context, p *partition, table *postgres.Table, target int64) {
	for target > 0 && ctx.Err() == nil {
		q.mu.Lock()
		policy, lease := q.policy, journal.Lease{Queue: q.name, Partition: p.number, Member: q.f.instance, Epoch: p.epoch}
		q.mu.Unlock()
		if policy.suspend {
			return
		}
		started := time.Now()
		claim, err := q.f.journal.Claim(ctx, lease, int(min(target, policy.batchSize)), maxClaimBytes)
		if err != nil {
			q.failed(ctx, p, err)
			return
		}
		if claim.Rebuilt {
			q.log.Warn("The journal was edited by hand, the order of the queue was made anew", "partition", p.number)
		}
		if len(claim.Entries) == 0 {
			return
		}
		f := q.newFlush(p, table, claim, policy.interval)
		if err := f.write(ctx); err != nil {
			q.failed(ctx, p, err)
			return
		}
		if _, err := q.f.journal.Acknowledge(ctx, claim, f.outcomes); err != nil {
			q.failed(ctx, p, err)
			return
		}
		q.flushed(f, started)
		target -= int64(len(claim.Entries))
	}
}

// failed decides what an error means for the partition, and tells it. Whatever is
// not known to have been rolled back makes the partition begin a new epoch: that
// fences a transaction which is still on its way, and the new claim holds values
// at least as new.
func (q *queue) failed(ctx context.Context, p *partition, err error) {
	if ctx.Err() != nil {
		return
	}
	p.epoch = 0
	var database *postgres.Error
	switch {
	case errors.Is(err, journal.ErrLeaseLost), errors.Is(err, journal.ErrClaimVoid), errors.Is(err, errFenced), errors.Is(err, journal.ErrNoQueue):
		q.log.Info("Partition is lost to another flusher", "partition", p.number, "cause", err)
		q.mu.Lock()
		p.lost = true
		q.mu.Unlock()
		return
	case errors.As(err, &database):
		q.databaseFailed(database, err)
	default:
		q.f.redisFailed(err)
		q.note(journal.Explain(err).Message)
	}
	q.log.Warn("Could not flush", "partition", p.number, "error", err)
}

func (q *queue) databaseFailed(failure *postgres.Error, err error) {
	q.f.metrics.failures.WithLabelValues(failure.Reason(), q.name).Inc()
	q.note(err.Error())
	if failure.Kind == postgres.Mapping {
		// The probe looks at the table and says in full what does not fit.
		q.mu.Lock()
		q.table = nil
		q.mu.Unlock()
		return
	}
	q.f.databaseBackoff.failed(time.Now())
}

// note keeps what a person should read in the status.
func (q *queue) note(text string) {
	q.mu.Lock()
	q.lastError = text
	q.mu.Unlock()
}

// flushed counts a batch that was written and acknowledged.
func (q *queue) flushed(f *flush, started time.Time) {
	m := q.f.metrics
	now := time.Now()
	var done, lost, coalesced int
	lag := m.lag.WithLabelValues(q.name)
	for i, outcome := range f.outcomes {
		entry := &f.claim.Entries[i]
		switch outcome {
		case journal.Done:
			done++
			coalesced += int(entry.Writes) - 1
			lag.Observe(float64(now.UnixMicro()-entry.First) / 1e6)
		case journal.Lost:
			lost++
			q.log.Error("The value of a dirty key is gone from Redis", "key", entry.Key, "version", entry.Version)
		}
	}
	m.writes.WithLabelValues(outcomeFlushed, q.name).Add(float64(done))
	m.coalesced.WithLabelValues(q.name).Add(float64(coalesced))
	m.dataLoss.WithLabelValues(q.name).Add(float64(lost))
	m.flushDuration.WithLabelValues(q.name).Observe(now.Sub(started).Seconds())
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case f.refusal != "":
		q.lastError = f.refusal
	case done > 0:
		q.lastFlush = now
		if len(f.partition.refusals) == 0 {
			q.lastError = ""
		}
	}
}

// flush is the way of one claim through the database.
type flush struct {
	q         *queue
	partition *partition
	table     *postgres.Table
	batch     *postgres.Batch
	claim     *journal.Claim
	outcomes  []journal.Outcome
	interval  time.Duration
	prefix    int
	// refusal is the last row error, in words for the status.
	refusal string
}

func (q *queue) newFlush(p *partition, table *postgres.Table, claim *journal.Claim, interval time.Duration) *flush {
	q.mu.Lock()
	prefix := len(q.settings.Mapping.KeyPrefix)
	q.mu.Unlock()
	return &flush{
		q: q, partition: p, table: table, batch: table.NewBatch(), claim: claim,
		outcomes: make([]journal.Outcome, len(claim.Entries)), interval: interval, prefix: prefix,
	}
}

// write commits what the database takes of the claim and finds an outcome for
// every entry. An error means that nothing may be acknowledged.
func (f *flush) write(ctx context.Context) error {
	now := time.Now()
	fresh := make([]int, 0, len(f.claim.Entries))
	var again []int
	for i := range f.claim.Entries {
		e := &f.claim.Entries[i]
		switch {
		case e.Lost:
			f.outcomes[i] = journal.Lost
		case e.Attempts == 0:
			fresh = append(fresh, i)
		case f.partition.refusals.tooEarly(e, now):
			f.outcomes[i] = journal.Kept
		default:
			again = append(again, i)
		}
	}
	if err := f.commit(ctx, fresh); err != nil {
		return err
	}
	// What was refused before is written alone, so that it spoils no batch.
	for _, i := range again {
		if err := f.commit(ctx, []int{i}); err != nil {
			return err
		}
	}
	return nil
}

// commit writes the rows of the given entries in one transaction. When the
// database refuses a row, the halves are tried apart, down to the row that is at
// fault.
func (f *flush) commit(ctx context.Context, rows []int) error {
	rows, version := f.fill(rows)
	if len(rows) == 0 {
		return nil
	}
	err := f.send(ctx, version)
	var failure *postgres.Error
	if errors.As(err, &failure) && ofRows(failure) {
		if len(rows) == 1 {
			f.refuse(rows[0], failure.Message(), reasonRowRefused)
			return nil
		}
		half := len(rows) / 2
		if err := f.commit(ctx, rows[:half]); err != nil {
			return err
		}
		return f.commit(ctx, rows[half:])
	}
	if err != nil {
		return err
	}
	for _, i := range rows {
		f.outcomes[i] = journal.Done
		f.partition.refusals.forget(f.claim.Entries[i].Key)
	}
	f.q.f.metrics.batchSize.WithLabelValues(f.q.name).Observe(float64(len(rows)))
	return nil
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

// fill puts the entries into the batch. One that cannot be a row is refused here
// and left out. It returns the ones that are in and the highest version of them.
func (f *flush) fill(rows []int) (in []int, version int64) {
	f.batch.Reset()
	in = make([]int, 0, len(rows))
	for _, i := range rows {
		e := &f.claim.Entries[i]
		key := e.Key[f.prefix:]
		var err error
		if e.Operation == journal.OperationDelete {
			err = f.batch.Delete(key)
		} else {
			err = f.batch.Set(key, []byte(e.Value))
		}
		if err != nil {
			f.refuse(i, err.Error(), reasonRowRefused)
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
		Journal: f.q.journalOf(), Queue: f.q.name, Partition: p.number,
		Epoch: p.epoch, Flush: p.flush + 1, Version: version,
	}
	for attempt := 1; ; attempt++ {
		outcome, err := f.q.f.database.Write(ctx, f.table, at, f.batch)
		var failure *postgres.Error
		if errors.As(err, &failure) && failure.Kind == postgres.Contention && attempt < contentionRetries {
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

func (q *queue) journalOf() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.journalID
}

func (f *flush) refuse(i int, text, reason string) {
	e := &f.claim.Entries[i]
	f.outcomes[i] = journal.Refused
	f.partition.refusals.add(e, f.interval, time.Now())
	f.refusal = fmt.Sprintf("key %s is refused: %s", e.Key, text)
	f.q.f.metrics.failures.WithLabelValues(reason, f.q.name).Inc()
	f.q.log.Warn("Row is refused and goes to the tail of the queue", "key", e.Key, "version", e.Version, "attempts", e.Attempts+1, "cause", text)
}

// longestRefusal is the longest wait between two attempts at a refused row: a
// table that was mended is noticed within a minute.
const longestRefusal = time.Minute

// refusals remembers for each refused key when it is worth trying again. It is
// lost with the process, which only means an attempt sooner.
type refusals map[string]refusal

type refusal struct {
	version int64
	until   time.Time
}

// add notes a refusal: the wait doubles with every attempt.
func (r refusals) add(e *journal.Entry, interval time.Duration, now time.Time) {
	wait := longestRefusal
	if e.Attempts < 10 {
		wait = min(interval<<e.Attempts, longestRefusal)
	}
	r[e.Key] = refusal{version: e.Version, until: now.Add(wait)}
}

func (r refusals) forget(key string) {
	if len(r) > 0 {
		delete(r, key)
	}
}

func (r refusals) tooEarly(e *journal.Entry, now time.Time) bool {
	known, ok := r[e.Key]
	return ok && known.version == e.Version && now.Before(known.until)
}
