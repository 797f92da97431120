// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"slices"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// refusal is an error that the flow of entries got from Redis. Only the probe reports
// Redis' state, so that one fault has one reason and one message: a failure of the flow
// triggers a check, and is reported itself only if the check finds nothing.
type refusal struct {
	check config.Check
	// since is when the error came first, at when it came last.
	since, at time.Time
	// looked means that a check after the error found nothing, again that the error came
	// once more after that check, reported that the status has it.
	looked, again, reported bool
}

// refusalHolds is how long a refusal stays reported after it came last: longer than the
// longest pause between two attempts, so that a lasting refusal does not come and go with
// every check.
const refusalHolds = 2 * longestBackoff

// unseen reports whether the failure concerns a key or a command that the probe does not
// use, so that a passing probe must not clear it. Any other failure has to come twice: a
// connection that ended is no fault of the server.
func unseen(check config.Check) bool {
	return slices.Contains([]string{
		cachev1alpha1.ReasonPrivilegeMissing, cachev1alpha1.ReasonLibraryMismatch, cachev1alpha1.ReasonCommandFailed,
	}, check.Reason)
}

// redisFailed records an error from Redis outside the probe, and returns the check to
// report.
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

// weigh returns the check to report after a probe of Redis that began at that time: the
// probe's own or, if that is good, the flow's refusal.
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
		// The check may have come too early. Another one follows at once.
	case unseen(r.check) || r.again:
		r.reported = true
		return r.check
	default:
		r.looked = true
	}
	return found
}

// nudge makes the probe check at once.
func nudge(probe chan struct{}) {
	select {
	case probe <- struct{}{}:
	default:
	}
}
