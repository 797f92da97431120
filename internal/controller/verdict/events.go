// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// Event reports one change of the status to people.
type Event struct {
	// Warning is for what a person should look at.
	Warning bool
	Reason  string
	Note    string
}

// events has one event for each transition of the conditions that people wait for,
// and for each rise of a number that means harm.
func events(before, after *v1alpha1.WriteBehindCacheStatus) []Event {
	var all []Event
	for _, about := range []func(change) *Event{
		aboutBacklog, aboutLoss, aboutNotice, aboutDurable, aboutDeadLetters,
		change.ready, change.stalled, change.draining,
	} {
		if e := about(change{before, after}); e != nil {
			all = append(all, *e)
		}
	}
	return all
}

// change is one status after another.
type change struct {
	before, after *v1alpha1.WriteBehindCacheStatus
}

// of is a condition before and after.
func (c change) of(kind string) (was, is *metav1.Condition) {
	return meta.FindStatusCondition(c.before.Conditions, kind), meta.FindStatusCondition(c.after.Conditions, kind)
}

// turned is a condition before and after, when its status or reason is another than
// before; is is nil otherwise.
func (c change) turned(kind string) (was, is *metav1.Condition) {
	was, is = c.of(kind)
	if is == nil || was != nil && was.Status == is.Status && was.Reason == is.Reason {
		return was, nil
	}
	return was, is
}

// healed reports whether a condition became True that was False.
func healed(was, is *metav1.Condition) bool {
	return is.Status == metav1.ConditionTrue && was != nil && was.Status == metav1.ConditionFalse
}

// ready leaves out what Draining and Stalled report too, and that a resource is not
// born ready.
func (c change) ready() *Event {
	was, is := c.turned(v1alpha1.ConditionReady)
	switch {
	case is == nil || is.Reason == v1alpha1.ReasonDraining || was == nil && is.Status != metav1.ConditionTrue:
		return nil
	case is.Status == metav1.ConditionTrue:
		return &Event{Reason: v1alpha1.ConditionReady, Note: is.Message}
	}
	if _, stalled := c.of(v1alpha1.ConditionStalled); stalled != nil && stalled.Reason == is.Reason {
		return nil
	}
	return &Event{Warning: is.Reason != v1alpha1.ReasonSuspended, Reason: is.Reason, Note: is.Message}
}

func (c change) stalled() *Event {
	_, is := c.turned(v1alpha1.ConditionStalled)
	if is == nil {
		return nil
	}
	return &Event{Warning: true, Reason: is.Reason, Note: is.Message}
}

func (c change) draining() *Event {
	_, is := c.turned(v1alpha1.ConditionDraining)
	if is == nil {
		return nil
	}
	return &Event{Warning: is.Reason == v1alpha1.ReasonDrainBlocked, Reason: is.Reason, Note: is.Message}
}

// aboutBacklog reports that the deepest queue has passed a mark, or is under all of
// them again.
func aboutBacklog(c change) *Event {
	was, is := c.turned(v1alpha1.ConditionBacklogHealthy)
	switch {
	case is == nil:
		return nil
	case is.Status == metav1.ConditionFalse:
		return &Event{Warning: true, Reason: v1alpha1.EventBacklog + strings.TrimPrefix(is.Reason, v1alpha1.EventBacklog), Note: is.Message}
	case healed(was, is):
		return &Event{Reason: v1alpha1.ConditionBacklogHealthy, Note: is.Message}
	}
	return nil
}

// aboutDeadLetters reports that there are more dead letters than before, or that the
// last one is gone.
func aboutDeadLetters(c change) *Event {
	_, is := c.of(v1alpha1.ConditionDeadLetterQueueEmpty)
	had, has := valueOf(c.before.DeadLetters), valueOf(c.after.DeadLetters)
	switch {
	case is == nil:
		return nil
	case has > had:
		return &Event{Warning: true, Reason: v1alpha1.ReasonDeadLetters, Note: is.Message}
	case has == 0 && had > 0:
		return &Event{Reason: v1alpha1.ConditionDeadLetterQueueEmpty, Note: is.Message}
	}
	return nil
}

func aboutLoss(c change) *Event {
	had, has := valueOf(c.before.DataLossEvents), valueOf(c.after.DataLossEvents)
	if has <= had {
		return nil
	}
	what := "Redis or PostgreSQL lost confirmed data, by what a flusher pod reports"
	if c.after.Capture == v1alpha1.CaptureReplication {
		what = "Deletions or writes may be missing in the tables, by what a flusher pod reports"
	}
	return &Event{Warning: true, Reason: v1alpha1.ReasonDataLoss, Note: fmt.Sprintf(
		"%s: new data-loss events: %d, in all: %d; flushing goes on", what, has-had, has)}
}

// aboutNotice reports what the replication stream told that a person should know.
func aboutNotice(c change) *Event {
	was, is := c.before.Replication, c.after.Replication
	if is == nil || is.Notice == "" || was != nil && was.Notice == is.Notice {
		return nil
	}
	return &Event{Warning: true, Reason: v1alpha1.EventReplicationNotice, Note: is.Notice}
}

// aboutDurable leaves out the change that a new loss makes: the loss has an event of
// its own, with the details.
func aboutDurable(c change) *Event {
	was, is := c.turned(v1alpha1.ConditionDurable)
	switch {
	case is == nil:
		return nil
	case is.Status == metav1.ConditionFalse && (is.Reason != v1alpha1.ReasonDataLoss || aboutLoss(c) == nil):
		return &Event{Warning: true, Reason: is.Reason, Note: is.Message}
	case healed(was, is):
		return &Event{Reason: v1alpha1.ConditionDurable, Note: is.Message}
	}
	return nil
}
