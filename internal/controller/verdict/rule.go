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

// maxReason is what the API server takes as an event's reason.
const maxReason = 128

// rule is what one condition is made of.
type rule struct {
	kind string
	// causes stand in order of precedence: the first that applies decides. Where none
	// does, the condition is absent.
	causes []cause
	// suffix is what every message of the condition ends with, empty for nothing; nil
	// for none.
	suffix func(*facts) string
	// when is the generation that the condition is about, and whether it may be set.
	when func(*facts, Condition) tense
}

// cause returns a condition when it applies, and nil when it does not.
type cause = func(*facts) *Condition

// tense is the generation that a condition is about.
type tense int

const (
	// now is the present one.
	now tense = iota
	// onceLooked is the present one, once the flushers were polled. Until then a
	// condition that is there stays as it is: an operator that has just begun knows
	// nothing that would contradict it.
	onceLooked
	// before is the one that the condition was about before: nothing is known yet under
	// the present settings, and a client that waits for the present generation must not
	// take this condition for its own. A condition that was never about an earlier
	// generation becomes Unknown.
	before
)

// evaluate is the condition of the first cause that applies, nil when none does.
func (r *rule) evaluate(f *facts) *Condition {
	for _, applies := range r.causes {
		c := applies(f)
		if c != nil && r.suffix != nil {
			c.Message += clause(r.suffix(f))
		}
		if c != nil {
			return c
		}
	}
	return nil
}

// apply brings the condition into the status that is being computed.
func (r *rule) apply(f *facts) {
	c := r.evaluate(f)
	if c == nil {
		meta.RemoveStatusCondition(&f.status.Conditions, r.kind)
		return
	}
	stands := f.standing(r.kind)
	switch when := r.when(f, *c); {
	case when == onceLooked && !f.Seen.Looked && stands != nil:
	case when == before && stands != nil && stands.ObservedGeneration < f.Cache.Generation:
		r.set(f, c, stands.ObservedGeneration)
	case when == before:
		r.set(f, unknown(v1alpha1.ReasonProgressing,
			fmt.Sprintf("No flusher that answers has tried the settings of generation %d yet%s", f.Cache.Generation, clause(whyBehind(f)))), f.Cache.Generation)
	default:
		r.set(f, c, f.Cache.Generation)
	}
}

var reasonPattern = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// set writes a condition. A reason may come from a Pod, so one that the API server
// would refuse is replaced.
func (r *rule) set(f *facts, c *Condition, generation int64) {
	reason := c.Reason
	if len(reason) > maxReason || !reasonPattern.MatchString(reason) {
		reason = v1alpha1.ReasonCommandFailed
	}
	meta.SetStatusCondition(&f.status.Conditions, metav1.Condition{
		Type:               r.kind,
		Status:             c.Status,
		Reason:             reason,
		Message:            observe.Cut(c.Message, MaxMessage),
		ObservedGeneration: generation,
		LastTransitionTime: metav1.NewTime(f.Now),
	})
}
