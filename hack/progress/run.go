// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// mostNamed is how many packages one line names.
const mostNamed = 4

// run is what is known of a run of tests.
type run struct {
	// done has the tests that ended, by package at work.
	done   map[string]int
	tests  int
	failed int
	ended  int
}

// event is what matters of one line of `go test -json`.
type event struct{ Action, Package, Test string }

func newRun() *run { return &run{done: map[string]int{}} }

// take counts one event. It reports whether a package has ended with it, and names the test
// that has failed.
func (r *run) take(line []byte) (ended bool, failed string) {
	var e event
	if json.Unmarshal(line, &e) != nil || e.Package == "" {
		return false, ""
	}
	switch e.Action {
	case "start", "run":
		r.done[e.Package] += 0
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.ended++
			delete(r.done, e.Package)
			return true, ""
		}
		r.tests++
		r.done[e.Package]++
		if e.Action == "fail" {
			r.failed++
			return false, short(e.Package) + " " + e.Test
		}
	}
	return false, ""
}

// short is a package's path within the module.
func short(path string) string {
	if parts := strings.SplitN(path, "/", 4); len(parts) == 4 {
		return parts[3]
	}
	return path
}

// state is one line for a person who waits.
func (r *run) state(elapsed time.Duration) string {
	text := fmt.Sprintf("  %s: %d packages and %d tests done", elapsed.Round(time.Second), r.ended, r.tests)
	if r.failed > 0 {
		text += fmt.Sprintf(", %d failed", r.failed)
	}
	var names []string
	for name, done := range r.done {
		names = append(names, fmt.Sprintf("%s (%d)", short(name), done))
	}
	if len(names) == 0 {
		return text + "; building"
	}
	slices.Sort(names)
	if more := len(names) - mostNamed; more > 0 {
		names = append(names[:mostNamed], fmt.Sprintf("%d more", more))
	}
	return text + "; at work: " + strings.Join(names, ", ")
}
