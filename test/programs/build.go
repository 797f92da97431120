// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Main runs a package's tests once prepare has put what all of them need into a
// folder, which is removed at the end, and returns the exit code for TestMain.
func Main(m *testing.M, prepare func(folder string) error) int {
	folder, err := os.MkdirTemp("", "programs")
	if err == nil {
		defer os.RemoveAll(folder)
		err = prepare(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// WithRaceDetector are the flags for Build that hack/go-test.sh has for tests.
var WithRaceDetector = []string{"-race", "-gcflags=all=-d=checkptr=0"}

// Build builds programs into a folder, each under its own name, with flags as `go build`
// takes them. A program is named by its folder in the project: cmd/flusher.
func Build(ctx context.Context, folder string, flags []string, names ...string) error {
	// Nobody debugs it, and it is linked sooner.
	arguments := append([]string{"build", "-ldflags=-s -w", "-o", folder}, flags...)
	for _, name := range names {
		arguments = append(arguments, "github.com/writebehind/operator/"+name)
	}
	if said, err := exec.CommandContext(ctx, "go", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("build %v: %w\n%s", names, err, said)
	}
	return nil
}
