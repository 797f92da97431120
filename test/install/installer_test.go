// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/test/programs"
)

// installer is the manifest as make writes it.
func installer(t *testing.T, image string) []*unstructured.Unstructured {
	t.Helper()
	return decode(t, buildInstaller(t, t.TempDir(), image))
}

// buildInstaller makes install.yaml in the folder, and returns what is in it.
func buildInstaller(t *testing.T, folder, image string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), "make", "--no-print-directory", "build-installer", "IMG="+image, "DIST="+folder)
	command.Dir = root()
	run(t, command)
	text, err := os.ReadFile(filepath.Join(folder, "install.yaml"))
	programs.Must(t, err)
	return text
}

// The API server takes every field of it; a second time it changes nothing; and it
// brings the namespace that lets the operator's Pod in.
func TestTheInstallerIsAppliedTwiceWithoutADifference(t *testing.T) {
	c := installedCluster(t)
	const image = "registry.example:5000/writebehind/operator:v7"
	objects := installer(t, image)
	kinds := map[string]int{}
	for _, object := range objects {
		kinds[object.GetKind()]++
	}
	for _, kind := range []string{"Namespace", "CustomResourceDefinition", "Deployment", "Service", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"} {
		if kinds[kind] == 0 {
			t.Errorf("it holds no %s", kind)
		}
	}
	if kinds["Secret"] != 0 {
		t.Error("it holds a Secret, which everybody who reads the release could read")
	}

	first := c.apply(t, objects)
	// What the API server itself fills in later, such as a CRD's status, is no
	// difference of what was applied.
	second := c.apply(t, objects)
	for i := range first {
		if first[i].GetKind() == "CustomResourceDefinition" {
			unstructured.RemoveNestedField(first[i].Object, "status")
			unstructured.RemoveNestedField(second[i].Object, "status")
			first[i].SetResourceVersion("")
			second[i].SetResourceVersion("")
			first[i].SetManagedFields(nil)
			second[i].SetManagedFields(nil)
		}
		if difference := cmp.Diff(first[i].Object, second[i].Object); difference != "" {
			t.Errorf("applied again, %s %s is another:\n%s", first[i].GetKind(), first[i].GetName(), difference)
		}
	}

	deployment := &appsv1.Deployment{}
	programs.Must(t, c.client.Get(t.Context(), client.ObjectKey{Namespace: releaseNamespace, Name: "writebehind-controller-manager"}, deployment))
	if got := deployment.Spec.Template.Spec.Containers[0].Image; got != image {
		t.Errorf("the operator's image is %s, want %s", got, image)
	}
	// No controller makes the Pod here; the API server says whether one may.
	pod := &corev1.Pod{ObjectMeta: deployment.Spec.Template.ObjectMeta, Spec: deployment.Spec.Template.Spec}
	pod.Namespace, pod.Name = releaseNamespace, "operator"
	if err := c.client.Create(t.Context(), pod, client.DryRunAll); err != nil {
		t.Errorf("the operator's Pod is not let in: %v", err)
	}
	pod.Spec.SecurityContext = nil
	if err := c.client.Create(t.Context(), pod, client.DryRunAll); err == nil {
		t.Error("a Pod without a security context is let in: the namespace does not enforce the restricted profile")
	}
}
