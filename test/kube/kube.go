// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package kube is the cluster as the demo and the end-to-end tests see it: the
// local one of hack/cluster, or the one that kubectl's current context names.
// What a person would do with kubectl is done with kubectl; only what has to be
// watched closely is read through a client.
package kube

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
)

// RedisImage is the image that the local cluster gets from Debian's packages.
const RedisImage = "redis:7.0"

// subnetVariable names the /16 of a local cluster that runs beside another one,
// which WRITEBEHIND_CLUSTER_DIR puts into a folder of its own.
const subnetVariable = "WRITEBEHIND_CLUSTER_SUBNET"

// Cluster is a Kubernetes cluster.
type Cluster struct {
	// Client reads and writes with the kubeconfig's rights, without a cache.
	Client client.WithWatch
	// Kubeconfig is the file to use, empty for kubectl's own choice.
	Kubeconfig string
	// Local means that it is the cluster of hack/cluster.
	Local bool

	root    string
	kubectl string
	tool    string
	log     io.Writer
}

// Local starts the cluster of hack/cluster, if it is not up yet, and connects
// to it. The tool's own progress goes to log.
func Local(ctx context.Context, log io.Writer) (*Cluster, error) {
	c, err := local(log)
	if err != nil {
		return nil, err
	}
	up := []string{"up"}
	if subnet := os.Getenv(subnetVariable); subnet != "" {
		up = append(up, "--subnet", subnet)
	}
	if _, err := c.runTool(ctx, up...); err != nil {
		return nil, err
	}
	return c, c.openLocal(ctx)
}

// RunningLocal connects to the cluster of hack/cluster, which must be up.
func RunningLocal(ctx context.Context, log io.Writer) (*Cluster, error) {
	c, err := local(log)
	if err != nil {
		return nil, err
	}
	return c, c.openLocal(ctx)
}

func local(log io.Writer) (*Cluster, error) {
	root, err := projectRoot()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Local: true, root: root, tool: os.Getenv("CLUSTER_TOOL"), log: log}
	if c.tool == "" {
		return nil, errors.New("CLUSTER_TOOL is not set: start this through make, which builds the cluster's tool first")
	}
	return c, nil
}

func (c *Cluster) openLocal(ctx context.Context) error {
	kubeconfig, err := c.runTool(ctx, "kubeconfig")
	if err != nil {
		return err
	}
	assets, err := c.runTool(ctx, "assets")
	if err != nil {
		return err
	}
	c.Kubeconfig = kubeconfig
	c.kubectl = filepath.Join(assets, "kubectl")
	return c.connect()
}

// Current connects to the cluster that kubectl's current context names.
func Current() (*Cluster, error) {
	root, err := projectRoot()
	if err != nil {
		return nil, err
	}
	c := &Cluster{root: root, log: io.Discard}
	if c.kubectl, err = exec.LookPath("kubectl"); err != nil {
		return nil, errors.New("kubectl is not in PATH: it is needed to work on the current context")
	}
	return c, c.connect()
}

func (c *Cluster) connect() error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if c.Kubeconfig != "" {
		rules = &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	// A person waits for the answers: no throttling on this side.
	config.QPS = -1
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	c.Client, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	return nil
}

// projectRoot is where go.mod is, from the working directory upwards.
func projectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "PROJECT")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("this has to run inside the project's folder")
		}
		dir = parent
	}
}

// Path is a path inside the project.
func (c *Cluster) Path(elements ...string) string {
	return filepath.Join(append([]string{c.root}, elements...)...)
}

// Down takes a local cluster down.
func (c *Cluster) Down(ctx context.Context) error {
	_, err := c.runTool(ctx, "down")
	return err
}

// Gateway is the address under which pods of the local cluster reach this
// machine.
func (c *Cluster) Gateway(ctx context.Context) (string, error) {
	return c.runTool(ctx, "gateway")
}

