// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"sync"
	"testing"
)

// fault lines of the promise, as the package's text explains them.
type finding string

const (
	lost       finding = "lost"
	stale      finding = "stale"
	repeated   finding = "repeated"
	phantom    finding = "phantom"
	unreported finding = "unreported"
	// untold is an answer to WAIT that says more than is so.
	untold   finding = "untold"
	counters finding = "counters"
	process  finding = "process"
	// wrong is a value that its document does not say.
	wrong finding = "wrong"
	// stuck is what should flow, and stands.
	stuck finding = "stuck"
	// harness is a failure of the test itself: a server that does not come back, or a
	// history that cannot be read.
	harness finding = "harness"
)

// told is how many findings of one sort are told in full; a broken engine makes
// thousands that say the same.
const told = 10

// findings are the breaches of the promise that a run has found.
type findings struct {
	mu     sync.Mutex
	counts map[finding]int
	texts  []string
}

func (f *findings) add(of finding, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = make(map[finding]int)
	}
	f.counts[of]++
	if f.counts[of] <= told {
		f.texts = append(f.texts, string(of)+": "+fmt.Sprintf(format, args...))
	}
}

func (f *findings) count(of finding) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[of]
}

func (f *findings) total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	total := 0
	for _, n := range f.counts {
		total += n
	}
	return total
}

// report fails the test for everything that was found.
func (f *findings) report(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, text := range f.texts {
		t.Error(text)
	}
	for of, n := range f.counts {
		if n > told {
			t.Errorf("%s: %d in all", of, n)
		}
	}
}
