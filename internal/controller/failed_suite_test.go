// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestASuiteThatCannotBeginEnds runs the suite where it fails before its first spec: it says
// why, and leaves no process behind.
func TestASuiteThatCannotBeginEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		assets string
		says   string
	}{
		"no API server": {t.TempDir(), "unable to start control plane itself"},
		// The CustomResourceDefinitions are looked for where the process runs.
		"after the API server was started": {os.Getenv(assets), "unable to install CRDs onto control plane"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			folder := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			suite := exec.CommandContext(ctx, program, "-test.run=^TestController$") //nolint:gosec // this very program
			suite.Dir = folder
			suite.Env = append(os.Environ(), assets+"="+c.assets, "TMPDIR="+folder, "GOMAXPROCS=1",
				"KUBEBUILDER_CONTROLPLANE_START_TIMEOUT="+patience.String())
			suite.WaitDelay = quiet
			said, err := suite.CombinedOutput()
			if _, ended := errors.AsType[*exec.ExitError](err); !ended || ctx.Err() != nil {
				t.Errorf("the suite ends with %v, want its failure", err)
			}
			if !strings.Contains(string(said), c.says) {
				t.Errorf("%q is not in what the suite says: %s", c.says, said)
			}
			for pid, command := range processesWith(t, folder) {
				t.Errorf("process %d is left: %s", pid, command)
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
}

// processesWith are the processes that have a folder among their arguments.
func processesWith(t *testing.T, folder string) map[int]string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, file := range files {
		arguments, err := os.ReadFile(file) //nolint:gosec // of the kernel
		pid, notANumber := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && notANumber == nil && strings.Contains(string(arguments), folder) {
			found[pid] = strings.ReplaceAll(string(arguments), "\x00", " ")
		}
	}
	return found
}
