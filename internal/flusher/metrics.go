// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// Outcomes of a write, as the label of writebehind_writes_total.
const (
	outcomeFlushed = "flushed"
	outcomeDead    = "dead"
	// A dead letter whose row is newer in the table counts as stale, not as dead.
	outcomeStale = "stale"
	// A dead letter whose key was written again is superseded.
	outcomeSuperseded = "superseded"
)

// failuresHelp names the unit of each reason. A failure counts a batch, but a refused row
// fails alone, and the other rows of its batch are written.
const failuresHelp = "Failures to flush, by reason. " + reasonRowRefused + " and " + reasonForged + " count rows, every other reason counts batches."

// namespace begins the name of every metric.
const namespace = "writebehind"

// metrics are what Prometheus sees of one flusher. Each flusher reports the partitions that
// it holds. One of the flushers that may not flush a queue reports the partitions that nobody
// holds. So sum by (queue) is right.
type metrics struct {
	queueSize     *prometheus.GaugeVec
	oldest        *prometheus.GaugeVec
	deadLetters   *prometheus.GaugeVec
	writes        *prometheus.CounterVec
	coalesced     *prometheus.CounterVec
	ignored       *prometheus.CounterVec
	failures      *prometheus.CounterVec
	flushDuration *prometheus.HistogramVec
	batchSize     *prometheus.HistogramVec
	lag           *prometheus.HistogramVec
	dataLoss      *prometheus.CounterVec
	circuit       *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	queue := []string{"queue"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, queue)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, append(labels, "queue"))
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		}, queue)
	}
	m := &metrics{
		queueSize:     gauge("queue_size", "Dirty entries in the partitions that this flusher holds."),
		oldest:        gauge("queue_oldest_seconds", "Age of the oldest dirty entry in the partitions that this flusher holds."),
		deadLetters:   gauge("dead_letters", "Dead letters in the partitions that this flusher holds."),
		writes:        counter("writes_total", "Entries settled by this flusher, by outcome.", "outcome"),
		coalesced:     counter("coalesced_total", "Writes that reached the database in the row of a later write."),
		ignored:       counter("ignored_fields_total", "Fields of flushed documents that the table has no column for."),
		failures:      counter("flush_failures_total", failuresHelp, "reason"),
		flushDuration: histogram("flush_duration_seconds", "Time of one batch from claim to acknowledgement.", durationBuckets),
		batchSize:     histogram("batch_size", "Rows of one transaction.", prometheus.ExponentialBuckets(1, 2, 15)),
		lag:           histogram("lag_seconds", "Age of an entry when its row is committed.", prometheus.ExponentialBuckets(0.005, 1.5, 30)),
		dataLoss:      counter("data_loss_events_total", "Times that Redis or PostgreSQL was found to have lost confirmed data."),
		circuit:       gauge("circuit_state", "Circuit breaker of the database, which all queues share: 0 closed, 1 half-open, 2 open."),
	}
	registry.MustRegister(m.queueSize, m.oldest, m.deadLetters, m.writes, m.coalesced, m.ignored, m.failures,
		m.flushDuration, m.batchSize, m.lag, m.dataLoss, m.circuit)
	return m
}

// durationBuckets go from a millisecond to half a minute, and have a bound at the ten
// seconds over which a flush counts as slow.
var durationBuckets = append(prometheus.ExponentialBuckets(0.001, 2, 14), 10, 20, 30)

// show makes a queue's counters visible as zeros before anything has happened, so
// that a rate over them has a beginning.
func (m *metrics) show(queue string) {
	m.writes.WithLabelValues(outcomeFlushed, queue)
	m.writes.WithLabelValues(outcomeDead, queue)
	m.writes.WithLabelValues(outcomeSuperseded, queue)
	m.writes.WithLabelValues(outcomeStale, queue)
	m.coalesced.WithLabelValues(queue)
	m.ignored.WithLabelValues(queue)
	m.failures.WithLabelValues(reasonRowRefused, queue)
	m.failures.WithLabelValues(reasonForged, queue)
	m.circuit.WithLabelValues(queue)
	m.dataLoss.WithLabelValues(queue)
}

// waits shows what waits in partitions of a queue.
func (m *metrics) waits(queue string, loads []entry.Load) {
	var entries, deadLetters, oldest int64
	for _, load := range loads {
		entries, deadLetters, oldest = entries+load.Entries, deadLetters+load.DeadLetters, max(oldest, load.OldestMilliseconds)
	}
	m.queueSize.WithLabelValues(queue).Set(float64(entries))
	m.deadLetters.WithLabelValues(queue).Set(float64(deadLetters))
	m.oldest.WithLabelValues(queue).Set(float64(oldest) / 1000)
}
