// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// Started reports whether a container of the Pod runs or ever ran.
func Started(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodRunning {
		return true
	}
	for i := range pod.Status.ContainerStatuses {
		c := &pod.Status.ContainerStatuses[i]
		if c.State.Running != nil || c.State.Terminated != nil || c.LastTerminationState.Terminated != nil || c.RestartCount > 0 {
			return true
		}
	}
	return false
}

// EverStarted reports whether a flusher runs or ever ran: by the Pods, by what their
// Deployment says of them, and by what was recorded while there were any.
func (s *Snapshot) EverStarted() bool {
	f := &s.Flushers
	if f.Started || f.Deployment != nil && (f.Deployment.Status.ReadyReplicas > 0 || f.Deployment.Status.AvailableReplicas > 0) {
		return true
	}
	return f.ConfigMap != nil && f.ConfigMap.Annotations[v1alpha1.AnnotationStarted] == "true"
}
