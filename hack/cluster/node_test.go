// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMountsBelow(t *testing.T) {
	const mountinfo = `27 1 254:0 / / rw - ext4 /dev/vda rw
60 27 0:50 / /tmp/cluster/a rw - tmpfs tmpfs rw
61 60 0:51 / /tmp/cluster/a/b\040c rw - tmpfs tmpfs rw
62 27 0:52 / /tmp/cluster-of-somebody rw - tmpfs tmpfs rw
`
	got := mountsBelow(mountinfo, "/tmp/cluster")
	if want := []string{"/tmp/cluster/a", "/tmp/cluster/a/b c"}; !slices.Equal(got, want) {
		t.Errorf("mounts = %q, want %q", got, want)
	}
}

func TestCheckFolder(t *testing.T) {
	for _, dir := range []string{"/var/tmp/cluster", "/run/cluster", "/dev/shm/cluster"} {
		if err := checkFolder(dir); err == nil {
			t.Errorf("%s was taken, which the node cannot see", dir)
		}
	}
	for _, dir := range []string{"/tmp/cluster", "/variable/cluster"} {
		if err := checkFolder(dir); err != nil {
			t.Error(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/var", link); err != nil {
		t.Fatal(err)
	}
	if err := checkFolder(filepath.Join(link, "cluster")); err == nil {
		t.Error("a link to /var was taken")
	}
}

func TestRemoveCgroup(t *testing.T) {
	root := filepath.Join(t.TempDir(), "group")
	if err := os.MkdirAll(filepath.Join(root, "kubepods", "besteffort", "pod1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeCgroup(root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("the group is still there: %v", err)
	}
	if err := removeCgroup(root); err != nil {
		t.Errorf("a group that is gone: %v", err)
	}
}

func TestCgroupProcesses(t *testing.T) {
	root := t.TempDir()
	for file, content := range map[string]string{"cgroup.procs": "", "pod1/cgroup.procs": "12\n34\n", "pod1/tasks": "56\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := cgroupProcesses(root); !slices.Equal(got, []int{12, 34}) {
		t.Errorf("processes = %v", got)
	}
	if got := cgroupProcesses(filepath.Join(root, "missing")); got != nil {
		t.Errorf("processes of a missing group = %v", got)
	}
}
