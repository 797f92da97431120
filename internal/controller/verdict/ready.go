// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"slices"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/plural"
)

func beingDeleted(f *facts) *Condition {
	if !f.Deleting() {
		return nil
	}
	return bad(v1alpha1.ReasonDraining, "The resource is being deleted")
}

func blocked(f *facts) *Condition {
	if !f.isBlocked() {
		return nil
	}
	return bad(f.stalled.Reason, f.stalled.Message)
}

// suspended applies while the flushers do not flush because the spec says so: by
// their own word until one of them has tried the present settings.
func suspended(f *facts) *Condition {
	asked := f.Cache.Spec.Suspend
	if !f.tried() {
		asked = !slices.ContainsFunc(f.documents, func(d *config.Status) bool { return !d.Suspended })
	}
	if !asked {
		return nil
	}
	return bad(v1alpha1.ReasonSuspended, "spec.suspend is true: writes are accepted and wait in the queue")
}

func unreportedIsNotReady(f *facts) *Condition {
	missing := f.unreported()
	switch {
	case missing == "" || !f.tried():
		return nil
	case f.stalled != nil:
		return bad(f.stalled.Reason, f.stalled.Message)
	default:
		return bad(v1alpha1.ReasonProgressing, fmt.Sprintf("No flusher reports mapping %s yet", missing))
	}
}

func watchdogBarks(f *facts) *Condition {
	if text := watchdog(f.documents); text != "" {
		return bad(v1alpha1.ReasonStuck, text)
	}
	return nil
}

// watchdog is a flusher's report of a queue of its own that does not move; empty
// when none does.
func watchdog(documents []*config.Status) string {
	for _, d := range documents {
		for i := range d.Queues {
			q := &d.Queues[i]
			if q.Ready.OK || q.Ready.Reason != v1alpha1.ReasonStuck {
				continue
			}
			text := aboutMapping(q)
			if q.LastError != "" {
				text += "; the last error is " + q.LastError
			}
			return text
		}
	}
	return ""
}

// nothingMoves applies when entries of a queue have waited for long although nothing
// is known to be wrong. A long queue that moves is not stuck, and neither is one
// that may move only since a moment ago.
func nothingMoves(f *facts) *Condition {
	limit := f.stuckAfter + 3*time.Duration(f.Cache.Spec.Flush.IntervalMilliseconds)*time.Millisecond
	for _, kind := range []string{v1alpha1.ConditionRedisReady, v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionSettingsApplied} {
		if c := f.earlier(kind); c != nil && f.Now.Sub(c.LastTransitionTime.Time) < limit {
			return nil
		}
	}
	for _, d := range f.documents {
		for i := range d.Queues {
			q := &d.Queues[i]
			waits := time.Duration(q.OldestPendingSeconds) * time.Second
			if q.Depth == 0 || waits < limit || flushedWithin(f.documents, q.Name, limit, d.ObservedTime) {
				continue
			}
			text := fmt.Sprintf("Queue %s has %s, the oldest over %s old, and nothing was flushed", q.Name, plural.Of(q.Depth, "entry", "entries"), limit)
			if q.LastError != "" {
				text += ": " + q.LastError
			}
			return bad(v1alpha1.ReasonStuck, text)
		}
	}
	return nil
}

func flushedWithin(documents []*config.Status, name string, limit time.Duration, at time.Time) bool {
	for _, d := range documents {
		for i := range d.Queues {
			q := &d.Queues[i]
			if q.Name == name && !q.LastFlushTime.IsZero() && at.Sub(q.LastFlushTime) < limit {
				return true
			}
		}
	}
	return false
}
