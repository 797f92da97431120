// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what is to come, and how often it looks. The
// limit is for slow machines: no test is faster or slower for it.
type Patience struct {
	Limit, Interval time.Duration
	// Longest, where it is set, lets a test look more seldom the longer it has waited: after
	// an eighth of that time, which is not less than Interval and not more than Longest.
	// Most of what is asked has a price for the server that is tested.
	Longest time.Duration
}

// Usual is the patience that all tests have that name no other. It is long, since two
// cores may be shared by dozens of servers: a test that waits for what comes loses nothing.
var Usual = Patience{Limit: 2 * time.Minute, Interval: 20 * time.Millisecond, Longest: 200 * time.Millisecond}

// Eventually polls until check has nothing to complain about, and fails the test when
// the patience is at its end.
func (p Patience) Eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	p.await(t, nil, what, check)
}

// Eventually polls until check has nothing to complain about, and fails the test when
// the patience is at its end, or at once when the process is.
func (p *Process) Eventually(t testing.TB, patience Patience, what string, check func() error) {
	t.Helper()
	patience.await(t, p, what, check)
}

func (p Patience) await(t testing.TB, of *Process, what string, check func() error) {
	t.Helper()
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		<-timer.C
		// Asked first, so that the check sees all that a process has said which ended.
		ended := of != nil && !of.Running()
		err := check()
		if err == nil {
			return
		}
		if ended {
			t.Fatalf("%s: %s has ended (%v): %v", what, of.name(), of.Err(), err)
		}
		waited := time.Since(began)
		if waited > p.Limit {
			t.Fatalf("%s: not within %v: %v", what, p.Limit, err)
		}
		timer.Reset(p.pause(waited))
	}
}

// pause is how long a test that has waited for so long does not look.
func (p Patience) pause(waited time.Duration) time.Duration {
	return max(p.Interval, min(waited/8, p.Longest))
}

// Must fails the test at an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
