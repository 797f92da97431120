// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// SettingsPod annotates a running pod with the hash of the present settings: a flusher's config
// file, or the rights of the users of a managed Redis. The kubelet
// syncs a mounted ConfigMap about once a minute, but at once when the pod changes.
// The UID keeps the request from making a pod that has gone meanwhile.
func SettingsPod(pod *corev1.Pod, settingsHash string) *corev1ac.PodApplyConfiguration {
	return corev1ac.Pod(pod.Name, pod.Namespace).
		WithUID(pod.UID).
		WithAnnotations(map[string]string{v1alpha1.AnnotationSettingsHash: settingsHash})
}
