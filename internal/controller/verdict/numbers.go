// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/flusher/config"
)

// count copies the numbers that the flushers report. A number that nobody reports keeps its
// last value.
func count(f *facts) {
	countStream(f)
	if f.Settings == nil {
		return
	}
	known := map[string]v1alpha1.MappingStatus{}
	for _, m := range f.status.Mappings {
		known[m.Name] = m
	}
	f.status.Mappings = nil
	observed := metav1.Time{}
	for _, name := range queueNames(f) {
		m, ok := known[name]
		if !ok {
			m = v1alpha1.MappingStatus{Name: name}
		}
		if q := f.Queue(name, f.Settled); q != nil && q.Journal != "" {
			fill(&m, q)
			countDataLoss(f, &m)
		}
		fillFromEach(f, &m, &observed)
		f.status.Mappings = append(f.status.Mappings, m)
	}
	total(f.status)
	stamp(f, observed)
}

// queueNames are those of the spec, in its order, and then the retired ones.
func queueNames(f *facts) []string {
	var names []string
	for i := range f.Cache.Spec.Mappings {
		names = append(names, f.Cache.Spec.Mappings[i].Name)
	}
	for _, m := range f.Settings.Mappings {
		if !f.InSpec(m.Name) {
			names = append(names, m.Name)
		}
	}
	return names
}

func fill(m *v1alpha1.MappingStatus, q *config.QueueStatus) {
	m.QueueDepth = new(q.Depth)
	m.DeadLetters = new(q.DeadLetters)
	m.OldestPendingSeconds = new(int64(q.OldestPendingSeconds))
	m.FlushedTotal = new(q.Flushed)
}

// fillFromEach takes over what each flusher knows only of itself: the newest flush
// of any, and the first error.
func fillFromEach(f *facts, m *v1alpha1.MappingStatus, observed *metav1.Time) {
	if len(f.documents) > 0 {
		m.LastError = ""
	}
	for _, d := range f.documents {
		if d.ObservedTime.After(observed.Time) {
			*observed = metav1.NewTime(d.ObservedTime.Truncate(time.Second))
		}
		for i := range d.Queues {
			q := &d.Queues[i]
			if q.Name != m.Name {
				continue
			}
			if flushed := q.LastFlushTime.Truncate(time.Second); flushed.After(m.LastFlushTime.Time) {
				m.LastFlushTime = metav1.NewTime(flushed)
			}
			if m.LastError == "" {
				m.LastError = observe.Cut(q.LastError, MaxMessage)
			}
		}
	}
}

// total adds the queues up.
func total(status *v1alpha1.WriteBehindCacheStatus) {
	for i := range status.Mappings {
		m := &status.Mappings[i]
		if m.LastFlushTime.After(status.LastFlushTime.Time) {
			status.LastFlushTime = m.LastFlushTime
		}
	}
	status.QueueDepth = sum(status.Mappings, func(m *v1alpha1.MappingStatus) *int64 { return m.QueueDepth })
	status.DeadLetters = sum(status.Mappings, func(m *v1alpha1.MappingStatus) *int64 { return m.DeadLetters })
	status.FlushedTotal = sum(status.Mappings, func(m *v1alpha1.MappingStatus) *int64 { return m.FlushedTotal })
	status.OldestPendingSeconds = nil
	for i := range status.Mappings {
		oldest := status.Mappings[i].OldestPendingSeconds
		if oldest != nil && (status.OldestPendingSeconds == nil || *oldest > *status.OldestPendingSeconds) {
			status.OldestPendingSeconds = new(*oldest)
		}
	}
}

// sum is nil while no queue has a number: unknown is not zero.
func sum(mappings []v1alpha1.MappingStatus, of func(*v1alpha1.MappingStatus) *int64) *int64 {
	var all *int64
	for i := range mappings {
		if n := of(&mappings[i]); n != nil {
			if all == nil {
				all = new(int64(0))
			}
			*all += *n
		}
	}
	return all
}

// stamp sets lastObservedTime, but only together with another change of the numbers:
// a clock alone is no reason to write.
func stamp(f *facts, observed metav1.Time) {
	was := &f.Cache.Status
	same := equality.Semantic.DeepEqual(was.Mappings, f.status.Mappings) &&
		equality.Semantic.DeepEqual(was.DataLossEvents, f.status.DataLossEvents) &&
		equality.Semantic.DeepEqual(was.Replication, f.status.Replication)
	if !same && !observed.IsZero() {
		f.status.LastObservedTime = observed
	}
}
