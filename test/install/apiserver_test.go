// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/apiserver"
	"github.com/writebehind/operator/test/kube"
	"github.com/writebehind/operator/test/programs"
)

// operatorImage is what the chart installs by default.
const operatorImage = "writebehind/operator:v0.1.0"

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	code := programs.Main(m, func(folder string) error {
		built = folder
		return nil
	})
	for _, s := range []*server{&installed, &empty} {
		if err := s.stop(); err != nil {
			fmt.Fprintf(os.Stderr, "Stop an API server: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
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
	// installed are the objects of the release.
	installed []*unstructured.Unstructured
}

// server is an API server that tests share, one after the other: to start one takes longer
// than what most of them do with it. It ends with the process.
type server struct {
	once    sync.Once
	cluster *cluster
	err     error
}

var (
	// installed is for tests of what is installed. What a test makes there it names as no
	// other does, or removes.
	installed server
	// empty is for tests that install, and remove what they have installed.
	empty server
)

// start starts the server unless it runs.
func (s *server) start(t *testing.T) *cluster {
	t.Helper()
	s.once.Do(func() { s.cluster, s.err = newCluster() })
	programs.Must(t, s.err)
	return s.cluster
}

func (s *server) stop() error {
	if s.cluster == nil {
		return nil
	}
	return s.cluster.Stop()
}

func newCluster() (*cluster, error) {
	const assets = "KUBEBUILDER_ASSETS"
	if os.Getenv(assets) == "" {
		return nil, fmt.Errorf("%s is not set: these tests need a real API server. Build one with `make envtest-assets`, "+
			"and set %s to the folder that it prints", assets, assets)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c := &cluster{Environment: apiserver.New()}
	var err error
	if c.config, err = apiserver.Start(c.Environment); err == nil {
		c.client, err = client.New(c.config, client.Options{Scheme: scheme})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the API server: %w", err), c.Stop())
	}
	return c, nil
}

// installedCluster is the one on which the manifests are installed that a release has, and
// where nobody acts but the operators that a test runs.
func installedCluster(t *testing.T) *cluster {
	t.Helper()
	c := installed.start(t)
	if c.installed == nil {
		c.installed = installer(t, operatorImage)
	}
	c.apply(t, c.installed)
	return c
}

// emptyCluster is the one on which nothing is installed. What the test installs is removed
// when it ends, by Helm or not, but for the namespace.
func emptyCluster(t *testing.T) *cluster {
	t.Helper()
	c, objects := empty.start(t), render(t)
	t.Cleanup(func() {
		for _, object := range objects {
			c.remove(t, object)
		}
		programs.Must(t, c.client.DeleteAllOf(context.Background(), &corev1.Secret{}, client.InNamespace(releaseNamespace)))
	})
	return c
}

// create makes an object until the test ends.
func (c *cluster) create(t *testing.T, object client.Object) {
	t.Helper()
	programs.Must(t, c.client.Create(t.Context(), object))
	t.Cleanup(func() { c.remove(t, object) })
}

// remove deletes an object and waits until it is gone.
func (c *cluster) remove(t *testing.T, object client.Object) {
	t.Helper()
	programs.Usual.Eventually(t, object.GetName()+" is gone", func() error {
		err := c.client.Delete(context.Background(), object)
		if err == nil {
			err = errors.New("it is still there")
		}
		return client.IgnoreNotFound(err)
	})
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
		if object.GetKind() == "CustomResourceDefinition" {
			programs.Usual.Eventually(t, name+" is served", func() error {
				return c.client.List(t.Context(), &v1alpha1.WriteBehindCacheList{})
			})
		}
		applied = append(applied, object)
	}
	return applied
}

// namespace makes a namespace for one test.
func (c *cluster) namespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	programs.Must(t, c.client.Create(t.Context(), namespace))
	return namespace.Name
}

// applyResource applies a resource until the test ends. An operator that ends with the test
// may leave its finalizer.
func (c *cluster) applyResource(t *testing.T, resource *unstructured.Unstructured) []*unstructured.Unstructured {
	t.Helper()
	t.Cleanup(func() {
		free := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
		programs.Usual.Eventually(t, resource.GetName()+" is gone", func() error {
			gone := c.client.Delete(context.Background(), resource.DeepCopy())
			if gone == nil {
				gone = errors.Join(errors.New("it is still there"), c.client.Patch(context.Background(), resource.DeepCopy(), free))
			}
			return client.IgnoreNotFound(gone)
		})
	})
	return c.apply(t, []*unstructured.Unstructured{resource})
}
