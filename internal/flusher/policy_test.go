// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

func TestWhenAPartitionIsFlushed(t *testing.T) {
	base := policy{interval: 5 * time.Second, batchSize: 100}
	apart := base
	apart.apart = 5 * time.Second
	const never = time.Hour
	for name, c := range map[string]struct {
		policy         policy
		load           entry.Load
		sinceScattered time.Duration
		sinceSweep     time.Duration
		want           int64
	}{
		"nothing waits": {base, entry.Load{}, 0, never, 0},
		"the oldest is younger than the interval":       {base, entry.Load{Fresh: 10, HeadMilliseconds: 4999}, never, never, 0},
		"the interval has passed":                       {base, entry.Load{Fresh: 10, HeadMilliseconds: 5000}, never, 0, 10},
		"a full batch waits":                            {base, entry.Load{Fresh: 100}, never, 0, 100},
		"what does not fill a batch goes on coalescing": {base, entry.Load{Fresh: 250}, never, 0, 200},
		"one short of a full batch":                     {base, entry.Load{Fresh: 99}, never, 0, 0},
		"it waited when a scattered batch was seen":     {base, entry.Load{Fresh: 6, HeadMilliseconds: 300}, 200 * time.Millisecond, 0, 6},
		"it came after a scattered batch was seen":      {base, entry.Load{Fresh: 6, HeadMilliseconds: 100}, 200 * time.Millisecond, 0, 0},
		"refused entries make no batch full":            {base, entry.Load{Entries: 150, Fresh: 90}, never, 0, 0},
		"refused ones that are due do not wait":         {base, entry.Load{Entries: 60, Fresh: 50, Due: 10}, never, 0, 10},
		"they are tried a few at a time":                {base, entry.Load{Entries: 60, Due: 60}, never, 0, retriesAtOnce},
		"and together with what is flushed anyway":      {base, entry.Load{Entries: 260, Fresh: 250, Due: 10}, never, 0, 210},
		"an old clock's head waits for the next sweep":  {base, entry.Load{Fresh: 1, HeadMilliseconds: 1 << 40, HeadUndated: true}, 0, 4 * time.Second, 0},
		"and no longer":                                 {base, entry.Load{Fresh: 1, HeadUndated: true}, never, 5 * time.Second, 1},
		"suspended":                                     {policy{interval: 1, batchSize: 1, suspend: true}, entry.Load{Fresh: 10, Due: 1, HeadMilliseconds: 9999}, 0, never, 0},
		"a full batch waits after a flush":              {apart, entry.Load{Fresh: 250, HeadMilliseconds: 4999}, never, 4 * time.Second, 0},
		"so does a scattered one":                       {apart, entry.Load{Fresh: 6, HeadMilliseconds: 4999}, 0, 4 * time.Second, 0},
		"what was refused does not":                     {apart, entry.Load{Fresh: 250, Due: 3}, never, 4 * time.Second, 3},
		"what is due does not":                          {apart, entry.Load{Fresh: 250, HeadMilliseconds: 5000}, never, 4 * time.Second, 250},
		"nor what is urgent":                            {apart, entry.Load{Fresh: 250, Urgent: true}, never, 0, 250},
		"a full batch waits no longer":                  {apart, entry.Load{Fresh: 250}, never, 5 * time.Second, 200},
		"draining does not wait":                        {policy{interval: time.Hour, batchSize: 100, drain: true}, entry.Load{Fresh: 1}, never, 0, 1},
		"draining does not spin on refused entries":     {policy{interval: time.Hour, batchSize: 100, drain: true}, entry.Load{Entries: 1}, never, time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.policy.entriesToFlush(c.load, since{c.sinceScattered, c.sinceSweep, c.sinceSweep}); got != c.want {
				t.Errorf("flushes %d entries, want %d", got, c.want)
			}
		})
	}
}

