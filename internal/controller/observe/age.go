// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gauge describes a metric of the operator.
func gauge(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("writebehind_operator_"+name, help, nil, nil)
}

var oldestObservation = gauge("oldest_observation_seconds",
	"How long ago the flushers of the resource were asked that has waited longest; 0 without a resource. Only the operator that leads has it.")

// Describe is part of prometheus.Collector.
func (o *Observer) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- oldestObservation }

// Collect is part of prometheus.Collector. An operator that waits for its turn asks nobody,
// so it has no age to tell.
func (o *Observer) Collect(metrics chan<- prometheus.Metric) {
	if age, at := o.age(time.Now()); at {
		metrics <- prometheus.MustNewConstMetric(oldestObservation, prometheus.GaugeValue, age.Seconds())
	}
}

// age is how long ago the resource was looked at that has waited longest, and whether the
// observer is at work.
func (o *Observer) age(now time.Time) (oldest time.Duration, at bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.targets {
		oldest = max(oldest, now.Sub(t.lookedAt))
	}
	return oldest, o.running != nil
}
