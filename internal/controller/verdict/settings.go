// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

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
	why := whyBehind(f)
	if why == "" {
		why = whyNotInForce(f)
	}
	return bad(v1alpha1.ReasonRolling, fmt.Sprintf("Flushers that run the settings of generation %d: %d of %d%s", f.Cache.Generation, applied, all, clause(why)))
}

func everyFlusherRuns(f *facts) *Condition {
	return good(fmt.Sprintf("Every flusher runs the settings of generation %d", f.Cache.Generation))
}
