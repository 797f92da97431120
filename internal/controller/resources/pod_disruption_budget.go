// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// FlusherDisruptionBudget lets the drain of nodes take one flusher at a time: of
// two or more the others go on, and the next may only go when the first's
// successor is ready. A single flusher may go at once, since what it leaves waits
// in Redis until its successor runs; a budget that kept it would keep the node
// for ever. One rule says both, whatever the number of replicas is or becomes.
//
// A flusher that is not ready may always go. Flushers are not ready while the
// database is away, and then a drain must not wait for the database.
//
// A managed Redis has none. It is one pod: a budget could only allow everything,
// or block every drain until a person steps in. A drained Redis comes back with
// its volume elsewhere, and writes fail meanwhile, as with any restart of it.
func FlusherDisruptionBudget(cache *v1alpha1.WriteBehindCache) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return policyv1ac.PodDisruptionBudget(FlusherName(cache), cache.Namespace).
		WithLabels(Labels(cache, ComponentFlusher)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(cache, ComponentFlusher))))
}
