// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
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
	if err := unpack(trimmed.(*corev1.Service)); err != nil {
		t.Fatal(err)
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
	pod.Status.HostIP, pod.Status.QOSClass, pod.Annotations = "10.0.0.2", "Burstable", map[string]string{"of": "others"}
	want.Spec = corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "flusher", Image: "operator:1"}, {Name: "sidecar", Image: "sidecar:1"}}}
	if trimmed, err := trim(pod); err != nil || !equality.Semantic.DeepEqual(trimmed, want) {
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
	if CacheOptions().DefaultTransform == nil || CacheOptions().NewInformer == nil {
		t.Error("nothing is trimmed, or only after all of it was read")
	}
}

// large is an object of somebody who labelled it as the operator's.
func large[T client.Object](object T, bytes int) T {
	object.SetName("large")
	object.SetUID("of-large")
	object.SetResourceVersion("7")
	object.SetLabels(map[string]string{resources.LabelManagedBy: resources.ManagedBy, v1alpha1.LabelOwnerUID: "owner", "other": strings.Repeat("l", 63)})
	object.SetAnnotations(map[string]string{v1alpha1.AnnotationInForce: strings.Repeat("a", bytes), "of": "others"})
	object.SetManagedFields([]metav1.ManagedFieldsEntry{{
		Manager: string(resources.FieldOwner), Operation: metav1.ManagedFieldsOperationApply,
		FieldsV1: metav1.NewFieldsV1(`{"f:data":{"` + strings.Repeat("f", bytes) + `":{}}}`),
	}})
	return object
}

// TestTheCacheKeepsNoPayloads: whoever may create ConfigMaps in one namespace could fill the
// operator's memory otherwise. What of an object is too large is read again, whole.
func TestTheCacheKeepsNoPayloads(t *testing.T) {
	const bytes = 200 << 10
	payload := large(&corev1.ConfigMap{
		Data:       map[string]string{resources.ConfigFile: strings.Repeat("x", bytes), "other": strings.Repeat("y", bytes)},
		BinaryData: map[string][]byte{"binary": make([]byte, bytes)},
	}, bytes)
	small := payload.DeepCopy()
	small.Annotations, small.ManagedFields = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": strings.Repeat("k", bytes)}, nil
	for name, object := range map[string]client.Object{
		"a ConfigMap":             small,
		"a ConfigMap all over":    payload,
		"a Service":               large(&corev1.Service{}, bytes),
		"a Deployment":            large(&appsv1.Deployment{}, bytes),
		"a StatefulSet":           large(&appsv1.StatefulSet{}, bytes),
		"a PersistentVolumeClaim": large(&corev1.PersistentVolumeClaim{}, bytes),
		"a NetworkPolicy":         large(&networkingv1.NetworkPolicy{}, bytes),
		"a PodDisruptionBudget":   large(&policyv1.PodDisruptionBudget{}, bytes),
		"a Pod":                   large(&corev1.Pod{}, bytes),
	} {
		whole := object.DeepCopyObject().(client.Object)
		once, err := trim(object)
		if err != nil {
			t.Fatal(err)
		}
		kept := once.(client.Object)
		size := kept.(interface{ Size() int }).Size()
		if size > 1<<10 {
			t.Errorf("of %s stay %d bytes", name, size)
		}
		if kept.GetName() != "large" || kept.GetUID() != "of-large" || kept.GetResourceVersion() != "7" || kept.GetLabels()[v1alpha1.LabelOwnerUID] != "owner" {
			t.Errorf("of %s nobody knows what it is: %+v", name, kept)
		}
		if isSkeleton(kept) != (object != small) {
			t.Errorf("%s counts as whole, or is read again for nothing: %+v", name, kept.GetAnnotations())
		}
		if twice, err := trim(kept.DeepCopyObject()); err != nil || !equality.Semantic.DeepEqual(twice, once) {
			t.Errorf("trimmed again %s is another: %+v, %v", name, twice, err)
		}
		if isSkeleton(whole) {
			t.Errorf("%s as it came is a skeleton", name)
		}
	}
}

// TestAChangedTextIsNoticedByItsDigest, as by itself.
func TestAChangedTextIsNoticedByItsDigest(t *testing.T) {
	cache := &v1alpha1.WriteBehindCache{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop", UID: "owner"}}
	cache.Spec.Redis.Managed = &v1alpha1.ManagedRedis{}
	intent := resources.RedisConfigMap(cache)
	live := func(edit func(map[string]string)) *corev1.ConfigMap {
		data := maps.Clone(intent.Data)
		edit(data)
		record := `{"f:data":{"f:` + strings.Join(slices.Sorted(maps.Keys(intent.Data)), `":{},"f:`) + `":{}},"f:metadata":{"f:labels":{"f:x":{}}}}`
		labels, err := json.Marshal(intent.Labels)
		if err != nil {
			t.Fatal(err)
		}
		owned := map[string]any{}
		if err := json.Unmarshal(labels, &owned); err != nil {
			t.Fatal(err)
		}
		fields := map[string]any{}
		for name := range owned {
			fields["f:"+name] = map[string]any{}
		}
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		record = strings.Replace(record, `{"f:x":{}}`, string(text), 1)
		return &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Labels: intent.Labels, ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: string(resources.FieldOwner), Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(record),
			}}},
			Data: data,
		}
	}
	for name, c := range map[string]struct {
		edit func(map[string]string)
		want bool
	}{
		"as it was applied": {func(map[string]string) {}, false},
		"with one more":     {func(data map[string]string) { data["more"] = "of others" }, false},
		"edited": {func(data map[string]string) {
			for key := range data {
				data[key] += "\n"
			}
		}, true},
		"emptied": {func(data map[string]string) { clear(data) }, true},
		"a digest for text": {func(data map[string]string) {
			for key, text := range data {
				data[key] = resources.Hash(text)
			}
		}, true},
	} {
		for _, trimmed := range []bool{false, true} {
			object := live(c.edit)
			if trimmed {
				if _, err := trim(object); err != nil {
					t.Fatal(err)
				}
			}
			if differ, err := differs(intent, object, string(resources.FieldOwner)); err != nil || differ != c.want {
				t.Errorf("%s, trimmed %t: differs is %t, %v", name, trimmed, differ, err)
			}
		}
	}
}

// TestEqualRecordsAreKeptOnce: they are most of what an object takes in the cache.
func TestEqualRecordsAreKeptOnce(t *testing.T) {
	record := func(text string) *metav1.FieldsV1 {
		object := &corev1.Service{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{
			Manager: string(resources.FieldOwner), Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(text),
		}}}}
		if _, err := trim(object); err != nil {
			t.Fatal(err)
		}
		return object.ManagedFields[0].FieldsV1
	}
	first := record(`{"f:spec":{}}`)
	if record(`{"f:spec":{}}`) != first || record(`{"f:data":{}}`) == first {
		t.Error("each object has a record of its own, or all have one")
	}
	huge := strings.Repeat("x", mostShape+1)
	if one, other := record(huge), record(huge); one == other {
		t.Error("a huge record is remembered")
	}
}
