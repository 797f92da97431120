// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// partOf is the variable that tells a process that it is a part of the suite, and
// names the folder in which the parts share out the specs.
const partOf = "WRITEBEHIND_TEST_PART_OF"

// notice is what a part tells of one spec that it has run, or first of all how many
// specs there are to run.
type notice struct {
	Will int `json:",omitempty"`

	Name    string        `json:",omitempty"`
	Took    time.Duration `json:",omitempty"`
	Skipped string        `json:",omitempty"`
	// Pending is a spec that nobody was to run.
	Pending bool `json:",omitempty"`
	// Failure is what failed, where, and the operator's log of that spec alone.
	Failure string `json:",omitempty"`
}

// suite runs the specs in parts, one a processor, and makes a subtest of every spec: one is
// counted, named and shown by itself. Each part is a process with an API server and an operator
// of its own. Most specs wait for the operator most of the time, and more parts would fill that
// time, but a server takes longer to start than many specs do, and other packages fill it too.
func suite(t *testing.T) {
	claims := t.TempDir()
	notices := make(chan notice)
	var parts sync.WaitGroup
	for i := range runtime.GOMAXPROCS(0) {
		parts.Go(func() {
			if err := runPart(t, claims, notices); err != nil {
				t.Errorf("part %d: %v", i+1, err)
			}
		})
	}
	go func() {
		parts.Wait()
		close(notices)
	}()
	will, told := 0, 0
	for n := range notices {
		if n.Name == "" {
			will = n.Will
			continue
		}
		if !n.Pending {
			told++
		}
		t.Run(n.Name, func(t *testing.T) {
			t.Logf("took %s", n.Took.Round(time.Millisecond))
			switch {
			case n.Failure != "":
				t.Error(n.Failure)
			case n.Skipped != "":
				t.Skip(n.Skipped)
			}
		})
	}
	if told != will {
		t.Errorf("%d of %d specs were run", told, will)
	}
}

// runPart runs one part to its end. What it prints is shown only when something
// else has failed than a spec, which is told with its own log.
func runPart(t *testing.T, claims string, notices chan<- notice) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _ = reader.Close() }()
	// A part ends with its standard input, so that none outlives this process.
	input, alive, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _ = alive.Close() }()

	var said bytes.Buffer
	part := exec.CommandContext(t.Context(), os.Args[0], partArguments(t)...) //nolint:gosec // this very program
	part.Env = append(os.Environ(), partOf+"="+claims)
	part.Stdin, part.Stdout, part.Stderr = input, &said, &said
	part.ExtraFiles = []*os.File{writer}
	if err := part.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	_, _ = writer.Close(), input.Close()
	failed := false
	lines := json.NewDecoder(bufio.NewReader(reader))
	for {
		var n notice
		if err := lines.Decode(&n); err != nil {
			if !errors.Is(err, io.EOF) {
				failed = false // it was cut off
			}
			break
		}
		failed = failed || n.Failure != ""
		notices <- n
	}
	err = part.Wait()
	if err != nil && (!failed || bytes.Contains(said.Bytes(), []byte("DATA RACE"))) {
		return fmt.Errorf("%w\n%s", err, &said)
	}
	return nil
}

// partArguments hands Ginkgo's flags on. -run with a spec's name after a slash
// becomes Ginkgo's focus.
func partArguments(t *testing.T) []string {
	arguments := []string{"-test.run=^" + t.Name() + "$", "-ginkgo.no-color"}
	for _, argument := range os.Args[1:] {
		if strings.HasPrefix(strings.TrimLeft(argument, "-"), "ginkgo.") {
			arguments = append(arguments, argument)
		}
	}
	if _, spec, ok := strings.Cut(flag.Lookup("test.run").Value.String(), "/"); ok {
		arguments = append(arguments, "-ginkgo.focus="+strings.ReplaceAll(spec, "_", "[ _]"))
	}
	if deadline, ok := t.Deadline(); ok {
		// What stands still is told, and the API servers are stopped.
		arguments = append(arguments, fmt.Sprintf("-ginkgo.timeout=%s", time.Until(deadline)-30*time.Second))
	}
	return arguments
}
