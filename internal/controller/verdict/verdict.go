// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package verdict ends a pass: from the snapshot, the plan, and how far the pass got, it
// computes the resource's status, the events about changes, and when another pass is due. It
// writes nothing, and asks nobody.
package verdict

import (
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// Verdict is what becomes of a pass.
type Verdict struct {
	// Status is the whole status, the same as before when nothing changed.
	Status v1alpha1.WriteBehindCacheStatus
	// Events report the changes of the status. They are emitted after it is stored.
	Events []Event
	// Result and Err are returned to the work queue.
	Result ctrl.Result
	Err    error
}

// Reach judges a pass. stuckAfter is how long entries may wait without a flush,
// although nothing is known to be wrong.
func Reach(s *snapshot.Snapshot, p *plan.Plan, did Progress, stuckAfter time.Duration) Verdict {
	f := newFacts(s, p, did, stuckAfter)
	status := f.status
	status.Selector = labels.SelectorFromSet(resources.SelectorLabels(s.Cache, resources.ComponentFlusher)).String()
	status.Replicas = 0
	if s.Flushers.Deployment != nil {
		status.Replicas = s.Flushers.Deployment.Status.Replicas
	}
	if did.Redis != nil {
		status.Redis = did.Redis
	}
	if status.Redis != nil && p.Settings != nil {
		status.Redis.TLSSecretName = p.RedisTLSSecret
	}
	count(f)
	acknowledgeLoss(f)
	for i := range policy {
		policy[i].apply(f)
	}
	// The operator has done for this generation what it can: a person, or an event that
	// is waited for, comes next.
	var waiting *failure.Waiting
	if did.Failure == nil || f.stalled != nil || errors.As(did.Failure, &waiting) {
		status.ObservedGeneration = s.Cache.Generation
	}

	v := Verdict{Status: *status, Events: events(&s.Cache.Status, status)}
	v.Result, v.Err = failure.Result(did.Failure)
	if v.Err == nil && v.Result.RequeueAfter == 0 {
		v.Result.RequeueAfter = failure.Sooner(f.did.Again, p.Again)
	}
	return v
}
