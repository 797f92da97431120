// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"reflect"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

const (
	// mostKept is how large an object may be in the cache, in bytes: over what a resource's
	// own objects take, and so little that a thousand objects of somebody who means ill are
	// no harm. Of a larger one only the skeleton stays, and a pass reads it whole.
	mostKept = 32 << 10
	// skeletonMark is an annotation of what is a skeleton, and digestSuffix ends the key of a
	// ConfigMap's value that is a digest. The API server stores nothing of such a name.
	skeletonMark = "//skeleton"
	digestSuffix = "/digest"
	// ownAnnotations begins the names of all annotations that a pass reads.
	ownAnnotations = "cache.writebehind.dev/"
)

// trim reduces an object, before the cache stores it, to what a pass reads. Whoever may
// create ConfigMaps in one namespace may label them as the operator's, and must not fill its
// memory by that. The operator never writes an object from the cache back as a whole. What
// was trimmed before stays as it is: the client demands that.
func trim(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return object, nil //nolint:nilerr // no object but the mark of one that is gone: it stays as it is
	}
	for _, mark := range []string{skeletonMark, packedMark} {
		if _, trimmed := accessor.GetAnnotations()[mark]; trimmed {
			return object, nil
		}
	}
	trimMetadata(accessor)
	switch o := object.(type) {
	case *corev1.Pod:
		trimPod(o)
	case *corev1.ConfigMap:
		trimConfigMap(o)
	case *corev1.PersistentVolumeClaim:
		o.Status = corev1.PersistentVolumeClaimStatus{}
	case *corev1.Service:
		o.Status = corev1.ServiceStatus{}
	case *policyv1.PodDisruptionBudget:
		o.Status = policyv1.PodDisruptionBudgetStatus{}
	case *v1alpha1.WriteBehindCache:
		shareStatus(o)
	}
	if sized, ok := object.(interface{ Size() int }); ok && sized.Size() > mostKept {
		return skeleton(object, accessor), nil
	}
	if whole, ok := object.(client.Object); ok {
		return object, pack(whole)
	}
	return object, nil
}

// trimMetadata keeps the operator's annotations, and of the API server's record of owned
// fields, which is often larger than the object, the operator's own.
func trimMetadata(object metav1.Object) {
	var own []metav1.ManagedFieldsEntry
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == string(resources.FieldOwner) && entry.Operation == metav1.ManagedFieldsOperationApply {
			if _, timed := object.(*appsv1.StatefulSet); !timed {
				entry.Time = nil // which only turns read, of StatefulSets
			}
			own = append(own, entry)
		}
	}
	object.SetManagedFields(sharedEntries(own))
	object.SetLabels(sharedLabels(object.GetLabels()))
	object.SetOwnerReferences(sharedOwners(object.GetOwnerReferences()))
	object.SetNamespace(text(object.GetNamespace()))
	annotations := object.GetAnnotations()
	maps.DeleteFunc(annotations, func(name, _ string) bool { return !strings.HasPrefix(name, ownAnnotations) })
	object.SetAnnotations(withSharedTexts(annotations))
}

// trimPod keeps the images, where the Pod is, and how it does.
func trimPod(pod *corev1.Pod) {
	containers := make([]corev1.Container, len(pod.Spec.Containers))
	for i := range containers {
		containers[i] = corev1.Container{Name: pod.Spec.Containers[i].Name, Image: pod.Spec.Containers[i].Image}
	}
	pod.Spec = corev1.PodSpec{Containers: containers, NodeName: pod.Spec.NodeName}
	statuses := make([]corev1.ContainerStatus, len(pod.Status.ContainerStatuses))
	for i := range statuses {
		s := &pod.Status.ContainerStatuses[i]
		statuses[i] = corev1.ContainerStatus{
			Name: s.Name, Image: s.Image, Ready: s.Ready, Started: s.Started, RestartCount: s.RestartCount,
			State: s.State, LastTerminationState: s.LastTerminationState,
		}
	}
	pod.Status = corev1.PodStatus{
		Phase: pod.Status.Phase, PodIP: pod.Status.PodIP, Reason: pod.Status.Reason, Message: pod.Status.Message,
		StartTime: pod.Status.StartTime, Conditions: pod.Status.Conditions, ContainerStatuses: statuses,
	}
}

// trimConfigMap keeps digests of the values that the operator writes, by which a change is
// noticed, and no other value.
func trimConfigMap(o *corev1.ConfigMap) {
	kept := map[string]string{}
	for _, name := range resources.ConfigMapKeys() {
		if digest, ok := digestOf(o.Data, name); ok {
			kept[name+digestSuffix] = digest
		}
	}
	o.Data, o.BinaryData = kept, nil
}

// digestOf is the digest of a ConfigMap's value, whether the value or its digest is there.
func digestOf(data map[string]string, name string) (digest string, ok bool) {
	if digest, ok = data[name+digestSuffix]; ok {
		return digest, true
	}
	text, ok := data[name]
	return resources.Hash(text), ok
}

// skeleton is what identifies an object, and says whose it is.
func skeleton(object any, whole metav1.Object) any {
	bare, ok := reflect.TypeAssert[client.Object](reflect.New(reflect.TypeOf(object).Elem()))
	if !ok {
		return object
	}
	labels := map[string]string{}
	for _, name := range []string{resources.LabelManagedBy, resources.LabelComponent, resources.LabelInstance, v1alpha1.LabelOwnerUID} {
		if value, ok := whole.GetLabels()[name]; ok {
			labels[name] = value
		}
	}
	bare.SetNamespace(whole.GetNamespace())
	bare.SetName(whole.GetName())
	bare.SetUID(whole.GetUID())
	bare.SetResourceVersion(whole.GetResourceVersion())
	bare.SetGeneration(whole.GetGeneration())
	bare.SetCreationTimestamp(whole.GetCreationTimestamp())
	bare.SetDeletionTimestamp(whole.GetDeletionTimestamp())
	bare.SetLabels(labels)
	bare.SetAnnotations(map[string]string{skeletonMark: "true"})
	return bare
}

// isSkeleton reports whether the cache kept only the skeleton of an object.
func isSkeleton(object client.Object) bool {
	_, is := object.GetAnnotations()[skeletonMark]
	return is
}
