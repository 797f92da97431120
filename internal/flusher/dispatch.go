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

// dispatch looks at what waits and starts a worker for each partition that is
// due, as long as there are slots.
func (q *queue) dispatch(ctx context.Context, now time.Time) error {
	q.mu.Lock()
	held := make([]int, 0, len(q.partitions))
	idle := make(map[int]int64)
	for number, p := range q.partitions {
		held = append(held, number)
		if !p.busy && p.epoch != 0 {
			idle[number] = p.lease.Step
		}
	}
	q.mu.Unlock()
	if q.resting(now) {
		return nil
	}
	slices.Sort(held)
	seen, err := q.f.source.Poll(ctx, q.name, held)
	if err != nil {
		return err
	}
	loads := seen.Of
	q.saw(seen)
	if q.observe(loads); q.quiet {
		q.resume()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if seen.Left != q.left {
		// Whoever leaves hands over at once: the next step takes what is free.
		q.left, q.lastBeat = seen.Left, time.Time{}
	}
	for i, number := range held {
		// Nobody but this goroutine starts a worker: what was idle still is.
		p := q.partitions[number]
		if step, ok := idle[number]; ok && p != nil && step != loads[i].Step {
			q.log.Warn("Redis came back with an older journal", "partition", number)
			p.epoch = 0
		}
	}
	passage := q.gate.now()
	if q.f.databaseBackoff.waits(now) || now.Before(passage.locked) {
		return nil
	}
	q.trust.look(q.partitions, now, q.f.options.DoubtTime)
	if q.settings.Load().policy.scatteredBatch(loads) {
		q.lastScattered = now
	}
	for _, i := range oldestFirst(q.ages(held, loads, passage.paused(), now)) {
		q.start(ctx, held[i], loads[i], now)
	}
	return nil
}

// longestRest is the longest time between two looks at empty partitions: a first
// entry is noticed within a quarter of a second, and thousands of idle partitions
// cost little.
const longestRest = 250 * time.Millisecond

// resting tells whether it is too early to look at partitions that were empty.
func (q *queue) resting(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.partitions {
		if !p.busy && p.epoch == 0 {
			return false
		}
	}
	if q.quiet && !q.ending && now.Sub(q.lastPoll) < min(longestRest, q.settings.Load().policy.interval/4) {
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

// ages says how long each partition waits for a slot: as long as its oldest fresh
// entry or, with nothing but entries to be tried again, since it was last looked
// after. So do all while the mapping is paused, or the trials would always be of the
// same. The mutex is held.
func (q *queue) ages(held []int, loads []entry.Load, paused bool, now time.Time) []time.Duration {
	ages := make([]time.Duration, len(loads))
	for i := range loads {
		ages[i] = time.Duration(loads[i].HeadMilliseconds) * time.Millisecond
		if p := q.partitions[held[i]]; p != nil && (loads[i].Fresh == 0 || paused) {
			ages[i] = now.Sub(p.lastSweep)
		}
	}
	return ages
}

// observe takes what waits in this flusher's partitions.
func (q *queue) observe(loads []entry.Load) {
	entries, fresh := q.meter.observe(loads)
	q.quiet = entries == 0
	q.eager.Store(fresh > 0 && q.flows(time.Now()))
}

// start sends a worker to a partition that is due, if there is a slot. The mutex
// is held.
func (q *queue) start(ctx context.Context, number int, load entry.Load, now time.Time) {
	p := q.partitions[number]
	if p == nil || p.busy || p.lost || q.f.breaker.state() == gobreaker.StateOpen {
		return
	}
	if q.ending && (load.Fresh+load.Due == 0 || q.settings.Load().policy.suspend || now.Before(q.gate.now().obstacle.until)) {
		p.lastSwept = true
		return
	}
	if now.Before(p.doubt.until) {
		p.lastSwept = p.lastSwept || q.ending
		return
	}
	if q.trust.split != "" {
		p.lastSwept = q.ending
		return
	}
	if p.epoch == 0 {
		q.startEpoch(ctx, p, load, now)
		return
	}
	if !q.trust.complete() {
		// Also at the end: it takes a moment, or a doubt's time at most.
		return
	}
	target := q.settings.Load().policy.entriesToFlush(load, now.Sub(q.lastScattered), now.Sub(p.lastSweep))
	if q.ending {
		if p.lastSwept {
			return
		}
		target = load.Fresh + min(load.Due, retriesAtOnce)
	}
	if target == 0 || !q.flows(now) {
		return
	}
	if q.launch(ctx, p, func(ctx context.Context, p *partition) error { return q.sweep(ctx, p, target, load.Fresh > 0) }) {
		p.lastSwept = q.ending
	}
}

// startEpoch sends a worker to begin a new epoch of a partition. The mutex is held.
func (q *queue) startEpoch(ctx context.Context, p *partition, load entry.Load, now time.Time) {
	if _, database := q.f.usable(); !database {
		return
	}
	begin := q.begin
	if q.f.breaker.state() == gobreaker.StateHalfOpen && q.f.waits() {
		// A new epoch proves too little: one that succeeds where every batch fails
		// would close the circuit again and again.
		if load.Fresh == 0 || !q.flows(now) {
			return
		}
		begin = func(ctx context.Context, p *partition) error {
			if err := q.begin(ctx, p); err != nil {
				return err
			}
			p.found = finding{}
			if !q.trusts() {
				return nil
			}
			return q.sweep(ctx, p, load.Fresh, true)
		}
	}
	if q.launch(ctx, p, begin) {
		q.trust.begins(now)
	}
}

// flows tells whether batches of the queue may be tried. The mutex is held.
func (q *queue) flows(now time.Time) bool {
	return q.gate.now().flows(now) && !q.settings.Load().policy.suspend
}

// launch runs job on the partition in a goroutine if a slot is free. The mutex is
// held.
func (q *queue) launch(ctx context.Context, p *partition, job func(context.Context, *partition) error) bool {
	if !q.f.slots.take(q) {
		q.wants = true
		return false
	}
	p.busy = true
	q.work.Go(func() {
		err := q.f.breaker.run(p, func() (finding, error) {
			p.found = finding{}
			err := job(ctx, p)
			return p.found, err
		})
		if err != nil {
			q.failed(ctx, p, err)
		}
		q.mu.Lock()
		p.busy = false
		p.lastSweep = time.Now()
		q.forgetLost()
		q.mu.Unlock()
		for _, next := range q.f.slots.free(q) {
			next.wake()
		}
		q.wake()
	})
	return true
}
