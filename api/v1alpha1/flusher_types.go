// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// Flusher describes the flusher pods. Every field but replicas rolls them when it
// changes, and nothing else.
type Flusher struct {
	// replicas is the number of flushers, which share the partitions. More flushers
	// than partitions have no effect. 0 to 256, defaults to 1. The scale subresource
	// writes this field. With 2 or more, the drain of a node takes one flusher at a
	// time, and the others go on.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=256
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// image is the flusher's container image. If unset, the operator's default
	// flusher image is used, so that both are of one version.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:space:][:cntrl:]]')",message="image must not contain white space or control characters"
	// +optional
	Image string `json:"image,omitempty"`

	// resources of the flusher's container. If unset, 100m of CPU and 64Mi of
	// memory are requested, and the limit is 512Mi of memory.
	// +optional
	Resources Resources `json:"resources,omitzero"`

	// nodeSelector has the labels of the nodes that may run flushers. At most 32
	// of them.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && key.indexOf('/') <= 253)",message="a label's name is 1 to 63 letters, digits, '-', '_' and '.', and begins and ends with a letter or digit; a DNS name and '/' may precede it"
	// +mapType=atomic
	// +optional
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`

	// tolerations let flushers run on nodes with these taints. At most 32 of them.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.operator) || t.operator in ['', 'Equal', 'Exists', 'Gt', 'Lt'])",message="operator must be Equal or Exists, or Gt or Lt where the cluster knows them"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.effect) || t.effect in ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute'])",message="effect must be NoSchedule, PreferNoSchedule or NoExecute"
	// +kubebuilder:validation:XValidation:rule="self.all(t, has(t.key) && t.key != '' || has(t.operator) && t.operator == 'Exists')",message="a toleration without a key is for every taint: give it operator Exists, or a key"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.operator) || t.operator != 'Exists' || !has(t.value) || t.value == '')",message="a toleration with operator Exists takes no value"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.tolerationSeconds) || has(t.effect) && t.effect == 'NoExecute')",message="tolerationSeconds is for effect NoExecute only"
	// +listType=atomic
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity schedules the flushers by nodes and by other pods, as in the spec of a
	// pod.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints spread the flushers. A constraint without a
	// labelSelector selects the flushers of this resource. If unset, flushers are
	// spread over nodes as evenly as possible: topologyKey kubernetes.io/hostname,
	// maxSkew 1, whenUnsatisfiable ScheduleAnyway. At most 16 of them.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.maxSkew >= 1)",message="maxSkew must be at least 1"
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.whenUnsatisfiable in ['DoNotSchedule', 'ScheduleAnyway'])",message="whenUnsatisfiable must be DoNotSchedule or ScheduleAnyway"
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.topologyKey != '')",message="topologyKey must name a label of nodes, such as kubernetes.io/hostname or topology.kubernetes.io/zone"
	// +listType=map
	// +listMapKey=topologyKey
	// +listMapKey=whenUnsatisfiable
	// +optional
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// priorityClassName is the flushers' PriorityClass. If unset, they have the
	// cluster's default priority.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="priorityClassName must be the name of a PriorityClass: lower case letters, digits, - and ., beginning and ending with a letter or digit"
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// terminationGracePeriodSeconds is how long a flusher's Pod may take to end, in seconds,
	// before it is killed. It goes on flushing for all but the last 15 s of that, or for half of
	// it where that is more; then it rolls back what is in flight and gives its partitions back.
	// 10 to 3600, defaults to 60.
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=3600
	// +optional
	TerminationGracePeriodSeconds int32 `json:"terminationGracePeriodSeconds,omitempty"`
}
