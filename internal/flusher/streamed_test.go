// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"maps"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/writebehind/operator/internal/flusher/config"
)

type streams config.Replication

func (s *streams) Replication() config.Replication { return config.Replication(*s) }

func TestStreamMetrics(t *testing.T) {
	source := &streams{}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newStreamMetrics(source))
	gathered := func() map[string]float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string]float64)
		for _, family := range families {
			all[family.GetName()] = family.GetMetric()[0].GetGauge().GetValue()
		}
		return all
	}
	for name, value := range gathered() {
		if value != 0 {
			t.Errorf("%s of a flusher that does not read is %v", name, value)
		}
	}
	*source = streams{
		Reads: true, Attached: true, BehindBytes: 5, BehindSeconds: 1.5, BacklogBytes: 100, DirtyBytes: 7, Held: true, ScannedKeys: 9,
	}
	want := map[string]float64{
		"writebehind_replication_attached": 1, "writebehind_replication_behind_bytes": 5, "writebehind_replication_behind_seconds": 1.5,
		"writebehind_replication_backlog_bytes": 100, "writebehind_replication_dirty_bytes": 7, "writebehind_replication_held": 1,
		"writebehind_replication_scanning": 1, "writebehind_replication_scanned_keys": 9,
	}
	if got := gathered(); !maps.Equal(got, want) {
		t.Errorf("the metrics are %v, want %v", got, want)
	}
}
