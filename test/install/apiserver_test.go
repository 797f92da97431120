// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/kube"
	"github.com/writebehind/operator/test/programs"
)

// operatorImage is what the chart installs by default.
const operatorImage = "writebehind/operator:v0.1.0"

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(programs.Main(m, func(folder string) error {
		built = folder
		return nil
	}))
}

// root is a path of the project.
func root(elements ...string) string {
	return filepath.Join(append([]string{"..", ".."}, elements...)...)
}

// tool is a program that make builds and names in the environment.
func tool(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s is not set: run these tests by make test, which builds the tool and sets it "+
			"(TEST_FLAGS=-run=... for one)", variable)
	}
	return path
}

// run runs a program and returns what it prints.
func run(t *testing.T, command *exec.Cmd) []byte {
	t.Helper()
	out, err := try(command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// failure is a program's end with an error, and what it said.
type failure struct {
	command string
	err     error
	said    string
}

func (f *failure) Error() string { return f.command + ": " + f.err.Error() + ": " + f.said }

func (f *failure) Unwrap() error { return f.err }

func try(command *exec.Cmd) ([]byte, error) {
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	if err := command.Run(); err != nil {
		return out.Bytes(), &failure{command.String(), err, said.String()}
	}
	return out.Bytes(), nil
}

// manifests is a folder of config/ as kustomize builds it, with the chart's image.
func manifests(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	command := exec.CommandContext(t.Context(), root("hack", "kustomize-image.sh"), folder)
	command.Env = append(os.Environ(), "IMG="+operatorImage, "KUSTOMIZE="+tool(t, "KUSTOMIZE"))
	return decode(t, run(t, command))
}

func decode(t *testing.T, manifest []byte) []*unstructured.Unstructured {
	t.Helper()
	objects, err := kube.Objects(manifest)
	if err != nil {
		t.Fatalf("Decode the manifest: %v\n%s", err, manifest)
	}
	return objects
}

// cluster is a real API server with nobody in it who acts.
type cluster struct {
	*envtest.Environment
	config *rest.Config
	client client.Client
}

// newCluster starts one until the test ends, with the CRDs found at the paths.
func newCluster(t *testing.T, crds ...string) *cluster {
	t.Helper()
	const assets = "KUBEBUILDER_ASSETS"
	if os.Getenv(assets) == "" {
		t.Fatalf("%s is not set: these tests need a real API server. Build one with `make envtest-assets`, "+
			"and set %s to the folder that it prints", assets, assets)
	}
	c := &cluster{Environment: &envtest.Environment{CRDDirectoryPaths: crds, ErrorIfCRDPathMissing: true}}
	var err error
	if c.config, err = c.Start(); err != nil {
		t.Fatalf("Start the API server: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("Stop the API server: %v", err)
		}
	})
	scheme := runtime.NewScheme()
	programs.Must(t, clientgoscheme.AddToScheme(scheme))
	programs.Must(t, v1alpha1.AddToScheme(scheme))
	c.client, err = client.New(c.config, client.Options{Scheme: scheme})
	programs.Must(t, err)
	return c
}

// apply applies objects from the server's side, strictly, as kubectl apply
// --server-side does, and returns them as they are then.
func (c *cluster) apply(t *testing.T, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	t.Helper()
	applied := make([]*unstructured.Unstructured, 0, len(objects))
	for _, object := range objects {
		object = object.DeepCopy()
		name := object.GetKind() + " " + object.GetName()
		programs.Usual.Eventually(t, name+" is applied", func() error {
			err := c.client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("kubectl"))
			if err != nil && !meta.IsNoMatchError(err) {
				t.Fatalf("Apply %s: %v", name, err)
			}
			// A new CRD takes a moment until its kind is served.
			return err
		})
		applied = append(applied, object)
	}
	return applied
}
