// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/flusher/config"
)

// Drain is how a deletion goes on.
type Drain struct {
	// Condition is what Draining says. Once nothing needs to be waited for, it is the
	// record of why.
	Condition *Condition
	// Done reports that nothing needs to be waited for any more.
	Done bool
	// GivenUp is what is lost with the namespace, empty when nothing is.
	GivenUp string
	// Err ends the pass while something needs to be waited for.
	Err error
	// Again is when another pass is due although no watch asks for one.
	Again time.Duration
}

func drained(why string) Drain {
	return Drain{Condition: abnormal(v1alpha1.ReasonDrained, why+"; the objects are being removed"), Done: true}
}

// waitsFor stands in Draining's message between the record and what the deletion
// waits for.
const waitsFor = "; waiting for "

// WaitingFor is a record with what the deletion waits for at the moment.
func (c *Condition) WaitingFor(what string) *Condition {
	return &Condition{c.Status, c.Reason, c.Message + waitsFor + what}
}

// Record is what an earlier pass recorded of why nothing needs to be waited for; nil
// while none has.
func Record(s *snapshot.Snapshot) *Condition {
	said := meta.FindStatusCondition(s.Cache.Status.Conditions, v1alpha1.ConditionDraining)
	if said == nil || said.Reason != v1alpha1.ReasonDrained && said.Reason != v1alpha1.ReasonRetained {
		return nil
	}
	message, _, _ := strings.Cut(said.Message, waitsFor)
	return &Condition{said.Status, said.Reason, message}
}

// BeforeDraining decides a deletion for which nothing has to be brought about. It is
// not Done when there may be something to drain, or to reopen.
func BeforeDraining(s *snapshot.Snapshot) Drain {
	f := &facts{Snapshot: s}
	begun := f.said(v1alpha1.ConditionDraining) != nil
	switch {
	case f.retains() && begun && !s.Forced() && !f.neverFilled():
		return Drain{}
	case f.retains():
		return f.retained()
	case s.Forced():
		return drained(fmt.Sprintf("The annotation %s gives up what is queued", v1alpha1.AnnotationForceDelete))
	case f.neverFilled():
		return drained("No flusher ever reached Redis: there is nothing to drain")
	case plan.OnlyRivals(s):
		return drained("Other resources have the queues on this Redis: they are left to those")
	default:
		return Drain{}
	}
}

// WhileDraining decides a deletion whose flushers were brought to drain, as far as
// err let them.
func WhileDraining(s *snapshot.Snapshot, p *plan.Plan, err error) Drain {
	f := newFacts(s, p, Progress{Failure: err}, 0)
	if f.retains() {
		return f.reopened()
	}
	obstacle, again := f.obstacle()
	switch {
	case obstacle == "":
		return drained("The queues are empty")
	case failure.NamespaceTerminating(err) && len(s.Flushers.Pods) == 0:
		// Nobody can make a flusher here again, and waiting would keep the
		// namespace for good.
		d := drained("The namespace is being deleted and no flusher is left, which gives up what is queued: " + obstacle)
		d.GivenUp = obstacle
		return d
	}
	if said := f.said(v1alpha1.ConditionDraining); said != nil && !s.Seen.Looked {
		return Drain{
			Condition: &Condition{said.Status, said.Reason, said.Message},
			Err:       cmp.Or[error](err, &failure.Waiting{What: "the first look at the flushers"}), Again: again,
		}
	}
	left := max(s.Cache.DeletionTimestamp.Add(time.Duration(s.Cache.Spec.DrainTimeoutSeconds)*time.Second).Sub(s.Now), 0)
	return Drain{Condition: f.inTheWay(obstacle, left), Err: f.until(left), Again: again}
}

// inTheWay says what is in the way of draining, and from a moment on how to give up
// what is queued.
func (f *facts) inTheWay(obstacle string, left time.Duration) *Condition {
	reason, wayOut := v1alpha1.ReasonDraining, ""
	switch {
	case left == 0:
		reason = v1alpha1.ReasonDrainBlocked
		wayOut = fmt.Sprintf(". drainTimeoutSeconds (%d) have passed; draining goes on. To give up what is queued, set the annotation %s: \"true\"",
			f.Cache.Spec.DrainTimeoutSeconds, v1alpha1.AnnotationForceDelete)
	case f.cutOff():
		wayOut = fmt.Sprintf(". Should that stay so, the annotation %s: \"true\" gives up what is queued", v1alpha1.AnnotationForceDelete)
	}
	wayOut += f.AboutForce()
	return abnormal(reason, observe.Cut(obstacle, MaxMessage-len(wayOut))+wayOut)
}

