// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Progress runs `go test -json` and hands its events on. It names a test that fails at
// once and, whenever nothing that a person sees has ended for a while, says what is at work.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// silence is how long a run may show nothing.
const silence = 15 * time.Second

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: progress go test -json ...")
		os.Exit(2)
	}
	command := exec.CommandContext(context.Background(), os.Args[1], os.Args[2:]...) //nolint:gosec // what the caller names
	command.Stderr = os.Stderr
	events, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ticker := time.NewTicker(silence)
	follow(events, os.Stdout, time.Now(), ticker.C, func() { ticker.Reset(silence) })
	err = command.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(1, exit.ExitCode()))
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// follow copies the events, and writes a line about them at each tick. It asks for
// the ticks to begin again whenever a package has ended, since that is shown.
func follow(events io.Reader, out io.Writer, began time.Time, ticks <-chan time.Time, ended func()) {
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		reader := bufio.NewReader(events)
		for {
			line, err := reader.ReadBytes('\n')
			if len(line) > 0 {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	r := newRun()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			_, _ = out.Write(line)
			over, failed := r.take(line)
			if failed != "" {
				// Its own words come at the end of the run, which may be far.
				_, _ = fmt.Fprintf(out, "  failed: %s\n", failed)
			}
			if over {
				ended()
			}
		case now := <-ticks:
			_, _ = fmt.Fprintf(out, "%s\n", r.state(now.Sub(began)))
		}
	}
}
