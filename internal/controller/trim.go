// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// trim keeps of an object, before the cache takes it, what a pass reads. The API
// server's record of who owns which field is often larger than the object itself,
// and all that is read of it is what the operator applied. Of a Pod's spec only the
// images are read. Nothing that comes from the cache is written back as a whole.
func trim(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return object, nil //nolint:nilerr // no object but the mark of one that is gone: it stays as it is
	}
	var own []metav1.ManagedFieldsEntry
	for _, entry := range accessor.GetManagedFields() {
		if entry.Manager == string(FieldOwner) && entry.Operation == metav1.ManagedFieldsOperationApply {
			own = append(own, entry)
		}
	}
	accessor.SetManagedFields(own)
	if pod, ok := object.(*corev1.Pod); ok {
		containers := make([]corev1.Container, len(pod.Spec.Containers))
		for i := range containers {
			containers[i] = corev1.Container{Name: pod.Spec.Containers[i].Name, Image: pod.Spec.Containers[i].Image}
		}
		pod.Spec = corev1.PodSpec{Containers: containers}
	}
	return object, nil
}
