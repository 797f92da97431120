// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/flusher/config"
)

// facts are the input of a status, and the status as far as it is computed: the numbers
// first, since conditions depend on the new numbers, and then each condition in the order of
// the policy.
type facts struct {
	*snapshot.Snapshot
	*plan.Plan

	did        Progress
	stuckAfter time.Duration

	// documents are those of the flushers that answer.
	documents []*config.Status
	// stalled is the failure that only a person can resolve, nil when there is none.
	stalled *failure.Stalled
	// status is the one that is being computed.
	status *v1alpha1.WriteBehindCacheStatus
}

func newFacts(s *snapshot.Snapshot, p *plan.Plan, did Progress, stuckAfter time.Duration) *facts {
	f := &facts{
		Snapshot: s, Plan: p, did: did, stuckAfter: stuckAfter,
		documents: s.Seen.Answering(), status: s.Cache.Status.DeepCopy(),
	}
	errors.As(did.Failure, &f.stalled)
	return f
}

// earlier is a condition as an earlier pass left it, nil when it was absent.
func (f *facts) earlier(kind string) *metav1.Condition {
	return meta.FindStatusCondition(f.Cache.Status.Conditions, kind)
}

// standing is a condition as it stands in the status that is being computed.
func (f *facts) standing(kind string) *metav1.Condition {
	return meta.FindStatusCondition(f.status.Conditions, kind)
}

// tried reports whether a flusher that answers has looked at the servers with the
// present settings, whether or not it could reach them.
func (f *facts) tried() bool {
	return slices.ContainsFunc(f.Flushers.Pods, func(pod corev1.Pod) bool { return f.Ran(&pod, f.RestartHash, (*config.Status).Tried) })
}

// inForce reports whether the present settings are in force at a flusher that
// answers.
func (f *facts) inForce() bool {
	return slices.ContainsFunc(f.Flushers.Pods, func(pod corev1.Pod) bool { return f.runs(&pod) })
}

// runs reports whether the settings of the present generation are in force at a
// flusher: it runs them, and the capture functions have them.
func (f *facts) runs(pod *corev1.Pod) bool {
	return f.Ran(pod, f.RestartHash, func(d *config.Status) int64 { return d.Revision })
}

// unreported is a mapping of the spec that no flusher reports yet, empty when there
// is none.
func (f *facts) unreported() string {
	for i := range f.Cache.Spec.Mappings {
		name := f.Cache.Spec.Mappings[i].Name
		if f.Queue(name, func(*config.Status) bool { return true }) == nil {
			return name
		}
	}
	return ""
}

// aboutStorage reports whether only the volume is not as the spec wants it: the
// flushers have their settings all the same.
func (f *facts) aboutStorage() bool {
	return f.stalled.Reason == v1alpha1.ReasonStorageNotExpandable || f.stalled.Reason == v1alpha1.ReasonStorageCannotShrink
}

// isBlocked reports whether the resource is stalled so that no data can flow. Data
// may flow although a part of the spec is not in force: the flushers know.
func (f *facts) isBlocked() bool {
	return f.stalled != nil && !f.aboutStorage() && f.stalled.Reason != v1alpha1.ReasonQueueNotEmpty
}

func valueOf(number *int64) int64 {
	if number == nil {
		return 0
	}
	return *number
}
