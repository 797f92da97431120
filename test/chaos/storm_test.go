// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// mostFaults is how many faults are there at the same time.
const mostFaults = 2

// storm inflicts one fault after another.
type storm struct {
	w        *world
	schedule *schedule
	slots    chan struct{}
	locks    map[string]*sync.Mutex

	mu     sync.Mutex
	counts map[string]int
	total  int
	now    []string
}

func newStorm(w *world, seed uint64, kinds []kind) *storm {
	return &storm{
		w: w, schedule: newSchedule(seed, kinds), slots: make(chan struct{}, mostFaults),
		locks: make(map[string]*sync.Mutex), counts: make(map[string]int),
	}
}

// rage goes on until the context ends, and returns when everything is healed.
func (s *storm) rage(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	for ctx.Err() == nil {
		f := s.schedule.next()
		if s.leftOut(f.kind.name) {
			hold(ctx, shortestPause)
			continue
		}
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		// A fault waits for the one that has hold of the same thing, and the rest of
		// the sequence with it: the order stays the seed's.
		release := s.take(f)
		if ctx.Err() != nil {
			release()
			return
		}
		s.begins(f)
		work.Go(func() {
			defer func() { <-s.slots }()
			defer release()
			if err := f.kind.run(ctx, s.w, f); err != nil {
				s.w.findings.add(harness, "%v: %v", f, err)
			}
			s.ends(f)
		})
		hold(ctx, f.pause)
	}
}

func (s *storm) leftOut(name string) bool {
	if s.w.leftOut[name] != "" {
		return true
	}
	return *only != "" && !slices.Contains(strings.Split(*only, ","), name)
}

// take waits for everything that the fault has hold of, and returns what gives it
// back. Only one fault waits at a time.
func (s *storm) take(f fault) (release func()) {
	var taken []*sync.Mutex
	for _, name := range f.kind.needs {
		if n := several[name]; n > 0 {
			name = fmt.Sprint(name, f.target%n)
		}
		if s.locks[name] == nil {
			s.locks[name] = &sync.Mutex{}
		}
		s.locks[name].Lock()
		taken = append(taken, s.locks[name])
	}
	return func() {
		for _, lock := range taken {
			lock.Unlock()
		}
	}
}

func (s *storm) begins(f fault) {
	say("fault %v", f)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[f.kind.name]++
	s.total++
	s.now = append(s.now, f.kind.name)
}

func (s *storm) ends(f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.now, f.kind.name); i >= 0 {
		s.now = slices.Delete(s.now, i, i+1)
	}
}

func (s *storm) faults() (counts map[string]int, total int, now []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts), s.total, slices.Clone(s.now)
}

// hold waits as long as a fault or a pause was drawn to last.
func hold(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
