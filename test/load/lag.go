// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// LagResolution separates two questions about the sampled writes, and so is how
// exactly their lag is known; a lag of several seconds is known to within a few
// times as much, see samplesPerQuestion.
const LagResolution = 20 * time.Millisecond

const (
	// sampleInterval separates two sampled writes. Sampling by time and not by
	// count sees a slow second as clearly as a fast one.
	sampleInterval = 20 * time.Millisecond
	// samplesPerQuestion bounds what asking costs Redis beside the load itself:
	// 5,000 calls in one second.
	samplesPerQuestion = 100
	// samplesInFlight is the number of sampled writes of 80 seconds. Later ones
	// are forgotten, which only matters where nothing arrives at all.
	samplesInFlight = 4096
)

// Lag sums up the sampled writes.
type Lag struct {
	Samples  int
	P50, P99 time.Duration
	Longest  time.Duration
}

// sample is one acknowledged write that is watched on its way.
type sample struct {
	key          string
	version      int64
	acknowledged time.Time
}

type lagSampler struct {
	client *redis.Client
	queue  string
	offers chan sample

	mu      sync.Mutex
	sampled time.Time
	lags    []time.Duration
}

func newLagSampler(client *redis.Client, options Options) *lagSampler {
	return &lagSampler{client: client, queue: options.Queue}
}

// begin forgets the samples of an earlier run; run takes what it returns.
func (s *lagSampler) begin() <-chan sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offers, s.lags = make(chan sample, samplesInFlight), nil
	return s.offers
}

// offer gives a write to be watched; it is, if it is time for another one.
func (s *lagSampler) offer(one sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offers == nil || one.acknowledged.Sub(s.sampled) < sampleInterval {
		return
	}
	select {
	case s.offers <- one:
		s.sampled = one.acknowledged
	default:
	}
}

// finish means that no more will be offered; run ends when all have arrived.
func (s *lagSampler) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.offers)
	s.offers = nil
}

// run asks for the watched writes, those first that were asked for longest ago.
func (s *lagSampler) run(ctx context.Context, offers <-chan sample) error {
	ticker := time.NewTicker(LagResolution)
	defer ticker.Stop()
	var waiting []sample
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		open := take(offers, &waiting)
		if len(waiting) == 0 {
			if !open {
				return nil
			}
			continue
		}
		n := min(len(waiting), samplesPerQuestion)
		still, err := s.ask(ctx, waiting[:n])
		if err != nil {
			return err
		}
		waiting = append(slices.Clone(waiting[n:]), still...)
	}
}

// take moves all offers to waiting, and says whether more may come.
func take(offers <-chan sample, waiting *[]sample) (open bool) {
	for {
		select {
		case one, ok := <-offers:
			if !ok {
				return false
			}
			*waiting = append(*waiting, one)
		default:
			return true
		}
	}
}

// ask returns the writes that still wait. wb_pending names the lowest version
// that may be missing: a watched write has arrived, or was replaced by one that
// has, as soon as that is a higher one or there is none.
func (s *lagSampler) ask(ctx context.Context, waiting []sample) ([]sample, error) {
	pipe := s.client.Pipeline()
	replies := make([]*redis.Cmd, len(waiting))
	for i, one := range waiting {
		replies[i] = pipe.Do(ctx, "FCALL_RO", "wb_pending", 1, one.key, s.queue)
	}
	_, _ = pipe.Exec(ctx)
	now := time.Now()
	var still []sample
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, reply := range replies {
		pending, err := reply.Int64()
		switch {
		case errors.Is(err, redis.Nil) || err == nil && pending > waiting[i].version:
			s.lags = append(s.lags, now.Sub(waiting[i].acknowledged))
		case err == nil:
			still = append(still, waiting[i])
		case ctx.Err() != nil:
			return nil, nil
		default:
			return nil, fmt.Errorf("wb_pending of %s: %w", waiting[i].key, err)
		}
	}
	return still, nil
}

func (s *lagSampler) summary() Lag {
	s.mu.Lock()
	sorted := slices.Sorted(slices.Values(s.lags))
	s.mu.Unlock()
	if len(sorted) == 0 {
		return Lag{}
	}
	at := func(percent int) time.Duration { return sorted[(len(sorted)-1)*percent/100] }
	return Lag{Samples: len(sorted), P50: at(50), P99: at(99), Longest: at(100)}
}
