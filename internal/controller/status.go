// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// stalled is set when only a person can help.
func (s *scope) stalled(failure error) *verdict {
	var stalled *stalledError
	if !errors.As(failure, &stalled) {
		return nil
	}
	return &verdict{metav1.ConditionTrue, stalled.reason, stalled.message}
}

// reconciling is set while the operator still has something to bring about.
func (s *scope) reconciling(failure error, applied verdict) *verdict {
	progressing := func(format string, args ...any) *verdict {
		return &verdict{metav1.ConditionTrue, v1alpha1.ReasonProgressing, fmt.Sprintf(format, args...)}
	}
	var waiting *waitingError
	switch {
	case errors.As(failure, &waiting):
		return progressing("Waiting for %s", waiting.what)
	case failure != nil:
		return progressing("The last attempt failed: %s", failure.Error())
	}
	if s.managed() {
		if text := unfinishedRedis(s.redis); text != "" {
			return progressing("%s%s", text, behindText(s.whyRedisPodWaits()))
		}
	}
	if text := unfinishedFlushers(s.flushers, resources.FlusherReplicas(s.cache), s.restartHash); text != "" {
		return progressing("%s%s", text, behindText(s.whyBehind()))
	}
	if applied.reason == v1alpha1.ReasonRolling {
		return progressing("%s", applied.message)
	}
	return nil
}

func unfinishedRedis(set *appsv1.StatefulSet) string {
	if set == nil {
		return "The StatefulSet of Redis is being made"
	}
	if set.Status.ObservedGeneration < set.Generation || set.Status.UpdatedReplicas < 1 || set.Status.ReadyReplicas < 1 {
		return fmt.Sprintf("StatefulSet %s is not ready", set.Name)
	}
	return ""
}

// unfinishedFlushers looks at the templates of the Pods, not at their readiness:
// a flusher whose database is down is where the spec wants it.
func unfinishedFlushers(d *appsv1.Deployment, replicas int32, restartHash string) string {
	if d == nil {
		return "The Deployment of the flushers is being made"
	}
	if d.Spec.Template.Annotations[v1alpha1.AnnotationConfigHash] != restartHash ||
		d.Status.ObservedGeneration < d.Generation ||
		d.Status.UpdatedReplicas != replicas || d.Status.Replicas != replicas {
		return fmt.Sprintf("Deployment %s is rolling out", d.Name)
	}
	return ""
}

// report computes the whole status. failure is what ended the pass, or nil.
func (s *scope) report(failure error) {
	status := &s.cache.Status
	status.Selector = labels.SelectorFromSet(resources.SelectorLabels(s.cache, resources.ComponentFlusher)).String()
	status.Replicas = 0
	if s.flushers != nil {
		status.Replicas = s.flushers.Status.Replicas
	}
	s.count()
	s.acknowledgeLoss()
	s.judge(failure)

	var stalled *stalledError
	var waiting *waitingError
	if failure == nil || errors.As(failure, &stalled) || errors.As(failure, &waiting) {
		status.ObservedGeneration = s.cache.Generation
	}
}

// count takes the numbers over from what the flushers said. What nobody says
// keeps its last value.
func (s *scope) count() {
	if s.settings == nil {
		return
	}
	status := &s.cache.Status
	known := map[string]v1alpha1.MappingStatus{}
	for _, m := range status.Mappings {
		known[m.Name] = m
	}
	status.Mappings = nil
	observed := metav1.Time{}
	for _, name := range s.queueNames() {
		m, ok := known[name]
		if !ok {
			m = v1alpha1.MappingStatus{Name: name}
		}
		if q := s.queue(name, s.settled); q != nil && q.Journal != "" {
			fill(&m, q)
			s.countLoss(&m)
		}
		s.fillFromEach(&m, &observed)
		status.Mappings = append(status.Mappings, m)
	}
	s.total()
	s.stamp(observed)
}

// queueNames are those of the spec, in its order, and then the retired ones.
func (s *scope) queueNames() []string {
	var names []string
	inSpec := map[string]bool{}
	for i := range s.cache.Spec.Mappings {
		names = append(names, s.cache.Spec.Mappings[i].Name)
		inSpec[s.cache.Spec.Mappings[i].Name] = true
	}
	for _, m := range s.settings.Mappings {
		if !inSpec[m.Name] {
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

// fillFromEach takes what each flusher knows only of itself: the newest flush of
// any, and the first error.
func (s *scope) fillFromEach(m *v1alpha1.MappingStatus, observed *metav1.Time) {
	documents := s.seen.Answering()
	if len(documents) > 0 {
		m.LastError = ""
	}
	for _, d := range documents {
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
				m.LastError = observe.Cut(q.LastError, maxMessage)
			}
		}
	}
}

// total adds the queues up.
func (s *scope) total() {
	status := &s.cache.Status
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

// stamp sets lastObservedTime, but only together with another change of the
// numbers: a clock alone is no reason to write.
func (s *scope) stamp(observed metav1.Time) {
	before, now := s.before.Status, s.cache.Status
	same := equality.Semantic.DeepEqual(before.Mappings, now.Mappings) &&
		equality.Semantic.DeepEqual(before.DataLossEvents, now.DataLossEvents)
	if !same && !observed.IsZero() {
		s.cache.Status.LastObservedTime = observed
	}
}

// patchStatus writes the status if it changed, and tells of transitions.
func (r *Reconciler) patchStatus(ctx context.Context, s *scope) error {
	if equality.Semantic.DeepEqual(s.before.Status, s.cache.Status) {
		return nil
	}
	// The patch replaces the lists as a whole, so it must be made from the
	// newest ones.
	patch := client.MergeFromWithOptions(s.before, client.MergeFromWithOptimisticLock{})
	next := s.cache.DeepCopy()
	if err := r.Client.Status().Patch(ctx, next, patch); err != nil {
		return fmt.Errorf("patch status: %w", err)
	}
	r.remembered.wrote(next)
	r.tell(s.before, s.cache)
	s.cache.ResourceVersion = next.ResourceVersion
	s.before = s.cache.DeepCopy()
	return nil
}
