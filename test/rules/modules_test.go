// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requires are the modules that a go.mod names because a package of its module imports
// them, and not only some other module.
func requires(t *testing.T, folder string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, folder, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for _, match := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(text), -1) {
		modules = append(modules, match[1])
	}
	return modules
}

// modulesOf are the modules that packages are built from, as `go list` takes them.
func modulesOf(t *testing.T, folder string, packages ...string) []string {
	t.Helper()
	arguments := append([]string{"list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}"}, packages...)
	command := exec.CommandContext(t.Context(), "go", arguments...)
	command.Dir = filepath.Join(root, folder)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", arguments, err)
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	return slices.Compact(modules)
}

// An application that imports the client or the resource gets no operator with it, no
// client library of Kubernetes, and nothing that a test needs.
func TestAnApplicationImportsTheAPIWithoutTheOperator(t *testing.T) {
	if got, want := requires(t, "api"), []string{"github.com/redis/go-redis/v9", "k8s.io/api", "k8s.io/apimachinery"}; !slices.Equal(got, want) {
		t.Errorf("api requires %q, want %q", got, want)
	}
	packages := modulesOf(t, "api", "./...")
	if tests := modulesOf(t, "api", "-test", "./..."); !slices.Equal(tests, packages) {
		t.Errorf("the tests of api need %q, its packages %q", tests, packages)
	}
	for _, module := range packages {
		if module == "k8s.io/client-go" || strings.HasPrefix(module, "sigs.k8s.io/controller-runtime") || module == "github.com/writebehind/operator" {
			t.Errorf("api is built from %s", module)
		}
	}
	for _, module := range modulesOf(t, "api", "./writebehind") {
		if strings.Contains(module, "k8s.io") {
			t.Errorf("the Go client is built from %s", module)
		}
	}
}

// A program is built from nothing that only tests import. Whoever adds such a module adds
// it here, having looked for another way.
func TestNoProgramIsBuiltFromWhatOnlyTestsRequire(t *testing.T) {
	testsAlone := []string{
		"github.com/Shopify/toxiproxy/v2", // a network that breaks
		"github.com/google/go-cmp",
		"github.com/onsi/ginkgo/v2",
		"github.com/onsi/gomega",
		"github.com/rs/zerolog", // toxiproxy's logger, to silence it
		"go.uber.org/goleak",
		"k8s.io/pod-security-admission", // which pods a restricted namespace takes
		"pgregory.net/rapid",
	}
	built := modulesOf(t, ".", "./cmd/...", "github.com/writebehind/operator/api/...")
	var others []string
	for _, module := range requires(t, ".") {
		if !slices.Contains(built, module) {
			others = append(others, module)
		}
	}
	if !slices.Equal(others, testsAlone) {
		t.Errorf("no program is built from %q, want %q", others, testsAlone)
	}
}
