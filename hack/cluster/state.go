// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// state is what a later command has to know about a cluster, most of all to end it. It is written before
// the first trace is made and after every process that starts, so that a crash leaves nothing unknown.
type state struct {
	Kubernetes string    `json:"kubernetes"`
	Started    time.Time `json:"started"`
	// Boot is the kernel's boot id: process ids and start times mean nothing after a reboot.
	Boot string `json:"boot"`
	// Complete is set once the cluster has come up whole.
	Complete bool   `json:"complete"`
	Subnet   string `json:"subnet"`
	Binaries string `json:"binaries"`
	// Sysctls holds the values of the machine's settings that the kubelet overwrites.
	Sysctls   map[string]string `json:"sysctls,omitempty"`
	Processes []process         `json:"processes,omitempty"`
}

// cluster is a cluster's folder, what it recorded, and the names derived from both.
type cluster struct {
	dir     string
	network network
	state   state
}

var errNoCluster = errors.New("no cluster")

func (c *cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.dir}, elements...)...)
}

func (c *cluster) kubeconfig() string { return c.path("kubeconfig") }

// tag tells this cluster's traces outside its folder from those of a cluster in another folder.
func (c *cluster) tag() string {
	digest := sha256.Sum256([]byte(c.dir))
	return hex.EncodeToString(digest[:])[:6]
}

func (c *cluster) cgroup() string { return "writebehind-" + c.tag() }

// newCluster describes a cluster that does not run yet.
func newCluster(dir, subnet, binaries string) (*cluster, error) {
	net, err := newNetwork(subnet)
	if err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	return &cluster{dir: dir, network: net, state: state{
		Kubernetes: kubernetesVersion, Started: time.Now().Truncate(time.Second), Boot: boot,
		Subnet: subnet, Binaries: binaries,
	}}, nil
}

// openCluster reads a cluster's folder. The error is errNoCluster if there is none, and another one
// where the folder belongs to somebody else.
func openCluster(dir string) (*cluster, error) {
	content, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, errNoCluster
		case err != nil:
			return nil, err
		case len(entries) > 0:
			return nil, fmt.Errorf("%s is not a cluster's folder and not empty: name another with --dir", dir)
		}
		return nil, errNoCluster
	}
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir}
	if err := json.Unmarshal(content, &c.state); err != nil {
		return nil, fmt.Errorf("read %s: %w", c.path("state.json"), err)
	}
	c.network, err = newNetwork(c.state.Subnet)
	return c, err
}

// runningCluster is openCluster for the commands that need a cluster that is up.
func runningCluster(dir string) (*cluster, error) {
	c, err := openCluster(dir)
	if errors.Is(err, errNoCluster) || err == nil && !c.whole() {
		return nil, fmt.Errorf("no cluster is up in %s: start one with `cluster up`", dir)
	}
	return c, err
}

// save writes the state by rename, so that a reader sees the old one or the new one.
func (c *cluster) save() error {
	content, err := json.MarshalIndent(c.state, "", "  ")
	if err != nil {
		return err
	}
	temporary := c.path(".state.json")
	if err := os.WriteFile(temporary, append(content, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, c.path("state.json"))
}

// whole reports whether the cluster came up and all its processes still run.
func (c *cluster) whole() bool {
	return c.state.Complete && len(c.dead()) == 0
}

// dead names the recorded processes that no longer run.
func (c *cluster) dead() []string {
	var names []string
	for _, p := range c.state.Processes {
		if !c.alive(p) {
			names = append(names, p.Name)
		}
	}
	return names
}

func (c *cluster) alive(p process) bool {
	boot, err := bootID()
	return err == nil && boot == c.state.Boot && p.alive()
}

func bootID() (string, error) {
	content, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(content)), err
}

// lockFolder keeps a second process from changing the folder at the same time: it waits. The lock ends
// with the process, so none is left behind.
func lockFolder(dir string) (func(), error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		folder.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	// Whoever had the lock may have removed the folder.
	locked, err := folder.Stat()
	if err == nil {
		var now os.FileInfo
		if now, err = os.Stat(dir); err == nil && !os.SameFile(locked, now) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		folder.Close()
		return nil, fmt.Errorf("another command ended the cluster meanwhile: run this one again (%w)", err)
	}
	return func() { folder.Close() }, nil
}
