// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/flusher/config"
)

// cutOff reports whether no flusher is at Redis, so that nothing can be drained until
// something comes back that may be gone for good.
func cutOff(documents []*config.Status) bool {
	return !slices.ContainsFunc(documents, func(d *config.Status) bool { return d.Redis.OK || d.Redis.Reason == "" })
}

// neverFilled reports whether no queue can have been made: no flusher ever began to
// run, or all that did report that they never reached Redis. A queue that nobody
// reports may be there: nobody may have been asked.
func neverFilled(s *snapshot.Snapshot) bool {
	for _, m := range s.Cache.Status.Mappings {
		if m.Journal != "" {
			return false
		}
	}
	if !s.EverStarted() {
		return true
	}
	pods := s.Flushers.Pods
	if len(pods) == 0 || len(s.Flushers.Terminating) > 0 {
		return false
	}
	for i := range pods {
		if !snapshot.Started(&pods[i]) {
			continue
		}
		answer, ok := s.Seen.Of(pods[i].UID)
		if !ok || answer.Status == nil || !neverReached(answer.Status) {
			return false
		}
	}
	return s.Flushers.Started
}

// neverReached reports whether a flusher has not been at Redis in its life.
func neverReached(d *config.Status) bool {
	return !d.Redis.OK && d.ObservedTime.IsZero() &&
		!slices.ContainsFunc(d.Queues, func(q config.QueueStatus) bool { return q.Journal != "" })
}

// obstacle is what is left to drain and what is in the way. It is empty when every
// queue is closed to writers and empty, both seen in one document of a flusher that
// runs the settings of the deletion. What could not be brought about matters only
// while something is left.
func obstacle(f *facts) string {
	parts := notDrained(f)
	if len(parts) == 0 {
		return ""
	}
	if f.did.Failure != nil {
		parts = append(parts, f.did.Failure.Error())
	}
	for _, r := range []rule{redisReady, databaseReady} {
		if c := r.evaluate(f); c.Status == metav1.ConditionFalse {
			parts = append(parts, c.Reason+": "+c.Message)
		}
	}
	if stuck := watchdog(f.documents); stuck != "" {
		parts = append(parts, v1alpha1.ReasonStuck+": "+stuck)
	}
	return strings.Join(parts, "; ")
}

// notDrained has one text a queue that is not known to be closed and empty.
func notDrained(f *facts) []string {
	switch {
	case !f.Seen.Looked:
		return []string{"The flushers have not been asked yet"}
	case len(f.documents) == 0:
		return []string{whyNoFlusherAnswers(f) + ", and no flusher has reported the queues empty"}
	case f.Settings == nil:
		return []string{"The settings to drain with are not known"}
	}
	var parts []string
	carried := map[string]bool{}
	for _, m := range f.Settings.Mappings {
		carried[m.Name] = true
		// Of the stream every empty queue has the same to tell.
		if part := stillHolds(f, m.Name); part != "" && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	for _, m := range f.Cache.Status.Mappings {
		if m.Journal == "" || carried[m.Name] || f.Rivals[m.Name] != nil {
			continue
		}
		emptied, lost := f.Emptied(m.Name)
		if lost {
			f.did.PassAgain(plan.LossRetry)
		}
		if !emptied {
			parts = append(parts, fmt.Sprintf("no flusher has reported queue %s empty, and none flushes it", m.Name))
		}
	}
	return parts
}

// stillHolds returns what one queue still holds; empty when it is drained.
func stillHolds(f *facts, name string) string {
	closed := func(d *config.Status) bool {
		return f.Settled(d) && d.Draining && d.Revision == f.Cache.Generation
	}
	q := f.Queue(name, closed)
	if q == nil || q.State != config.StatePaused {
		return fmt.Sprintf("queue %s is not closed to writers yet", name)
	}
	if q.Depth == 0 && q.DeadLetters == 0 {
		if f.Replicates() && f.Unread() != "" {
			return f.Unread() + "; Redis goes on taking writes, so stop the applications that write"
		}
		return ""
	}
	text := fmt.Sprintf("queue %s holds %s", name, f.Contents(q))
	if q.LastError != "" {
		text += ": " + q.LastError
	}
	return text
}
