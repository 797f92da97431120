// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/internal/controller/resources"
)

// trim reduces an object, before the cache stores it, to what a pass reads. Of the API
// server's record of owned fields, which is often larger than the object, a pass reads only
// the operator's own. Of a Pod's spec it reads only the images and the node. The operator never writes an
// object from the cache back as a whole.
func trim(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return object, nil //nolint:nilerr // no object but the mark of one that is gone: it stays as it is
	}
	var own []metav1.ManagedFieldsEntry
	for _, entry := range accessor.GetManagedFields() {
		if entry.Manager == string(resources.FieldOwner) && entry.Operation == metav1.ManagedFieldsOperationApply {
			own = append(own, entry)
		}
	}
	accessor.SetManagedFields(own)
	if pod, ok := object.(*corev1.Pod); ok {
		containers := make([]corev1.Container, len(pod.Spec.Containers))
		for i := range containers {
			containers[i] = corev1.Container{Name: pod.Spec.Containers[i].Name, Image: pod.Spec.Containers[i].Image}
		}
		pod.Spec = corev1.PodSpec{Containers: containers, NodeName: pod.Spec.NodeName}
	}
	return object, nil
}
