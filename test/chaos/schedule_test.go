// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// fault is one fault of a run. All of it depends on the seed alone.
type fault struct {
	kind *kind
	// target chooses among flushers, by remainder.
	target int
	// duration is how long it lasts, pause the time until the next one begins.
	duration, pause time.Duration
}

func (f fault) String() string {
	return fmt.Sprintf("%s target=%d duration=%v pause=%v", f.kind.name, f.target, f.duration, f.pause)
}

const (
	// percentOverlapping is how many faults begin before the one before has ended.
	percentOverlapping = 35
	// Between two others is some time in which everything works.
	shortestPause = 300 * time.Millisecond
	longestPause  = 2 * time.Second
)

// schedule draws the sequence of faults: rounds that hold every kind, in any order.
type schedule struct {
	kinds  []kind
	random *rand.Rand
	deck   []int
}

func newSchedule(seed uint64, kinds []kind) *schedule {
	return &schedule{kinds: kinds, random: rand.New(rand.NewPCG(seed, 0))}
}

func (s *schedule) next() fault {
	if len(s.deck) == 0 {
		for i := range s.kinds {
			s.deck = append(s.deck, slices.Repeat([]int{i}, max(1, s.kinds[i].often))...)
		}
		s.random.Shuffle(len(s.deck), func(i, j int) { s.deck[i], s.deck[j] = s.deck[j], s.deck[i] })
	}
	k := &s.kinds[s.deck[0]]
	s.deck = s.deck[1:]
	between := func(low, high time.Duration) time.Duration {
		return low + time.Duration(s.random.Int64N(int64(high-low)+1)).Truncate(time.Millisecond)
	}
	f := fault{kind: k, target: s.random.IntN(60), duration: between(k.shortest, k.longest)}
	overlaps, share, rest := s.random.IntN(100) < percentOverlapping, s.random.IntN(100), between(shortestPause, longestPause)
	if overlaps {
		f.pause = f.duration * time.Duration(share) / 100
	} else {
		f.pause = f.duration + rest
	}
	return f
}
