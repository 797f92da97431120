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

// placement is where the Pods of one component may and should run.
type placement struct {
	// component is whose Pods they are, and field the part of the spec that says it.
	component, field string
	nodeSelector     map[string]v1alpha1.LabelValue
	tolerations      []corev1.Toleration
	affinity         *corev1.Affinity
	spread           []corev1.TopologySpreadConstraint
	priorityClass    string
}

// placeFlushers sets where the flushers may and should run.
func placeFlushers(cache *v1alpha1.WriteBehindCache, pod *corev1ac.PodSpecApplyConfiguration) error {
	flusher := &cache.Spec.Flusher
	if err := place(cache, pod, placement{
		component: ComponentFlusher, field: "spec.flusher", nodeSelector: flusher.NodeSelector, tolerations: flusher.Tolerations,
		affinity: flusher.Affinity, spread: flusher.TopologySpreadConstraints, priorityClass: flusher.PriorityClassName,
	}); err != nil {
		return err
	}
	if len(flusher.TopologySpreadConstraints) == 0 {
		// Flushers of an earlier template are on their way out and do not count.
		pod.WithTopologySpreadConstraints(corev1ac.TopologySpreadConstraint().
			WithTopologyKey(corev1.LabelHostname).
			WithMaxSkew(1).
			WithWhenUnsatisfiable(corev1.ScheduleAnyway).
			WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(cache, ComponentFlusher))).
			WithMatchLabelKeys(appsv1.DefaultDeploymentUniqueLabelKey))
	}
	return nil
}

// placeRedis sets where a managed Redis may and should run, and what its image is pulled with.
func placeRedis(cache *v1alpha1.WriteBehindCache, pod *corev1ac.PodSpecApplyConfiguration) error {
	redis := &cache.Spec.Redis.Managed.RedisPlacement
	for _, secret := range redis.ImagePullSecrets {
		pod.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(secret.Name))
	}
	return place(cache, pod, placement{
		component: ComponentRedis, field: "spec.redis.managed", nodeSelector: redis.NodeSelector, tolerations: redis.Tolerations,
		affinity: redis.Affinity, spread: redis.TopologySpreadConstraints, priorityClass: redis.PriorityClassName,
	})
}

func place(cache *v1alpha1.WriteBehindCache, pod *corev1ac.PodSpecApplyConfiguration, p placement) error {
	for name, value := range p.nodeSelector {
		pod.WithNodeSelector(map[string]string{name: string(value)})
	}
	if p.priorityClass != "" {
		pod.WithPriorityClassName(p.priorityClass)
	}
	for i := range p.tolerations {
		toleration, err := configurationOf[corev1ac.TolerationApplyConfiguration](&p.tolerations[i])
		if err != nil {
			return fmt.Errorf("%s.tolerations[%d]: %w", p.field, i, err)
		}
		pod.WithTolerations(toleration)
	}
	if p.affinity != nil {
		affinity, err := configurationOf[corev1ac.AffinityApplyConfiguration](p.affinity)
		if err != nil {
			return fmt.Errorf("%s.affinity: %w", p.field, err)
		}
		pod.WithAffinity(affinity)
	}
	for i := range p.spread {
		constraint, err := configurationOf[corev1ac.TopologySpreadConstraintApplyConfiguration](&p.spread[i])
		if err != nil {
			return fmt.Errorf("%s.topologySpreadConstraints[%d]: %w", p.field, i, err)
		}
		if constraint.LabelSelector == nil { // which would be about no pod at all
			constraint.WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(cache, p.component)))
		}
		pod.WithTopologySpreadConstraints(constraint)
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
