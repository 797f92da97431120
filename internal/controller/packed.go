// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// packedMark is an annotation with the spec of an object as bytes. As it is decoded a spec
// takes several times as much, and a pass reads it once. The API server stores nothing of such
// a name.
const packedMark = "//spec"

// wire is a spec that is its own bytes' encoder and decoder.
type wire interface {
	Marshal() ([]byte, error)
	Unmarshal(data []byte) error
	Reset()
}

// packable is the spec of an object that the cache keeps as bytes, nil where it is small or
// every pass needs it of all objects.
func packable(object any) wire {
	switch o := object.(type) {
	case *appsv1.Deployment:
		return &o.Spec
	case *appsv1.StatefulSet:
		return &o.Spec
	case *corev1.PersistentVolumeClaim:
		return &o.Spec
	case *corev1.Service:
		return &o.Spec
	case *networkingv1.NetworkPolicy:
		return &o.Spec
	case *policyv1.PodDisruptionBudget:
		return &o.Spec
	default:
		return nil
	}
}

// pack puts bytes in place of a spec. Of a Deployment's stays what an upgrade asks of all of
// them: whether it is paused, and how many Pods it has.
func pack(object client.Object) error {
	spec := packable(object)
	if spec == nil {
		return nil
	}
	data, err := spec.Marshal()
	if err != nil {
		return fmt.Errorf("encode spec: %w", err)
	}
	deployment, is := object.(*appsv1.Deployment)
	var left appsv1.DeploymentSpec
	if is {
		left = appsv1.DeploymentSpec{Replicas: deployment.Spec.Replicas, Paused: deployment.Spec.Paused}
	}
	spec.Reset()
	if is {
		deployment.Spec = left
	}
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[packedMark] = string(data)
	object.SetAnnotations(annotations)
	return nil
}

// unpack makes an object whole that the cache packed. It changes a copy of what is in the cache.
func unpack(object client.Object) error {
	annotations := object.GetAnnotations()
	data, packed := annotations[packedMark]
	spec := packable(object)
	if !packed || spec == nil {
		return nil
	}
	delete(annotations, packedMark)
	if len(annotations) == 0 {
		object.SetAnnotations(nil)
	}
	spec.Reset()
	if err := spec.Unmarshal([]byte(data)); err != nil {
		return fmt.Errorf("decode spec: %w", err)
	}
	return nil
}
