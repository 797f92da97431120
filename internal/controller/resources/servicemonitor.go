// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/writebehind/operator/api/v1alpha1"
)

// KindServiceMonitor is a kind of the Prometheus Operator.
const KindServiceMonitor = "ServiceMonitor"

// MonitoringVersion is the group and version of the Prometheus Operator's kinds.
var MonitoringVersion = schema.GroupVersion{Group: "monitoring.coreos.com", Version: "v1"}

// WantsServiceMonitor reports whether the spec asks for one.
func WantsServiceMonitor(cache *v1alpha1.WriteBehindCache) bool {
	wanted := cache.Spec.Monitoring.ServiceMonitor
	return wanted == nil || *wanted
}

// ServiceMonitor has every flusher scraped, by the Service that lists them all.
// How often is left to Prometheus.
func ServiceMonitor(cache *v1alpha1.WriteBehindCache) *unstructured.Unstructured {
	return monitoringObject(KindServiceMonitor, cache, map[string]any{
		"selector":  map[string]any{"matchLabels": texts(SelectorLabels(cache, ComponentFlusher))},
		"endpoints": []any{map[string]any{"port": httpPortName, "path": "/metrics"}},
	})
}

// monitoringObject is an object of the Prometheus Operator. It belongs to the
// resource by an ownerReference, as nothing else does: draining does not need it.
// The labels of the spec make it one that a Prometheus selects; they do not
// replace the operator's own.
func monitoringObject(kind string, cache *v1alpha1.WriteBehindCache, spec map[string]any) *unstructured.Unstructured {
	labels := map[string]string{}
	for key, value := range cache.Spec.Monitoring.Labels {
		labels[key] = string(value)
	}
	maps.Copy(labels, Labels(cache, ComponentFlusher))
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(MonitoringVersion.WithKind(kind))
	object.SetNamespace(cache.Namespace)
	object.SetName(FlusherName(cache))
	object.SetLabels(labels)
	object.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: cacheKind, Name: cache.Name, UID: cache.UID,
	}})
	return object
}

// cacheKind is the resource's kind: an object that was read does not have it.
const cacheKind = "WriteBehindCache"

// texts is a map of an object without a Go type.
func texts(from map[string]string) map[string]any {
	into := make(map[string]any, len(from))
	for key, value := range from {
		into[key] = value
	}
	return into
}
