// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// queue is one mapping's part of a flusher: it holds leases, watches what waits
// and sends workers to the partitions that are due. One goroutine decides; the
// workers it starts own one partition each.
type queue struct {
	f      *Flusher
	name   string
	log    *slog.Logger
	nudged chan struct{}
	work   sync.WaitGroup

	// Loop, workers and probe share these. Each has a lock of its own, and nobody takes a
	// lock of the engine while holding another.
	settings atomic.Pointer[settings]
	member   member
	gate     gate
	meter    meter
	// evidence shows whether the mapping takes rows. enders are rows that were alone when
	// their session ended.
	evidence evidence
	enders   enders
	// backoff keeps this queue alone from Redis.
	backoff backoff
	// eager shows the other queues that this one has fresh entries that may be flushed.
	eager atomic.Bool
	// stepped is when the last step began, in ns since 1970; 0 while the loop does not
	// run.
	stepped atomic.Int64

	// Only the loop uses the rest. wants means that a partition is due and no slot is
	// free.
	wants bool
	// quiet means that the partitions were empty at lastPoll. The loop then polls them
	// less often.
	quiet    bool
	lastPoll time.Time
	// lastScattered is when a full batch was last seen scattered over partitions.
	lastScattered time.Time
	// ending is set when the flusher stops: every partition gets one last sweep.
	ending bool
}

func newQueue(f *Flusher, name string) *queue {
	f.metrics.show(name)
	log := f.log.With("queue", name)
	q := &queue{
		f: f, name: name, log: log,
		nudged: make(chan struct{}, 1),
		member: member{partitions: make(holdings)},
		gate:   gate{mapping: name, log: log, passage: passage{check: notChecked("the table of mapping " + name)}},
		meter:  meter{queue: name, log: log, metrics: f.metrics},
	}
	q.settings.Store(&settings{})
	return q
}

func (q *queue) apply(c *config.Config, m *config.Mapping) {
	q.settings.Store(newSettings(c, m))
	q.wake()
}

func (q *queue) wake() {
	select {
	case q.nudged <- struct{}{}:
	default:
	}
}

// run works until stop ends. Workers that it has started may go on until work ends.
func (q *queue) run(stop, work context.Context) {
	ticker := time.NewTicker(q.f.options.PollInterval)
	defer ticker.Stop()
	defer q.stepped.Store(0)
	for stop.Err() == nil {
		q.step(work)
		select {
		case <-stop.Done():
		case <-ticker.C:
		case <-q.nudged:
		}
	}
	q.ending = true
	for work.Err() == nil && !q.finished() {
		q.step(work)
		select {
		case <-work.Done():
		case <-ticker.C:
		case <-q.nudged:
		}
	}
	q.f.slots.withdraw(q)
	q.work.Wait()
	q.recordDrained(work)
	q.leave(work)
}

// finished reports whether nothing more can be done before the end: each partition
// had its last sweep, or the servers do not let it happen.
func (q *queue) finished() bool {
	redis, database := q.f.usable()
	return q.member.finished(redis && database && q.gate.now().table != nil && !q.settings.Load().policy.suspend)
}

// leave releases the partitions at once. The time-out is short since the leases expire
// by themselves.
func (q *queue) leave(work context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), time.Second)
	defer cancel()
	if err := q.f.source.Leave(ctx, q.name, q.f.instance); err != nil {
		q.log.Warn("Could not release the partitions: their leases expire by themselves", "error", err)
	}
}

// step renews what is due and starts what is due.
func (q *queue) step(ctx context.Context) {
	q.wants = false
	defer func() {
		// However the step ends: a queue that waits in line for a slot which it will not
		// take would keep the other queues from it.
		if !q.wants {
			q.f.slots.withdraw(q)
		}
	}()
	now := time.Now()
	q.stepped.Store(now.UnixNano())
	q.meter.hide(now, q.f.options.LeaseTime)
	if q.f.redisBackoff.waits(now) {
		return
	}
	if q.backoff.waits(now) {
		// At every beat, however rarely the queue is tried.
		if q.gate.now().isRefused() {
			// A worker may have found that out while the loop looked at what waits.
			q.eager.Store(false)
			q.onlook(ctx, q.f.options.BeatInterval)
		}
		return
	}
	switch err := q.renew(ctx, now); {
	case errors.Is(err, entry.ErrHomeAwaited):
		// The next beat asks again.
		q.member.after(func(l *life) { l.lastBeat = now })
		return
	case err != nil:
		q.stepFailed(ctx, err)
		return
	}
	if err := q.dispatch(ctx, now); err != nil {
		q.stepFailed(ctx, err)
	}
}
