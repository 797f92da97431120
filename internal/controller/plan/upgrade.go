// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// upgrades reports whether what the plan changes comes of another release of the operator,
// and not of the user: the flushers were made by another, and the user has changed nothing
// since. A deletion waits for nobody.
func upgrades(s *snapshot.Snapshot) bool {
	live := s.Flushers.Deployment
	return s.Release != "" && live != nil && !s.Deleting() &&
		live.Annotations[v1alpha1.AnnotationRelease] != s.Release && s.Cache.Status.ObservedGeneration == s.Cache.Generation
}

// UntilItsTurn is the plan of a resource that waits for its turn in an upgrade of the
// operator: everything that is there stays as it is, and what is missing is made. So the
// pods run the settings that they are judged by. stopped is how many resources failed to be
// rolled, where the upgrade has stopped for that.
func (p *Plan) UntilItsTurn(s *snapshot.Snapshot, stopped int) *Plan {
	next := *p
	next.Waits, next.Stopped = true, stopped
	next.RestartHash = s.Flushers.Deployment.Spec.Template.Annotations[v1alpha1.AnnotationConfigHash]
	next.Objects = slices.DeleteFunc(slices.Clone(p.Objects), func(o Object) bool { return o.Live != nil })
	return &next
}
