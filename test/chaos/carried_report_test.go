// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// carriedSummary is what a run of capture Replication came to.
type carriedSummary struct {
	Capture      string            `json:"capture"`
	Seed         uint64            `json:"seed"`
	Seconds      float64           `json:"seconds"`
	Faults       map[string]int    `json:"faults"`
	FaultsInAll  int               `json:"faultsInAll"`
	LeftOut      map[string]string `json:"leftOut,omitempty"`
	Acknowledged int64             `json:"writesAcknowledged"`
	Unknown      int64             `json:"writesUnknown"`
	Refused      int64             `json:"writesRefused"`
	Idle         int64             `json:"writesThatChangedNothing"`
	LostByRedis  int64             `json:"keysThatRedisLost"`
	Barriers     int64             `json:"barriersAnswered"`
	Unanswered   int64             `json:"barriersUnanswered"`
	Keys         int               `json:"keys"`
	Entries      int               `json:"streamEntries"`
	Committed    int64             `json:"rowsCommitted"`
	Removed      int64             `json:"rowsRemoved"`
	DeadLetters  int               `json:"deadLetters"`
	Histories    int               `json:"histories"`
	Losses       map[string]int64  `json:"dataLossEvents"`
	Excused      map[string]int64  `json:"excused"`
	Found        map[finding]int   `json:"found"`
}

// progress prints a line now and then until the context ends.
func (s *streamed) progress(ctx context.Context, storm *storm, started time.Time) {
	every(ctx, progressInterval, func() {
		_, total, now := storm.faults()
		line := fmt.Sprintf("%4.0f s  acknowledged %d  unknown %d  refused %d  barriers %d", time.Since(started).Seconds(),
			s.app.acknowledged.Load(), s.app.unknown.Load(), s.app.refused.Load(), s.app.barriers.Load())
		if status, err := s.reading(ctx); err != nil {
			line += "  (nobody reads)"
		} else {
			var depth, letters int64
			for _, q := range status.Queues {
				depth, letters = depth+q.Depth, letters+q.DeadLetters
			}
			r := status.Replication
			line += fmt.Sprintf("  depth %d  dead letters %d  behind %d B, %.1f s  dirty %d B  held %v  scanned %v", depth, letters,
				r.BehindBytes, r.BehindSeconds, r.DirtyBytes, r.Held, r.Scanned)
		}
		say("%s  faults %d %v", line, total, now)
	})
}

// conclude judges a world in which nothing is on its way any more.
func (s *streamed) conclude(storm *storm, reader *tableReader) *carriedSummary {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context())
	for _, f := range s.flushers {
		f.leave()
	}
	if err := reader.finish(ctx); err != nil {
		s.findings.add(harness, "read the rest of the history: %v", err)
	}
	dead, err := s.verdict(ctx)
	if err != nil {
		s.findings.add(harness, "read what became of the keys: %v", err)
	}
	losses, err := s.checkLosses(ctx)
	if err != nil {
		s.findings.add(harness, "read the data-loss events: %v", err)
	}
	counts, total, _ := storm.faults()
	return &carriedSummary{
		Capture: s.config.Capture, Faults: counts, FaultsInAll: total, LeftOut: s.leftOut,
		Acknowledged: s.app.acknowledged.Load(), Unknown: s.app.unknown.Load(), Refused: s.app.refused.Load(), Idle: s.app.idle.Load(),
		LostByRedis: s.app.lostByRedis.Load(), Barriers: s.app.barriers.Load(), Unanswered: s.app.barriersUnanswered.Load(),
		Keys: len(s.keys.all), Entries: len(s.keys.entries.all), Committed: s.keys.committed, Removed: s.keys.removed,
		DeadLetters: dead, Histories: len(s.listHistories()), Losses: losses, Excused: s.counted, Found: maps.Clone(s.findings.counts),
	}
}

func (r *carriedSummary) print() {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "  %-44s %v\n", name, value) }
	fmt.Fprintf(&b, "seed %d, %.0f s\nfaults\n", r.Seed, r.Seconds)
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		line(name, r.Faults[name])
	}
	line("in all", r.FaultsInAll)
	for _, name := range slices.Sorted(maps.Keys(r.LeftOut)) {
		line(name, "left out: "+r.LeftOut[name])
	}
	fmt.Fprintln(&b, "totals")
	line("writes acknowledged", r.Acknowledged)
	line("writes unknown", r.Unknown)
	line("writes refused", r.Refused)
	line("writes that changed nothing", r.Idle)
	line("keys and entries that Redis lost", r.LostByRedis)
	line("barriers answered", r.Barriers)
	line("barriers without an answer", r.Unanswered)
	line("keys", r.Keys)
	line("entries of streams", r.Entries)
	line("rows committed", r.Committed)
	line("rows removed", r.Removed)
	line("dead letters", r.DeadLetters)
	line("histories", r.Histories)
	line("data-loss events", describe(r.Losses))
	for _, name := range slices.Sorted(maps.Keys(r.Excused)) {
		line(name, r.Excused[name])
	}
	for _, of := range []finding{lost, stale, repeated, untold, phantom, wrong, stuck, unreported, counters, process, harness} {
		line(string(of), r.Found[of])
	}
	say("%s", b.String())
}

func (r *carriedSummary) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o600)
}
