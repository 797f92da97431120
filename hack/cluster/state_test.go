// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func testCluster(t *testing.T) *cluster {
	t.Helper()
	c, err := newCluster(t.TempDir(), defaultSubnet, "/binaries")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func self(t *testing.T) process {
	t.Helper()
	start, running := processStart(os.Getpid())
	if !running {
		t.Fatal("this process is not running")
	}
	return process{Name: "self", PID: os.Getpid(), Start: start}
}

func TestStateSurvives(t *testing.T) {
	c := testCluster(t)
	c.state.Complete = true
	c.state.Sysctls = map[string]string{"vm/overcommit_memory": "0"}
	c.state.Processes = []process{self(t)}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	read, err := runningCluster(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	if !read.state.Started.Equal(c.state.Started) {
		t.Errorf("started %s, want %s", read.state.Started, c.state.Started)
	}
	read.state.Started = c.state.Started
	if !reflect.DeepEqual(read, c) {
		t.Errorf("read %+v, want %+v", read, c)
	}
}

func TestOpenCluster(t *testing.T) {
	dir := t.TempDir()
	for _, missing := range []string{dir, filepath.Join(dir, "missing")} {
		if _, err := openCluster(missing); !errors.Is(err, errNoCluster) {
			t.Errorf("%s: %v, want no cluster", missing, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// `down` removes the folder: it must not take somebody's own for one of its own.
	if _, err := openCluster(dir); err == nil || errors.Is(err, errNoCluster) {
		t.Errorf("somebody's folder: %v, want an error of its own", err)
	}
	if err := down(t.Context(), &options{dir: dir}); err == nil {
		t.Error("down took somebody's folder for a cluster")
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis.txt")); err != nil {
		t.Error(err)
	}
}

func TestWhole(t *testing.T) {
	gone := self(t)
	gone.Name, gone.Start = "gone", gone.Start+1
	for _, test := range []struct {
		name   string
		change func(*cluster)
		want   bool
	}{
		{"up", func(*cluster) {}, true},
		{"came up halfway", func(c *cluster) { c.state.Complete = false }, false},
		{"a process ended", func(c *cluster) { c.state.Processes = append(c.state.Processes, gone) }, false},
		{"before the last boot", func(c *cluster) { c.state.Boot = "another" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := testCluster(t)
			c.state.Complete = true
			c.state.Processes = []process{self(t)}
			test.change(c)
			if got := c.whole(); got != test.want {
				t.Errorf("whole = %v, want %v", got, test.want)
			}
		})
	}
}

func TestAlreadyUpRefusesHalfACluster(t *testing.T) {
	c := testCluster(t)
	gone := self(t)
	gone.Name, gone.Start = "kubelet", gone.Start+1
	c.state.Complete, c.state.Processes = true, []process{gone}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	done, err := alreadyUp(c.dir)
	if done || err == nil || !strings.Contains(err.Error(), "no longer runs kubelet") {
		t.Errorf("alreadyUp = %v, %v", done, err)
	}
}

func TestLockNoticesThatTheFolderIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		unlock, err := lockFolder(dir)
		if err == nil {
			unlock()
		}
		waiting <- err
	}()
	// Whether the other is waiting already or comes later, the folder is not there for it.
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-waiting; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the second lock: %v", err)
	}
}
