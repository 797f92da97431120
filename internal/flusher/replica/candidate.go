// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"time"
)

// candidate is this process as one of those that may read the source: what it says in the database.
type candidate struct {
	store          Store
	source, member string
	// leaseTime and beat are as in Options.
	leaseTime, beat time.Duration
	// keeping is held by who looks after the lease, and uses standby.
	keeping chan struct{}
	standby standby
}

// enter waits until nobody else looks after the lease.
func (c *candidate) enter(ctx context.Context) error {
	select {
	case c.keeping <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *candidate) exit() { <-c.keeping }

// lease asks for the source, or renews that it is this process's. isReader tells whether it is.
func (c *candidate) lease(ctx context.Context) (Hold, error) {
	return c.store.Lease(ctx, c.source, c.member, c.leaseTime)
}

func (c *candidate) isReader(hold Hold) bool { return hold.Member == c.member }

// release gives the source back that was taken with the epoch.
func (c *candidate) release(ctx context.Context, epoch int64) error {
	return c.store.Release(ctx, c.source, epoch)
}

// offersName is the name of the lease of whoever stands by.
func (c *candidate) offersName() string { return "standby of " + c.source }

// offer says that the source could be read from here, if the server is reached.
func (c *candidate) offer(ctx context.Context, server Server) error {
	c.standby.offered = 0
	if c.standby.sinceOffer++; c.standby.sinceOffer < offerBeats {
		return nil
	}
	c.standby.sinceOffer = 0
	looking, cancel := context.WithTimeout(ctx, c.beat)
	defer cancel()
	if _, err := server.Look(looking); err != nil {
		return err
	}
	_, err := c.store.Lease(ctx, c.offersName(), c.member, offerLasts*c.beat)
	return err
}

// isOutbid tells whether somebody else has said for long enough that the source could be read from
// there, while the reader has not reached Redis, as silent says.
func (c *candidate) isOutbid(ctx context.Context, silent bool) (bool, error) {
	if !silent {
		c.standby.offered = 0
		return false, nil
	}
	// It is over at once, so that somebody else can have it.
	hold, err := c.store.Lease(ctx, c.offersName(), c.member, 0)
	switch {
	case err != nil:
		return false, err
	case c.isReader(hold):
		c.standby.offered = 0
		return false, nil
	}
	c.standby.offered++
	return c.standby.offered >= yieldBeats, nil
}
