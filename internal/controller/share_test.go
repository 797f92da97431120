// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"reflect"
	"strings"
	"sync"
	"testing"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// TestEqualMetadataIsKeptOnce: a resource has nine objects with the same labels and owner.
func TestEqualMetadataIsKeptOnce(t *testing.T) {
	made := func(uid string) *corev1.Service {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
			Labels:          map[string]string{resources.LabelManagedBy: resources.ManagedBy, v1alpha1.LabelOwnerUID: strings.Clone(uid)},
			OwnerReferences: []metav1.OwnerReference{{Kind: "WriteBehindCache", UID: "u"}},
			Annotations:     map[string]string{v1alpha1.AnnotationInForce: strings.Clone("settings")},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: string(resources.FieldOwner), Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`),
				Time: &metav1.Time{},
			}},
		}}
		if _, err := trim(service); err != nil {
			t.Fatal(err)
		}
		return service
	}
	first, second, other := made("owner"), made("owner"), made("other")
	same := func(a, b any) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }
	if !same(first.Labels, second.Labels) || same(first.Labels, other.Labels) || other.Labels[v1alpha1.LabelOwnerUID] != "other" {
		t.Errorf("the labels are %v, %v and %v", first.Labels, second.Labels, other.Labels)
	}
	if !same(first.OwnerReferences, other.OwnerReferences) || !same(first.ManagedFields, other.ManagedFields) {
		t.Error("each object has owners or records of its own")
	}
	text := func(of *corev1.Service) *byte { return unsafe.StringData(of.Annotations[v1alpha1.AnnotationInForce]) }
	if text(first) != text(other) {
		t.Error("each object has a text of its own")
	}
}

// TestWhatIsSharedIsBounded: objects of somebody who means ill are all different, and large.
func TestWhatIsSharedIsBounded(t *testing.T) {
	few := shared[string]{most: 10}
	for i := range uint64(35) {
		few.of(i, "x")
	}
	if n := len(few.known); n > few.most {
		t.Errorf("%d values are remembered", n)
	}
	if got := few.of(34, "of the same hash"); got != "of the same hash" {
		t.Errorf("a value is taken for another: %s", got)
	}
	large := map[string]string{"l": strings.Repeat("l", mostTexts)}
	for _, known := range labelSets.known {
		if len(known["l"]) > 0 {
			t.Fatal("such labels are there already")
		}
	}
	sharedLabels(large)
	for _, known := range labelSets.known {
		if len(known["l"]) > 0 {
			t.Error("large labels are remembered")
		}
	}
}

// What is shared is read while an object is trimmed again that has it: the race detector sees
// whether anything is written then.
func TestWhatIsSharedIsNotWrittenAgain(t *testing.T) {
	pod := func() *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: "pod", Namespace: "shop", Labels: map[string]string{"a": "b"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "read", UID: "read-again"}},
		}}
	}
	read, trimmed := pod(), pod()
	for _, one := range []*corev1.Pod{read, trimmed} {
		if _, err := trim(one); err != nil {
			t.Fatal(err)
		}
	}
	var reader sync.WaitGroup
	reader.Go(func() { _ = read.DeepCopy() })
	if _, err := trim(trimmed); err != nil {
		t.Fatal(err)
	}
	reader.Wait()
}
