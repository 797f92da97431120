// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/postgres"
)

// queue is one mapping's part of a flusher: it holds leases, watches what waits
// and sends workers to the partitions that are due. One goroutine decides; the
// workers it starts own one partition each.
type queue struct {
	f      *Flusher
	name   string
	log    *slog.Logger
	nudged chan struct{}

	mu       sync.Mutex
	settings journal.Settings
	policy   policy
	marks    config.Backpressure
	// opened is the journal's revision of the settings: -1 until they are in
	// Redis.
	opened     int64
	journalID  string
	partitions map[int]*partition
	table      *postgres.Table
	tableTime  time.Time
	// ignored are fields of documents that the table has no column for.
	ignored    map[string]bool
	lastReread time.Time
	// ready says whether the table fits, shape whether the queue in Redis does.
	ready, shape config.Check
	stats        journal.Stats
	observed     time.Time
	lastFlush    time.Time
	lastError    string
	lastBeat     time.Time
	// left is how many partitions of the queue were ever given back, as last seen.
	left int64
	// backoff keeps this queue alone from Redis.
	backoff backoff
	// paused is when a mapping whose rows are all refused is tried again, pausedFor
	// what the rows are refused for; zero while it flows.
	paused    time.Time
	pausedFor *postgres.Error
	// waiting is how many fresh entries waited in this flusher's partitions when
	// last looked at, and age that of the oldest of them.
	waiting int64
	age     time.Duration
	// since is when the settings in force were given: before that nothing counts
	// as stuck.
	since time.Time
	// wants says that work waits for a slot, locked until when the table is not
	// touched since somebody else has locked it.
	wants  bool
	locked time.Time
	// quiet says that the partitions were found empty at lastPoll: they are looked
	// at less often then.
	quiet    bool
	lastPoll time.Time
	// mark is the depth mark that was last crossed, for the log.
	mark string
	// lastScattered is when a full batch was last seen scattered over partitions.
	lastScattered time.Time
	// ending is set when the flusher stops: every partition gets one last sweep.
	ending bool
	work   sync.WaitGroup
}

// partition is one that this flusher holds. Its fields belong to the queue's
// mutex, but for those that a running worker owns.
type partition struct {
	number int
	// busy says that a worker is at it, lost that the lease is gone.
	busy, lost bool
	lastSweep  time.Time
	// lastSwept says that the sweep before the end has been started.
	lastSwept bool

	// Owned by the worker while busy. epoch is 0 until it is begun; lease and flush
	// belong to it.
	epoch, flush int64
	lease        *journal.Lease
}

func newQueue(f *Flusher, name string) *queue {
	f.metrics.show(name)
	return &queue{
		f: f, name: name,
		log:        f.log.With("queue", name),
		nudged:     make(chan struct{}, 1),
		opened:     -1,
		partitions: make(map[int]*partition),
		ignored:    make(map[string]bool),
		shape:      config.Check{OK: true},
		ready:      notChecked("the table of mapping " + name),
	}
}

func (q *queue) apply(c *config.Config, m *config.Mapping) {
	state := config.StateOpen
	if c.Draining || m.Retired {
		state = config.StatePaused
	}
	q.mu.Lock()
	q.settings = journal.Settings{
		Owner: c.Owner, Revision: c.Revision, Mapping: *m,
		MaxDepth: c.Backpressure.MaxQueueDepth, WhenFull: c.Backpressure.WhenFull, State: state,
	}
	q.policy = newPolicy(c, m)
	q.marks = c.Backpressure
	q.since = time.Now()
	q.opened = -1
	q.mu.Unlock()
	q.wake()
}

func (q *queue) wake() {
	select {
	case q.nudged <- struct{}{}:
	default:
	}
}

// run works until stop ends; what it started then has until work ends.
func (q *queue) run(stop, work context.Context) {
	ticker := time.NewTicker(q.f.options.PollInterval)
	defer ticker.Stop()
	for stop.Err() == nil {
		q.step(work)
		select {
		case <-stop.Done():
		case <-ticker.C:
		case <-q.nudged:
		}
	}
	q.mu.Lock()
	q.ending = true
	q.mu.Unlock()
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
	q.leave(work)
}

func (q *queue) withdrawIfIdle() {
	q.mu.Lock()
	wants := q.wants
	q.mu.Unlock()
	if !wants {
		q.f.slots.withdraw(q)
	}
}

// finished tells whether nothing more can be done before the end: each partition
// had its last sweep, or the servers do not let it happen.
func (q *queue) finished() bool {
	redis, database := q.f.usable()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.partitions {
		if p.busy {
			return false
		}
		if redis && database && q.table != nil && !q.policy.suspend && !p.lastSwept && p.epoch != 0 {
			return false
		}
	}
	return true
}

// leave hands over at once. The time-out is short since the leases run out by
// themselves.
func (q *queue) leave(work context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), time.Second)
	defer cancel()
	if err := q.f.journal.Leave(ctx, q.name, q.f.instance); err != nil {
		q.log.Warn("Could not give the partitions back, their leases run out by themselves", "error", err)
	}
}

