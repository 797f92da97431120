// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
)

const (
	// FieldOwner owns every field that the operator builds.
	FieldOwner = client.FieldOwner("writebehind-operator")
	// SettingsOwner owns the annotation that tells flusher Pods of new settings.
	// It is another manager than FieldOwner, so that neither apply takes the
	// other's fields away.
	SettingsOwner = client.FieldOwner("writebehind-operator-settings")
)

// Reconciler brings the cluster to what a WriteBehindCache asks for.
type Reconciler struct {
	// Client reads from a cache that holds only the operator's own objects.
	Client client.Client
	// APIReader asks the API server itself, where the cache cannot know.
	APIReader client.Reader
	// Recorder emits events.
	Recorder events.EventRecorder
	// Observer knows what the flushers said last.
	Observer *observe.Observer
	// FlusherImage is taken when a spec names no image.
	FlusherImage string
	// StuckAfter is how long entries may wait without a flush, although nothing
	// is known to be wrong, before data is said not to flow.
	StuckAfter time.Duration
	// PasswordInterval is how often the Secret of a managed Redis is made sure of
	// while no flusher answers that would miss it.
	PasswordInterval time.Duration
	// LostAfter is how long after its grace period a Pod that is still there
	// counts as one of a lost node.
	LostAfter time.Duration

	// kinds knows which kinds of the Prometheus Operator there are.
	kinds *kinds
	// monitoringInterval is how often objects of those kinds are made sure of
	// although nothing hints at a change.
	monitoringInterval time.Duration

	remembered remembered
	// applied remembers what was written.
	applied applied
	// refusals remembers what could not be.
	refusals refusals
}

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

// Reconcile makes one pass over one resource; doc.go tells its order.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	cache := &v1alpha1.WriteBehindCache{}
	if err := r.Client.Get(ctx, request.NamespacedName, cache); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.Observer.Forget(request.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("get WriteBehindCache: %w", err)
	}
	// What a deletion decides cannot be taken back, so it decides on the resource
	// itself and not on a cached one that may miss its own record; and so does a
	// pass whose cached copy misses the last status.
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
	r.Observer.Track(request.NamespacedName, cache.UID, marksOf(cache))

	s := r.newScope(cache)
	failure := r.pass(ctx, s)
	if apierrors.IsConflict(failure) {
		return outcome(failure) // what was read is old: nothing can be said
	}
	if !s.gone {
		s.report(failure)
		if err := r.patchStatus(ctx, s); client.IgnoreNotFound(err) != nil {
			return r.notStored(cache, err)
		}
	}
	result, err := outcome(failure)
	if err == nil && result.RequeueAfter == 0 {
		result.RequeueAfter = s.again
	}
	return result, err
}

// notStored is the outcome of a pass that could not write to the resource. One that
// has no room left for its own status is told by an event, since nothing else can
// be.
func (r *Reconciler) notStored(cache *v1alpha1.WriteBehindCache, err error) (ctrl.Result, error) {
	if !tooLarge(err) {
		return outcome(err)
	}
	r.warning(cache, v1alpha1.ReasonInvalidSpec, actionObserve,
		"The resource is larger than the API server stores once it has a status, about a megabyte, so nothing is done for it: "+
			"name fewer columns in spec.mappings, put less into spec.flusher and spec.networkPolicy, or take annotations away")
	return ctrl.Result{RequeueAfter: refusedRetry}, nil
}

func (r *Reconciler) pass(ctx context.Context, s *scope) error {
	if err := r.read(ctx, s); err != nil {
		return err
	}
	if s.deleting() {
		return r.finish(ctx, s)
	}
	if err := r.bring(ctx, s); err != nil {
		return err
	}
	return s.heldBack()
}

// ensureFinalizer puts the finalizer on before anything is made, so that nothing
// can be left behind.
func (r *Reconciler) ensureFinalizer(ctx context.Context, cache *v1alpha1.WriteBehindCache) error {
	before := cache.DeepCopy()
	if !controllerutil.AddFinalizer(cache, v1alpha1.FinalizerDrain) {
		return nil
	}
	if err := r.Client.Patch(ctx, cache, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), FieldOwner); err != nil {
		return fmt.Errorf("add finalizer: %w", err)
	}
	r.remembered.wrote(cache)
	return nil
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
