// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"
)

// step says what starts, runs it, and says how long it took. Progress goes to standard error, so that
// standard output holds only what a script reads.
func step(what string, run func() error) error {
	fmt.Fprintf(os.Stderr, "  %s ... ", what)
	started := time.Now()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "failed")
		return err
	}
	fmt.Fprintln(os.Stderr, shortDuration(time.Since(started)))
	return nil
}

// shortDuration keeps what a reader compares: tenths below ten seconds, whole seconds above.
func shortDuration(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
