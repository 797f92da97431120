// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/kube"
)

// A cluster of somebody may have an operator, a namespace and caches already. What the
// demo makes there bears its mark: it takes nothing over that does not, and removes
// nothing else.
const (
	markLabel = "writebehind.dev/demo"
	markValue = "true"
)

func isMarked(object client.Object) bool { return object.GetLabels()[markLabel] == markValue }

// mark gives an object the demo's mark.
func mark(object *unstructured.Unstructured) {
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[markLabel] = markValue
	object.SetLabels(labels)
}

// named is an object by kind and name alone.
func named(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(apiVersion)
	object.SetKind(kind)
	object.SetNamespace(namespace)
	object.SetName(name)
	return object
}

// display names an object in a message.
func display(object client.Object) string {
	name := object.GetName()
	if namespace := object.GetNamespace(); namespace != "" {
		name = namespace + "/" + name
	}
	return object.GetObjectKind().GroupVersionKind().Kind + " " + name
}

// present looks which of the objects the cluster has, and parts those with the mark
// from the others.
func present(ctx context.Context, c client.Client, objects []*unstructured.Unstructured) (own, foreign []*unstructured.Unstructured, err error) {
	for _, object := range objects {
		there := named(object.GetAPIVersion(), object.GetKind(), object.GetNamespace(), object.GetName())
		err := c.Get(ctx, client.ObjectKeyFromObject(there), there)
		switch {
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		case err != nil:
			return nil, nil, fmt.Errorf("look for %s: %w", display(object), err)
		case isMarked(there):
			own = append(own, there)
		default:
			foreign = append(foreign, there)
		}
	}
	return own, foreign, nil
}

// caches lists WriteBehindCaches, none where the kind is not installed.
func caches(ctx context.Context, c client.Client, options ...client.ListOption) ([]v1alpha1.WriteBehindCache, error) {
	list := &v1alpha1.WriteBehindCacheList{}
	err := c.List(ctx, list, options...)
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list WriteBehindCaches: %w", err)
	}
	return list.Items, nil
}

// mayMake fails when the demo would take over what somebody else has made: the
// namespace, the cache in it, or any object of the operator.
func mayMake(ctx context.Context, c client.Client, namespace string, cache client.ObjectKey, operator []*unstructured.Unstructured) error {
	_, foreign, err := present(ctx, c, []*unstructured.Unstructured{named("v1", "Namespace", "", namespace)})
	if err != nil {
		return err
	}
	if len(foreign) > 0 {
		return fmt.Errorf("namespace %s is there already and lacks the label %s=%s, so it is not the demo's: name another one with DEMO_FLAGS='--namespace NAME'",
			namespace, markLabel, markValue)
	}
	_, foreign, err = present(ctx, c, []*unstructured.Unstructured{
		named(v1alpha1.GroupVersion.String(), "WriteBehindCache", cache.Namespace, cache.Name),
	})
	if err != nil {
		return err
	}
	if len(foreign) > 0 {
		return fmt.Errorf("%s is there already and lacks the label %s=%s, so it is not the demo's: delete it, or name another namespace with DEMO_FLAGS='--namespace NAME'",
			display(foreign[0]), markLabel, markValue)
	}
	_, foreign, err = present(ctx, c, operator)
	if err != nil {
		return err
	}
	if len(foreign) > 0 {
		return fmt.Errorf("%s is there already and lacks the label %s=%s, so somebody else has installed the operator: take another cluster, or remove that operator first",
			display(foreign[0]), markLabel, markValue)
	}
	return nil
}

// noneLeft fails while a WriteBehindCache is there, and names it: with its namespace,
// its operator or the CRD it would go too.
func noneLeft(ctx context.Context, c client.Client, what string, options ...client.ListOption) error {
	left, err := caches(ctx, c, options...)
	if err != nil || len(left) == 0 {
		return err
	}
	names := make([]string, 0, len(left))
	for i := range left {
		names = append(names, left[i].Namespace+"/"+left[i].Name)
	}
	return fmt.Errorf("%s would take these WriteBehindCaches along, so nothing of it is removed: %s", what, strings.Join(names, ", "))
}

// operatorObjects are those of config/default.
func (d *demo) operatorObjects(ctx context.Context) ([]*unstructured.Unstructured, error) {
	manifest, err := d.cluster.Manifests(ctx, "default", d.image)
	if err != nil {
		return nil, err
	}
	objects, err := kube.Objects(manifest)
	if err != nil {
		return nil, fmt.Errorf("config/default: %w", err)
	}
	return objects, nil
}
