// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
)

// MaxMessage bounds a condition's message, which comes in part from a Pod.
const MaxMessage = 1024

// maxReason is what the API server takes as an event's reason.
const maxReason = 128

// Condition is a condition before it is put into the status.
type Condition struct {
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

func good(message string) *Condition {
	return &Condition{metav1.ConditionTrue, v1alpha1.ReasonAsExpected, message}
}

func bad(reason, message string) *Condition {
	return &Condition{metav1.ConditionFalse, reason, message}
}

func unknown(reason, message string) *Condition {
	return &Condition{metav1.ConditionUnknown, reason, message}
}

// abnormal is a condition that is absent while all is well.
func abnormal(reason, message string) *Condition {
	return &Condition{metav1.ConditionTrue, reason, message}
}

// rule says what one condition is made of.
type rule struct {
	kind string
	// causes stand in order of precedence: the first that applies decides.
	causes []cause
	// otherwise is what holds when none applies; nil for a condition that is then
	// absent.
	otherwise cause
	// note is what every message of the condition ends with, empty for nothing; nil
	// for none.
	note func(*facts) string
	// when says which generation the condition speaks of, if it may be said at all.
	when func(*facts, Condition) tense
}

// cause returns a condition when it applies, and nil when it does not.
type cause = func(*facts) *Condition

// tense is of which generation a condition speaks.
type tense int

const (
	// now is the present generation.
	now tense = iota
	// onceLooked is the present generation once the flushers were looked at. Until
	// then a condition that is there stays as it is: an operator that has just begun
	// knows nothing that would contradict it.
	onceLooked
	// before is the generation that the condition spoke of before: nothing is known
	// yet under the present settings. A client that waits for the present generation
	// is so told of no other. A condition that never spoke of an earlier generation
	// becomes Unknown.
	before
)

func (r *rule) judge(f *facts) *Condition {
	c := r.first(f)
	if c != nil && r.note != nil {
		c.Message += clause(r.note(f))
	}
	return c
}

// first is the condition of the first cause that applies.
func (r *rule) first(f *facts) *Condition {
	for _, applies := range r.causes {
		if c := applies(f); c != nil {
			return c
		}
	}
	if r.otherwise == nil {
		return nil
	}
	return r.otherwise(f)
}

// judge computes every condition.
func (f *facts) judge() {
	for i := range policy {
		r := &policy[i]
		c := r.judge(f)
		if c == nil {
			meta.RemoveStatusCondition(&f.status.Conditions, r.kind)
			continue
		}
		f.put(r.kind, *c, r.when(f, *c))
	}
}

// put brings a condition into the status.
func (f *facts) put(kind string, c Condition, when tense) {
	stands := f.standing(kind)
	switch {
	case when == onceLooked && !f.Seen.Looked && stands != nil:
	case when == before && stands != nil && stands.ObservedGeneration < f.Cache.Generation:
		f.set(kind, c, stands.ObservedGeneration)
	case when == before:
		f.set(kind, *unknown(v1alpha1.ReasonProgressing,
			fmt.Sprintf("No flusher that answers has tried the settings of generation %d yet%s", f.Cache.Generation, clause(f.whyBehind()))), f.Cache.Generation)
	default:
		f.set(kind, c, f.Cache.Generation)
	}
}

var reasonPattern = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// set writes a condition. A reason may come from a Pod, so one that the API server
// would refuse is replaced.
func (f *facts) set(kind string, c Condition, generation int64) {
	if len(c.Reason) > maxReason || !reasonPattern.MatchString(c.Reason) {
		c.Reason = v1alpha1.ReasonCommandFailed
	}
	meta.SetStatusCondition(&f.status.Conditions, metav1.Condition{
		Type:               kind,
		Status:             c.Status,
		Reason:             c.Reason,
		Message:            observe.Cut(c.Message, MaxMessage),
		ObservedGeneration: generation,
		LastTransitionTime: metav1.NewTime(f.Now),
	})
}

// said is a condition as an earlier pass left it, nil when it was absent.
func (f *facts) said(kind string) *metav1.Condition {
	return meta.FindStatusCondition(f.Cache.Status.Conditions, kind)
}

// standing is a condition as it stands in the status that is being computed.
func (f *facts) standing(kind string) *metav1.Condition {
	return meta.FindStatusCondition(f.status.Conditions, kind)
}

// clause joins a cause to a sentence.
func clause(why string) string {
	if why == "" {
		return ""
	}
	return "; " + why
}
