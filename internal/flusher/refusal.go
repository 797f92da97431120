// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"slices"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// refusal is what the flow of entries got from Redis instead of an answer. The probe
// alone tells of Redis, so that one fault has one reason and one message: a failure of
// the flow makes it look, and counts for itself only where the look finds nothing.
type refusal struct {
	check config.Check
	// since is when it came first, at when it came last.
	since, at time.Time
	// looked says that a look after that was content, again that it came once more then,
	// reported that the status has it.
	looked, again, reported bool
}

// refusalHolds is how long a refusal stays told after it came last: longer than the
// longest pause between two attempts, so that a lasting one does not come and go with
// every look of the probe.
const refusalHolds = 2 * longestBackoff

// unseen reports whether the check is of a key or a command that the probe does not use,
// so that a look that finds nothing must not clear it. Any other failure has to come
// twice: a connection that ended is no fault of the server.
func unseen(check config.Check) bool {
	return slices.Contains([]string{
		cachev1alpha1.ReasonPrivilegeMissing, cachev1alpha1.ReasonLibraryMismatch, cachev1alpha1.ReasonCommandFailed,
	}, check.Reason)
}

// redisFailed takes note of an error from Redis outside the probe, and gives what there
// is to say of it.
func (f *Flusher) redisFailed(err error) config.Check {
	now := time.Now()
	f.redisBackoff.failed(now)
	check := f.source.Explain(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.redisAnswers = false
	if known := f.redisCheck; known.Reason != "" {
		if f.refusal.reported && check == f.refusal.check {
			f.refusal.at = now
		}
		return known
	}
	switch r := &f.refusal; {
	case r.check != check && now.Sub(r.at) >= refusalHolds:
		*r = refusal{check: check, since: now, at: now}
	case r.check != check:
		// One after the other, while the first goes on.
		return r.check
	default:
		r.at, r.again = now, r.looked
	}
	nudge(f.lookAtRedis)
	return check
}

// weigh gives what to tell of Redis after a look of the probe that has begun at that
// time: what it found or, where that is nothing, what the flow is refused.
func (f *Flusher) weigh(found config.Check, began time.Time) config.Check {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &f.refusal
	switch {
	case !found.OK || time.Since(r.at) >= refusalHolds:
		*r = refusal{}
	case r.reported:
		return r.check
	case r.since.After(began):
		// The look may have come too early; there is another one at once.
	case unseen(r.check) || r.again:
		r.reported = true
		return r.check
	default:
		r.looked = true
	}
	return found
}

// nudge makes the probe look at once.
func nudge(probe chan struct{}) {
	select {
	case probe <- struct{}{}:
	default:
	}
}
