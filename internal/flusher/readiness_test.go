// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// readiness is what the gauge shows: of each check its reason, or an empty string while it is
// well.
func (m *member) readiness() (map[string]string, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil, err
	}
	shown := map[string]string{}
	for _, family := range families {
		if family.GetName() != "writebehind_ready" {
			continue
		}
		for _, series := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range series.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			check, reason := labels["check"], labels["reason"]
			if _, twice := shown[check]; twice || (series.GetGauge().GetValue() == 1) != (reason == "") {
				return nil, fmt.Errorf("%s has another series, or one that contradicts itself: %v", check, series)
			}
			shown[check] = reason
		}
	}
	return shown, nil
}

// shows waits until the gauge is that.
func (w *world) shows(m *member, redis, database, mappings string) {
	w.t.Helper()
	want := map[string]string{"redis": redis, "database": database, "mappings": mappings}
	w.within(time.Minute, fmt.Sprintf("a gauge that shows %v", want), func() error {
		got, err := m.readiness()
		if err != nil || !maps.Equal(got, want) {
			return fmt.Errorf("it shows %v, %w", got, err)
		}
		return nil
	})
}

// TestTheGaugeShowsWhatIsInTheWay also while nothing waits: nothing else in the metrics tells
// of a server that is away then.
func TestTheGaugeShowsWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		m := w.startReady()
		w.shows(m, "", "", "")
		m.faults.Break(enginetest.Fault{}, "Source.Check")
		w.shows(m, "ConnectionFailed", "", "")
		m.faults.Mend()
		m.faults.Break(enginetest.Fault{}, "Database.Check")
		w.shows(m, "", "ConnectionFailed", "")
		m.faults.Mend()
		m.faults.Break(enginetest.Fault{Err: &entry.Misfit{Reason: "SchemaMismatch", Message: "there is no table"}}, "Table")
		w.shows(m, "", "", "SchemaMismatch")
		m.faults.Mend()
		w.shows(m, "", "", "")
	})
}

// TestTheGaugeTellsWhatWasNotLookedAt: a flusher that has just begun is not well.
func TestTheGaugeTellsWhatWasNotLookedAt(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		m := &member{registry: prometheus.NewRegistry()}
		m.Flusher = flusher.New(w.config, w.source, w.database, flusher.Options{Registry: m.registry})
		w.shows(m, "Unchecked", "Unchecked", "Unchecked")
	})
}
