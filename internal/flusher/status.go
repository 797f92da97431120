// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sony/gobreaker/v2"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// tableInterval is how often a table that fits is read again: often enough that a
// dropped table or a new column is noticed within seconds without any load.
const tableInterval = 5 * time.Second

// probe checks a server again and again, independently of the flow of entries, so that a
// problem is reported even when no entry waits. When the flow fails, the probe is nudged to
// check at once.
func (f *Flusher) probe(ctx context.Context, look func(context.Context), nudged <-chan struct{}) {
	ticker := time.NewTicker(f.options.ProbeInterval)
	defer ticker.Stop()
	for {
		look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-nudged:
		}
	}
}

func (f *Flusher) probeRedis(ctx context.Context) {
	began := time.Now()
	reached := f.source.Check(ctx)
	if ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	f.redisAnswers = reached.OK
	f.mu.Unlock()
	check := reached
	if reached.OK {
		f.redisBackoff.succeeded()
		if err := f.source.Prove(ctx); err != nil {
			check = f.source.Explain(err)
		}
		if ctx.Err() != nil {
			return
		}
	}
	f.logCheck("Redis", &f.redisCheck, f.weigh(check, began))
	f.watchWarnings("Redis", f.source, &f.redisWarnings)
	f.watchRedisDurability(ctx, reached)
}

func (f *Flusher) probeDatabase(ctx context.Context) {
	began := time.Now()
	check := f.database.Check(ctx)
	if ctx.Err() != nil {
		return
	}
	f.logCheck("PostgreSQL", &f.databaseCheck, check)
	f.watchWarnings("PostgreSQL", f.database, &f.databaseWarnings)
	f.looked.Store(began.UnixNano())
	f.watchLedger(ctx, check)
	if !check.OK {
		return
	}
	f.databaseBackoff.succeeded()
	for _, q := range f.queues {
		if !q.probeTable(ctx) {
			return
		}
		q.verify(ctx)
		q.recordDrained(ctx)
	}
}

// logCheck stores a check and logs it when it has changed.
func (f *Flusher) logCheck(server string, at *config.Check, check config.Check) {
	f.mu.Lock()
	changed := *at != check
	*at = check
	f.mu.Unlock()
	switch {
	case !changed:
	case check.OK:
		f.log.Info("Server is ready", "server", server)
	default:
		f.log.Warn("Server is not ready", "server", server, "reason", check.Reason, "message", check.Message)
	}
}

// usable reports whether each server answered at the last check. A Redis whose Secret has
// gone or changed still counts: open connections keep working.
func (f *Flusher) usable() (redis, database bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.redisAnswers, f.databaseCheck.OK
}

// Status returns the document that /status serves.
func (f *Flusher) Status() config.Status {
	f.mu.Lock()
	status := config.Status{
		Instance:  f.instance,
		Owner:     f.config.Owner,
		Revision:  f.config.Revision,
		Suspended: f.config.Suspend,
		Draining:  f.config.Draining,
		Redis:     f.redisCheck,
		Database:  f.databaseCheck,

		RunningRevision: f.config.Revision,
		Durability:      f.durability,
		Warnings:        f.shownWarnings(),
	}
	f.mu.Unlock()
	if stream, ok := f.source.(Streamed); ok {
		status.Replication = new(stream.Replication())
	}
	state := f.breaker.state()
	status.Circuit = state.String()
	// The result of the trial batch decides, not that a trial is under way.
	broken := state == gobreaker.StateOpen || state == gobreaker.StateHalfOpen && f.waits()
	// A check that began before the circuit opened does not show why. The next one may.
	if broken && status.Database.OK && f.looked.Load() > f.broke.Load() {
		status.Database = config.Check{
			Reason:  cachev1alpha1.ReasonCircuitOpen,
			Message: "the database answers but fails at every batch, so nothing is tried for a while: see lastError of the mappings",
		}
	}
	for i, q := range f.queues {
		s, observed, revision := q.status()
		status.Queues = append(status.Queues, s)
		if split := q.member.now().trust.split; split != "" && status.Redis.OK {
			status.Redis = config.Check{Reason: cachev1alpha1.ReasonSplitBrain, Message: split}
		}
		if i == 0 || observed.Before(status.ObservedTime) {
			status.ObservedTime = observed
		}
		// Settings are in force once the capture functions have them too.
		status.Revision = min(status.Revision, revision)
	}
	return status
}

// waits reports whether entries wait that may be flushed.
func (f *Flusher) waits() bool {
	return slices.ContainsFunc(f.queues, func(q *queue) bool { return q.eager.Load() })
}

// probeTable reads the table again when that is due. While it does not fit, the
// queue flushes nothing. It reports whether the database could be asked.
func (q *queue) probeTable(ctx context.Context) bool {
	if p := q.gate.now(); p.table != nil && time.Since(p.read) < tableInterval {
		return true
	}
	table, err := q.f.database.Table(ctx, q.settings.Load().Mapping)
	var mismatch *entry.Misfit
	var failure *entry.Fault
	switch {
	case err == nil:
		q.gate.fits(table)
		q.wake()
	case errors.As(err, &mismatch):
		q.misfit(mismatch)
	case errors.As(err, &failure):
		q.gate.after(func(p *passage) { p.unread(config.Check{Reason: failure.Reason, Message: failure.Message}) })
		return false
	}
	return true
}

// misfit keeps batches from a table that does not fit the mapping.
func (q *queue) misfit(mismatch *entry.Misfit) {
	q.gate.after(func(p *passage) { p.misfits(config.Check{Reason: mismatch.Reason, Message: mismatch.Message}) })
}

// status is the queue's part of the document, with the time at which its numbers
// were read and the revision of the settings that the capture functions have.
func (q *queue) status() (status config.QueueStatus, observed time.Time, revision int64) {
	settings, passage, known := q.settings.Load(), q.gate.now(), q.member.now()
	status, observed = q.meter.status()
	status.Retired, status.Ready, status.Durable = settings.Mapping.Retired, passage.ready(q.name), passage.durable(q.name)
	if status.Ready.OK && q.meter.stuck(settings) {
		status.Ready = config.Check{Reason: cachev1alpha1.ReasonStuck, Message: fmt.Sprintf(
			"entries of queue %s wait and nothing has been flushed for three intervals: see lastError and the flusher's log", q.name)}
	}
	// The numbers belong to the life of the queue in which they were read. For a moment
	// after Redis has lost the queue that is not the present one.
	if status.Journal == "" {
		status.Journal = known.incarnation
	}
	status.Partitions = q.member.leased()
	revision = -1
	if known.opened == settings {
		revision = settings.Revision
	}
	return status, observed, revision
}

// Ready reports whether data can flow, or the first thing that is in the way.
func (f *Flusher) Ready() config.Check {
	status := f.Status()
	for _, p := range readiness(&status) {
		if !p.check.OK {
			return p.check
		}
	}
	return config.Check{OK: true}
}

// wedgedAfter is far more than a step of a queue takes, whose every call has a
// time-out of seconds: after that only a restart helps.
const wedgedAfter = 2 * time.Minute

// Wedged returns the name of a queue whose loop has stopped, or an empty string. An
// unreachable server stops no loop, since a restart would not help.
func (f *Flusher) Wedged(now time.Time) string {
	for _, q := range f.queues {
		if stepped := q.stepped.Load(); stepped != 0 && now.Sub(time.Unix(0, stepped)) > wedgedAfter {
			return q.name
		}
	}
	return ""
}