// step renews what is due and starts what is due.
func (q *queue) step(ctx context.Context) {
	q.mu.Lock()
	q.wants = false
	q.mu.Unlock()
	// However the step ends: a queue that stays in line for a slot which it will
	// not take would keep the others from it.
	defer q.withdrawIfIdle()
	now := time.Now()
	if q.f.redisBackoff.waits(now) || q.backoff.waits(now) {
		return
	}
	if err := q.renew(ctx, now); err != nil {
		q.redisFailed(err)
		return
	}
	if err := q.dispatch(ctx, now); err != nil {
		q.redisFailed(err)
	}
}

func (q *queue) redisFailed(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	if errors.Is(err, journal.ErrNoQueue) || errors.Is(err, journal.ErrNoLibrary) {
		q.mu.Lock()
		q.opened = -1
		q.mu.Unlock()
		return
	}
	check := journal.Explain(err)
	if check.Reason == cachev1alpha1.ReasonJournalMismatch {
		// Redis is well; this queue alone has to wait, and to forget what it held
		// under the settings of before.
		q.backoff.failed(time.Now())
		q.mu.Lock()
		q.shape, q.opened = check, -1
		for _, p := range q.partitions {
			p.lost = true
		}
		q.forgetLost()
		q.mu.Unlock()
		return
	}
	q.f.redisFailed(err)
}

// renew opens the queue when its settings are not in Redis, keeps the leases and
// reads the queue's numbers.
func (q *queue) renew(ctx context.Context, now time.Time) error {
	q.mu.Lock()
	settings, opened := q.settings, q.opened
	beatDue := now.Sub(q.lastBeat) >= q.f.options.BeatInterval
	q.mu.Unlock()
	if opened < 0 {
		if err := q.open(ctx, settings); err != nil {
			return err
		}
		beatDue = true
	}
	if !beatDue {
		return nil
	}
	beat, err := q.f.journal.Beat(ctx, settings.Mapping, q.f.instance, q.f.options.LeaseTime.Milliseconds())
	if err != nil {
		return err
	}
	if beat.Library < journal.LibraryVersion {
		if _, err := q.f.journal.EnsureLibrary(ctx); err != nil {
			return err
		}
	}
	if err := q.hold(ctx, beat, now); err != nil {
		return err
	}
	stats, err := q.f.journal.Stats(ctx, q.name)
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.lastBeat, q.stats, q.observed = now, stats, now
	q.mu.Unlock()
	q.watchDepth(stats.Depth + stats.Dead)
	return nil
}

// watchDepth says in the log when the depth crosses a mark, either way.
func (q *queue) watchDepth(depth int64) {
	q.mu.Lock()
	marks := q.marks
	mark := ""
	switch {
	case depth >= int64(marks.MaxQueueDepth):
		mark = "full"
	case depth >= int64(marks.CriticalQueueDepth):
		mark = "critical"
	case depth >= int64(marks.WarningQueueDepth):
		mark = "warning"
	}
	changed := mark != q.mark
	q.mark = mark
	q.mu.Unlock()
	switch {
	case !changed:
	case mark == "":
		q.log.Info("Queue depth is under the marks again", "depth", depth)
	default:
		q.log.Warn("Queue depth is over a mark", "mark", mark, "depth", depth)
	}
}

