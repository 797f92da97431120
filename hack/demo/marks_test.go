// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/writebehind/operator/api/v1alpha1"
)

func role() *unstructured.Unstructured {
	return named("rbac.authorization.k8s.io/v1", "ClusterRole", "", "writebehind-manager-role")
}

func deployment() *unstructured.Unstructured {
	return named("apps/v1", "Deployment", "writebehind-system", "writebehind-controller-manager")
}

func namespace(name string) *unstructured.Unstructured { return named("v1", "Namespace", "", name) }

func cacheOf(namespace, name string) *unstructured.Unstructured {
	return named(v1alpha1.GroupVersion.String(), "WriteBehindCache", namespace, name)
}

func marked(object *unstructured.Unstructured) *unstructured.Unstructured {
	mark(object)
	return object
}

// clusterOf is a cluster that has the objects.
func clusterOf(t *testing.T, objects ...*unstructured.Unstructured) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	builder := fake.NewClientBuilder().WithScheme(scheme)
	for _, object := range objects {
		builder.WithObjects(object.DeepCopy())
	}
	return builder.Build()
}

// told fails unless an error has the text; without one there has to be none.
func told(t *testing.T, err error, text string) {
	t.Helper()
	if text == "" && err != nil || text != "" && (err == nil || !strings.Contains(err.Error(), text)) {
		t.Errorf("it says %v, want %q", err, text)
	}
}

func TestTheDemoTakesNothingOver(t *testing.T) {
	for name, c := range map[string]struct {
		there []*unstructured.Unstructured
		want  string
	}{
		"an empty cluster":           {nil, ""},
		"a running demo":             {[]*unstructured.Unstructured{marked(namespace("shop")), marked(cacheOf("shop", "shop")), marked(role()), marked(deployment())}, ""},
		"others in other namespaces": {[]*unstructured.Unstructured{namespace("web"), cacheOf("web", "shop")}, ""},
		"somebody's namespace":       {[]*unstructured.Unstructured{namespace("shop")}, "namespace shop is there already"},
		"somebody's cache":           {[]*unstructured.Unstructured{marked(namespace("shop")), cacheOf("shop", "shop")}, "WriteBehindCache shop/shop is there already"},
		"somebody's operator":        {[]*unstructured.Unstructured{deployment()}, "Deployment writebehind-system/writebehind-controller-manager is there already"},
		"somebody's half of it":      {[]*unstructured.Unstructured{marked(deployment()), role()}, "ClusterRole writebehind-manager-role is there already"},
	} {
		t.Run(name, func(t *testing.T) {
			cache := client.ObjectKey{Namespace: "shop", Name: "shop"}
			told(t, mayMake(t.Context(), clusterOf(t, c.there...), "shop", cache, []*unstructured.Unstructured{role(), deployment()}), c.want)
		})
	}
}

func TestTheDemoRemovesOnlyWhatBearsItsMark(t *testing.T) {
	c := clusterOf(t, marked(deployment()), role())
	own, foreign, err := present(t.Context(), c, []*unstructured.Unstructured{role(), deployment(), namespace("writebehind-system")})
	if err != nil || len(own) != 1 || len(foreign) != 1 || display(own[0]) != display(deployment()) || display(foreign[0]) != display(role()) {
		t.Errorf("its own are %v, and somebody's %v: %v", own, foreign, err)
	}
}

func TestWhatHoldsAWriteBehindCacheStays(t *testing.T) {
	c := clusterOf(t, cacheOf("web", "pages"), marked(cacheOf("shop", "shop")))
	told(t, noneLeft(t.Context(), c, "the CRD"), "shop/shop, web/pages")
	told(t, noneLeft(t.Context(), c, "the namespace shop", client.InNamespace("shop")), "the namespace shop would take these WriteBehindCaches along, so nothing of it is removed: shop/shop")
	told(t, noneLeft(t.Context(), c, "the namespace games", client.InNamespace("games")), "")
	own, err := caches(t.Context(), c, client.MatchingLabels{markLabel: markValue})
	if err != nil || len(own) != 1 || own[0].Name != "shop" {
		t.Errorf("the demo's caches are %v: %v", own, err)
	}
}
