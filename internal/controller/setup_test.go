// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// ownedBy makes a Pod one of a Deployment.
func ownedBy(pod *corev1.Pod, deployment string) {
	const hash = "6c8f7d9b5"
	pod.Labels = maps.Clone(pod.Labels)
	metav1.SetMetaDataLabel(&pod.ObjectMeta, appsv1.DefaultDeploymentUniqueLabelKey, hash)
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "ReplicaSet", Name: deployment + "-" + hash, UID: "of-the-replica-set", Controller: new(true),
	}}
}

// Nobody else's Pods are asked, and none that cannot answer.
func TestOnlyAResourcesOwnFlushersAreAsked(t *testing.T) {
	pod := func(name, namespace, uid, component string, edits ...func(*corev1.Pod)) client.Object {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{
				v1alpha1.LabelOwnerUID: uid, resources.LabelComponent: component,
			}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"},
		}
		ownedBy(p, "shop-flusher")
		for _, edit := range edits {
			edit(p)
		}
		return p
	}
	pods := fake.NewClientBuilder().WithIndex(&corev1.Pod{}, indexOwner, indexedOwner).WithObjects(
		pod("own", "ns", "a", resources.ComponentFlusher),
		pod("redis", "ns", "a", resources.ComponentRedis),
		pod("another", "ns", "b", resources.ComponentFlusher),
		pod("elsewhere", "other", "a", resources.ComponentFlusher),
		pod("forged", "ns", "a", resources.ComponentFlusher, func(p *corev1.Pod) { p.OwnerReferences = nil }),
		pod("of-a-job", "ns", "a", resources.ComponentFlusher, func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "Job" }),
		pod("of-a-group", "ns", "a", resources.ComponentFlusher, func(p *corev1.Pod) { p.OwnerReferences[0].APIVersion = "mine/v1" }),
		pod("of-nobody", "ns", "a", resources.ComponentFlusher, func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil }),
		pod("of-others", "ns", "a", resources.ComponentFlusher, func(p *corev1.Pod) { ownedBy(p, "other") }),
		pod("of-no-template", "ns", "a", resources.ComponentFlusher, func(p *corev1.Pod) {
			delete(p.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
			p.OwnerReferences[0].Name = "shop-flusher-"
		}),
		pod("unlabelled", "ns", "", resources.ComponentFlusher),
		pod("waiting", "ns", "a", resources.ComponentFlusher, func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }),
		pod("nowhere", "ns", "a", resources.ComponentFlusher, func(p *corev1.Pod) { p.Status.PodIP = "" }),
		pod("going", "ns", "a", resources.ComponentFlusher, func(p *corev1.Pod) {
			p.DeletionTimestamp, p.Finalizers = new(metav1.Now()), []string{"test/stays"}
		}),
	).Build()
	found, err := podLister(pods)(t.Context(), types.NamespacedName{Namespace: "ns", Name: "shop"}, "a")
	if err != nil || len(found) != 1 || found[0].Name != "own" {
		t.Errorf("asked are %+v, %v", found, err)
	}
}
