// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// defaultLostAfter is far over what a kubelet that is there takes to remove a Pod
// whose grace period is over.
const defaultLostAfter = 30 * time.Second

// waitsFor parts the record of a deletion from what it waits for at the moment.
const waitsFor = "; waiting for "

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
		message, _, _ := strings.Cut(recorded.Message, waitsFor)
		s.draining = &verdict{recorded.Status, recorded.Reason, message}
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
		if err := r.reopen(ctx, s); err != nil {
			return verdict{}, err
		}
		return verdict{metav1.ConditionTrue, v1alpha1.ReasonRetained, s.retained()}, nil
	case s.forced():
		return drained(fmt.Sprintf("The annotation %s gives up what is queued", v1alpha1.AnnotationForceDelete))
	case s.nothingToDrain():
		return drained("No flusher ever reached Redis: there is nothing to drain")
	case s.onlyRivals():
		return drained("Other resources have the queues on this Redis: they are left to those")
	}

	// The flushers are kept as the spec wants them: they are what drains.
	failure := r.bringToDrain(ctx, s)
	obstacle := s.obstacle(failure)
	switch {
	case obstacle == "":
		return drained("The queues are empty")
	case apierrors.HasStatusCause(failure, corev1.NamespaceTerminatingCause) && len(s.flusherPods) == 0:
		// Nobody can make a flusher here again, and waiting would keep the
		// namespace for good. The log alone can say so: a namespace that ends takes
		// no event.
		ctrl.LoggerFrom(ctx).Info("Gave up what is queued: the namespace is being deleted", "left", obstacle)
		return drained("The namespace is being deleted and no flusher is left, which gives up what is queued: " + obstacle)
	}
	recorded := meta.FindStatusCondition(s.cache.Status.Conditions, v1alpha1.ConditionDraining)
	if recorded != nil && !s.seen.Looked {
		s.draining = &verdict{recorded.Status, recorded.Reason, recorded.Message}
		return verdict{}, cmp.Or[error](failure, &waitingError{what: "the first look at the flushers"})
	}
	deadline := s.cache.DeletionTimestamp.Add(time.Duration(s.cache.Spec.DrainTimeoutSeconds) * time.Second)
	left := time.Until(deadline)
	reason, wayOut := v1alpha1.ReasonDraining, ""
	switch {
	case left <= 0:
		left = 0
		reason = v1alpha1.ReasonDrainBlocked
		wayOut = fmt.Sprintf(". drainTimeoutSeconds (%d) have passed; draining goes on. To give up what is queued, set the annotation %s: \"true\"",
			s.cache.Spec.DrainTimeoutSeconds, v1alpha1.AnnotationForceDelete)
	case s.cutOff():
		wayOut = fmt.Sprintf(". Should that stay so, the annotation %s: \"true\" gives up what is queued", v1alpha1.AnnotationForceDelete)
	}
	wayOut += s.aboutForce()
	s.draining = &verdict{metav1.ConditionTrue, reason, observe.Cut(obstacle, maxMessage-len(wayOut)) + wayOut}
	if stalled := (*stalledError)(nil); errors.As(failure, &stalled) && (stalled.retry == 0 || 0 < left && left < stalled.retry) {
		stalled.retry = left
	}
	if failure != nil {
		return verdict{}, failure
	}
	return verdict{}, &waitingError{what: "the queues to be empty", after: left}
}

// cutOff says whether no flusher is at Redis, so that nothing can be drained until
// something comes back that may be gone for good.
func (s *scope) cutOff() bool {
	return !slices.ContainsFunc(s.seen.Answering(), func(d *config.Status) bool { return d.Redis.OK || d.Redis.Reason == "" })
}

// aboutForce says what is wrong with the annotation that gives up what is queued, if
// anything is.
func (s *scope) aboutForce() string {
	value, given := s.cache.Annotations[v1alpha1.AnnotationForceDelete]
	if !given || s.forced() {
		return ""
	}
	return fmt.Sprintf("; the annotation %s is %q, which does nothing: only \"true\" gives up what is queued",
		v1alpha1.AnnotationForceDelete, observe.Cut(value, 40))
}

// retained says what stays behind, for the condition and its event.
func (s *scope) retained() string {
	if !s.managed() {
		return "spec.deletionPolicy is Retain: Redis keeps what is queued"
	}
	return fmt.Sprintf("spec.deletionPolicy is Retain: StatefulSet %s with its Service, ConfigMap and volume, and Secret %s, stay with what is queued",
		resources.RedisName(s.cache), resources.RedisSecretName(s.cache))
}

