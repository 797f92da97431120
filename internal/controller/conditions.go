// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// maxMessage bounds a condition's message, which comes in part from a pod.
const maxMessage = 1024

// maxReason is what the API server takes as an event's reason.
const maxReason = 128

// defaultStuckAfter is the least time without a flush, while entries wait, after
// which data is said not to flow: longer than a statement's default time-out of
// 30 s.
const defaultStuckAfter = 45 * time.Second

// verdict is a condition before it is put into the status.
type verdict struct {
	status  metav1.ConditionStatus
	reason  string
	message string
}

func good(message string) verdict {
	return verdict{metav1.ConditionTrue, v1alpha1.ReasonAsExpected, message}
}

func bad(reason, message string) verdict { return verdict{metav1.ConditionFalse, reason, message} }

// judge sets every condition from what the pass has seen. failure is what ended
// the pass, or nil.
func (s *scope) judge(failure error) {
	stalled := s.stalled(failure)
	redis, database := s.redisReady(), s.databaseReady()
	applied := s.settingsApplied(stalled)
	if said := meta.FindStatusCondition(s.cache.Status.Conditions, v1alpha1.ConditionSettingsApplied); said != nil && !s.seen.Looked && stalled == nil {
		applied = verdict{said.Status, said.Reason, said.Message}
	}
	ready := s.ready(stalled, redis, database)

	s.setSeen(v1alpha1.ConditionRedisReady, redis)
	s.setSeen(v1alpha1.ConditionDatabaseReady, database)
	durable, told := s.durable(), meta.FindStatusCondition(s.cache.Status.Conditions, v1alpha1.ConditionDurable)
	if durable.reason == v1alpha1.ReasonDataLoss && (s.seen.Looked || told == nil || told.Reason != durable.reason) {
		// This the operator remembers itself: it needs no flusher to know it.
		s.set(v1alpha1.ConditionDurable, durable)
	} else {
		s.setSeen(v1alpha1.ConditionDurable, durable)
	}
	s.set(v1alpha1.ConditionBacklogHealthy, s.backlogHealthy())
	s.set(v1alpha1.ConditionDeadLetterQueueEmpty, s.deadLetterQueueEmpty())
	blocked := stalled != nil && !stillFlows(stalled)
	if blocked {
		s.set(v1alpha1.ConditionSettingsApplied, applied)
	} else {
		s.setLooked(v1alpha1.ConditionSettingsApplied, applied)
	}
	switch {
	case blocked || s.deleting():
		s.set(v1alpha1.ConditionReady, ready)
	case ready.status == metav1.ConditionTrue && !s.inForce():
		// A writer that waits for the present generation needs its capture functions.
		s.setBefore(v1alpha1.ConditionReady, ready)
	default:
		s.setSeen(v1alpha1.ConditionReady, ready)
	}
	s.setOrDrop(v1alpha1.ConditionDraining, s.draining)
	s.setOrDrop(v1alpha1.ConditionStalled, stalled)
	if stalled != nil || s.deleting() {
		s.setOrDrop(v1alpha1.ConditionReconciling, nil)
	} else {
		s.setOrDrop(v1alpha1.ConditionReconciling, s.reconciling(failure, applied))
	}
}

func (s *scope) setOrDrop(kind string, v *verdict) {
	if v == nil {
		meta.RemoveStatusCondition(&s.cache.Status.Conditions, kind)
		return
	}
	s.set(kind, *v)
}

// setLooked sets a condition that is made of what the flushers said. Until they
// were looked at, one that is there stays as it is: an operator that has just
// begun knows nothing that would contradict it.
func (s *scope) setLooked(kind string, v verdict) {
	if s.seen.Looked || meta.FindStatusCondition(s.cache.Status.Conditions, kind) == nil {
		s.set(kind, v)
	}
}

// setSeen is setLooked for a condition that a flusher finds out by trying the
// settings.
func (s *scope) setSeen(kind string, v verdict) {
	if len(s.seen.Answering()) == 0 || s.tried() {
		s.setLooked(kind, v)
		return
	}
	s.setBefore(kind, v)
}