func (q *queue) open(ctx context.Context, settings journal.Settings) error {
	if _, err := q.f.journal.EnsureLibrary(ctx); err != nil {
		return err
	}
	opened, err := q.f.journal.Open(ctx, settings, rand.Text(), q.journalOf() != "")
	if err != nil {
		return err
	}
	if opened.Partitions != settings.Mapping.Partitions {
		q.log.Warn("The queue keeps the partitions it was made with", "partitions", opened.Partitions, "configured", settings.Mapping.Partitions)
	}
	if opened.Revision != settings.Revision {
		q.log.Warn("The capture functions keep newer settings of the same owner", "revision", opened.Revision, "given", settings.Revision)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.settings.Revision == settings.Revision && q.settings.Owner == settings.Owner {
		q.opened = settings.Revision
	}
	q.shape = config.Check{OK: true}
	q.backoff.succeeded()
	q.enter(opened.Journal)
	return nil
}

// enter notes the life of the queue that Redis tells of. A new one makes
// everything held in the old one void. The mutex is held.
func (q *queue) enter(id string) {
	if q.journalID == id {
		return
	}
	if q.journalID != "" {
		q.f.metrics.dataLoss.WithLabelValues(q.name).Inc()
		q.log.Error("Redis has lost the queue and its entries, a new journal has begun", "before", q.journalID, "journal", id)
		q.lastError = "Redis lost the queue: journal " + q.journalID + " is gone and a new one has begun"
	}
	q.journalID = id
	for _, p := range q.partitions {
		p.lost = true
	}
	q.forgetLost()
}

// forgetLost drops lost partitions that no worker is at. The mutex is held.
func (q *queue) forgetLost() {
	for number, p := range q.partitions {
		if p.lost && !p.busy {
			delete(q.partitions, number)
		}
	}
}

// hold brings the partitions in line with the leases: lost ones are forgotten,
// new ones entered, and those above the share given back once they are idle.
func (q *queue) hold(ctx context.Context, beat journal.Beat, now time.Time) error {
	q.mu.Lock()
	q.enter(beat.Journal)
	for number, p := range q.partitions {
		epoch, held := beat.Held[number]
		// Somebody else had the lease in between when Redis tells another epoch
		// than the one that this flusher has begun.
		if !held || (!p.busy && p.epoch != 0 && epoch != p.epoch) {
			p.lost = true
		}
	}
	q.forgetLost()
	for number := range beat.Held {
		if q.partitions[number] == nil {
			q.partitions[number] = &partition{number: number, lastSweep: now}
		}
	}
	var surplus []int
	for number, p := range q.partitions {
		if len(q.partitions)-len(surplus) > beat.Share && !p.busy {
			surplus = append(surplus, number)
		}
	}
	for _, number := range surplus {
		delete(q.partitions, number)
	}
	q.mu.Unlock()
	return q.f.journal.Release(ctx, q.name, q.f.instance, surplus...)
}

// dispatch looks at what waits and starts a worker for each partition that is
// due, as long as there are slots.
func (q *queue) dispatch(ctx context.Context, now time.Time) error {
	q.mu.Lock()
	held := make([]int, 0, len(q.partitions))
	idle := make(map[int]int64)
	for number, p := range q.partitions {
		held = append(held, number)
		if !p.busy && p.epoch != 0 {
			idle[number] = p.lease.Step()
		}
	}
	q.mu.Unlock()
	if q.resting(now) {
		return nil
	}
	slices.Sort(held)
	seen, err := q.f.journal.Poll(ctx, q.name, held)
	if err != nil {
		return err
	}
	loads := seen.Of
	q.observe(loads)
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
			q.log.Warn("Redis came back with another journal than the one before", "partition", number)
			p.epoch = 0
		}
	}
	if q.f.databaseBackoff.waits(now) || now.Before(q.locked) {
		return nil
	}
	if q.policy.scatteredBatch(loads) {
		q.lastScattered = now
	}
	for _, i := range oldestFirst(loads) {
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
	if q.quiet && !q.ending && now.Sub(q.lastPoll) < min(longestRest, q.policy.interval/4) {
		return true
	}
	q.lastPoll = now
	return false
}

// oldestFirst gives the order in which partitions compete for the slots, by
// index. In any fixed order the last ones would starve while the first ones take
// every slot.
func oldestFirst(loads []journal.Load) []int {
	order := make([]int, len(loads))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(loads[b].HeadMilliseconds, loads[a].HeadMilliseconds)
	})
	return order
}

// observe shows what waits in this flusher's partitions.
func (q *queue) observe(loads []journal.Load) {
	var entries, fresh, dead, oldest, age int64
	for _, load := range loads {
		entries += load.Entries
		fresh += load.Fresh
		dead += load.DeadLetters
		oldest = max(oldest, load.OldestMilliseconds)
		if !load.HeadUndated {
			age = max(age, load.HeadMilliseconds)
		}
	}
	q.mu.Lock()
	q.waiting, q.age = fresh, time.Duration(age)*time.Millisecond
	q.quiet = entries == 0
	q.mu.Unlock()
	q.f.metrics.queueSize.WithLabelValues(q.name).Set(float64(entries))
	q.f.metrics.deadLetters.WithLabelValues(q.name).Set(float64(dead))
	q.f.metrics.oldest.WithLabelValues(q.name).Set(float64(oldest) / 1000)
}

// start sends a worker to a partition that is due, if there is a slot. The mutex
// is held.
func (q *queue) start(ctx context.Context, number int, load journal.Load, now time.Time) {
	p := q.partitions[number]
	if p == nil || p.busy || p.lost || q.f.breaker.state() == gobreaker.StateOpen {
		return
	}
	if p.epoch == 0 {
		if _, database := q.f.usable(); database {
			q.launch(ctx, p, q.begin)
		}
		return
	}
	target := q.policy.entriesToFlush(load, now.Sub(q.lastScattered), now.Sub(p.lastSweep))
	if q.ending {
		target = load.Fresh + min(load.Due, retriesAtOnce)
		if p.lastSwept || q.policy.suspend || target == 0 {
			p.lastSwept = true
			return
		}
	}
	if target == 0 || q.table == nil || now.Before(q.paused) {
		return
	}
	if q.launch(ctx, p, func(ctx context.Context, p *partition) error { return q.sweep(ctx, p, target, load.Fresh > 0) }) {
		p.lastSwept = q.ending
	}
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
		if err := q.f.breaker.run(func() error { return job(ctx, p) }); err != nil {
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
