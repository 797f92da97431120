// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"log/slog"
	"sync"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// meter has the numbers of one queue, for the status and the metrics.
type meter struct {
	queue   string
	log     *slog.Logger
	metrics *metrics

	mu sync.Mutex
	// stats are the numbers of the whole queue as they were last read. observed is when this
	// flusher read them as a member, onlooked when it read them of a queue that it may not
	// flush.
	stats              entry.Stats
	observed, onlooked time.Time
	// shown is the last time at which the gauges were known to show partitions that this
	// flusher held.
	shown time.Time
	// waiting is how many fresh entries waited in this flusher's partitions at the last
	// poll, age the age of the oldest of them.
	waiting   int64
	age       time.Duration
	lastFlush time.Time
	lastError string
	// mark is the depth mark that was last crossed, for the log.
	mark string
}

// read records the numbers of the whole queue. observed is when a member read them, and
// zero for a queue that this flusher may not flush: the operator must not count it.
func (m *meter) read(stats entry.Stats, observed time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stats = stats; !observed.IsZero() {
		m.observed = observed
	}
}

// onlookDue reports whether the numbers of a queue that this flusher may not flush are due to
// be read, and assumes that the caller reads them.
func (m *meter) onlookDue(now time.Time, interval time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.onlooked) < interval {
		return false
	}
	m.onlooked = now
	return true
}

// lossesOf counts the data-loss events of a life of the queue that was seen, as last known.
func (m *meter) lossesOf(seen entry.Seen) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stats.Incarnation != seen.Incarnation {
		return seen.Losses
	}
	return m.stats.DataLoss
}

// observe records what waits in this flusher's partitions, and shows it in the gauges.
func (m *meter) observe(loads []entry.Load) (entries, fresh int64) {
	var age int64
	for _, load := range loads {
		entries += load.Entries
		fresh += load.Fresh
		if !load.HeadUndated {
			age = max(age, load.HeadMilliseconds)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting, m.age = fresh, time.Duration(age)*time.Millisecond
	m.shown = m.observed
	m.metrics.waits(m.queue, loads)
	return entries, fresh
}

// show puts what waits in the partitions that this flusher reports into the gauges. since is
// when it was known to hold them.
func (m *meter) show(loads []entry.Load, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown = since
	m.metrics.waits(m.queue, loads)
}

// hide zeroes this queue's gauges once Redis has not answered for that long: another flusher
// may report the same partitions by then.
func (m *meter) hide(now time.Time, after time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.shown.IsZero() && now.Sub(m.shown) > after {
		m.shown = time.Time{}
		m.metrics.waits(m.queue, nil)
	}
}

// setLastError sets lastError of the status.
func (m *meter) setLastError(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastError = text
}

// rowFailed counts a row that was not written for that reason. batchFailed counts a batch, and
// sets lastError.
func (m *meter) rowFailed(reason string) {
	m.metrics.failures.WithLabelValues(reason, m.queue).Inc()
}

func (m *meter) batchFailed(reason, text string) {
	m.metrics.failures.WithLabelValues(reason, m.queue).Inc()
	m.setLastError(text)
}

// reportLoss counts data that a server has lost, and reports it.
func (m *meter) reportLoss(text string, about ...any) {
	m.metrics.dataLoss.WithLabelValues(m.queue).Inc()
	m.log.With(about...).Error("Data was lost", "cause", text)
	m.setLastError(text)
}

// flushed counts a batch that was written and acknowledged.
func (m *meter) flushed(f *flush, receipt entry.Receipt, started time.Time) {
	now := time.Now()
	var done, dead, stale, lost, coalesced int
	lag := m.metrics.lag.WithLabelValues(m.queue)
	for i, s := range f.settlements {
		e := &f.claim.Entries[i]
		switch s.Outcome {
		case entry.Done:
			done++
			coalesced += int(e.Writes) - 1
			lag.Observe(max(0, float64(now.UnixMicro()-e.First)/1e6))
		case entry.Dead:
			if s.Letter.Cause == entry.CauseStale {
				stale++
			} else {
				dead++
			}
		case entry.Lost:
			dead++
			lost++
			m.log.Error("The value of a dirty key is gone from Redis", "key", shown(e.Key), "version", e.Version)
		}
	}
	for outcome, n := range map[string]int{
		outcomeFlushed: done, outcomeDead: dead, outcomeStale: stale, outcomeSuperseded: int(receipt.Superseded),
	} {
		m.metrics.writes.WithLabelValues(outcome, m.queue).Add(float64(n))
	}
	m.metrics.coalesced.WithLabelValues(m.queue).Add(float64(coalesced))
	m.metrics.dataLoss.WithLabelValues(m.queue).Add(float64(lost))
	m.metrics.flushDuration.WithLabelValues(m.queue).Observe(now.Sub(started).Seconds())
	m.mu.Lock()
	defer m.mu.Unlock()
	if done > 0 {
		m.lastFlush = now
	}
	switch {
	case f.refusal != "":
		m.lastError = f.refusal
	case done > 0 && m.stats.Refused == 0:
		m.lastError = ""
	}
}

// watchDepth logs when the depth crosses a mark, in either direction.
func (m *meter) watchDepth(depth int64, marks config.Backpressure) {
	mark := ""
	switch {
	case depth >= int64(marks.MaxQueueDepth):
		mark = "full"
	case depth >= int64(marks.CriticalQueueDepth):
		mark = "critical"
	case depth >= int64(marks.WarningQueueDepth):
		mark = "warning"
	}
	m.mu.Lock()
	changed := mark != m.mark
	m.mark = mark
	m.mu.Unlock()
	switch {
	case !changed:
	case mark == "":
		m.log.Info("Queue depth is under the marks again", "depth", depth)
	default:
		m.log.Warn("Queue depth is over a mark", "mark", mark, "depth", depth)
	}
}

// status is the meter's part of the document, with the time at which its numbers were read.
func (m *meter) status() (status config.QueueStatus, observed time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.stats
	return config.QueueStatus{
		Name: m.queue, Journal: s.Incarnation, State: s.State,
		Depth: s.Depth, DeadLetters: s.Dead, OldestPendingSeconds: float64(s.OldestMilliseconds) / 1000,
		Writes: s.Writes, Flushed: s.Flushed, Coalesced: s.Coalesced, DataLossEvents: s.DataLoss,
		Refused: s.Refused, LastFlushTime: m.lastFlush, LastError: m.lastError,
	}, m.observed
}

// stuckIntervals is how many intervals entries may wait with nothing flushed before the
// flusher reports Stuck. stuckFloor is the least time, since a batch may take a second.
const (
	stuckIntervals = 3
	stuckFloor     = 5 * time.Second
)

// stuck is the watchdog: it reports whether entries wait and none is flushed.
func (m *meter) stuck(s *settings) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	limit := max(stuckIntervals*s.policy.interval, stuckFloor)
	return !s.policy.suspend && m.waiting > 0 && m.age >= limit && time.Since(m.lastFlush) >= limit && time.Since(s.since) >= limit
}
