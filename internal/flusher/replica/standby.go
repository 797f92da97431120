// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"time"
)

// Who reads the source keeps its lease while Redis does not answer: what is dirty in memory is
// not given away because Redis restarts. But where another member reaches Redis for as long as
// the reader does not, that one has to read. Who stands by and reaches Redis says so by a lease
// of a name beside the source's, which it renews while that is so.
const (
	// offerBeats is how often it is said, and offerLasts how long that is good, in beats.
	offerBeats, offerLasts = 2, 5
	// yieldBeats is for how long somebody has to have said so.
	yieldBeats = 10
)

// standby is what a member knows of who stands by: itself, or another one.
type standby struct {
	// sinceOffer counts the beats since it was said that Redis is reached from here.
	sinceOffer int
	// offered counts the beats in which the reader did not reach Redis, and somebody else did.
	offered int
	// aside is until when the source is left to others.
	aside time.Time
}

// offersName is the name of the lease of whoever stands by.
func (s *Source) offersName() string { return "standby of " + s.options.Name }

// offer says that the source could be read from here, if it could.
func (s *Source) offer(ctx context.Context) error {
	s.standby.offered = 0
	if s.standby.sinceOffer++; s.standby.sinceOffer < offerBeats {
		return nil
	}
	s.standby.sinceOffer = 0
	looking, cancel := context.WithTimeout(ctx, s.options.Beat)
	defer cancel()
	if _, err := s.server.Look(looking); err != nil {
		return err
	}
	_, err := s.store.Lease(ctx, s.offersName(), s.member, offerLasts*s.options.Beat)
	return err
}

// yield gives the source away, if Redis is reached from elsewhere alone. What is dirty is read
// again by whoever takes it, from the position in the database.
func (s *Source) yield(ctx context.Context, t *tenure) error {
	s.mu.Lock()
	seen := s.seen
	s.mu.Unlock()
	if time.Since(seen) < s.options.LeaseTime {
		s.standby.offered = 0
		return nil
	}
	// It is over at once, so that somebody else can have it.
	hold, err := s.store.Lease(ctx, s.offersName(), s.member, 0)
	switch {
	case err != nil:
		return err
	case hold.Member == s.member:
		s.standby.offered = 0
		return nil
	}
	if s.standby.offered++; s.standby.offered < yieldBeats {
		return nil
	}
	s.log.Warn("Redis is not reached from here, and another flusher reaches it: the source is left to that one", "epoch", t.epoch)
	s.standby.offered, s.standby.aside = 0, time.Now().Add(s.options.LeaseTime)
	s.depose()
	return s.store.Release(ctx, s.options.Name, t.epoch)
}
