// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
)

// TestTheCachePacksSpecsAndAPassHasThemWhole: a field that got lost would be applied again and
// again.
func TestTheCachePacksSpecsAndAPassHasThemWhole(t *testing.T) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"owner": "u"}}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: selector.MatchLabels, Annotations: map[string]string{v1alpha1.AnnotationConfigHash: "h"}},
		Spec: corev1.PodSpec{
			Volumes: []corev1.Volume{{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}}},
			Containers: []corev1.Container{{Name: "flusher", Args: []string{strings.Repeat("x", 100)}, Resources: corev1.ResourceRequirements{
				Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
			}}},
		},
	}
	one := intstr.FromInt32(1)
	for _, object := range []client.Object{
		&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: new(int32(3)), Paused: true, Selector: selector, Template: template}},
		&appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: new(int32(1)), Selector: selector, Template: template, VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{}}}},
		&corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "v", Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
		}}},
		&corev1.Service{Spec: corev1.ServiceSpec{ClusterIP: "10.0.0.1", Ports: []corev1.ServicePort{{Port: 8080, TargetPort: one}}}},
		&networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{PodSelector: *selector, Ingress: []networkingv1.NetworkPolicyIngressRule{{}}}},
		&policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector, MaxUnavailable: &one}},
	} {
		object.SetName("shop")
		object.SetAnnotations(map[string]string{v1alpha1.AnnotationRelease: "r"})
		whole := object.DeepCopyObject()
		trimmed, err := trim(object)
		if err != nil {
			t.Fatal(err)
		}
		kept := trimmed.(client.Object)
		if d, is := kept.(*appsv1.Deployment); is && (d.Spec.Template.Spec.Containers != nil || *d.Spec.Replicas != 3 || !d.Spec.Paused) {
			t.Errorf("of a Deployment's spec stays %+v", d.Spec)
		}
		if equality.Semantic.DeepEqual(kept, whole) {
			t.Errorf("%T is not packed", object)
		}
		again, err := trim(kept.DeepCopyObject())
		if err != nil || !equality.Semantic.DeepEqual(again, kept) {
			t.Errorf("trimmed again %T is another: %+v, %v", object, again, err)
		}
		read := kept.DeepCopyObject().(client.Object)
		if err := unpack(read); err != nil || !equality.Semantic.DeepEqual(read, whole) {
			t.Errorf("a pass reads %+v, %v; want %+v", read, err, whole)
		}
	}
	damaged := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{packedMark: "\xff"}}}
	if unpack(damaged) == nil {
		t.Error("bytes that are no spec count as one")
	}
}