// setBefore sets a condition of which nothing is known yet under the present
// settings. It still speaks of the generation that it spoke of before, so that
// nobody who waits for the present one is told of another; and when it never spoke
// of an earlier one, nothing can be said.
func (s *scope) setBefore(kind string, v verdict) {
	said := meta.FindStatusCondition(s.cache.Status.Conditions, kind)
	if said == nil || said.ObservedGeneration >= s.cache.Generation {
		s.set(kind, verdict{
			metav1.ConditionUnknown, v1alpha1.ReasonProgressing,
			fmt.Sprintf("No flusher that answers has tried the settings of generation %d yet%s", s.cache.Generation, behindText(s.whyBehind())),
		})
		return
	}
	s.setAt(kind, v, said.ObservedGeneration)
}

// tried says whether a flusher that answers has looked at the servers with the
// present settings, whether or not it could reach them.
func (s *scope) tried() bool {
	return slices.ContainsFunc(s.flusherPods, func(pod corev1.Pod) bool { return s.ran(&pod, (*config.Status).Tried) })
}

// inForce says whether the present settings are in force at a flusher that answers.
func (s *scope) inForce() bool {
	return slices.ContainsFunc(s.flusherPods, func(pod corev1.Pod) bool { return s.runs(&pod) })
}

// runs says whether the settings of the present generation are in force at a
// flusher: it runs them, and the capture functions have them.
func (s *scope) runs(pod *corev1.Pod) bool {
	return s.ran(pod, func(d *config.Status) int64 { return d.Revision })
}

// ran says whether a flusher answers whose revision is of the present generation:
// the live settings by its own word, the others by the template that its Pod was
// made from.
func (s *scope) ran(pod *corev1.Pod, revision func(*config.Status) int64) bool {
	f, ok := s.seen.Of(pod.UID)
	current := ok && f.Status != nil && s.ours(f.Status) && revision(f.Status) == s.cache.Generation
	return current && pod.Annotations[v1alpha1.AnnotationConfigHash] == s.restartHash
}

// suspended says whether the flushers do not flush because the spec says so, by
// their own word until one of them runs the present settings.
func (s *scope) suspended() bool {
	if s.tried() {
		return s.cache.Spec.Suspend
	}
	return !slices.ContainsFunc(s.seen.Answering(), func(d *config.Status) bool { return !d.Suspended })
}

var reasonPattern = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

func (s *scope) set(kind string, v verdict) { s.setAt(kind, v, s.cache.Generation) }

func (s *scope) setAt(kind string, v verdict, generation int64) {
	if len(v.reason) > maxReason || !reasonPattern.MatchString(v.reason) {
		v.reason = v1alpha1.ReasonCommandFailed
	}
	meta.SetStatusCondition(&s.cache.Status.Conditions, metav1.Condition{
		Type:               kind,
		Status:             v.status,
		Reason:             v.reason,
		Message:            observe.Cut(v.message, maxMessage),
		ObservedGeneration: generation,
	})
}

// ready is the summary: data is reaching the database, or the first thing that
// keeps it from doing so.
func (s *scope) ready(stalled *verdict, redis, database verdict) verdict {
	switch {
	case s.deleting():
		return bad(v1alpha1.ReasonDraining, "The resource is being deleted")
	case stalled != nil && !stillFlows(stalled):
		return bad(stalled.reason, stalled.message)
	case len(s.seen.Answering()) == 0:
		return bad(v1alpha1.ReasonFlushersDown, s.whyNoFlusherAnswers())
	case s.suspended():
		return bad(v1alpha1.ReasonSuspended, "spec.suspend is true: writes are accepted and wait in the queue")
	case redis.status != metav1.ConditionTrue:
		return bad(redis.reason, redis.message)
	case database.status != metav1.ConditionTrue:
		return bad(database.reason, database.message)
	}
	if missing := s.unreported(); missing != "" && s.tried() {
		if stalled != nil {
			return bad(stalled.reason, stalled.message)
		}
		return bad(v1alpha1.ReasonProgressing, fmt.Sprintf("No flusher reports mapping %s yet", missing))
	}
	if stuck := s.watchdog(); stuck != "" {
		return bad(v1alpha1.ReasonStuck, stuck)
	}
	if stuck := s.stuck(); stuck != "" {
		return bad(v1alpha1.ReasonStuck, stuck)
	}
	return good("Data is reaching the database")
}