// nothingToDrain says whether no queue can have been made: no flusher ever began
// to run, or all that did say that they never reached Redis. That nobody told of
// a queue is no sign that there is none: nobody may have been asked.
func (s *scope) nothingToDrain() bool {
	for _, m := range s.cache.Status.Mappings {
		if m.Journal != "" {
			return false
		}
	}
	if !s.everStarted() {
		return true
	}
	if len(s.flusherPods) == 0 || len(s.terminating) > 0 {
		return false
	}
	for i := range s.flusherPods {
		if !podStarted(&s.flusherPods[i]) {
			continue
		}
		f, ok := s.seen.Of(s.flusherPods[i].UID)
		if !ok || f.Status == nil || !neverReached(f.Status) {
			return false
		}
	}
	return s.started
}

// everStarted says whether a flusher runs or ever ran, by its Pods, by what their
// Deployment says of them, and by what was noted while there were any.
func (s *scope) everStarted() bool {
	if s.started || s.flushers != nil && (s.flushers.Status.ReadyReplicas > 0 || s.flushers.Status.AvailableReplicas > 0) {
		return true
	}
	return s.flusherConfig != nil && s.flusherConfig.Annotations[v1alpha1.AnnotationStarted] == "true"
}

// neverReached says whether a flusher has not been at Redis in its life.
func neverReached(d *config.Status) bool {
	return !d.Redis.OK && d.ObservedTime.IsZero() &&
		!slices.ContainsFunc(d.Queues, func(q config.QueueStatus) bool { return q.Journal != "" })
}

// obstacle says what is left to drain and what is in the way; empty when every
// queue is closed to writers and empty, both seen at one look by a flusher that
// runs the settings of the deletion. failure is what could not be brought about:
// it matters only while something is left.
func (s *scope) obstacle(failure error) string {
	parts := s.notDrained()
	if len(parts) == 0 {
		return ""
	}
	if failure != nil {
		parts = append(parts, failure.Error())
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

// notDrained has one text a queue that is not known to be closed and empty.
func (s *scope) notDrained() []string {
	switch {
	case !s.seen.Looked:
		return []string{"The flushers were not looked at yet"}
	case len(s.seen.Answering()) == 0:
		return []string{s.whyNoFlusherAnswers() + ", and the queues were not seen empty"}
	case s.settings == nil:
		return []string{"The settings to drain with are not known"}
	}
	var parts []string
	carried := map[string]bool{}
	for _, m := range s.settings.Mappings {
		carried[m.Name] = true
		if part := s.left(m.Name); part != "" {
			parts = append(parts, part)
		}
	}
	for _, m := range s.cache.Status.Mappings {
		if m.Journal != "" && !carried[m.Name] && s.rivals[m.Name] == nil && !s.emptied(m.Name) {
			parts = append(parts, fmt.Sprintf("queue %s was not seen empty, and no flusher carries it", m.Name))
		}
	}
	return parts
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
	text := fmt.Sprintf("queue %s holds %s", name, s.contents(q))
	if q.LastError != "" {
		text += ": " + q.LastError
	}
	return text
}

// contents says how much a queue holds, and how dead letters are taken out: nothing
// else ever does.
func (s *scope) contents(q *config.QueueStatus) string {
	text := fmt.Sprintf("%d entries and %d dead letters", q.Depth, q.DeadLetters)
	if q.Refused > 0 {
		text += fmt.Sprintf(", %d of the entries refused by the database", q.Refused)
	}
	if q.DeadLetters > 0 {
		text += fmt.Sprintf(" (%s replay --all, or discard, takes the dead letters out)", s.deadLetterCommand())
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
	if pods, after := s.unfinishedPods(time.Now(), r.LostAfter); len(pods) > 0 {
		names := podNames(pods)
		s.draining.message += waitsFor + "flusher Pods " + names + " to end"
		return &waitingError{what: "flusher Pods " + names + " to end", after: after}
	}
	owned := client.MatchingLabels(resources.OwnerLabels(s.cache))
	retained := s.draining.reason == v1alpha1.ReasonRetained
	if retained {
		owned = flushers
	}
	for _, list := range []client.ObjectList{
		&appsv1.StatefulSetList{}, &corev1.ServiceList{}, &corev1.ConfigMapList{}, &corev1.PersistentVolumeClaimList{},
		&policyv1.PodDisruptionBudgetList{}, &networkingv1.NetworkPolicyList{},
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

// unfinishedPods are those flusher Pods that may still be running, and for how
// long, which is zero while their end is what tells. With the annotation that
// gives up the queue one that should long be gone is not waited for: its node is
// lost, and only a person or the node could remove it.
func (s *scope) unfinishedPods(now time.Time, lostAfter time.Duration) (pods []corev1.Pod, after time.Duration) {
	pods = slices.Clone(s.flusherPods)
	for i := range s.terminating {
		pod := &s.terminating[i]
		left := pod.DeletionTimestamp.Add(lostAfter).Sub(now)
		if s.forced() {
			if left <= 0 {
				continue
			}
			after = max(after, left)
		}
		pods = append(pods, *pod)
	}
	return pods, after
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
	r.remembered.forget(s.cache.UID)
	s.gone = true
	return nil
}
