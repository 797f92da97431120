// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// Owns reports whether an object of a needed name was made for this resource. The
// label says so. Where somebody removed the label, the API server's own record of
// the fields that the operator applied says so, and the next apply restores it.
func (s *Snapshot) Owns(object client.Object) bool {
	if owner := object.GetLabels()[v1alpha1.LabelOwnerUID]; owner != "" {
		return owner == string(s.Cache.UID)
	}
	// What is as young as this resource cannot be of an earlier one.
	created := object.GetCreationTimestamp()
	if created.Before(&s.Cache.CreationTimestamp) {
		return false
	}
	if _, isVolume := object.(*corev1.PersistentVolumeClaim); isVolume {
		// The controller of StatefulSets makes it, and uses whichever has the name.
		return s.Redis.StatefulSet != nil && !created.Before(&s.Redis.StatefulSet.CreationTimestamp)
	}
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == string(resources.FieldOwner) && entry.Operation == metav1.ManagedFieldsOperationApply {
			return true
		}
	}
	return false
}
