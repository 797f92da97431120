// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"slices"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// notLookedAt is what is known of durability before the first look.
var notLookedAt = config.Durability{
	Persistence: notChecked("the persistence of Redis"),
	Eviction:    notChecked("the eviction policy of Redis"),
	Ledger:      notChecked("the ledger's table"),
}

// watchRedisDurability looks again at each probe, since CONFIG SET changes what it
// looks at in a running server. usable is what the probe found; a server that
// could not be reached a moment ago is not waited for once more.
func (f *Flusher) watchRedisDurability(ctx context.Context, usable config.Check) {
	persistence, eviction := usable, usable
	if usable.OK || !unreached(usable.Reason) {
		persistence, eviction = f.source.Durability(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	f.logDurability("Redis persistence", &f.durability.Persistence, persistence)
	f.logDurability("Redis eviction", &f.durability.Eviction, eviction)
}

// unreached tells whether a check of Redis has failed on the way there.
func unreached(reason string) bool {
	return slices.Contains([]string{
		cachev1alpha1.ReasonConnectionFailed, cachev1alpha1.ReasonSentinelsUnreachable, cachev1alpha1.ReasonNoPrimary,
	}, reason)
}

// watchLedger looks at the ledger's table as seldom as at the others, since only
// an administrator changes it. usable is what the probe found.
func (f *Flusher) watchLedger(ctx context.Context, usable config.Check) {
	check := usable
	if usable.OK {
		if time.Since(f.ledgerTime) < tableInterval {
			return
		}
		var err error
		var failure *entry.Fault
		if check, err = f.database.Durability(ctx); errors.As(err, &failure) {
			check = config.Check{Reason: failure.Reason, Message: failure.Message}
		}
	}
	if ctx.Err() != nil {
		return
	}
	f.ledgerTime = time.Time{}
	if check.OK || check.Endangers() {
		f.ledgerTime = time.Now()
	}
	f.logDurability("ledger", &f.durability.Ledger, check)
}

// logDurability stores a check and logs it when it has changed. A danger stays
// until a look finds it gone: that nobody can look does not end it.
func (f *Flusher) logDurability(what string, at *config.Check, check config.Check) {
	f.mu.Lock()
	known := *at
	keeps := known.Endangers() && !check.OK && !check.Endangers()
	if !keeps {
		*at = check
	}
	f.mu.Unlock()
	switch {
	case keeps || known == check:
	case check.Endangers():
		f.log.Warn("Confirmed data is in danger", "of", what, "reason", check.Reason, "message", check.Message)
	case check.OK && known.Endangers():
		f.log.Info("Confirmed data is no longer in danger", "of", what)
	}
}
