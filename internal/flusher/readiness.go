// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Checks, as the label of writebehind_ready.
const (
	checkRedis    = "redis"
	checkDatabase = "database"
	checkMappings = "mappings"
)

// reasonUnchecked is the reason of a check that was not made yet.
const reasonUnchecked = "Unchecked"

// part is one of the things that data needs to flow.
type part struct {
	name  string
	check config.Check
}

// readiness are the things that data needs to flow, in the order in which a person looks at
// them. Of the mappings it has the first that is not ready.
func readiness(status *config.Status) []part {
	mappings := config.Check{OK: true}
	for _, q := range status.Queues {
		if !q.Ready.OK {
			mappings = q.Ready
			break
		}
	}
	return []part{{checkRedis, status.Redis}, {checkDatabase, status.Database}, {checkMappings, mappings}}
}

// readyMetrics show what /readyz and /status answer. Each check has one series, whose reason
// is empty while it is well: Prometheus drops the series of an earlier reason at once, since
// it is not in the next answer.
type readyMetrics struct {
	f     *Flusher
	ready *prometheus.Desc
}

func newReadyMetrics(f *Flusher) *readyMetrics {
	gauge := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, []string{"check", "reason"}, nil)
	}
	return &readyMetrics{f, gauge("ready", "1 while a check of this flusher is well, 0 otherwise, with the reason: "+
		checkRedis+", "+checkDatabase+", or "+checkMappings+", of which it is the first that is not well.")}
}

// Describe is part of prometheus.Collector.
func (m *readyMetrics) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- m.ready }

// Collect is part of prometheus.Collector.
func (m *readyMetrics) Collect(metrics chan<- prometheus.Metric) {
	status := m.f.Status()
	for _, p := range readiness(&status) {
		reason := p.check.Reason
		if !p.check.OK && reason == "" {
			reason = reasonUnchecked
		}
		metrics <- prometheus.MustNewConstMetric(m.ready, prometheus.GaugeValue, oneIf(p.check.OK), p.name, reason)
	}
}
