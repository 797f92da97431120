// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/programs"
)

const usable = "cache.writebehind.dev/usable"

// admissionCluster has the CRD and the policies of config/admission until the test ends.
func admissionCluster(t *testing.T) (c *cluster, namespace string) {
	t.Helper()
	c = emptyCluster(t)
	crd := slices.DeleteFunc(render(t), func(o *unstructured.Unstructured) bool { return o.GetKind() != "CustomResourceDefinition" })
	c.apply(t, crd)
	policies := decode(t, run(t, exec.CommandContext(t.Context(), tool(t, "KUSTOMIZE"), "build", root("config", "admission"))))
	c.apply(t, policies)
	t.Cleanup(func() {
		for _, policy := range policies {
			c.remove(t, policy)
		}
	})
	return c, c.namespace(t)
}

// resourceOf is a resource whose spec is JSON's.
func resourceOf(namespace, name string, spec map[string]any) *unstructured.Unstructured {
	resource := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	resource.SetAPIVersion(v1alpha1.GroupVersion.String())
	resource.SetKind("WriteBehindCache")
	resource.SetNamespace(namespace)
	resource.SetName(name)
	return resource
}

// refusedWith waits until the API server knows the policy, and refuses with these words.
func refusedWith(t *testing.T, what string, try func() error, words ...string) {
	t.Helper()
	programs.Usual.Eventually(t, what+" is refused", func() error {
		err := try()
		if err == nil {
			return errors.New("it is taken")
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				return fmt.Errorf("the refusal lacks %q: %w", word, err)
			}
		}
		return nil
	})
}

// listMark ends a field that is a list.
const listMark = "[]"

// secretRefs are the fields of the spec that name a Secret, found in its type.
func secretRefs(of reflect.Type, path string) (found []string) {
	switch of.Kind() {
	case reflect.Pointer:
		return secretRefs(of.Elem(), path)
	case reflect.Slice:
		return secretRefs(of.Elem(), path+listMark)
	case reflect.Struct:
	default:
		return nil
	}
	if strings.HasSuffix(of.Name(), "SecretRef") {
		return []string{path}
	}
	if !strings.HasPrefix(of.PkgPath(), "github.com/writebehind/") {
		return nil
	}
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		// The fields of one without a name are those of the structure itself.
		found = append(found, secretRefs(field.Type, strings.Trim(path+"."+name, "."))...)
	}
	return found
}

// No field of a resource may name a Secret without the label, whichever field it is; and a
// Secret that a resource names has the label from its first moment to its last.
func TestSecretsThatAResourceNamesCarryTheLabel(t *testing.T) {
	c, namespace := admissionCluster(t)
	secret := func(name, value string) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		if value != "" {
			s.Labels = map[string]string{usable: value}
		}
		return s
	}
	programs.Must(t, c.client.Create(t.Context(), secret("good", "true")))
	programs.Must(t, c.client.Create(t.Context(), secret("plain", "")))
	programs.Must(t, c.client.Create(t.Context(), secret("no", "false")))
	// Many that nobody names must not cost the API server more than it gives to a policy.
	for i := range 100 {
		programs.Must(t, c.client.Create(t.Context(), secret(fmt.Sprintf("other-%d", i), "")))
	}

	spec := func() map[string]any {
		ref := func() map[string]any { return map[string]any{"name": "good"} }
		return map[string]any{
			"redis": map[string]any{"external": map[string]any{
				"mode": "Sentinel", "masterName": "m", "addresses": []any{"a:1"},
				"credentialsSecretRef": ref(), "sentinelCredentialsSecretRef": ref(),
				"tls": map[string]any{"caSecretRef": ref(), "clientCertSecretRef": ref()},
			}},
			"database": map[string]any{"postgres": map[string]any{
				"urlSecretRef": map[string]any{"name": "good", "key": "uri"},
				"tls":          map[string]any{"caSecretRef": ref(), "clientCertSecretRef": ref()},
			}},
			"mappings": []any{map[string]any{"name": "products", "keyPrefix": "product:", "table": "products", "keyColumn": "id"}},
		}
	}
	fields := secretRefs(reflect.TypeFor[v1alpha1.WriteBehindCacheSpec](), "")
	if len(fields) < 9 {
		t.Fatalf("the fields that name a Secret are %v", fields)
	}
	for _, field := range fields {
		for _, name := range []string{"plain", "no"} {
			bad := spec()
			path := strings.Split(field, ".")
			if list, is := strings.CutSuffix(field, listMark); is {
				programs.Must(t, unstructured.SetNestedSlice(bad, []any{map[string]any{"name": name}}, strings.Split(list, ".")...))
			} else {
				programs.Must(t, unstructured.SetNestedField(bad, name, append(path, "name")...))
			}
			if strings.HasPrefix(field, "redis.managed.") {
				unstructured.RemoveNestedField(bad, "redis", "external")
			}
			refusedWith(t, field+" "+name, func() error {
				return c.client.Create(t.Context(), resourceOf(namespace, "shop", bad), client.DryRunAll)
			}, "Secret "+name+" lacks the label "+usable)
		}
	}

	resource := resourceOf(namespace, "shop", spec())
	if err := unstructured.SetNestedField(resource.Object, "later", "spec", "redis", "external", "credentialsSecretRef", "name"); err != nil {
		t.Fatal(err)
	}
	c.create(t, resource)
	refusedWith(t, "a Secret that is made later", func() error { return c.client.Create(t.Context(), secret("later", ""), client.DryRunAll) },
		"WriteBehindCache shop refers to this Secret", usable)
	programs.Must(t, c.client.Create(t.Context(), secret("later", "true")))
	refusedWith(t, "a Secret that loses its label", func() error { return c.client.Update(t.Context(), secret("good", ""), client.DryRunAll) },
		"WriteBehindCache shop refers to this Secret")
	if err := c.client.Update(t.Context(), secret("plain", "")); err != nil {
		t.Errorf("a Secret that nobody names is refused: %v", err)
	}
	refusedWith(t, "a change to a Secret without the label", func() error {
		changed := resource.DeepCopy()
		programs.Must(t, unstructured.SetNestedField(changed.Object, "plain", "spec", "database", "postgres", "urlSecretRef", "name"))
		return c.client.Update(t.Context(), changed, client.DryRunAll)
	}, "Secret plain lacks the label")
	whileDeleted(t, c, resource, "Secret plain lacks the label", "plain", "spec", "database", "postgres", "urlSecretRef", "name")
}

