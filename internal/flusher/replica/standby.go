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

// yield gives the source away, if Redis is reached from elsewhere alone. What is dirty is read
// again by whoever takes it, from the position in the database.
func (s *Source) yield(ctx context.Context, t *tenure) error {
	s.mu.Lock()
	seen := s.head.seen
	s.mu.Unlock()
	outbid, err := s.candidate.isOutbid(ctx, time.Since(seen) >= s.options.LeaseTime)
	if err != nil || !outbid {
		return err
	}
	s.log.Warn("Redis is not reached from here, and another flusher reaches it: the source is left to that one", "epoch", t.epoch)
	s.candidate.standby.offered, s.candidate.standby.aside = 0, time.Now().Add(s.options.LeaseTime)
	s.depose()
	return s.candidate.release(ctx, t.epoch)
}
