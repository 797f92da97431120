// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// scatteredBatchWait is how long a full batch that is scattered over several
// partitions waits for one of them to fill. A transaction carries one partition,
// so flushing at once would make many small ones; waiting longer than a second
// would no longer be "at once" to somebody who watches.
const scatteredBatchWait = time.Second

// coalescingWait is how long, at most, a full batch waits after the last flush of its
// partition where that lets writes coalesce: as long as an entry waits by default. Without it
// keys that are written all the time would be flushed as often as the database takes them.
const coalescingWait = 5 * time.Second

// policy decides when a partition is flushed. It is a pure function of settings,
// counts and ages.
type policy struct {
	interval   time.Duration
	batchSize  int64
	maxRetries int
	// apart is how long after a flush of a partition the next batch of it that is only full
	// is flushed. What is due does not wait.
	apart   time.Duration
	suspend bool
	// drain flushes whatever is there: the resource is being deleted, the mapping
	// was retired or the process is about to end.
	drain bool
}

func newPolicy(c *config.Config, m *config.Mapping) policy {
	drain := c.Draining || m.Retired
	var apart time.Duration
	if c.Capture == config.CaptureReplication && m.Mode != config.ModeAppend {
		// Each write comes as fast as Redis takes it, and fills no queue by itself.
		apart = min(c.Flush.Interval(), coalescingWait)
	}
	return policy{
		apart:      apart,
		interval:   c.Flush.Interval(),
		batchSize:  int64(c.Flush.BatchSize),
		maxRetries: c.Flush.MaxRetries,
		suspend:    c.Suspend && !drain,
		drain:      drain,
	}
}

// scatteredBatch reports whether a full batch waits scattered over the partitions,
// and has waited for one of them to fill as long as it should.
func (p policy) scatteredBatch(loads []entry.Load) bool {
	var fresh, oldest int64
	for _, load := range loads {
		fresh += load.Fresh
		if !load.HeadUndated {
			oldest = max(oldest, load.HeadMilliseconds)
		}
	}
	return fresh >= p.batchSize && time.Duration(oldest)*time.Millisecond >= scatteredBatchWait
}

// retriesAtOnce is how many refused rows of one claim are tried again, each in a
// transaction of its own, so that they do not keep the others waiting.
const retriesAtOnce = 16

// since is how long ago something was.
type since struct {
	// scattered is when a scattered batch was last seen: what waited then is flushed. sweep is
	// when the partition was last swept, and flush when more of it was last flushed than what is
	// tried again.
	scattered, sweep, flush time.Duration
}

// entriesToFlush returns how many entries of a partition are to be flushed now; 0
// means to wait. load is what waits in the partition. Entries that were
// refused before never make a batch full: they are tried again when they are due.
func (p policy) entriesToFlush(load entry.Load, since since) int64 {
	due := min(load.Due, retriesAtOnce)
	age := time.Duration(load.HeadMilliseconds) * time.Millisecond
	if load.HeadUndated {
		// The entry's age comes from another clock. The time since the last sweep
		// counts instead.
		age = since.sweep
	}
	switch {
	case p.suspend:
		return 0
	case load.Fresh == 0:
		return due
	case p.drain, load.Urgent, age >= p.interval:
		return load.Fresh + due
	case since.flush < p.apart:
		return due
	case load.Fresh >= p.batchSize:
		// What does not fill a batch may still coalesce.
		return load.Fresh - load.Fresh%p.batchSize + due
	case !load.HeadUndated && age >= since.scattered:
		return load.Fresh + due
	}
	return due
}

// trialBatch is how many rows are tried while it is doubtful that rows get through: enough
// to tell a row's fault from the mapping's.
const trialBatch = 10

// bounds returns how much the next claim takes. fresh means that entries wait which were
// never refused. Retries may then fill half of the claim. Where a
// claim has one entry, every second claim is a retry. A trial takes no retries, since they
// do not show whether others get through.
func (p policy) bounds(target int64, fresh, doubtful, retryNext bool) entry.Bounds {
	most := entry.Bounds{Entries: int(min(target, p.batchSize)), Retries: retriesAtOnce, Bytes: maxClaimBytes}
	if doubtful {
		most.Entries = min(most.Entries, trialBatch)
	}
	switch {
	case !fresh:
	case doubtful, most.Entries == 1 && !retryNext:
		most.Retries = 0
	case most.Entries > 1:
		most.Retries = min(most.Retries, most.Entries/2)
	}
	return most
}

// longestRetry is the longest wait between two attempts at a refused row: a table
// that was corrected is noticed within a minute.
const longestRetry = time.Minute

// patience is how long a row that waits for another one becomes no dead letter, however many
// attempts it has used: ten tries at the pace of a chain, of which other flushers may have
// parts.
func (p policy) patience() time.Duration {
	return max(probation, 10*p.retryAfter(0))
}

// retryAfter returns how long a row that was refused that many times waits for its next
// attempt: the interval, doubled after every attempt.
func (p policy) retryAfter(attempts int) time.Duration {
	if attempts >= 10 {
		return longestRetry
	}
	return min(p.interval<<attempts, longestRetry)
}
