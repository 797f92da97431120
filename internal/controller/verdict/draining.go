// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

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
	earlier := meta.FindStatusCondition(s.Cache.Status.Conditions, v1alpha1.ConditionDraining)
	if earlier == nil || earlier.Reason != v1alpha1.ReasonDrained && earlier.Reason != v1alpha1.ReasonRetained {
		return nil
	}
	message, _, _ := strings.Cut(earlier.Message, waitsFor)
	return &Condition{earlier.Status, earlier.Reason, message}
}

// BeforeDraining decides a deletion for which nothing has to be brought about. It is
// not Done when there may be something to drain, or to reopen.
func BeforeDraining(s *snapshot.Snapshot) Drain {
	begun := meta.FindStatusCondition(s.Cache.Status.Conditions, v1alpha1.ConditionDraining) != nil
	switch {
	case retains(s) && begun && !s.Forced() && !neverFilled(s):
		return Drain{}
	case retains(s):
		return retained(s)
	case s.Forced():
		return drained(fmt.Sprintf("The annotation %s gives up what is queued", v1alpha1.AnnotationForceDelete))
	case neverFilled(s):
		return drained("No flusher ever reached Redis: there is nothing to drain")
	case plan.OnlyRivals(s):
		return drained("Other resources have the same queues on this Redis: the queues stay with those resources")
	default:
		return Drain{}
	}
}

// WhileDraining decides a deletion whose flushers were brought to drain, as far as
// err let them.
func WhileDraining(s *snapshot.Snapshot, p *plan.Plan, err error) Drain {
	f := newFacts(s, p, Progress{Failure: err}, 0)
	if retains(s) {
		return reopened(f)
	}
	obstacle := obstacle(f)
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
	if earlier := f.earlier(v1alpha1.ConditionDraining); earlier != nil && !s.Seen.Looked {
		return Drain{
			Condition: &Condition{earlier.Status, earlier.Reason, earlier.Message},
			Err:       cmp.Or[error](err, &failure.Waiting{What: "the first look at the flushers"}),
		}
	}
	left := max(s.Cache.DeletionTimestamp.Add(time.Duration(s.Cache.Spec.DrainTimeoutSeconds)*time.Second).Sub(s.Now), 0)
	return Drain{Condition: inTheWay(f, obstacle, left), Err: until(f, left), Again: f.did.Again}
}

// inTheWay returns what is in the way of draining and, once the time-out has passed, how to
// give up what is queued.
func inTheWay(f *facts, obstacle string, left time.Duration) *Condition {
	reason, wayOut := v1alpha1.ReasonDraining, ""
	switch {
	case left == 0:
		reason = v1alpha1.ReasonDrainBlocked
		wayOut = fmt.Sprintf(". drainTimeoutSeconds (%d) have passed; draining goes on. To give up what is queued, set the annotation %s: \"true\"",
			f.Cache.Spec.DrainTimeoutSeconds, v1alpha1.AnnotationForceDelete)
	case cutOff(f.documents):
		wayOut = fmt.Sprintf(". If that does not change, the annotation %s: \"true\" gives up what is queued", v1alpha1.AnnotationForceDelete)
	}
	wayOut += f.AboutForce()
	return abnormal(reason, observe.Cut(obstacle, MaxMessage-len(wayOut))+wayOut)
}

// until ends the pass: with its failure, and at the time-out at the latest.
func until(f *facts, left time.Duration) error {
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

// drainingAs is how far the deletion got. A pass that ended before it came to that
// leaves what stands: a record that got lost would begin the deletion again.
func drainingAs(f *facts) *Condition {
	earlier := f.earlier(v1alpha1.ConditionDraining)
	if f.did.Draining != nil || earlier == nil || !f.Deleting() {
		return f.did.Draining
	}
	return &Condition{earlier.Status, earlier.Reason, earlier.Message}
}
