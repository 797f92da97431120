// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/test/programs"
)

// checkout is a folder in which the commands of docs/operations.md run as in the project, with
// the programs that make builds and an API server of its own.
type checkout struct {
	*cluster

	folder      string
	environment []string
}

func newCheckout(t *testing.T) *checkout {
	t.Helper()
	c := &checkout{cluster: emptyCluster(t), folder: t.TempDir()}
	programs.Must(t, os.CopyFS(filepath.Join(c.folder, "charts", "writebehind"), os.DirFS(chart())))
	bin := filepath.Join(c.folder, "bin")
	programs.Must(t, os.Mkdir(bin, 0o700))
	programs.Must(t, os.Mkdir(filepath.Join(c.folder, "dist"), 0o700))
	programs.Must(t, os.Symlink(tool(t, "HELM"), filepath.Join(bin, "helm")))
	programs.Must(t, os.Symlink(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), filepath.Join(bin, "kubectl")))
	kubeconfig := filepath.Join(c.folder, "kubeconfig")
	programs.Must(t, os.WriteFile(kubeconfig, c.KubeConfig, 0o600))
	c.environment = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+kubeconfig,
		"HELM_CACHE_HOME="+c.folder, "HELM_CONFIG_HOME="+c.folder, "HELM_DATA_HOME="+c.folder)
	return c
}

// shell runs commands as a person who pastes them.
func (c *checkout) shell(t *testing.T, commands string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-euc", commands)
	command.Dir, command.Env = c.folder, c.environment
	return string(run(t, command))
}

// expect fails unless the operator's Deployment has the image.
func (c *checkout) expect(t *testing.T, image string) {
	t.Helper()
	d := &appsv1.Deployment{}
	programs.Must(t, c.client.Get(t.Context(), client.ObjectKey{Namespace: releaseNamespace, Name: "writebehind-controller-manager"}, d))
	if got := d.Spec.Template.Spec.Containers[0].Image; got != image {
		t.Errorf("the operator's image is %s, want %s", got, image)
	}
}

// documented is the commands below a comment of docs/operations.md that begins so, but
// for those of make.
func documented(t *testing.T, comment string) string {
	t.Helper()
	text, err := os.ReadFile(root("docs", "operations.md"))
	programs.Must(t, err)
	_, behind, found := strings.Cut(string(text), "\n# "+comment)
	if !found {
		t.Fatalf("docs/operations.md has no command that is said to be %q", comment)
	}
	var commands strings.Builder
	for i, line := range strings.Split(behind, "\n") {
		switch {
		case i == 0 || strings.HasPrefix(line, "make "):
		case strings.HasPrefix(line, "#") || strings.HasPrefix(line, "```"):
			return commands.String()
		default:
			commands.WriteString(line + "\n")
		}
	}
	t.Fatalf("docs/operations.md does not end what it says of %q", comment)
	return ""
}

// Each field of an object has the owner who applied it last, and whoever else sets
// it is refused, so that a change from one way to install to another takes flags.
// Images tell who has the Deployment.
func TestTheDocsTellTheWayFromOneInstallationToAnother(t *testing.T) {
	c := newCheckout(t)
	install := func(version string) string {
		image := "registry.example/writebehind/operator:" + version
		buildInstaller(t, filepath.Join(c.folder, "dist"), image)
		return image
	}
	toHelm := documented(t, "to Helm")
	const byHelm = "registry.example/writebehind/operator:v0.1.0"
	otherTag := strings.Replace(toHelm, "--set ", "--set image.tag=v3 --set ", 1)

	first := install("v1")
	c.shell(t, documented(t, "by one file"))
	c.expect(t, first)

	// What fails leaves a release behind that the command for a change to Helm mends.
	if _, err := try(&exec.Cmd{
		Path: "/bin/sh", Args: []string{"sh", "-euc", strings.TrimSpace(documented(t, "by Helm")) + " --take-ownership"}, Dir: c.folder, Env: c.environment,
	}); err == nil || !strings.Contains(err.Error(), "conflict") {
		t.Errorf("helm install over the file's objects: %v, want a conflict", err)
	}
	c.shell(t, toHelm)
	c.expect(t, byHelm)
	c.shell(t, otherTag)
	c.expect(t, "registry.example/writebehind/operator:v3")
	c.shell(t, toHelm)
	c.expect(t, byHelm)

	second := install("v2")
	c.shell(t, documented(t, "from Helm to the file"))
	c.expect(t, second)
	if list := c.shell(t, "helm list --all-namespaces --short"); strings.TrimSpace(list) != "" {
		t.Errorf("Helm still knows %s, and would remove the operator with it", list)
	}
	third := install("v4")
	c.shell(t, documented(t, "by one file"))
	c.expect(t, third)

	c.shell(t, toHelm)
	c.expect(t, byHelm)
	c.shell(t, "helm uninstall writebehind --namespace writebehind-system")
	c.shell(t, documented(t, "by Helm"))
	c.expect(t, byHelm)
}
