// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/verdict"
)

// recordRetry is how soon the objects of a deletion are removed after its record was
// written: at once.
const recordRetry = time.Millisecond

// finish takes a deleted resource down. The pass that finds nothing left to wait for
// ends with the record of that in the status. The passes after it remove the objects.
// Without the record, a pass that no longer finds a flusher to ask would begin again.
func (r *Reconciler) finish(ctx context.Context, p *pass) error {
	if !controllerutil.ContainsFinalizer(p.Cache, v1alpha1.FinalizerDrain) {
		p.gone = true
		return nil
	}
	if p.did.Draining = verdict.Record(p.Snapshot); p.did.Draining == nil {
		return r.drain(ctx, p)
	}
	if err := r.tearDown(ctx, p); err != nil {
		return err
	}
	return r.release(ctx, p)
}

// drain decides whether anything needs to be waited for, and makes what
// draining needs while something does.
func (r *Reconciler) drain(ctx context.Context, p *pass) error {
	d := verdict.BeforeDraining(p.Snapshot)
	if !d.Done {
		err := r.bringToDrain(ctx, p)
		d = verdict.WhileDraining(p.Snapshot, p.plan, err)
	}
	p.did.Draining = d.Condition
	p.did.PassAgain(d.Again)
	if !d.Done {
		return d.Err
	}
	log := ctrl.LoggerFrom(ctx)
	if d.GivenUp != "" {
		// Only the log can report it: a namespace that is being deleted takes no event.
		log.Info("Gave up what is queued: the namespace is being deleted", "left", d.GivenUp)
	}
	log.Info("Began to remove objects", "reason", d.Condition.Reason, "message", d.Condition.Message)
	return &failure.Waiting{What: "the record of the removal to be stored", After: recordRetry}
}

// bringToDrain makes what draining needs, and no more. The flushers' settings
// come first, since they close the queues to writers. A failure does not stop the
// other steps: draining needs only flushers and a Redis that work, and those may be
// there already.
func (r *Reconciler) bringToDrain(ctx context.Context, p *pass) error {
	var failures []error
	var err error
	if p.plan, err = plan.Make(p.Snapshot, r.FlusherImage); err != nil {
		failures = append(failures, err)
		if p.plan, err = p.plan.AsBefore(p.Snapshot); err != nil {
			return failure.Worst(append(failures, err))
		}
	}
	failures = append(failures, r.applyEach(ctx, p, func(o *plan.Object) bool { return o.IsSettings(p.Cache) })...)
	failures = append(failures, r.ensurePasswords(ctx, p))
	failures = append(failures, r.applyEach(ctx, p, func(o *plan.Object) bool { return !o.IsSettings(p.Cache) })...)
	if len(p.plan.Objects) == 0 {
		failures = append(failures, r.ending(ctx, p))
	}
	if len(p.Foreign) > 0 {
		failures = append(failures, plan.Conflict(p.Snapshot))
	}
	if len(p.Going) > 0 {
		failures = append(failures, plan.GoingAway(p.Snapshot))
	}
	return failure.Worst(append(failures, r.prune(ctx, p), r.nudge(ctx, p)))
}

// applyEach writes those of the chosen objects that draining needs, whatever becomes
// of the others.
func (r *Reconciler) applyEach(ctx context.Context, p *pass, chosen func(*plan.Object) bool) (failures []error) {
	taken := slices.Concat(p.Foreign, p.Going)
	for i := range p.plan.Objects {
		o := &p.plan.Objects[i]
		needless := o.Kind == "Service" && o.Name == resources.FlusherName(p.Cache)
		if chosen(o) && !needless && !slices.Contains(taken, o.Kind+" "+o.Name) {
			failures = append(failures, r.applyObject(ctx, p, o))
		}
	}
	return failures
}

// ending returns the API server's error that the namespace is being deleted, or nil. If
// nothing is left to apply, no other request would return it.
func (r *Reconciler) ending(ctx context.Context, p *pass) error {
	err := r.Client.Apply(ctx, resources.FlusherService(p.Cache), resources.FieldOwner, client.ForceOwnership, client.DryRunAll)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return err
	}
	return nil
}
