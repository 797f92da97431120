// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
)

// failures are those that a flusher has counted, by reason, and what the metric says of
// itself.
func (m *member) failures(t *testing.T) (counts map[string]float64, help string) {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts = make(map[string]float64)
	for _, family := range families {
		if family.GetName() != "writebehind_flush_failures_total" {
			continue
		}
		help = family.GetHelp()
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if label.GetName() == "reason" {
					counts[label.GetValue()] = series.GetCounter().GetValue()
				}
			}
		}
	}
	return counts, help
}

// TestAFailureCountsRowsOrBatches as its reason says: one batch of five rows that finds no
// database is one failure, three rows that are refused among others are three.
func TestAFailureCountsRowsOrBatches(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *config.Config) { c.Mappings[0].Partitions, c.Flush.MaxRetries = 1, 0 }, func(w *world) {
		m := w.startReady()
		m.faults.Break(enginetest.Fault{Times: 1}, "Write")
		w.set(goodRow, upTo(5)...)
		w.drained(time.Minute)
		w.database.Rule(products, refusing("bad", enginetest.RefuseRow))
		w.set(goodRow, upTo(5)...)
		w.set(`{"name":"bad"}`, 6, 7, 8)
		w.drained(time.Minute)
		w.holds(goodRow, upTo(5)...)
		counts, help := m.failures(t)
		if want := map[string]float64{"ConnectionFailed": 1, "RowRefused": 3, "EntryForged": 0}; !maps.Equal(counts, want) {
			t.Errorf("the failures are %v, want %v", counts, want)
		}
		if !strings.Contains(help, "RowRefused and EntryForged count rows, every other reason counts batches") {
			t.Errorf("the metric says %q", help)
		}
	})
}
