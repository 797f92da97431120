// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// nodeProcess is process 1 of the node. It holds the mount, network and process namespaces in which
// everything else runs. That keeps the components' ports, iptables rules and mounts off the machine, and
// makes the end simple: the kernel ends every process of the namespace with its process 1, and what the
// namespaces held goes with them.
const nodeProcess = "node"

// startNode makes the namespaces, and hides from the components the folders of the machine that they
// write to whatever their configuration says: /run, and /var/lib and /var/log below an overlay.
func (c *cluster) startNode(ctx context.Context, pause string) error {
	for _, folder := range []string{"var/upper", "var/work"} {
		if err := os.MkdirAll(c.path(folder), 0o755); err != nil {
			return err
		}
	}
	if _, err := c.spawn(nodeProcess, []string{pause}, &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
	}); err != nil {
		return fmt.Errorf("%w (a container needs --privileged for this)", err)
	}
	holder, err := c.holder()
	if err != nil {
		return err
	}
	// Mounts are shared among the node's own namespaces, as the kubelet expects, and private to it.
	script := fmt.Sprintf(`
mount --no-mtab --make-rprivate /
mount --no-mtab --make-rshared /
mount --no-mtab -t tmpfs -o mode=755 tmpfs /run
mount -t proc proc /proc
mount -t overlay -o lowerdir=/var,upperdir=%[1]s,workdir=%[2]s overlay /var
`, c.path("var", "upper"), c.path("var", "work"))
	return run(ctx, nsenter(holder, "sh", "-ec", script)...)
}

// holder is the id of the node's process 1.
func (c *cluster) holder() (int, error) {
	for _, p := range c.state.Processes {
		if p.Name == nodeProcess && c.alive(p) {
			return p.PID, nil
		}
	}
	return 0, errors.New("the node's first process is not running: `cluster down`, then `cluster up`")
}

// nsenter is the command that runs argv inside the node.
func nsenter(holder int, argv ...string) []string {
	return append([]string{
		"nsenter", "--target", strconv.Itoa(holder), "--mount", "--net", "--pid", "--",
	}, argv...)
}

// checkFolder refuses folders that the node cannot see, because startNode puts its own in their place.
func checkFolder(dir string) error {
	if parent, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		dir = filepath.Join(parent, filepath.Base(dir))
	}
	for _, hidden := range []string{"/var", "/run", "/proc", "/sys", "/dev"} {
		if dir == hidden || strings.HasPrefix(dir, hidden+"/") {
			return fmt.Errorf("the cluster's folder cannot be below %s: name another with --dir", hidden)
		}
	}
	return nil
}

const cgroupRoot = "/sys/fs/cgroup"

// cgroups are the folders of the cluster's control group: one in each hierarchy of version 1, one in all
// of version 2.
func (c *cluster) cgroups() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{filepath.Join(cgroupRoot, c.cgroup())}, nil
	}
	hierarchies, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, err
	}
	var folders []string
	for _, hierarchy := range hierarchies {
		// Debian also has links such as cpu for the folder cpu,cpuacct.
		if hierarchy.IsDir() {
			folders = append(folders, filepath.Join(cgroupRoot, hierarchy.Name(), c.cgroup()))
		}
	}
	return folders, nil
}

// makeCgroups makes the control group below which the kubelet keeps those of the pods.
func (c *cluster) makeCgroups() error {
	folders, err := c.cgroups()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make the cluster's control group: %w", err)
		}
	}
	return nil
}

// cgroupProcesses are the ids of the processes in a control group and those below it.
func cgroupProcesses(folder string) []int {
	var ids []int
	_ = filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // a group that goes while it is read is what the caller wants
		}
		if entry.Name() != "cgroup.procs" {
			return nil
		}
		content, _ := os.ReadFile(path)
		for field := range strings.FieldsSeq(string(content)) {
			if id, err := strconv.Atoi(field); err == nil && id > 0 {
				ids = append(ids, id)
			}
		}
		return nil
	})
	return ids
}

// removeCgroup removes a control group from the leaves up; the files in it cannot be removed.
func removeCgroup(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroup(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := syscall.Rmdir(folder); err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("remove %s: %w", folder, err)
	}
	return nil
}

// kubeletSysctls are the machine's settings that the kubelet overwrites at its start and that no
// namespace keeps apart. They are put back when the cluster goes.
var kubeletSysctls = []string{
	"kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys", "kernel/panic", "kernel/panic_on_oops",
	"vm/overcommit_memory", "vm/panic_on_oom",
}

func readSysctls(names []string) map[string]string {
	values := map[string]string{}
	for _, name := range names {
		if content, err := os.ReadFile("/proc/sys/" + name); err == nil {
			values[name] = strings.TrimSpace(string(content))
		}
	}
	return values
}

func writeSysctls(values map[string]string) error {
	var failed []error
	for name, value := range values {
		if current := readSysctls([]string{name}); current[name] == value {
			continue
		}
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