// aboutStorage says whether it is the volume alone that is not as the spec wants
// it: the flushers have their settings all the same.
func aboutStorage(stalled *verdict) bool {
	return stalled.reason == v1alpha1.ReasonStorageNotExpandable || stalled.reason == v1alpha1.ReasonStorageCannotShrink
}

// stillFlows says whether data may reach the database although a part of the
// spec is not in force: the flushers know.
func stillFlows(stalled *verdict) bool {
	return aboutStorage(stalled) || stalled.reason == v1alpha1.ReasonQueueNotEmpty
}

// unreported is a mapping of the spec that no flusher knows yet.
func (s *scope) unreported() string {
	for i := range s.cache.Spec.Mappings {
		name := s.cache.Spec.Mappings[i].Name
		if s.queue(name, func(*config.Status) bool { return true }) == nil {
			return name
		}
	}
	return ""
}

// watchdog is what a flusher says of a queue of its own that does not move.
func (s *scope) watchdog() string {
	for _, d := range s.seen.Answering() {
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

// stuck says which queue has entries that have waited for long although nothing
// is known to be wrong. A long queue that moves is not stuck, and neither is one
// that may move only since a moment ago.
func (s *scope) stuck() string {
	limit := s.stuckAfter + 3*time.Duration(s.cache.Spec.Flush.IntervalMilliseconds)*time.Millisecond
	for _, kind := range []string{v1alpha1.ConditionRedisReady, v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionSettingsApplied} {
		c := meta.FindStatusCondition(s.cache.Status.Conditions, kind)
		if c != nil && time.Since(c.LastTransitionTime.Time) < limit {
			return ""
		}
	}
	for _, d := range s.seen.Answering() {
		for i := range d.Queues {
			q := &d.Queues[i]
			waits := time.Duration(q.OldestPendingSeconds) * time.Second
			if q.Depth == 0 || waits < limit || s.flushedWithin(q.Name, limit, d.ObservedTime) {
				continue
			}
			text := fmt.Sprintf("Queue %s has %d entries, the oldest over %s old, and nothing was flushed", q.Name, q.Depth, limit)
			if q.LastError != "" {
				text += ": " + q.LastError
			}
			return text
		}
	}
	return ""
}

func (s *scope) flushedWithin(name string, limit time.Duration, at time.Time) bool {
	for _, d := range s.seen.Answering() {
		for i := range d.Queues {
			q := &d.Queues[i]
			if q.Name == name && !q.LastFlushTime.IsZero() && at.Sub(q.LastFlushTime) < limit {
				return true
			}
		}
	}
	return false
}

// redisReasons are those of a queue's check that lie with Redis; all others lie
// with the database.
var redisReasons = []string{
	v1alpha1.ReasonReadOnlyReplica, v1alpha1.ReasonVersionTooOld, v1alpha1.ReasonOutOfMemory,
	v1alpha1.ReasonPersistenceFailing, v1alpha1.ReasonCommandFailed, v1alpha1.ReasonJournalMismatch,
	v1alpha1.ReasonClusterMode, v1alpha1.ReasonLibraryMismatch, v1alpha1.ReasonQueueConflict, v1alpha1.ReasonSplitBrain,
}

// redisReady asks every flusher that answers.
func (s *scope) redisReady() verdict {
	documents := s.seen.Answering()
	if len(documents) == 0 {
		return verdict{metav1.ConditionUnknown, v1alpha1.ReasonFlushersDown, s.whyNoFlusherAnswers()}
	}
	for _, d := range documents {
		if d.Redis.OK {
			continue
		}
		if d.Redis.Reason == "" {
			return verdict{metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "A flusher has not looked at Redis yet"}
		}
		message := d.Redis.Message
		message += behindText(s.whyRedisPodWaits()) + behindText(s.passwordRemedy(d.Redis.Reason))
		return bad(d.Redis.Reason, message)
	}
	if q := refusing(documents, true); q != nil {
		return bad(q.Ready.Reason, aboutMapping(q))
	}
	return good("Redis is reachable and writable, and has the capture functions")
}

// databaseReady asks every flusher that answers.
func (s *scope) databaseReady() verdict {
	documents := s.seen.Answering()
	if len(documents) == 0 {
		return verdict{metav1.ConditionUnknown, v1alpha1.ReasonFlushersDown, s.whyNoFlusherAnswers()}
	}
	for _, d := range documents {
		if !d.Database.OK && d.Database.Reason == "" {
			return verdict{metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "A flusher has not looked at PostgreSQL yet"}
		}
		if !d.Database.OK {
			return bad(d.Database.Reason, d.Database.Message)
		}
	}
	if q := refusing(documents, false); q != nil {
		return bad(q.Ready.Reason, aboutMapping(q))
	}
	if open := s.stillOpen(documents); open != nil {
		return *open
	}
	return good("PostgreSQL is reachable and writable, and every table fits its mapping")
}

// circuitHalfOpen is the state of a circuit breaker that lets one batch through.
const circuitHalfOpen = "half-open"

// stillOpen keeps the verdict CircuitOpen while a circuit is half-open, entries
// wait and none was flushed since. Otherwise an outage would look mended for a
// moment each time the breaker tries.
func (s *scope) stillOpen(documents []*config.Status) *verdict {
	said := meta.FindStatusCondition(s.cache.Status.Conditions, v1alpha1.ConditionDatabaseReady)
	if said == nil || said.Reason != v1alpha1.ReasonCircuitOpen {
		return nil
	}
	trying := false
	for _, d := range documents {
		for i := range d.Queues {
			if d.Queues[i].LastFlushTime.After(said.LastTransitionTime.Time) {
				return nil
			}
			trying = trying || d.Circuit == circuitHalfOpen && d.Queues[i].Depth > 0
		}
	}
	if !trying {
		return nil
	}
	return &verdict{said.Status, said.Reason, said.Message}
}

// refusing is the first queue whose check fails for a reason that lies with
// Redis, or with the database. A check that has no reason was not made yet, and
// one that says Stuck found neither of them at fault.
func refusing(documents []*config.Status, withRedis bool) *config.QueueStatus {
	for _, d := range documents {
		for i := range d.Queues {
			q := &d.Queues[i]
			if q.Ready.OK || q.Ready.Reason == "" || q.Ready.Reason == v1alpha1.ReasonStuck {
				continue
			}
			if slices.Contains(redisReasons, q.Ready.Reason) != withRedis {
				continue
			}
			// A queue that could not be looked at repeats what keeps it from
			// being looked at.
			if q.Ready.Reason == d.Redis.Reason || q.Ready.Reason == d.Database.Reason {
				continue
			}
			return q
		}
	}
	return nil
}

func aboutMapping(q *config.QueueStatus) string {
	if strings.Contains(q.Ready.Message, q.Name) {
		return q.Ready.Message
	}
	return fmt.Sprintf("mapping %s: %s", q.Name, q.Ready.Message)
}

// settingsApplied is True only when every flusher runs the settings of the
// present generation.
func (s *scope) settingsApplied(stalled *verdict) verdict {
	if stalled != nil && !aboutStorage(stalled) {
		return bad(stalled.reason, stalled.message)
	}
	if len(s.seen.Answering()) == 0 {
		return bad(v1alpha1.ReasonFlushersDown, s.whyNoFlusherAnswers())
	}
	applied := 0
	for i := range s.flusherPods {
		if s.runs(&s.flusherPods[i]) {
			applied++
		}
	}
	all := max(len(s.flusherPods), int(resources.FlusherReplicas(s.cache)))
	if applied < all {
		why := s.whyBehind()
		if why == "" {
			why = s.whyNotInForce()
		}
		return bad(v1alpha1.ReasonRolling, fmt.Sprintf("%d of %d flushers run the settings of generation %d%s", applied, all, s.cache.Generation, behindText(why)))
	}
	return good(fmt.Sprintf("Every flusher runs the settings of generation %d", s.cache.Generation))
}