// until ends the pass: with its failure, and at the time-out at the latest.
func (f *facts) until(left time.Duration) error {
	switch {
	case f.did.Failure == nil:
		return &failure.Waiting{What: "the queues to be empty", After: left}
	case f.stalled != nil && (f.stalled.Retry == 0 || 0 < left && left < f.stalled.Retry):
		sooner := *f.stalled
		sooner.Retry = left
		return &sooner
	default:
		return f.did.Failure
	}
}

// cutOff reports whether no flusher is at Redis, so that nothing can be drained until
// something comes back that may be gone for good.
func (f *facts) cutOff() bool {
	return !slices.ContainsFunc(f.documents, func(d *config.Status) bool { return d.Redis.OK || d.Redis.Reason == "" })
}

// neverFilled reports whether no queue can have been made: no flusher ever began to
// run, or all that did report that they never reached Redis. A queue that nobody
// reports may be there: nobody may have been asked.
func (f *facts) neverFilled() bool {
	for _, m := range f.Cache.Status.Mappings {
		if m.Journal != "" {
			return false
		}
	}
	if !f.EverStarted() {
		return true
	}
	pods := f.Flushers.Pods
	if len(pods) == 0 || len(f.Flushers.Terminating) > 0 {
		return false
	}
	for i := range pods {
		if !snapshot.Started(&pods[i]) {
			continue
		}
		answer, ok := f.Seen.Of(pods[i].UID)
		if !ok || answer.Status == nil || !neverReached(answer.Status) {
			return false
		}
	}
	return f.Flushers.Started
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
func (f *facts) obstacle() (text string, again time.Duration) {
	parts, again := f.notDrained()
	if len(parts) == 0 {
		return "", 0
	}
	if f.did.Failure != nil {
		parts = append(parts, f.did.Failure.Error())
	}
	for _, r := range []rule{redisReady, databaseReady} {
		if c := r.judge(f); c.Status == metav1.ConditionFalse {
			parts = append(parts, c.Reason+": "+c.Message)
		}
	}
	if stuck := f.watchdog(); stuck != "" {
		parts = append(parts, v1alpha1.ReasonStuck+": "+stuck)
	}
	return strings.Join(parts, "; "), again
}

// notDrained has one text a queue that is not known to be closed and empty.
func (f *facts) notDrained() (parts []string, again time.Duration) {
	switch {
	case !f.Seen.Looked:
		return []string{"The flushers were not looked at yet"}, 0
	case len(f.documents) == 0:
		return []string{f.whyNoFlusherAnswers() + ", and the queues were not seen empty"}, 0
	case f.Settings == nil:
		return []string{"The settings to drain with are not known"}, 0
	}
	carried := map[string]bool{}
	for _, m := range f.Settings.Mappings {
		carried[m.Name] = true
		if part := f.left(m.Name); part != "" {
			parts = append(parts, part)
		}
	}
	for _, m := range f.Cache.Status.Mappings {
		if m.Journal == "" || carried[m.Name] || f.Rivals[m.Name] != nil {
			continue
		}
		emptied, lost := f.Emptied(m.Name)
		if lost {
			again = plan.LossRetry
		}
		if !emptied {
			parts = append(parts, fmt.Sprintf("queue %s was not seen empty, and no flusher carries it", m.Name))
		}
	}
	return parts, again
}

// left is what one queue still holds, empty when it is drained.
func (f *facts) left(name string) string {
	closed := func(d *config.Status) bool {
		return f.Settled(d) && d.Draining && d.Revision == f.Cache.Generation
	}
	q := f.Queue(name, closed)
	if q == nil || q.State != config.StatePaused {
		return fmt.Sprintf("queue %s is not closed to writers yet", name)
	}
	if q.Depth == 0 && q.DeadLetters == 0 {
		return ""
	}
	text := fmt.Sprintf("queue %s holds %s", name, f.Contents(q))
	if q.LastError != "" {
		text += ": " + q.LastError
	}
	return text
}

// drainingAs is how far the deletion got. A pass that ended before it came to that
// leaves what stands: a record that got lost would begin the deletion again.
func drainingAs(f *facts) *Condition {
	said := f.said(v1alpha1.ConditionDraining)
	if f.did.Draining != nil || said == nil || !f.Deleting() {
		return f.did.Draining
	}
	return &Condition{said.Status, said.Reason, said.Message}
}
