// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// RedisVolume gives the claim of the managed Redis its size and its labels. A
// StatefulSet's template cannot change, so the claim itself is changed. The UID keeps the request from
// making a claim that has gone meanwhile.
func RedisVolume(cache *v1alpha1.WriteBehindCache, claim *corev1.PersistentVolumeClaim, size resource.Quantity) *corev1ac.PersistentVolumeClaimApplyConfiguration {
	return corev1ac.PersistentVolumeClaim(claim.Name, claim.Namespace).
		WithUID(claim.UID).
		WithLabels(Labels(cache, ComponentRedis)).
		WithSpec(corev1ac.PersistentVolumeClaimSpec().
			WithResources(storageRequest(size)))
}

func storageRequest(size resource.Quantity) *corev1ac.VolumeResourceRequirementsApplyConfiguration {
	return corev1ac.VolumeResourceRequirements().WithRequests(corev1.ResourceList{corev1.ResourceStorage: size})
}
