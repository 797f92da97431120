// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/verdict"
)

// defaultLostAfter is far longer than a running kubelet takes to remove a Pod whose grace
// period has passed.
const defaultLostAfter = 30 * time.Second

// tearDown removes the flushers, waits until none is left, and then removes what they
// drained. The record decides whether Redis goes too. The spec does not: it may have
// changed after the queues were seen empty.
func (r *Reconciler) tearDown(ctx context.Context, p *pass) error {
	flushers := client.MatchingLabels(resources.SelectorLabels(p.Cache, resources.ComponentFlusher))
	if err := r.remove(ctx, p, &appsv1.DeploymentList{}, flushers); err != nil {
		return err
	}
	retained := p.did.Draining.Reason == v1alpha1.ReasonRetained
	if waiting := verdict.FlushersEnd(p.Snapshot, r.LostAfter); waiting != nil {
		p.did.Draining = p.did.Draining.WaitingFor(waiting.What)
		return waiting
	}
	owned := client.MatchingLabels(resources.OwnerLabels(p.Cache))
	if retained {
		owned = flushers
	}
	for _, list := range []client.ObjectList{
		&appsv1.StatefulSetList{}, &corev1.ServiceList{}, &corev1.ConfigMapList{}, &corev1.PersistentVolumeClaimList{},
		&policyv1.PodDisruptionBudgetList{}, &networkingv1.NetworkPolicyList{},
	} {
		if err := r.remove(ctx, p, list, owned); err != nil {
			return err
		}
	}
	if !p.Managed() || retained {
		return nil
	}
	for _, name := range []string{resources.ApplicationSecretName(p.Cache), resources.FlusherSecretName(p.Cache), resources.DefaultSecretName(p.Cache)} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.Cache.Namespace, Name: name}}
		if err := client.IgnoreNotFound(r.Client.Delete(ctx, secret)); err != nil {
			return fmt.Errorf("delete Secret: %w", err)
		}
	}
	return nil
}

// remove deletes the objects of one kind that carry the labels. It lists them from
// the API server: the cache may not have the newest one.
func (r *Reconciler) remove(ctx context.Context, p *pass, list client.ObjectList, selector client.MatchingLabels) error {
	if err := r.APIReader.List(ctx, list, client.InNamespace(p.Cache.Namespace), selector); err != nil {
		return fmt.Errorf("list objects to delete: %w", err)
	}
	return meta.EachListItem(list, func(item runtime.Object) error {
		object, ok := item.(client.Object)
		if !ok || !object.GetDeletionTimestamp().IsZero() {
			return nil
		}
		uid := object.GetUID()
		err := r.Client.Delete(ctx, object, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if err := client.IgnoreNotFound(err); err != nil {
			return fmt.Errorf("delete %T: %w", object, err)
		}
		return nil
	})
}

// release removes the finalizer, after which there is nothing to write to.
func (r *Reconciler) release(ctx context.Context, p *pass) error {
	next := p.Cache.DeepCopy()
	controllerutil.RemoveFinalizer(next, v1alpha1.FinalizerDrain)
	patch := client.MergeFromWithOptions(p.Cache, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, next, patch, resources.FieldOwner); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove finalizer: %w", err)
	}
	ctrl.LoggerFrom(ctx).Info("Released WriteBehindCache")
	r.Observer.Forget(client.ObjectKeyFromObject(p.Cache))
	r.remembered.forget(p.Cache.UID)
	p.gone = true
	return nil
}
