// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The cache is keyed by these constants: a version that changes in go.mod alone would leave old programs
// in use.
func TestVersionsAreThoseOfTheModule(t *testing.T) {
	content, err := os.ReadFile("kubernetes/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for module, version := range map[string]string{
		"k8s.io/kubernetes":         kubernetesVersion,
		"go.etcd.io/etcd/server/v3": etcdVersion,
	} {
		required := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` ` + regexp.QuoteMeta(version) + `\b`)
		if !required.Match(content) {
			t.Errorf("kubernetes/go.mod does not require %s %s", module, version)
		}
	}
	for _, bin := range append(assetBinaries, nodeBinaries...) {
		if bin.module != "" && !strings.Contains(string(content), "\t"+bin.pkg+"\n") {
			t.Errorf("kubernetes/go.mod does not name %s as a tool", bin.pkg)
		}
	}
}

func TestPathFollowsTheSource(t *testing.T) {
	sources, cache := t.TempDir(), t.TempDir()
	b := &builder{sources: sources, dir: cache}
	write := func(content string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(sources, "pause"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sources, "pause", "main.go"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		path, err := b.path(pauseBinary)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, second, third := write("a"), write("b"), write("a")
	if first == second || first != third {
		t.Errorf("paths %s, %s, %s: want a new one for a new source alone", first, second, third)
	}
	if path, err := b.path(etcdBinary); err != nil || path != filepath.Join(cache, "etcd") {
		t.Errorf("path of etcd = %s, %v", path, err)
	}
}

func TestIsBuilt(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(t.TempDir(), "half")
	if err := os.WriteFile(half, []byte("\x7fELF"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path string
		bin        binary
		want       bool
	}{
		{"a whole program of this repository", self, pauseBinary, true},
		{"a program of another module", self, etcdBinary, false},
		{"half a program", half, pauseBinary, false},
		{"no program", half + "-missing", pauseBinary, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := isBuilt(test.path, test.bin); got != test.want {
				t.Errorf("isBuilt = %v, want %v", got, test.want)
			}
		})
	}
}

func TestLinkerFlagsTellTheVersion(t *testing.T) {
	flags := linkerFlags(kubernetes("kubelet"))
	for _, want := range []string{
		"-X k8s.io/component-base/version.gitVersion=" + kubernetesVersion,
		"-X k8s.io/client-go/pkg/version.gitMajor=1 ",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("linker flags %q lack %q", flags, want)
		}
	}
	if flags := linkerFlags(etcdBinary); strings.Contains(flags, "-X") {
		t.Errorf("linker flags of etcd are %q", flags)
	}
}
