// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

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

func stalledSettings(f *facts) *Condition {
	if f.stalled == nil || f.aboutStorage() {
		return nil
	}
	return bad(f.stalled.Reason, f.stalled.Message)
}

// rolling applies until every flusher runs the settings of the present generation.
func rolling(f *facts) *Condition {
	applied := 0
	for i := range f.Flushers.Pods {
		if f.runs(&f.Flushers.Pods[i]) {
			applied++
		}
	}
	all := max(len(f.Flushers.Pods), int(resources.FlusherReplicas(f.Cache)))
	if applied >= all {
		return nil
	}
	why := f.whyBehind()
	if why == "" {
		why = f.whyNotInForce()
	}
	return bad(v1alpha1.ReasonRolling, fmt.Sprintf("%d of %d flushers run the settings of generation %d%s", applied, all, f.Cache.Generation, clause(why)))
}

func everyFlusherRuns(f *facts) *Condition {
	return good(fmt.Sprintf("Every flusher runs the settings of generation %d", f.Cache.Generation))
}