// LocalImage names the image that is made of the programs in bin/: name:tag with
// a digest of them, so that other programs are another image and roll the pods.
func (c *Cluster) LocalImage(name string) (string, error) {
	digest := sha256.New()
	for _, program := range []string{"manager", "flusher"} {
		file, err := os.Open(c.Path("bin", program))
		if err != nil {
			return "", fmt.Errorf("%w: make build makes it", err)
		}
		_, err = io.Copy(digest, file)
		file.Close()
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s-%x", name, digest.Sum(nil)[:4]), nil
}

// LoadImages gives the local cluster the operator's image, made of the programs
// in bin/, and RedisImage.
func (c *Cluster) LoadImages(ctx context.Context, image string) error {
	if _, err := c.runTool(ctx, "load-image", "--name", image, "--entrypoint", "/manager",
		"--file", c.Path("bin", "manager")+"=/manager", "--file", c.Path("bin", "flusher")+"=/flusher"); err != nil {
		return err
	}
	_, err := c.runTool(ctx, "load-redis", "--name", RedisImage)
	return err
}

// runTool runs hack/cluster's program and returns the one line it prints.
func (c *Cluster) runTool(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.tool, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(c.log, &errOut)
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("cluster %s: %w: %s", args[0], err, lastLine(errOut.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// Kubectl runs kubectl and returns what it prints.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlWithInput(ctx, nil, args...)
}

// KubectlWithInput runs kubectl with its standard input.
func (c *Cluster) KubectlWithInput(ctx context.Context, input []byte, args ...string) (string, error) {
	cmd := c.KubectlCommand(ctx, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}

// KubectlCommand is kubectl with this cluster's kubeconfig, not yet started.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	if c.Kubeconfig != "" {
		args = append([]string{"--kubeconfig", c.Kubeconfig}, args...)
	}
	return exec.CommandContext(ctx, c.kubectl, args...)
}

// KubectlPath is the kubectl in use.
func (c *Cluster) KubectlPath() string { return c.kubectl }

// Apply applies a manifest from the server's side.
func (c *Cluster) Apply(ctx context.Context, manifest []byte, args ...string) (string, error) {
	return c.KubectlWithInput(ctx, manifest,
		append([]string{"apply", "--server-side", "--field-manager", "writebehind-demo", "-f", "-"}, args...)...)
}

// Manifests is a folder of config/ as kustomize builds it, with the image given.
func (c *Cluster) Manifests(ctx context.Context, folder, image string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.Path("hack", "kustomize-image.sh"), folder)
	cmd.Env = append(os.Environ(), "IMG="+image)
	if os.Getenv("KUSTOMIZE") == "" {
		return nil, errors.New("KUSTOMIZE is not set: start this through make, which builds kustomize first")
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("kustomize build config/%s: %w: %s", folder, err, strings.TrimSpace(errOut.String()))
	}
	return out.Bytes(), nil
}

// EnsureNamespace makes a namespace in which the API server lets no pod in that
// does not meet the restricted profile of the pod security standards. More labels are
// given as key and value in turn.
func (c *Cluster) EnsureNamespace(ctx context.Context, name string, labels ...string) error {
	manifest := fmt.Appendf(nil, `apiVersion: v1
kind: Namespace
metadata:
  name: %s
  labels:
    pod-security.kubernetes.io/enforce: restricted
`, name)
	for pair := range slices.Chunk(labels, 2) {
		manifest = fmt.Appendf(manifest, "    %s: %q\n", pair[0], pair[1])
	}
	_, err := c.Apply(ctx, manifest)
	return err
}

// ApplySecret makes or changes a Secret.
func (c *Cluster) ApplySecret(ctx context.Context, namespace, name string, data map[string]string) error {
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = namespace, name
	err := c.Client.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	secret.StringData = data
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read Secret %s: %w", name, err)
	}
	if err != nil {
		err = c.Client.Create(ctx, secret)
	} else {
		err = c.Client.Update(ctx, secret)
	}
	if err != nil {
		return fmt.Errorf("write Secret %s: %w", name, err)
	}
	return nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func parseSelector(selector string) (client.MatchingLabelsSelector, error) {
	parsed, err := labels.Parse(selector)
	return client.MatchingLabelsSelector{Selector: parsed}, err
}
