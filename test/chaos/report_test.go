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

// summary is what a run came to.
type summary struct {
	Seed         uint64            `json:"seed"`
	Seconds      float64           `json:"seconds"`
	Faults       map[string]int    `json:"faults"`
	FaultsInAll  int               `json:"faultsInAll"`
	LeftOut      map[string]string `json:"leftOut,omitempty"`
	Acknowledged int64             `json:"writesAcknowledged"`
	Unknown      int64             `json:"writesUnknown"`
	Refused      map[string]int64  `json:"writesRefused"`
	Keys         int               `json:"keys"`
	Committed    int64             `json:"rowsCommitted"`
	Removed      int64             `json:"rowsRemoved"`
	Rewritten    int64             `json:"rowsRewritten"`
	Flushed      int64             `json:"flushed"`
	Coalesced    int64             `json:"coalesced"`
	DeadLetters  int64             `json:"deadLetters"`
	Superseded   int64             `json:"superseded"`
	DataLoss     int64             `json:"dataLossEvents"`
	Deepest      int64             `json:"deepestQueueSeen"`
	Found        map[finding]int   `json:"found"`
}

// progressInterval is how often a run says how far it is.
const progressInterval = 10 * time.Second

// progress prints a line now and then until the context ends.
func (w *world) progress(ctx context.Context, s *storm, started time.Time) {
	every(ctx, progressInterval, func() {
		_, total, now := s.faults()
		line := fmt.Sprintf("%4.0f s  acknowledged %d  unknown %d  refused %d", time.Since(started).Seconds(),
			w.crowd.acknowledged.Load(), w.crowd.unknown.Load(), sum(w.crowd.refusals()))
		asking, cancel := context.WithTimeout(ctx, serverTime)
		if stats, err := w.journal.Stats(asking, queue); err != nil {
			line += "  (Redis does not answer)"
		} else {
			line += fmt.Sprintf("  flushed %d  depth %d  dead letters %d", stats.Flushed, stats.Depth, stats.Dead)
		}
		cancel()
		say("%s  faults %d %v", line, total, now)
	})
}

// watchInterval is how often the depth of the queue is looked at.
const watchInterval = 500 * time.Millisecond

// watch makes sure that the queue never holds more than its capacity, until the
// context ends.
func (w *world) watch(ctx context.Context) {
	every(ctx, watchInterval, func() {
		asking, cancel := context.WithTimeout(ctx, serverTime)
		stats, err := w.journal.Stats(asking, queue)
		cancel()
		if err == nil && stats.Depth+stats.Dead > capacity {
			w.findings.add(counters, "the queue holds %d entries and %d dead letters, with a capacity of %d", stats.Depth, stats.Dead, capacity)
		}
		w.deepest = max(w.deepest, stats.Depth+stats.Dead)
	})
}

func sum[K comparable](counts map[K]int64) int64 {
	var total int64
	for _, n := range counts {
		total += n
	}
	return total
}

func (r *summary) print() {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "  %-28s %v\n", name, value) }
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
	for _, code := range slices.Sorted(maps.Keys(r.Refused)) {
		line("writes refused, "+code, r.Refused[code])
	}
	line("keys", r.Keys)
	line("rows committed", r.Committed)
	line("rows removed", r.Removed)
	line("rows rewritten", r.Rewritten)
	line("flushed", r.Flushed)
	line("coalesced", r.Coalesced)
	line("dead letters", r.DeadLetters)
	line("superseded", r.Superseded)
	line("data-loss events", r.DataLoss)
	line("deepest queue seen", r.Deepest)
	for _, of := range []finding{lost, stale, repeated, phantom, wrong, stuck, unreported, counters, process, harness} {
		line(string(of), r.Found[of])
	}
	say("%s", b.String())
}

func (r *summary) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o600)
}
