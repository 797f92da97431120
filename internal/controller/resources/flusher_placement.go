// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// safeToEvict is whether the cluster autoscaler may move a pod to save a
// node. A flusher loses nothing by it. A managed Redis, while it moves, takes no
// write, which is too much for a node saved.
const safeToEvict = "cluster-autoscaler.kubernetes.io/safe-to-evict"

// placeFlushers sets where the flushers may and should run.
func placeFlushers(cache *v1alpha1.WriteBehindCache, pod *corev1ac.PodSpecApplyConfiguration) error {
	flusher := &cache.Spec.Flusher
	for name, value := range flusher.NodeSelector {
		pod.WithNodeSelector(map[string]string{name: string(value)})
	}
	if flusher.PriorityClassName != "" {
		pod.WithPriorityClassName(flusher.PriorityClassName)
	}
	for i := range flusher.Tolerations {
		toleration, err := configurationOf[corev1ac.TolerationApplyConfiguration](&flusher.Tolerations[i])
		if err != nil {
			return fmt.Errorf("spec.flusher.tolerations[%d]: %w", i, err)
		}
		pod.WithTolerations(toleration)
	}
	if flusher.Affinity != nil {
		affinity, err := configurationOf[corev1ac.AffinityApplyConfiguration](flusher.Affinity)
		if err != nil {
			return fmt.Errorf("spec.flusher.affinity: %w", err)
		}
		pod.WithAffinity(affinity)
	}
	selector := func() *metav1ac.LabelSelectorApplyConfiguration {
		return metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(cache, ComponentFlusher))
	}
	for i := range flusher.TopologySpreadConstraints {
		constraint, err := configurationOf[corev1ac.TopologySpreadConstraintApplyConfiguration](&flusher.TopologySpreadConstraints[i])
		if err != nil {
			return fmt.Errorf("spec.flusher.topologySpreadConstraints[%d]: %w", i, err)
		}
		if constraint.LabelSelector == nil { // which would be about no pod at all
			constraint.WithLabelSelector(selector())
		}
		pod.WithTopologySpreadConstraints(constraint)
	}
	if len(flusher.TopologySpreadConstraints) == 0 {
		// Flushers of an earlier template are on their way out and do not count.
		pod.WithTopologySpreadConstraints(corev1ac.TopologySpreadConstraint().
			WithTopologyKey(corev1.LabelHostname).
			WithMaxSkew(1).
			WithWhenUnsatisfiable(corev1.ScheduleAnyway).
			WithLabelSelector(selector()).
			WithMatchLabelKeys(appsv1.DefaultDeploymentUniqueLabelKey))
	}
	return nil
}

// configurationOf is a part of the spec as what is applied. It is a copy, and has
// a field only where the spec has it.
func configurationOf[T any](part any) (*T, error) {
	text, err := json.Marshal(part)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	into := new(T)
	if err := json.Unmarshal(text, into); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return into, nil
}
