// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
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

// TestNoMoreIsInFlightThanTheMemoryHolds has a bound of 300 bytes: a hundred of values.
func TestNoMoreIsInFlightThanTheMemoryHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(300)
		first, second, large := m.share(), m.share(), m.share()
		if err := first.Take(t.Context(), 60); err != nil {
			t.Fatal(err)
		}
		first.Settle(50) // 150 of 300
		if !first.TryTake(50) {
			t.Fatal("there is no room for what fits")
		}
		first.Settle(10) // 180
		if second.TryTake(50) {
			t.Fatal("there is room for more than the bound")
		}
		if err := second.Take(t.Context(), 40); err != nil {
			t.Fatal(err)
		}
		second.Settle(40) // 300
		got := make(chan error, 1)
		go func() { got <- large.Take(t.Context(), 1000) }()
		synctest.Wait()
		second.giveBack()
		synctest.Wait()
		if first.TryTake(1) {
			t.Error("a claim grows while another waits for room")
		}
		select {
		case err := <-got:
			t.Error("a value larger than all memory goes beside another one", err)
		default:
		}
		first.giveBack()
		if err := <-got; err != nil {
			t.Error(err)
		}
		large.Settle(1000)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := second.Take(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("what waits is not interrupted: %v", err)
		}
		large.giveBack()
		first.giveBack()
		if !m.free.TryAcquire(300) {
			t.Error("something is never given back")
		}
	})
}
