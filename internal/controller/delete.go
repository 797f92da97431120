// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// finish takes a deleted resource down: it drains, records that it is done, and
// only then removes anything. The record is what keeps a later pass, which finds
// no flusher to ask any more, from beginning again.
func (r *Reconciler) finish(ctx context.Context, s *scope) error {
	if !controllerutil.ContainsFinalizer(s.cache, v1alpha1.FinalizerDrain) {
		s.gone = true
		return nil
	}
	recorded := meta.FindStatusCondition(s.cache.Status.Conditions, v1alpha1.ConditionDraining)
	if recorded != nil && (recorded.Reason == v1alpha1.ReasonDrained || recorded.Reason == v1alpha1.ReasonRetained) {
		s.draining = &verdict{recorded.Status, recorded.Reason, recorded.Message}
	} else {
		done, err := r.drain(ctx, s)
		if err != nil {
			return err
		}
		s.draining = &done
		ctrl.LoggerFrom(ctx).Info("Began to remove objects", "reason", done.reason, "message", done.message)
		s.report(nil)
		if err := r.patchStatus(ctx, s); err != nil {
			return err
		}
	}
	if err := r.tearDown(ctx, s); err != nil {
		return err
	}
	return r.release(ctx, s)
}

// drain returns the record of why nothing needs to be waited for, or a
// waitingError while something does.
func (r *Reconciler) drain(ctx context.Context, s *scope) (verdict, error) {
	drained := func(why string) (verdict, error) {
		return verdict{metav1.ConditionTrue, v1alpha1.ReasonDrained, why + "; the objects are being removed"}, nil
	}
	switch {
	case s.cache.Spec.DeletionPolicy == v1alpha1.DeletionPolicyRetain:
		return verdict{metav1.ConditionTrue, v1alpha1.ReasonRetained, s.retained()}, nil
	case s.forced():
		return drained(fmt.Sprintf("The annotation %s gives up what is queued", v1alpha1.AnnotationForceDelete))
	case s.nothingToDrain():
		return drained("No flusher ever reported a queue: there is nothing to drain")
	}

	// The flushers are kept as the spec wants them: they are what drains.
	failure := r.bring(ctx, s)
	obstacle := s.obstacle(failure)
	if failure == nil && obstacle == "" {
		return drained("The queues are empty")
	}
	deadline := s.cache.DeletionTimestamp.Add(time.Duration(s.cache.Spec.DrainTimeoutSeconds) * time.Second)
	left := time.Until(deadline)
	s.draining = &verdict{metav1.ConditionTrue, v1alpha1.ReasonDraining, obstacle}
	if left <= 0 {
		left = 0
		s.draining.reason = v1alpha1.ReasonDrainBlocked
		s.draining.message = fmt.Sprintf("%s. drainTimeoutSeconds (%d) have passed; draining goes on. To give up what is queued, set the annotation %s: \"true\"",
			obstacle, s.cache.Spec.DrainTimeoutSeconds, v1alpha1.AnnotationForceDelete)
	}
	if stalled := (*stalledError)(nil); errors.As(failure, &stalled) && stalled.retry == 0 {
		stalled.retry = left
	}
	if failure != nil {
		return verdict{}, failure
	}
	return verdict{}, &waitingError{what: "the queues to be empty", after: left}
}

// retained says what stays behind, for the condition and its event.
func (s *scope) retained() string {
	if !s.managed() {
		return "spec.deletionPolicy is Retain: Redis keeps what is queued"
	}
	return fmt.Sprintf("spec.deletionPolicy is Retain: StatefulSet %s with its Service, ConfigMap and volume, and Secret %s, stay with what is queued",
		resources.RedisName(s.cache), resources.RedisSecretName(s.cache))
}

// nothingToDrain says whether no flusher ever reported a life of any queue, and
// none that reaches Redis is about to.
func (s *scope) nothingToDrain() bool {
	for _, m := range s.cache.Status.Mappings {
		if m.Journal != "" {
			return false
		}
	}
	for _, d := range s.seen.Answering() {
		if d.Redis.OK {
			return false
		}
		for i := range d.Queues {
			if d.Queues[i].Journal != "" {
				return false
			}
		}
	}
	return true
}

