// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// conclude judges a world in which nothing is on its way any more, and nothing may
// have been lost.
func (w *world) conclude(s *storm) *summary {
	w.t.Helper()
	stats := w.finalStats()
	w.checkDataLoss(stats, 0)
	for _, f := range w.flushers {
		f.leave()
	}
	if err := w.reader.finish(context.WithoutCancel(w.t.Context())); err != nil {
		w.findings.add(harness, "read the rest of the history: %v", err)
	}
	w.history.verdict(w.outcomes())
	for _, row := range w.db.Rows(w.t, "SELECT n, found FROM wrong ORDER BY n LIMIT 100") {
		w.findings.add(wrong, "write %s made the row %s", row[0], row[1])
	}
	totals := w.checkCounters(stats)
	counts, total, _ := s.faults()
	return &summary{
		Faults: counts, FaultsInAll: total, LeftOut: w.leftOut,
		Acknowledged: w.crowd.acknowledged.Load(), Unknown: w.crowd.unknown.Load(), Refused: w.crowd.refusals(),
		Keys: len(w.history.records), Committed: w.history.committed, Removed: w.history.removed, Rewritten: w.history.rewritten,
		Flushed: stats.Flushed, Coalesced: stats.Coalesced, DeadLetters: stats.Dead,
		Superseded: totals["superseded"], DataLoss: stats.DataLoss, Deepest: w.deepest, Found: maps.Clone(w.findings.counts),
	}
}

func (w *world) finalStats() entry.Stats {
	w.t.Helper()
	stats, err := w.journal.Stats(context.WithoutCancel(w.t.Context()), queue)
	if err != nil {
		w.t.Fatal(err)
	}
	return stats
}

// checkDataLoss compares what is reported as lost with what was, in Redis and in the
// flushers' own words.
func (w *world) checkDataLoss(stats entry.Stats, atLeast int64) {
	if atLeast == 0 && stats.DataLoss != 0 {
		w.findings.add(unreported, "%d data-loss events are reported, though no fault may lose data", stats.DataLoss)
	}
	if stats.DataLoss < atLeast {
		w.findings.add(unreported, "%d data-loss events are reported, at least %d are due", stats.DataLoss, atLeast)
	}
	for _, f := range w.flushers[:members] {
		err := await(w.t.Context(), 20*time.Second, func(ctx context.Context) error {
			status, err := f.status(ctx)
			if err == nil && status.Queues[0].DataLossEvents != stats.DataLoss {
				err = fmt.Errorf("it tells %d data-loss events, wb_stats %d", status.Queues[0].DataLossEvents, stats.DataLoss)
			}
			return err
		})
		if err != nil {
			w.findings.add(unreported, "flusher %d: %v", f.number, err)
		}
	}
}

var firstNumber = regexp.MustCompile(`\d+`)

// outcomes reads what every key came to.
func (w *world) outcomes() func(id int64) outcome {
	w.t.Helper()
	all := make(map[int64]outcome)
	for _, row := range w.db.Rows(w.t, "SELECT id, n FROM items") {
		id, _ := strconv.ParseInt(row[0], 10, 64)
		number, _ := strconv.ParseInt(row[1], 10, 64)
		all[id] = outcome{row: number}
	}
	for known, err := range w.journal.DeadLetters(w.t.Context(), queue) {
		if err != nil {
			w.t.Fatal(err)
		}
		dead, err := w.journal.DeadLetter(w.t.Context(), queue, known.Key)
		if err != nil {
			w.t.Fatal(err)
		}
		id, _ := strconv.ParseInt(strings.TrimPrefix(dead.Key, prefix), 10, 64)
		number, _ := strconv.ParseInt(firstNumber.FindString(dead.Payload), 10, 64)
		o := all[id]
		o.letter = &letter{version: dead.Version, number: number}
		all[id] = o
	}
	return func(id int64) outcome { return all[id] }
}

// checkCounters compares the journal's numbers with each other and with what the
// writers know. It returns the sums over the partitions.
func (w *world) checkCounters(stats entry.Stats) map[string]int64 {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context())
	totals := make(map[string]int64)
	for p := range partitions {
		base := fmt.Sprintf("wb:{%s:%d}:", queue, p)
		for _, name := range []string{"flushed", "coalesced", "superseded", "discarded", "data_loss"} {
			n, _ := w.rdb.HGet(ctx, base+"meta", name).Int64()
			totals[name] += n
		}
		entries, waiting := w.rdb.HLen(ctx, base+"ops").Val(), w.rdb.LLen(ctx, base+"q").Val()
		totals["dead"] += w.rdb.HLen(ctx, base+"dlq").Val()
		totals["entries"] += entries
		if entries != waiting {
			w.findings.add(counters, "partition %d has %d entries, %d of them in order", p, entries, waiting)
		}
	}
	depth, err := w.rdb.HGet(ctx, "wb:{"+queue+"}:queue", "depth").Int64()
	if err != nil {
		w.findings.add(harness, "read the depth: %v", err)
	}
	if depth != totals["entries"]+totals["dead"] {
		w.findings.add(counters, "the depth is %d, with %d entries and %d dead letters", depth, totals["entries"], totals["dead"])
	}
	acknowledged, unknown := w.crowd.acknowledged.Load(), w.crowd.unknown.Load()
	if stats.Writes < acknowledged || stats.Writes > acknowledged+unknown {
		w.findings.add(counters, "the journal counts %d writes; %d were acknowledged and %d may have been", stats.Writes, acknowledged, unknown)
	}
	// Every write was flushed, coalesced with one that was, or belongs to a dead
	// letter: what is left over was coalesced with those.
	left := stats.Writes - totals["flushed"] - totals["coalesced"] - totals["entries"] - totals["dead"] - totals["superseded"] - totals["discarded"]
	letters := totals["dead"] + totals["superseded"]
	if left < 0 || left > 0 && letters == 0 {
		w.findings.add(counters, "of %d writes %d are unaccounted for: %v", stats.Writes, left, totals)
	}
	return totals
}
