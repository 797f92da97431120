// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
)

func TestClaimsShrinkAfterTimeOutsAndGrowAgain(t *testing.T) {
	t.Parallel()
	var a appetite
	a.failed(errors.New("refused"), 1000)
	a.failed(context.Canceled, 1000)
	if a.bound() != maxClaimBytes {
		t.Errorf("what is no time-out makes the bound %d", a.bound())
	}
	for _, want := range []int{4 << 20, 2 << 20, 1 << 20} {
		a.failed(fmt.Errorf("write: %w", os.ErrDeadlineExceeded), min(a.bound(), 8<<20))
		if a.bound() != want {
			t.Errorf("after a time-out the bound is %d, want %d", a.bound(), want)
		}
	}
	for range 20 {
		a.failed(context.DeadlineExceeded, 10)
	}
	if a.bound() != leastClaimBytes {
		t.Errorf("after many time-outs the bound is %d", a.bound())
	}
	grown := 0
	for ; a.bound() < maxClaimBytes && grown < 100; grown++ {
		before := a.bound()
		if a.passed(); a.bound() > 2*before {
			t.Fatalf("the bound jumps from %d to %d", before, a.bound())
		}
	}
	if grown == 100 {
		t.Errorf("the bound stays %d", a.bound())
	}
}
