// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func sized(bytes int64) *memory {
	m := &memory{}
	m.resize(bytes)
	return m
}

// TestNoMoreIsInFlightThanTheMemoryHolds has a bound of 300 bytes: a hundred of values.
func TestNoMoreIsInFlightThanTheMemoryHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := sized(300)
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
		if m.taken != 0 || len(m.waiting) != 0 {
			t.Errorf("%d bytes are never given back, %d wait", m.taken, len(m.waiting))
		}
	})
}

func TestTheMemoryMayChangeItsSize(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := sized(300)
		first, second, third := m.share(), m.share(), m.share()
		if err := first.Take(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		first.Settle(100)
		served := make(chan string, 2)
		wait := func(name string, s *share, bytes int) {
			go func() {
				if err := s.Take(t.Context(), bytes); err != nil {
					t.Error(err)
				}
				served <- name
			}()
			synctest.Wait()
		}
		wait("second", second, 100)
		if m.resize(599); len(served) > 0 {
			t.Error("more is given out than the new size")
		}
		m.resize(600)
		if got := <-served; got != "second" {
			t.Errorf("%s is served", got)
		}
		second.Settle(100)
		// 600 of 150 are held, and stay.
		m.resize(150)
		if first.TryTake(1) || second.TryTake(1) {
			t.Error("a claim grows in a memory that is full")
		}
		wait("third", third, 50)
		first.giveBack()
		synctest.Wait()
		if len(served) > 0 {
			t.Error("something is given out while more than the new size is held")
		}
		second.giveBack()
		if got := <-served; got != "third" {
			t.Errorf("%s is served", got)
		}
		wait("second", second, 1)
		// What waits for more than the size after a change goes alone.
		wait("first", first, 100)
		m.resize(30)
		third.giveBack()
		if got := <-served; got != "second" {
			t.Errorf("%s is served first", got)
		}
		second.giveBack()
		if got := <-served; got != "first" {
			t.Errorf("%s is served", got)
		}
		first.giveBack()
		if m.taken != 0 || len(m.waiting) != 0 {
			t.Errorf("%d bytes are held, %d wait", m.taken, len(m.waiting))
		}
	})
}

// TestTheMemoryHoldsWhileItsSizeChangesUnderLoad has claims of many sizes, some of which
// are given up while they wait, and sizes between half a claim and all of them.
func TestTheMemoryHoldsWhileItsSizeChangesUnderLoad(t *testing.T) {
	t.Parallel()
	const workers, claims, largest = 8, 500, 1000
	m := sized(2000)
	var working, resizing sync.WaitGroup
	ended := make(chan struct{})
	resizing.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
				m.resize(rand.Int64N(largest*copies*workers) + 1)
			}
		}
	})
	for range workers {
		working.Go(func() {
			s := m.share()
			for range claims {
				ctx, cancel := context.WithCancel(t.Context())
				if rand.N(4) == 0 {
					go cancel()
				}
				bytes := rand.N(largest) + 1
				if err := s.Take(ctx, bytes); err != nil {
					if !errors.Is(err, context.Canceled) || s.taken != 0 || s.asked != 0 {
						t.Errorf("%v, and %d are held", err, s.taken+s.asked)
					}
					cancel()
					continue
				}
				s.Settle(bytes / 2)
				for s.TryTake(rand.N(100)) {
					s.Settle(10)
				}
				cancel()
			}
			s.giveBack()
		})
	}
	working.Wait()
	close(ended)
	resizing.Wait()
	if m.taken != 0 || len(m.waiting) != 0 {
		t.Errorf("%d bytes are never given back, %d wait", m.taken, len(m.waiting))
	}
}

// TestTheProcessIsGivenWhatALargeValueTakes has a bound of 300 bytes: a value of 1000 takes
// 3000, for as long as it is in flight.
func TestTheProcessIsGivenWhatALargeValueTakes(t *testing.T) {
	t.Parallel()
	var told []int64
	m := &memory{pool: pool{report: func(bytes int64) { told = append(told, bytes) }}}
	says := func(when string, want ...int64) {
		t.Helper()
		if !slices.Equal(told, want) {
			t.Errorf("%s it is told of %d, want %d", when, told, want)
		}
		told = nil
	}
	take := func(s *share, bytes int) {
		t.Helper()
		if err := s.Take(t.Context(), bytes); err != nil {
			t.Fatal(err)
		}
	}
	m.resize(300)
	says("at first", 300)
	m.resize(300)
	says("with the same settings")
	small, large := m.share(), m.share()
	take(small, 60)
	small.Settle(60)
	small.TryTake(40)
	small.Settle(40)
	small.giveBack()
	says("with what is within the bound")
	take(large, 1000)
	says("before a large value is read", 3000)
	large.Settle(900)
	says("when it is there", 2700)
	m.resize(3000)
	says("with a bound that has room for it", 3000)
	m.resize(600)
	says("with one that has none again", 2700)
	large.giveBack()
	says("after it", 600)
	take(large, 1000)
	large.Settle(0)
	says("where none was read", 3000, 600)
	// The next one of the same claim begins with what is free then.
	take(large, 1000)
	take(large, 100)
	says("after a large one and before a small one", 3000, 600)
	large.giveBack()
	says("at the end")
}
