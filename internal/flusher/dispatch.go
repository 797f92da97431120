// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// dispatch polls what waits and starts a worker for each partition that is due, while
// slots are free.
func (q *queue) dispatch(ctx context.Context, now time.Time) error {
	held, steps, begun := q.member.held()
	if begun && q.resting(now) {
		return nil
	}
	seen, err := q.f.source.Poll(ctx, q.name, held)
	if err != nil {
		return err
	}
	loads := seen.Of
	for _, number := range q.member.polled(seen, held, steps) {
		q.log.Warn("Redis came back with an older journal", "partition", number)
	}
	if q.observe(loads); q.quiet {
		q.resume()
	}
	passage := q.gate.now()
	if q.f.databaseBackoff.waits(now) || now.Before(passage.locked) {
		return nil
	}
	q.member.updateTrust(now, q.f.options.DoubtTime)
	if q.settings.Load().policy.scatteredBatch(loads) {
		q.lastScattered = now
	}
	for _, i := range oldestFirst(q.member.waitTimes(held, loads, passage.paused(), now)) {
		q.start(ctx, held[i], loads[i], now)
	}
	return nil
}

// longestRest is the longest time between two polls of empty partitions: a first entry is
// noticed within a quarter of a second, and thousands of idle partitions cost little.
const longestRest = 250 * time.Millisecond

// resting reports whether it is too early to poll partitions that were empty. The loop's step
// that is nearest to the end of the rest is late enough.
func (q *queue) resting(now time.Time) bool {
	rest := min(longestRest, q.settings.Load().policy.interval/4) - q.f.options.PollInterval/2
	if q.quiet && !q.ending && now.Sub(q.lastPoll) < rest {
		return true
	}
	q.lastPoll = now
	return false
}

// oldestFirst gives the order in which partitions compete for the slots, by
// index. In any fixed order the last ones would starve while the first ones take
// every slot.
func oldestFirst(ages []time.Duration) []int {
	order := make([]int, len(ages))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ages[b], ages[a]) })
	return order
}

// observe records what waits in this flusher's partitions.
func (q *queue) observe(loads []entry.Load) {
	entries, fresh := q.meter.observe(loads)
	q.quiet = entries == 0
	q.eager.Store(fresh > 0 && q.flows(time.Now()))
}

// start sends a worker to a partition that is due, if there is a slot.
func (q *queue) start(ctx context.Context, number int, load entry.Load, now time.Time) {
	p, ok := q.member.idle(number)
	if !ok || q.f.breaker.state() == gobreaker.StateOpen {
		return
	}
	policy, trust := q.settings.Load().policy, q.member.now().trust
	switch {
	case q.ending && (load.Fresh+load.Due == 0 || policy.suspend || now.Before(q.gate.now().obstacle.until)):
		q.member.swept(number)
	case now.Before(p.doubt.until), trust.split != "":
		if q.ending {
			q.member.swept(number)
		}
	case p.epoch == 0:
		q.startEpoch(ctx, p, load, now)
	case !trust.complete():
		// At the end too: this takes a moment, or at most as long as a doubt lasts.
	case q.ending:
		if !p.lastSwept && q.startSweep(ctx, p, load, load.Fresh+min(load.Due, retriesAtOnce), now) {
			q.member.swept(number)
		}
	default:
		since := since{scattered: now.Sub(q.lastScattered), sweep: now.Sub(p.lastSweep), flush: now.Sub(p.lastFlush)}
		q.startSweep(ctx, p, load, policy.entriesToFlush(load, since), now)
	}
}

func (q *queue) startSweep(ctx context.Context, p partition, load entry.Load, target int64, now time.Time) bool {
	return target > 0 && q.flows(now) && q.launch(ctx, p, func(ctx context.Context, p *partition) error {
		return q.sweep(ctx, p, target, load)
	})
}

// startEpoch sends a worker to begin a new epoch of a partition.
func (q *queue) startEpoch(ctx context.Context, p partition, load entry.Load, now time.Time) {
	if _, database := q.f.usable(); !database {
		return
	}
	begin := q.begin
	if q.f.breaker.state() == gobreaker.StateHalfOpen && q.f.waits() {
		// A new epoch proves too little: if every batch fails, successful epochs would
		// close the circuit again and again.
		if load.Fresh == 0 || !q.flows(now) {
			return
		}
		begin = func(ctx context.Context, p *partition) error {
			if err := q.begin(ctx, p); err != nil {
				return err
			}
			p.found = finding{}
			if !q.member.now().trust.complete() {
				return nil
			}
			// A trial takes no retries.
			return q.sweep(ctx, p, load.Fresh, entry.Load{Fresh: load.Fresh})
		}
	}
	if q.launch(ctx, p, begin) {
		q.member.after(func(l *life) { l.trust.begins(now) })
	}
}

// flows reports whether batches of the queue may be tried.
func (q *queue) flows(now time.Time) bool {
	return q.gate.now().flows(now) && !q.settings.Load().policy.suspend
}

// launch runs job on the partition in a goroutine, if a slot is free and the partition is
// still as it was.
func (q *queue) launch(ctx context.Context, as partition, job func(context.Context, *partition) error) bool {
	if !q.f.slots.take(q) {
		q.wants = true
		return false
	}
	p := q.member.take(as)
	if p == nil {
		q.free()
		return false
	}
	q.work.Go(func() {
		err := q.f.breaker.run(p, func() (finding, error) {
			p.found = finding{}
			err := job(ctx, p)
			return p.found, err
		})
		if err != nil {
			q.failed(ctx, p, err)
		}
		q.member.putBack(p)
		q.free()
		q.wake()
	})
	return true
}

// free gives a slot back, and wakes the queue that may take it.
func (q *queue) free() {
	for _, next := range q.f.slots.free(q) {
		next.wake()
	}
}
