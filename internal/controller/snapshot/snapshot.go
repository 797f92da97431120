// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package snapshot has the objects that one pass has read, and what follows from them alone.
package snapshot

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/rivals"
)

// Snapshot is what one pass read. Once it is read nothing changes it. An object that
// is not there, or that another owner has, is nil.
type Snapshot struct {
	// Now is when the pass began.
	Now time.Time
	// Cache is the resource, with the status that an earlier pass wrote.
	Cache *v1alpha1.WriteBehindCache
	// Release names the release of the operator, empty where nobody gave it.
	Release string

	Flushers Flushers
	Redis    Redis

	// Unwanted are the operator's own objects that the spec no longer asks for.
	Unwanted []client.Object
	// Foreign names the objects of needed names that belong to others.
	Foreign []string
	// RetainedBy is the UID of an earlier resource that left its Redis behind, empty
	// when none did.
	RetainedBy string
	// RetainedWithoutUsers means that the Redis is from before there were users beside default.
	RetainedWithoutUsers bool
	// Going names the objects of needed names that belong to others and are being
	// deleted.
	Going []string

	// Seen is the flushers' last reports.
	Seen observe.Observation
	// Rivals has, by mapping, the queue of another resource that it gives way to.
	Rivals map[string]*rivals.Rival
}

// Flushers are the objects of the flushers.
type Flushers struct {
	ConfigMap  *corev1.ConfigMap
	Service    *corev1.Service
	Deployment *appsv1.Deployment
	Budget     *policyv1.PodDisruptionBudget
	Policy     *networkingv1.NetworkPolicy

	// Pods are those that are neither done nor being deleted, by name.
	Pods []corev1.Pod
	// Terminating are those that are being deleted, by name.
	Terminating []corev1.Pod
	// Started reports that a container of any of their Pods runs or ever ran.
	Started bool
}

// Redis are the objects of a managed Redis.
type Redis struct {
	ConfigMap *corev1.ConfigMap
	// Users holds the rights of its users.
	Users       *corev1.ConfigMap
	Service     *corev1.Service
	StatefulSet *appsv1.StatefulSet
	Volume      *corev1.PersistentVolumeClaim
	Policy      *networkingv1.NetworkPolicy

	// Pods are those that are neither done nor being deleted, by name.
	Pods []corev1.Pod
	// Terminating are those that are being deleted, by name.
	Terminating []corev1.Pod
	// LostAfter is how long after its grace period one of them counts as one of a lost node.
	LostAfter time.Duration
}

// Managed reports whether the operator runs the resource's Redis.
func (s *Snapshot) Managed() bool { return s.Cache.Spec.Redis.Managed != nil }

// Deleting reports whether the resource is being deleted.
func (s *Snapshot) Deleting() bool { return !s.Cache.DeletionTimestamp.IsZero() }

// InSpec reports whether the spec has a mapping of the name.
func (s *Snapshot) InSpec(name string) bool {
	return slices.ContainsFunc(s.Cache.Spec.Mappings, func(m v1alpha1.Mapping) bool { return m.Name == name })
}

// WithoutRivals is the resource without the mappings whose queues others have.
func (s *Snapshot) WithoutRivals() *v1alpha1.WriteBehindCache {
	if len(s.Rivals) == 0 {
		return s.Cache
	}
	without := s.Cache.DeepCopy()
	without.Spec.Mappings = slices.DeleteFunc(without.Spec.Mappings, func(m v1alpha1.Mapping) bool { return s.Rivals[m.Name] != nil })
	return without
}
