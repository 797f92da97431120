// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/verdict"
)

// Reconciler brings the cluster to what a WriteBehindCache asks for.
type Reconciler struct {
	// Client reads from a cache that holds only the operator's own objects.
	Client client.Client
	// APIReader asks the API server itself, where the cache cannot know.
	APIReader client.Reader
	// Recorder emits events.
	Recorder events.EventRecorder
	// Observer has the flushers' last reports.
	Observer *observe.Observer
	// Site is what whoever runs the operator has decided for every resource.
	Site plan.Site
	// Release names this release of the operator. Resources that another one made are rolled
	// in turns.
	Release string
	// StuckAfter is how long entries may wait without a flush, although nothing
	// is known to be wrong, before Ready is Stuck.
	StuckAfter time.Duration
	// PasswordInterval is how often the Secret of a managed Redis is created if it is
	// missing, while no flusher answers that would report it.
	PasswordInterval time.Duration
	// LostAfter is how long after its grace period a Pod that is still there
	// counts as one of a lost node.
	LostAfter time.Duration

	// kinds has the kinds of the Prometheus Operator that there are.
	kinds *kinds
	// monitoringInterval is how often objects of those kinds are checked although
	// nothing hints at a change.
	monitoringInterval time.Duration

	// turns are who may be rolled because of an upgrade.
	turns turns

	remembered remembered
	// applied remembers the objects that were written.
	applied applied
	// rejections remembers the objects that the API server refused.
	rejections rejections
}

// pass is one pass over one resource.
type pass struct {
	// Snapshot is what the pass read.
	*snapshot.Snapshot
	// plan is what is to be there.
	plan *plan.Plan
	// did is how far the pass got.
	did verdict.Progress
	// gone reports that the finalizer was removed, and with it the resource.
	gone bool
}

// actionObserve is the action of events about what was seen, not done.
const actionObserve = "Observe"

// normal emits an event. The recorder counts events of one reason and one action
// as one series and shows the note of the first, so the action names the kind of
// object that it was done to.
func (r *Reconciler) normal(about *v1alpha1.WriteBehindCache, reason, action, note string, args ...any) {
	r.Recorder.Eventf(about, nil, corev1.EventTypeNormal, reason, action, note, args...)
}

// warning emits an event about something that a person should look at.
func (r *Reconciler) warning(about *v1alpha1.WriteBehindCache, reason, action, note string, args ...any) {
	r.Recorder.Eventf(about, nil, corev1.EventTypeWarning, reason, action, note, args...)
}