// whileDeleted deletes a resource, which waits for its finalizer, and tries to change a field of
// it as its flushers, which drain, would be given. The operator's own writes are taken.
func whileDeleted(t *testing.T, c *cluster, resource *unstructured.Unstructured, refused string, value any, field ...string) {
	t.Helper()
	now := func() *unstructured.Unstructured {
		o := resource.DeepCopy()
		programs.Must(t, c.client.Get(t.Context(), client.ObjectKeyFromObject(resource), o))
		return o
	}
	held := now()
	held.SetFinalizers([]string{v1alpha1.FinalizerDrain})
	programs.Must(t, c.client.Update(t.Context(), held))
	programs.Must(t, c.client.Delete(t.Context(), now()))
	refusedWith(t, "a change of what is being deleted", func() error {
		changed := now()
		programs.Must(t, unstructured.SetNestedField(changed.Object, value, field...))
		return c.client.Update(t.Context(), changed, client.DryRunAll)
	}, refused)
	drained := now()
	drained.SetFinalizers(nil)
	if err := c.client.Update(t.Context(), drained); err != nil {
		t.Errorf("the finalizer stays: %v", err)
	}
}

// What a resource may take is bounded, by itself and by its scale.
func TestWhatAResourceMayTakeIsBounded(t *testing.T) {
	c, namespace := admissionCluster(t)
	resource := func(name string, flusher map[string]any, connections int64) *unstructured.Unstructured {
		return resourceOf(namespace, name, map[string]any{
			"redis":    map[string]any{"managed": map[string]any{}},
			"database": map[string]any{"postgres": map[string]any{"urlSecretRef": map[string]any{"name": "db", "key": "uri"}, "maxConnections": connections}},
			"mappings": []any{map[string]any{"name": "products", "keyPrefix": "product:", "table": "products", "keyColumn": "id"}},
			"flusher":  flusher,
		})
	}
	try := func(flusher map[string]any, connections int64) func() error {
		return func() error {
			return c.client.Create(context.Background(), resource("other", flusher, connections), client.DryRunAll)
		}
	}
	tolerations := func(fields map[string]any) map[string]any { return map[string]any{"tolerations": []any{fields}} }
	refusedWith(t, "a priority", try(map[string]any{"priorityClassName": "system-node-critical"}, 4),
		"spec.flusher.priorityClassName: system-node-critical is not allowed here")
	refusedWith(t, "any toleration", try(tolerations(map[string]any{"operator": "Exists"}), 4), "a toleration without a key fits every node")
	refusedWith(t, "another taint", try(tolerations(map[string]any{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}), 4),
		"allowed are the keys node.kubernetes.io/not-ready, node.kubernetes.io/unreachable")
	refusedWith(t, "6,400 connections", try(map[string]any{"replicas": int64(64)}, 100), "is 6400, and 100 connections are allowed here")
	refusedWith(t, "101 connections", try(map[string]any{"replicas": int64(1)}, 101), "maxConnections")
	for name, fine := range map[string]func() error{
		"by default":         try(map[string]any{}, 4),
		"100 connections":    try(map[string]any{"replicas": int64(5)}, 20),
		"an allowed taint":   try(tolerations(map[string]any{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}), 4),
		"no flusher at all":  try(map[string]any{"replicas": int64(0)}, 100),
		"no field flusher's": try(nil, 100),
	} {
		if err := fine(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	managed := func(fields map[string]any) func() error {
		return func() error {
			o := resource("other", nil, 4)
			programs.Must(t, unstructured.SetNestedMap(o.Object, fields, "spec", "redis", "managed"))
			return c.client.Create(context.Background(), o, client.DryRunAll)
		}
	}
	refusedWith(t, "a priority of Redis", managed(map[string]any{"priorityClassName": "system-node-critical"}),
		"spec.redis.managed.priorityClassName: system-node-critical is not allowed here")
	refusedWith(t, "any toleration of Redis", managed(tolerations(map[string]any{"operator": "Exists"})),
		"spec.redis.managed.tolerations: allowed are the keys")
	if err := managed(tolerations(map[string]any{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}))(); err != nil {
		t.Errorf("an allowed taint of Redis: %v", err)
	}

	shop := resource("shop", map[string]any{"replicas": int64(2)}, 50)
	c.create(t, shop)
	c.create(t, resource("cheap", map[string]any{"replicas": int64(2)}, 1))
	scale := func(name string, replicas int32) func() error {
		return func() error {
			return c.client.SubResource("scale").Update(t.Context(), resource(name, nil, 1), client.WithSubResourceBody(&autoscalingv1.Scale{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas},
			}))
		}
	}
	refusedWith(t, "a scale", scale("shop", 3), "maxConnections is 150, and 100 connections are allowed here")
	if err := errors.Join(scale("shop", 1)(), scale("cheap", 64)()); err != nil {
		t.Errorf("a scale within the bounds: %v", err)
	}
	whileDeleted(t, c, shop, "is not allowed here", "system-node-critical", "spec", "flusher", "priorityClassName")
}
