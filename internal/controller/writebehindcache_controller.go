// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

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

// Keep the markers sorted. Secrets get create and delete, and nothing else ever:
// the operator mounts them, and never reads one.

// +kubebuilder:rbac:groups="",resources=configmaps;services,verbs=create;delete;get;list;patch;watch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=delete;get;list;patch;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;patch;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=create;delete
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets,verbs=create;delete;get;list;patch;watch
// +kubebuilder:rbac:groups=cache.writebehind.dev,resources=writebehindcaches,verbs=get;list;patch;watch
// +kubebuilder:rbac:groups=cache.writebehind.dev,resources=writebehindcaches/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=prometheusrules;servicemonitors,verbs=create;delete;get;patch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=create;delete;get;list;patch;watch
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=create;delete;get;list;patch;watch

// Reconcile makes one pass over one resource; doc.go has its order.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	cache := &v1alpha1.WriteBehindCache{}
	if err := r.Client.Get(ctx, request.NamespacedName, cache); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.Observer.Forget(request.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("get WriteBehindCache: %w", err)
	}
	// A deletion cannot be undone, so it reads the resource itself: a cached copy may
	// lack the deletion's own record. So does a pass whose cached copy lacks the last
	// status.
	if !cache.DeletionTimestamp.IsZero() || r.remembered.older(cache) {
		if err := r.APIReader.Get(ctx, request.NamespacedName, cache); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	if cache.DeletionTimestamp.IsZero() {
		if err := r.ensureFinalizer(ctx, cache); err != nil {
			return r.notStored(cache, err)
		}
	}
	r.Observer.Track(request.NamespacedName, cache.UID, verdict.Marks(cache))

	p := &pass{plan: &plan.Plan{}}
	p.did.Failure = r.make(ctx, p, cache)
	switch {
	case apierrors.IsConflict(p.did.Failure):
		return failure.Result(p.did.Failure) // what was read is old, so nothing is judged
	case p.gone:
		return ctrl.Result{}, nil
	}
	v := verdict.Reach(p.Snapshot, p.plan, p.did, r.StuckAfter)
	if err := r.store(ctx, cache, v); client.IgnoreNotFound(err) != nil {
		return r.notStored(cache, err)
	}
	return v.Result, v.Err
}

// make makes the pass up to its verdict.
func (r *Reconciler) make(ctx context.Context, p *pass, cache *v1alpha1.WriteBehindCache) error {
	var err error
	if p.Snapshot, err = r.read(ctx, cache); err != nil {
		return err
	}
	if p.Deleting() {
		return r.finish(ctx, p)
	}
	return r.bring(ctx, p)
}

// notStored returns what follows when the resource could not be written. A resource
// without room for its own status gets an event, since it can get nothing else.
func (r *Reconciler) notStored(cache *v1alpha1.WriteBehindCache, err error) (ctrl.Result, error) {
	if !tooLarge(err) {
		return failure.Result(err)
	}
	r.warning(cache, v1alpha1.ReasonInvalidSpec, actionObserve,
		"With its status the resource would be larger than the API server stores (about a megabyte), so the operator does nothing for it: "+
			"name fewer columns in spec.mappings, make spec.flusher and spec.networkPolicy smaller, or remove annotations")
	return ctrl.Result{RequeueAfter: rejectedRetry}, nil
}

// ensureFinalizer adds the finalizer before anything is made, so that nothing can be
// left behind.
func (r *Reconciler) ensureFinalizer(ctx context.Context, cache *v1alpha1.WriteBehindCache) error {
	before := cache.DeepCopy()
	if !controllerutil.AddFinalizer(cache, v1alpha1.FinalizerDrain) {
		return nil
	}
	if err := r.Client.Patch(ctx, cache, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), resources.FieldOwner); err != nil {
		return fmt.Errorf("add finalizer: %w", err)
	}
	r.remembered.wrote(cache)
	return nil
}