func TestWhereAFullBatchWaitsForOthers(t *testing.T) {
	for name, c := range map[string]struct {
		capture, mode string
		interval      int
		want          time.Duration
	}{
		"functions":        {config.CaptureFunctions, config.ModeLatest, 5000, 0},
		"replication":      {config.CaptureReplication, config.ModeLatest, 1000, time.Second},
		"a long interval":  {config.CaptureReplication, config.ModeLatest, 60_000, coalescingWait},
		"what is appended": {config.CaptureReplication, config.ModeAppend, 5000, 0},
	} {
		settings, m := config.Default(), config.DefaultMapping()
		settings.Capture, m.Mode, settings.Flush.IntervalMilliseconds = c.capture, c.mode, c.interval
		if got := newPolicy(settings, &m).apart; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestWhenABatchIsScattered(t *testing.T) {
	p := policy{interval: 5 * time.Second, batchSize: 100}
	for name, c := range map[string]struct {
		loads []entry.Load
		want  bool
	}{
		"nothing waits":                 {nil, false},
		"a batch in all, a second":      {[]entry.Load{{Fresh: 60, HeadMilliseconds: 1000}, {Fresh: 40}}, true},
		"a batch in all, too young":     {[]entry.Load{{Fresh: 60, HeadMilliseconds: 999}, {Fresh: 40}}, false},
		"one entry short":               {[]entry.Load{{Fresh: 59, HeadMilliseconds: 1000}, {Fresh: 40}}, false},
		"refused ones do not count":     {[]entry.Load{{Entries: 100, Fresh: 40, HeadMilliseconds: 5000}, {Fresh: 50}}, false},
		"nor an age from another clock": {[]entry.Load{{Fresh: 100, HeadUndated: true, HeadMilliseconds: 5000}, {Fresh: 50}}, false},
	} {
		if got := p.scatteredBatch(c.loads); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBackoffGrowsToItsCeilingAndForgets(t *testing.T) {
	var b backoff
	now := time.Now()
	if b.waits(now) {
		t.Fatal("waits before anything has failed")
	}
	longest := time.Duration(0)
	for range 20 {
		b.failed(now)
		wait := b.until.Sub(now)
		if wait > longestBackoff || wait < firstBackoff/2 {
			t.Fatalf("waits %v, want %v to %v", wait, firstBackoff/2, longestBackoff)
		}
		longest = max(longest, wait)
	}
	if longest < longestBackoff/2 {
		t.Errorf("after twenty failures the longest wait was %v", longest)
	}
	if !b.waits(now) || b.waits(now.Add(longestBackoff)) {
		t.Error("the wait does not end at its time")
	}
	b.succeeded()
	if b.waits(now) {
		t.Error("waits after a success")
	}
}

func TestSlotsAreBoundedAlsoWhenTheyShrink(t *testing.T) {
	var s slots
	q := &queue{}
	s.resize(2)
	for i, want := range []bool{true, true, false} {
		if got := s.take(q); got != want {
			t.Fatalf("of two slots, attempt %d: %v", i+1, got)
		}
	}
	s.resize(1)
	s.free(q)
	if s.take(q) {
		t.Error("a slot that was taken away lets somebody in")
	}
	s.free(q)
	if !s.take(q) {
		t.Error("the slot that is left lets nobody in")
	}
}

func TestTheNextSlotIsForWhoHasAskedFirst(t *testing.T) {
	var s slots
	busy, quiet, third := &queue{name: "busy"}, &queue{name: "quiet"}, &queue{name: "third"}
	s.resize(1)
	if !s.take(busy) || s.take(quiet) || s.take(busy) || s.take(third) {
		t.Fatal("one slot does not let exactly one in")
	}
	if next := s.free(busy); len(next) != 1 || next[0] != quiet {
		t.Fatalf("next is %v, want quiet", next)
	}
	if s.take(busy) || s.take(third) || !s.take(quiet) {
		t.Error("the free slot did not go to who had asked first")
	}
	s.withdraw(busy)
	if next := s.free(quiet); len(next) != 1 || next[0] != third || !s.take(third) {
		t.Errorf("after busy withdrew, next is %v", next)
	}
}

// TestAQueueThatCannotWorkLeavesTheLine covers a queue that asked for a slot and then
// lost its partitions or its Redis.
func TestAQueueThatCannotWorkLeavesTheLine(t *testing.T) {
	c := config.Default()
	c.Redis.External.Addresses = []string{"127.0.0.1:1"}
	c.Mappings = []config.Mapping{config.DefaultMapping(), config.DefaultMapping()}
	c.Flush.Concurrency = 1
	f := alone(c, Options{})
	stuck, other := f.queues[0], f.queues[1]
	if !f.slots.take(other) || f.slots.take(stuck) {
		t.Fatal("one slot does not let exactly one in")
	}
	f.redisBackoff.failed(time.Now())
	stuck.step(t.Context())
	f.slots.free(other)
	if !f.slots.take(other) {
		t.Error("a queue that cannot work keeps the slot from the other")
	}
}

func TestHowMuchAClaimTakes(t *testing.T) {
	p := policy{batchSize: 100}
	for name, c := range map[string]struct {
		target                     int64
		batchSize                  int64
		fresh, doubtful, retryNext bool
		want                       entry.Bounds
	}{
		"a batch at most":                      {1000, 100, true, false, false, entry.Bounds{Entries: 100, Retries: 16}},
		"what is to be flushed":                {7, 100, false, false, false, entry.Bounds{Entries: 7, Retries: 16}},
		"half of a small claim is for others":  {1000, 10, true, false, false, entry.Bounds{Entries: 10, Retries: 5}},
		"all of it where there are none":       {1000, 10, false, false, false, entry.Bounds{Entries: 10, Retries: 16}},
		"single entries in turn":               {1000, 1, true, false, true, entry.Bounds{Entries: 1, Retries: 16}},
		"and then the other kind":              {1000, 1, true, false, false, entry.Bounds{Entries: 1, Retries: 0}},
		"a trial":                              {1000, 100, true, true, true, entry.Bounds{Entries: trialBatch, Retries: 0}},
		"a trial of nothing but refused ones":  {1000, 100, false, true, false, entry.Bounds{Entries: trialBatch, Retries: 16}},
		"a trial of one entry is of fresh one": {1000, 1, true, true, true, entry.Bounds{Entries: 1, Retries: 0}},
	} {
		p.batchSize = c.batchSize
		c.want.Bytes = maxClaimBytes
		if got := p.bounds(c.target, c.fresh, c.doubtful, c.retryNext); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestRefusalsWaitLongerWithEveryAttempt(t *testing.T) {
	p := policy{interval: time.Second}
	for attempts, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 6: longestRetry, 1000: longestRetry} {
		if got := p.retryAfter(attempts); got != want {
			t.Errorf("after %d attempts the wait is %v, want %v", attempts, got, want)
		}
	}
}
