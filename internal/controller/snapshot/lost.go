// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LostRedis is the Pod of a managed Redis that is being deleted and whose end nobody reports,
// long after its grace period, as on a node that is lost; nil when there is none. left is when
// one that is ending counts as such, zero for never. A Pod that the StatefulSet does not control
// keeps nothing from it, and neither does one of another name, whatever owner it was given by
// whoever made it. One whose end was reported waits for a finalizer of somebody.
func (s *Snapshot) LostRedis() (lost *corev1.Pod, left time.Duration) {
	set := s.Redis.StatefulSet
	for i := range s.Redis.Terminating {
		pod := &s.Redis.Terminating[i]
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if set == nil || !metav1.IsControlledBy(pod, set) || pod.Name != set.Name+"-0" || pod.Spec.NodeName == "" || ended {
			continue
		}
		if left = pod.DeletionTimestamp.Add(s.Redis.LostAfter).Sub(s.Now); left <= 0 {
			return pod, 0
		}
	}
	return nil, left
}