// obstacle says what is left to drain and what is in the way; empty when every
// queue is closed to writers and empty, both seen at one look by a flusher that
// runs the settings of the deletion.
func (s *scope) obstacle(failure error) string {
	if failure != nil {
		return "Draining cannot go on: " + failure.Error()
	}
	if len(s.seen.Answering()) == 0 {
		return s.whyNoFlusherAnswers() + ", and the queues were not seen empty"
	}
	var parts []string
	for _, m := range s.settings.Mappings {
		if part := s.left(m.Name); part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	for _, v := range []verdict{s.redisReady(), s.databaseReady()} {
		if v.status == metav1.ConditionFalse {
			parts = append(parts, v.reason+": "+v.message)
		}
	}
	if stuck := s.watchdog(); stuck != "" {
		parts = append(parts, v1alpha1.ReasonStuck+": "+stuck)
	}
	return strings.Join(parts, "; ")
}

// left says what one queue still holds, empty when it is drained.
func (s *scope) left(name string) string {
	closed := func(d *config.Status) bool {
		return s.settled(d) && d.Draining && d.Revision == s.cache.Generation
	}
	q := s.queue(name, closed)
	if q == nil || q.State != config.StatePaused {
		return fmt.Sprintf("queue %s is not closed to writers yet", name)
	}
	if q.Depth == 0 && q.DeadLetters == 0 {
		return ""
	}
	text := fmt.Sprintf("queue %s holds %d entries and %d dead letters", name, q.Depth, q.DeadLetters)
	if q.Refused > 0 {
		text += fmt.Sprintf(", %d of the entries refused by the database", q.Refused)
	}
	if q.DeadLetters > 0 {
		text += " (`flusher dlq replay` or `flusher dlq discard` takes the dead letters out)"
	}
	if q.LastError != "" {
		text += ": " + q.LastError
	}
	return text
}

// tearDown removes the flushers, waits until none is left, and then removes what
// they drained. Whether Redis goes too is what was recorded, and not what the
// spec says by now: it may have changed after the queues were looked at.
func (r *Reconciler) tearDown(ctx context.Context, s *scope) error {
	flushers := client.MatchingLabels(resources.SelectorLabels(s.cache, resources.ComponentFlusher))
	if err := r.remove(ctx, s, &appsv1.DeploymentList{}, flushers); err != nil {
		return err
	}
	if count := len(s.flusherPods) + s.terminating; count > 0 {
		return &waitingError{what: fmt.Sprintf("%d flusher Pods to end", count)}
	}
	owned := client.MatchingLabels(resources.OwnerLabels(s.cache))
	retained := s.draining.reason == v1alpha1.ReasonRetained
	if retained {
		owned = flushers
	}
	for _, list := range []client.ObjectList{
		&appsv1.StatefulSetList{}, &corev1.ServiceList{}, &corev1.ConfigMapList{}, &corev1.PersistentVolumeClaimList{},
	} {
		if err := r.remove(ctx, s, list, owned); err != nil {
			return err
		}
	}
	if !s.managed() || retained {
		return nil
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.cache.Namespace, Name: resources.RedisSecretName(s.cache)}}
	if err := client.IgnoreNotFound(r.Client.Delete(ctx, secret)); err != nil {
		return fmt.Errorf("delete Secret: %w", err)
	}
	return nil
}

// remove deletes the objects of one kind that carry the labels. It asks the API
// server and not the cache, which may not know of the newest one.
func (r *Reconciler) remove(ctx context.Context, s *scope, list client.ObjectList, selector client.MatchingLabels) error {
	if err := r.APIReader.List(ctx, list, client.InNamespace(s.cache.Namespace), selector); err != nil {
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

// release takes the finalizer off, after which there is nothing to write to.
func (r *Reconciler) release(ctx context.Context, s *scope) error {
	next := s.cache.DeepCopy()
	controllerutil.RemoveFinalizer(next, v1alpha1.FinalizerDrain)
	if err := r.Client.Patch(ctx, next, client.MergeFromWithOptions(s.cache, client.MergeFromWithOptimisticLock{}), FieldOwner); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove finalizer: %w", err)
	}
	ctrl.LoggerFrom(ctx).Info("Released WriteBehindCache")
	r.Observer.Forget(client.ObjectKeyFromObject(s.cache))
	s.gone = true
	return nil
}
