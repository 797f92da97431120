// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/writebehind/operator/internal/flusher/config"
)

// streamMetrics are what Prometheus sees of a replication stream. One flusher reads it, and
// the others report zeros, so that the maximum over all flushers is right.
type streamMetrics struct {
	source Streamed
	gauges []streamGauge
}

type streamGauge struct {
	description *prometheus.Desc
	value       func(*config.Replication) float64
}

func newStreamMetrics(source Streamed) *streamMetrics {
	m := &streamMetrics{source: source}
	gauge := func(name, help string, value func(*config.Replication) float64) {
		m.gauges = append(m.gauges, streamGauge{prometheus.NewDesc(namespace+"_"+name, help, nil, nil), value})
	}
	gauge("replication_attached", "1 while this flusher reads Redis' replication stream and Redis sends it, 0 otherwise.",
		func(r *config.Replication) float64 { return oneIf(r.Attached) })
	gauge("replication_behind_bytes", "Bytes of Redis' replication stream that are not committed in the database yet.",
		func(r *config.Replication) float64 { return float64(r.BehindBytes) })
	gauge("replication_behind_seconds", "Age of the oldest write that is not committed in the database yet.",
		func(r *config.Replication) float64 { return r.BehindSeconds })
	gauge("replication_backlog_bytes", "Bytes of its replication stream that Redis keeps.",
		func(r *config.Replication) float64 { return float64(r.BacklogBytes) })
	gauge("replication_dirty_bytes", "Memory of the names of dirty keys in this flusher.",
		func(r *config.Replication) float64 { return float64(r.DirtyBytes) })
	gauge("replication_held", "1 while the stream is not read on because dirty keys take all the memory that they may.",
		func(r *config.Replication) float64 { return oneIf(r.Held) })
	gauge("replication_scanning", "1 while keys are read that were there before the stream was.",
		func(r *config.Replication) float64 { return oneIf(r.Reads && !r.Scanned) })
	gauge("replication_scanned_keys", "Keys that the scan of this history has come across.",
		func(r *config.Replication) float64 { return float64(r.ScannedKeys) })
	return m
}

// Describe implements prometheus.Collector.
func (m *streamMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, g := range m.gauges {
		descriptions <- g.description
	}
}

// Collect implements prometheus.Collector.
func (m *streamMetrics) Collect(metrics chan<- prometheus.Metric) {
	r := m.source.Replication()
	for _, g := range m.gauges {
		metrics <- prometheus.MustNewConstMetric(g.description, prometheus.GaugeValue, g.value(&r))
	}
}

func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}
