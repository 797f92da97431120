// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/writebehind/operator/internal/controller/resources"
)

// What stays is enough for every question that is asked of an object from the
// cache.
func TestTheCacheKeepsWhatAPassReads(t *testing.T) {
	live := liveService()
	own := live.ManagedFields[0]
	own.Manager = string(resources.FieldOwner)
	live.ManagedFields = []metav1.ManagedFieldsEntry{
		{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply},
		own,
		{Manager: string(resources.FieldOwner), Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "status"},
	}
	trimmed, err := trim(live)
	if err != nil {
		t.Fatal(err)
	}
	if got := trimmed.(*corev1.Service).ManagedFields; len(got) != 1 || !reflect.DeepEqual(got[0], own) {
		t.Errorf("the record of owned fields is %v", got)
	}
	if differ, err := differs(serviceIntent(), trimmed.(*corev1.Service), string(resources.FieldOwner)); err != nil || differ {
		t.Errorf("what was applied differs: %v, %v", differ, err)
	}

	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"app": "shop"}},
		Spec: corev1.PodSpec{
			NodeName:   "node",
			Containers: []corev1.Container{{Name: "flusher", Image: "operator:1", Args: []string{"--config"}}, {Name: "sidecar", Image: "sidecar:1"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"},
	}
	want := pod.DeepCopy()
	want.Spec = corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "flusher", Image: "operator:1"}, {Name: "sidecar", Image: "sidecar:1"}}}
	if trimmed, err := trim(pod); err != nil || !reflect.DeepEqual(trimmed, want) {
		t.Errorf("of a Pod stays %+v, %v", trimmed, err)
	}

	gone := toolscache.DeletedFinalStateUnknown{Key: "ns/shop"}
	if trimmed, err := trim(gone); err != nil || !reflect.DeepEqual(trimmed, gone) {
		t.Errorf("of the mark of an object that is gone stays %+v, %v", trimmed, err)
	}
	for kind := range CacheOptions().ByObject {
		if CacheOptions().ByObject[kind].Transform != nil {
			t.Errorf("%T is trimmed in another way", kind)
		}
	}
	if CacheOptions().DefaultTransform == nil {
		t.Error("nothing is trimmed")
	}
}
