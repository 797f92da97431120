// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

// runtimeTools are the programs and the pod network plugins of this machine that a node needs.
type runtimeTools struct {
	containerd, runc, plugins string
}

// pluginFolders are where Debian and the plugins' own releases put them.
var pluginFolders = []string{"/usr/lib/cni", "/opt/cni/bin"}

// findRuntime finds what the node needs on this machine, and installs the Debian packages of what is
// missing. It asks for programs rather than packages first, because containerd may come from elsewhere.
func findRuntime(ctx context.Context, sources string) (runtimeTools, error) {
	tools, missing := lookRuntime()
	if len(missing) == 0 {
		return tools, nil
	}
	if err := requirePackages(ctx, sources, missing...); err != nil {
		return tools, err
	}
	if tools, missing = lookRuntime(); len(missing) > 0 {
		return tools, fmt.Errorf("the programs of %s are missing though the packages are installed",
			strings.Join(missing, ", "))
	}
	return tools, nil
}

func lookRuntime() (tools runtimeTools, missing []string) {
	find := func(program, pkg string) string {
		path, err := exec.LookPath(program)
		if err != nil {
			missing = append(missing, pkg)
		}
		return path
	}
	tools.containerd = find("containerd", "containerd")
	tools.runc = find("runc", "runc")
	find("iptables", "iptables")
	find("ip", "iproute2")
	for _, folder := range pluginFolders {
		if _, err := os.Stat(filepath.Join(folder, "ptp")); err == nil {
			tools.plugins = folder
			return tools, missing
		}
	}
	return tools, append(missing, "containernetworking-plugins")
}

// requirePackages installs Debian packages; the script says what it does, and why it cannot.
func requirePackages(ctx context.Context, sources string, packages ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(sources, "..", "require.sh"), packages...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("install Debian packages %s: %w", strings.Join(packages, " "), err)
	}
	return nil
}

func (c *cluster) containerdSocket() string { return c.path("containerd.sock") }

// pauseImage holds the namespaces of each pod. It is imported, never pulled.
const pauseImage = "writebehind.local/pause:local"

// restrict_oom_score_adj lets pods start where root may not lower the score (no CAP_SYS_RESOURCE): runc
// fails otherwise. The plugins that are off would only log that this machine lacks their file system.
var containerdConfig = template.Must(template.New("containerd").Parse(`version = 2
root = "{{.Dir}}/containerd/root"
state = "{{.Dir}}/containerd/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
  address = "{{.Socket}}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{{.Dir}}/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{{.Pause}}"
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{{.Plugins}}"
    conf_dir = "{{.Dir}}/cni/conf"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{{.Runc}}"
        Root = "{{.Dir}}/containerd/runc"
        SystemdCgroup = false
`))

// startContainerd starts the container runtime and imports the image that every pod needs.
func (c *cluster) startContainerd(ctx context.Context, tools runtimeTools, pause string) error {
	podNetwork, err := c.podNetwork()
	if err != nil {
		return err
	}
	if err := c.writeFile("cni/conf/10-writebehind.conflist", podNetwork); err != nil {
		return err
	}
	var config strings.Builder
	if err := containerdConfig.Execute(&config, struct{ Dir, Socket, Pause, Plugins, Runc string }{
		c.dir, c.containerdSocket(), pauseImage, tools.plugins, tools.runc,
	}); err != nil {
		return err
	}
	if err := c.writeFile("containerd.toml", []byte(config.String())); err != nil {
		return err
	}
	containerd, err := c.start("containerd", tools.containerd, "--config", c.path("containerd.toml"))
	if err != nil {
		return err
	}
	if err := containerd.await(ctx, func(ctx context.Context) error {
		return c.ctr(ctx, nil, "version")
	}); err != nil {
		return err
	}
	return c.load(ctx, image{
		Name: pauseImage, Files: []imageFile{{From: pause, To: "/pause"}}, Entrypoint: []string{"/pause"},
	})
}

// ctr runs containerd's client for the images and containers of Kubernetes.
func (c *cluster) ctr(ctx context.Context, stdin io.Reader, arguments ...string) error {
	cmd := exec.CommandContext(ctx, "ctr",
		append([]string{"--address", c.containerdSocket(), "--namespace", "k8s.io"}, arguments...)...)
	cmd.Stdin = stdin
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ctr %s: %w: %s", arguments[0], err, lastLines(output, 3))
	}
	return nil
}

// writeFile writes a file of the cluster's folder, with the folders above it.
func (c *cluster) writeFile(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(c.path(name), content, 0o600)
}

// errNotRoot says why a command stops at once rather than halfway.
var errNotRoot = errors.New("running pods needs root: run this command with sudo, or as root")
