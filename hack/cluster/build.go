// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
)

// The versions that kubernetes/go.mod requires; a test holds the two together. The cache is keyed by
// them, so that a second clone of the project builds nothing.
const (
	kubernetesVersion = "v1.36.3"
	etcdVersion       = "v3.6.8"
)

// binary is one program that is built from Go modules.
type binary struct {
	name   string
	folder string // module to build in, relative to this one
	pkg    string // package to build, as seen from that module

	// The module and version that a built file must declare to be taken from the cache. They are empty
	// for programs whose source is in this repository: those carry a digest of it in their name.
	module  string
	version string
}

// kubernetes names a program of the Kubernetes release.
func kubernetes(name string) binary {
	return binary{
		name: name, folder: "kubernetes", pkg: "k8s.io/kubernetes/cmd/" + name,
		module: "k8s.io/kubernetes", version: kubernetesVersion,
	}
}

var (
	etcdBinary = binary{
		name: "etcd", folder: "kubernetes", pkg: "go.etcd.io/etcd/server/v3",
		module: "go.etcd.io/etcd/server/v3", version: etcdVersion,
	}
	corednsBinary = binary{name: "coredns", folder: "dns", pkg: "."}
	pauseBinary   = binary{name: "pause", folder: "pause", pkg: "."}

	// assetBinaries are what envtest starts. The API server comes first: the others share most of its
	// packages and are built quickly after it.
	assetBinaries = []binary{kubernetes("kube-apiserver"), etcdBinary, kubernetes("kubectl")}

	nodeBinaries = []binary{
		kubernetes("kube-controller-manager"), kubernetes("kube-scheduler"), kubernetes("kubelet"),
		kubernetes("kube-proxy"), corednsBinary, pauseBinary,
	}
)

func assetsCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "assets",
		Short: "Build etcd, kube-apiserver and kubectl if missing, and print their folder",
		Long: `Build etcd, kube-apiserver and kubectl if they are missing, and print their folder, which envtest
takes as KUBEBUILDER_ASSETS.`,
		Example: `  export KUBEBUILDER_ASSETS="$(go -C hack/cluster run . assets)"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := newBuilder(o.cache)
			if err != nil {
				return err
			}
			if err := b.ensure(cmd.Context(), assetBinaries); err != nil {
				return err
			}
			fmt.Println(b.dir)
			return nil
		},
	}
}

// builder keeps the built programs in one folder of the cache.
type builder struct {
	sources string // this module's folder
	dir     string
}

func newBuilder(cache string) (*builder, error) {
	_, file, _, ok := runtime.Caller(0)
	sources := filepath.Dir(file)
	if _, err := os.Stat(filepath.Join(sources, "kubernetes", "go.mod")); !ok || err != nil {
		return nil, errors.New("the sources that this program was built from are gone: " +
			"run it as `go run .` in hack/cluster, or build it there without -trimpath")
	}
	return &builder{sources: sources, dir: filepath.Join(cache, "kubernetes-"+kubernetesVersion)}, nil
}

// path is where a program is, or will be once it is built.
func (b *builder) path(bin binary) (string, error) {
	if bin.module != "" {
		return filepath.Join(b.dir, bin.name), nil
	}
	digest, err := digestFolder(filepath.Join(b.sources, bin.folder))
	if err != nil {
		return "", fmt.Errorf("read the source of %s: %w", bin.name, err)
	}
	return filepath.Join(b.dir, bin.name+"-"+digest), nil
}

// ensure builds the programs that are missing, one at a time: each build uses every core already. Two
// processes that need the same program wait for each other, and the second finds it built.
func (b *builder) ensure(ctx context.Context, binaries []binary) error {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	unlock, err := lockFolder(b.dir)
	if err != nil {
		return err
	}
	defer unlock()
	for _, bin := range binaries {
		path, err := b.path(bin)
		if err != nil {
			return err
		}
		if isBuilt(path, bin) {
			continue
		}
		if err := step("building "+bin.name, func() error { return b.build(ctx, bin, path) }); err != nil {
			return err
		}
	}
	return nil
}

// isBuilt reports whether the file is a whole program of the wanted version.
func isBuilt(path string, bin binary) bool {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return false
	}
	return bin.module == "" || info.Main.Path == bin.module && info.Main.Version == bin.version
}

// build compiles to a temporary name first, so that a build that is interrupted leaves no half program.
func (b *builder) build(ctx context.Context, bin binary, path string) error {
	temporary := filepath.Join(b.dir, fmt.Sprintf(".%s.%d", bin.name, os.Getpid()))
	defer os.Remove(temporary)
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false",
		"-ldflags", linkerFlags(bin), "-o", temporary, bin.pkg)
	cmd.Dir = filepath.Join(b.sources, bin.folder)
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", bin.name, err, lastLines(output, 15))
	}
	return os.Rename(temporary, path)
}

// linkerFlags drops the symbols, which halves the files, and tells Kubernetes its own version, which it
// otherwise reports as v0.0.0.
func linkerFlags(bin binary) string {
	flags := "-s -w"
	if bin.module != "k8s.io/kubernetes" {
		return flags
	}
	numbers := strings.Split(strings.TrimPrefix(kubernetesVersion, "v"), ".")
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags += fmt.Sprintf(" -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s"+
			" -X %[1]s.gitTreeState=clean", pkg, kubernetesVersion, numbers[0], numbers[1])
	}
	return flags
}

// digestFolder is a digest of a folder's files, short enough for a file name.
func digestFolder(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(digest, "%s %d\n", entry.Name(), len(content))
		_, _ = digest.Write(content)
	}
	return hex.EncodeToString(digest.Sum(nil))[:12], nil
}

// copyFile copies a program, so that it can be run when the original is gone, as the one that `go run`
// built is.
func copyFile(from, to string, mode os.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
