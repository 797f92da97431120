// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// tell emits an event for each transition of the conditions that people wait
// for, and for each rise of a number that means harm.
func (r *Reconciler) tell(before, after *v1alpha1.WriteBehindCache) {
	r.tellBacklog(before, after)
	r.tellDurable(before, after)
	r.tellHarm(before, after)
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionStalled, v1alpha1.ConditionDraining} {
		was := meta.FindStatusCondition(before.Status.Conditions, kind)
		is := meta.FindStatusCondition(after.Status.Conditions, kind)
		if is == nil || was != nil && was.Status == is.Status && was.Reason == is.Reason {
			continue
		}
		if kind == v1alpha1.ConditionReady && (is.Reason == v1alpha1.ReasonDraining || was == nil && is.Status != metav1.ConditionTrue || stalledFor(after, is.Reason)) {
			continue // Draining and Stalled say as much; and a resource is never born ready
		}
		warns := kind == v1alpha1.ConditionReady && is.Status != metav1.ConditionTrue && is.Reason != v1alpha1.ReasonSuspended ||
			kind == v1alpha1.ConditionStalled || is.Reason == v1alpha1.ReasonDrainBlocked
		reason := is.Reason
		if kind == v1alpha1.ConditionReady && is.Status == metav1.ConditionTrue {
			reason = v1alpha1.ConditionReady
		}
		if warns {
			r.warning(after, reason, actionObserve, "%s", is.Message)
		} else {
			r.normal(after, reason, actionObserve, "%s", is.Message)
		}
	}
}

// stalledFor tells whether the resource is stalled for the reason.
func stalledFor(cache *v1alpha1.WriteBehindCache, reason string) bool {
	stalled := meta.FindStatusCondition(cache.Status.Conditions, v1alpha1.ConditionStalled)
	return stalled != nil && stalled.Reason == reason
}

// tellBacklog tells when the deepest queue passes a mark, and when it is under
// all of them again.
func (r *Reconciler) tellBacklog(before, after *v1alpha1.WriteBehindCache) {
	const kind = v1alpha1.ConditionBacklogHealthy
	was := meta.FindStatusCondition(before.Status.Conditions, kind)
	is := meta.FindStatusCondition(after.Status.Conditions, kind)
	if is == nil || was != nil && was.Status == is.Status && was.Reason == is.Reason {
		return
	}
	switch {
	case is.Status == metav1.ConditionFalse:
		r.warning(after, v1alpha1.EventBacklog+is.Reason, actionObserve, "%s", is.Message)
	case is.Status == metav1.ConditionTrue && was != nil && was.Status == metav1.ConditionFalse:
		r.normal(after, kind, actionObserve, "%s", is.Message)
	}
}

// tellHarm tells when there are more dead letters than before, and when the last
// one is gone.
func (r *Reconciler) tellHarm(before, after *v1alpha1.WriteBehindCache) {
	const kind = v1alpha1.ConditionDeadLetterQueueEmpty
	is := meta.FindStatusCondition(after.Status.Conditions, kind)
	had, has := valueOf(before.Status.DeadLetters), valueOf(after.Status.DeadLetters)
	switch {
	case is == nil:
	case has > had:
		r.warning(after, v1alpha1.ReasonDeadLetters, actionObserve, "%s", is.Message)
	case has == 0 && had > 0:
		r.normal(after, kind, actionObserve, "%s", is.Message)
	}
}

// tellDurable tells of each loss and of each change of the condition Durable. A
// loss tells more than the change that it makes.
func (r *Reconciler) tellDurable(before, after *v1alpha1.WriteBehindCache) {
	had, has := valueOf(before.Status.DataLossEvents), valueOf(after.Status.DataLossEvents)
	if has > had {
		r.warning(after, v1alpha1.ReasonDataLoss, actionObserve,
			"Redis or PostgreSQL was found to have lost what it had confirmed: %d events more, %d in all; flushing goes on", has-had, has)
	}
	const kind = v1alpha1.ConditionDurable
	was := meta.FindStatusCondition(before.Status.Conditions, kind)
	is := meta.FindStatusCondition(after.Status.Conditions, kind)
	switch {
	case is == nil || was != nil && was.Status == is.Status && was.Reason == is.Reason:
	case is.Status == metav1.ConditionFalse && (is.Reason != v1alpha1.ReasonDataLoss || has <= had):
		r.warning(after, is.Reason, actionObserve, "%s", is.Message)
	case is.Status == metav1.ConditionTrue && was != nil && was.Status == metav1.ConditionFalse:
		r.normal(after, kind, actionObserve, "%s", is.Message)
	}
}

func valueOf(number *int64) int64 {
	if number == nil {
		return 0
	}
	return *number
}
