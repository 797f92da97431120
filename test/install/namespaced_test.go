// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/programs"
)

const managerAccount = "writebehind-controller-manager"

// A namespaced installation has no right but in the namespaces that it watches, and needs
// none: it brings a resource there to what that asks for, and touches none elsewhere.
func TestANamespacedInstallationActsInItsNamespacesAlone(t *testing.T) {
	for name, installation := range map[string]func(tenant string) []*unstructured.Unstructured{
		"by kustomize": func(tenant string) []*unstructured.Unstructured {
			objects := manifests(t, "namespaced")
			for _, object := range manifests(t, "namespaced/rights") {
				object.SetNamespace(tenant)
				objects = append(objects, object)
			}
			return objects
		},
		"by Helm": func(tenant string) []*unstructured.Unstructured {
			namespace := &unstructured.Unstructured{}
			namespace.SetAPIVersion("v1")
			namespace.SetKind("Namespace")
			namespace.SetName(releaseNamespace)
			return append([]*unstructured.Unstructured{namespace}, render(t, `watchNamespaces=["`+tenant+`"]`, "metrics.enabled=false")...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := emptyCluster(t)
			tenant, outside := c.namespace(t), c.namespace(t)
			objects := installation(tenant)
			watch := ""
			for _, object := range objects {
				if kind := object.GetKind(); strings.HasPrefix(kind, "ClusterRole") {
					t.Errorf("it has %s %s", kind, object.GetName())
				}
				if object.GetKind() == "Deployment" {
					watch = watchFlag(t, object)
				}
				if object.GetKind() != "CustomResourceDefinition" && object.GetKind() != "Namespace" {
					t.Cleanup(func() { c.remove(t, object) })
				}
			}
			c.apply(t, objects)
			if !strings.Contains(watch, tenant) {
				watch += "," + tenant // as docs/operations.md says of each further namespace
			}
			o := &operators{c, build(t, "manager")}
			p := o.run(t, managerAccount, watch)
			p.ready(t)

			elsewhere := applySampleIn(t, c, outside)
			watched := applySampleIn(t, c, tenant)
			programs.Usual.Eventually(t, "the operator brings the watched resource to its spec", func() error {
				cache := &v1alpha1.WriteBehindCache{}
				if err := c.client.Get(t.Context(), watched, cache); err != nil {
					return err
				}
				if cache.Status.ObservedGeneration != cache.Generation {
					return errors.New("it has not been looked at")
				}
				return c.client.Get(t.Context(), client.ObjectKey{Namespace: tenant, Name: cache.Name + "-flusher"}, &appsv1.Deployment{})
			})
			cache := &v1alpha1.WriteBehindCache{}
			programs.Must(t, c.client.Get(t.Context(), elsewhere, cache))
			if len(cache.Finalizers) > 0 || len(cache.Status.Conditions) > 0 {
				t.Errorf("it has touched the resource of another namespace: %v %v", cache.Finalizers, cache.Status)
			}
			if said := p.Said(); strings.Contains(said, "forbidden") {
				t.Errorf("it is refused what it asks for: %s", said)
			}
			stop(t, p.Process)

			for _, r := range []struct {
				namespace, group, resource, verb string
				want                             bool
			}{
				{tenant, "", "secrets", "create", true},
				{tenant, "apps", "deployments", "patch", true},
				{tenant, "", "secrets", "get", false},
				{tenant, "", "secrets", "list", false},
				{outside, "", "secrets", "create", false},
				{outside, "", "pods", "list", false},
				{outside, "apps", "deployments", "create", false},
				{outside, "cache.writebehind.dev", "writebehindcaches", "get", false},
				{"", "cache.writebehind.dev", "writebehindcaches", "list", false},
				{"", "", "pods", "list", false},
			} {
				if got := c.may(t, r.namespace, r.group, r.resource, r.verb); got != r.want {
					t.Errorf("in %q it may %s %s: %t, want %t", r.namespace, r.verb, r.resource, got, r.want)
				}
			}
		})
	}
}

// The chart's Roles are those of config/namespaced, word by word.
func TestTheChartsRolesAreThoseOfKustomize(t *testing.T) {
	roles := func(objects []*unstructured.Unstructured) (found []*unstructured.Unstructured) {
		for _, object := range objects {
			if strings.HasPrefix(object.GetKind(), "Role") {
				found = append(found, object)
			}
		}
		return found
	}
	got := normal(t, roles(render(t, `watchNamespaces=["`+releaseNamespace+`"]`)), map[string]string{"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "writebehind-0.1.0"})
	want := normal(t, roles(manifests(t, "namespaced")), map[string]string{"app.kubernetes.io/managed-by": "kustomize"})
	if difference := cmp.Diff(want, got); difference != "" || len(got) < 6 {
		t.Errorf("the roles of config/namespaced (-) and of the chart (+) differ:\n%s", difference)
	}
}

// watchFlag is the flag --watch-namespaces as the kubelet gives it to the container.
func watchFlag(t *testing.T, deployment *unstructured.Unstructured) string {
	t.Helper()
	containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	programs.Must(t, err)
	args, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	programs.Must(t, err)
	for _, arg := range args {
		if strings.HasPrefix(arg, "--watch-namespaces=") {
			return strings.ReplaceAll(arg, "$(POD_NAMESPACE)", releaseNamespace)
		}
	}
	t.Fatalf("the operator has no --watch-namespaces among %q", args)
	return ""
}

// applySampleIn applies the first sample in a namespace until the test ends.
func applySampleIn(t *testing.T, c *cluster, namespace string) client.ObjectKey {
	t.Helper()
	sample := samples(t)[0].object
	sample.SetNamespace(namespace)
	c.applyResource(t, sample)
	return client.ObjectKeyFromObject(sample)
}

// may reports whether the operator's account has a right; without a namespace, in all.
func (c *cluster) may(t *testing.T, namespace, group, resource, verb string) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + releaseNamespace + ":" + managerAccount, Groups: []string{"system:serviceaccounts", "system:authenticated"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Group: group, Resource: resource, Verb: verb},
		},
	}
	programs.Must(t, c.client.Create(t.Context(), review))
	return review.Status.Allowed
}
