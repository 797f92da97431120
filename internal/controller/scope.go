// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// scope is what one pass knows. Phases fill it in order and take from it what
// earlier ones learned.
type scope struct {
	// cache is the resource; the pass changes nothing of it but its status.
	cache *v1alpha1.WriteBehindCache
	// before is the resource as it was read, to see what changed.
	before *v1alpha1.WriteBehindCache

	// stuckAfter is how long entries may wait without a flush.
	stuckAfter time.Duration

	// The objects as they are, nil where there is none; set by read.
	flusherConfig  *corev1.ConfigMap
	flusherService *corev1.Service
	flushers       *appsv1.Deployment
	redisConfig    *corev1.ConfigMap
	redisService   *corev1.Service
	redis          *appsv1.StatefulSet
	redisVolume    *corev1.PersistentVolumeClaim
	flusherBudget  *policyv1.PodDisruptionBudget
	flusherPolicy  *networkingv1.NetworkPolicy
	redisPolicy    *networkingv1.NetworkPolicy
	// unwanted are the operator's own objects that the spec no longer asks for;
	// set by read.
	unwanted []client.Object
	// foreign names the objects of needed names that belong to others; set by
	// read.
	foreign []string
	// retainedBy is the UID of an earlier resource that left its Redis behind,
	// empty when none did; set by read.
	retainedBy string
	// going names those of others that are being deleted; set by read.
	going []string
	// flusherPods and redisPods are those that are neither done nor being
	// deleted, by name; terminating are the flusher Pods that are; set by
	// read.
	flusherPods []corev1.Pod
	redisPods   []corev1.Pod
	terminating []corev1.Pod
	// started says whether a container of any flusher Pod that is left runs or
	// ever ran; set by read.
	started bool
	// seen is what the flushers said last; set by read.
	seen observe.Observation

	// settings is the flushers' config file, restartHash names the part of it
	// that takes a restart, settingsHash all of it; set by plan.
	settings     *config.Config
	restartHash  string
	settingsHash string
	// previous is what was in force before this pass, nil when nothing tells; set
	// by plan.
	previous *inForce
	// carried is the resource with what is held back of it left as it was; the
	// flushers are made from it; set by plan.
	carried *v1alpha1.WriteBehindCache
	// held says what part of the spec is held back until a queue is empty or free,
	// and what to do, heldReason in a word; set by plan.
	held       string
	heldReason string
	// rivals are by mapping the queue of another resource that it gives way to; set
	// by read.
	rivals map[string]*rival
	// objects are what is to be there, in the order of applying; set by plan.
	objects []object

	// draining says how far a deletion has got; set by delete.
	draining *verdict
	// again is when another pass is to be made although no watch asks for one;
	// set by apply and nudge.
	again time.Duration
	// gone is set when the finalizer was removed, and with it the resource.
	gone bool
}

// object is one that is to be there, and how it is.
type object struct {
	intent runtime.ApplyConfiguration
	// live is nil when there is none.
	live client.Object
	kind string
	name string
}

func (r *Reconciler) newScope(cache *v1alpha1.WriteBehindCache) *scope {
	return &scope{cache: cache, before: cache.DeepCopy(), stuckAfter: r.StuckAfter}
}

// lookAgain asks for another pass after d at the latest.
func (s *scope) lookAgain(d time.Duration) {
	if s.again == 0 || d < s.again {
		s.again = d
	}
}

func (s *scope) managed() bool { return s.cache.Spec.Redis.Managed != nil }

func (s *scope) deleting() bool { return !s.cache.DeletionTimestamp.IsZero() }

func (s *scope) forced() bool { return s.cache.Annotations[v1alpha1.AnnotationForceDelete] == "true" }

// read fills the scope with the world as it is.
func (r *Reconciler) read(ctx context.Context, s *scope) error {
	s.foreign, s.going, s.retainedBy = nil, nil, ""
	flusher, redis := resources.FlusherName(s.cache), resources.RedisName(s.cache)
	var err error
	if s.flusherConfig, err = fetch(ctx, r, s, &corev1.ConfigMap{}, "ConfigMap", flusher); err != nil {
		return err
	}
	if s.flusherService, err = fetch(ctx, r, s, &corev1.Service{}, "Service", flusher); err != nil {
		return err
	}
	if s.flushers, err = fetch(ctx, r, s, &appsv1.Deployment{}, "Deployment", flusher); err != nil {
		return err
	}
	if s.managed() {
		if s.redisConfig, err = fetch(ctx, r, s, &corev1.ConfigMap{}, "ConfigMap", redis); err != nil {
			return err
		}
		if s.redisService, err = fetch(ctx, r, s, &corev1.Service{}, "Service", redis); err != nil {
			return err
		}
		if s.redis, err = fetch(ctx, r, s, &appsv1.StatefulSet{}, "StatefulSet", redis); err != nil {
			return err
		}
		volume := resources.RedisVolumeName(s.cache)
		if s.redisVolume, err = fetch(ctx, r, s, &corev1.PersistentVolumeClaim{}, "PersistentVolumeClaim", volume); err != nil {
			return err
		}
	}
	if s.flusherBudget, err = fetch(ctx, r, s, &policyv1.PodDisruptionBudget{}, "PodDisruptionBudget", flusher); err != nil {
		return err
	}
	if err := r.readNetworkPolicies(ctx, s); err != nil {
		return err
	}
	if err := r.readPods(ctx, s); err != nil {
		return err
	}
	s.seen = r.Observer.Latest(client.ObjectKeyFromObject(s.cache), s.cache.UID)
	return r.findRivals(ctx, s)
}

// fetch gets one object, nil when there is none or when it is somebody else's.
// The cache holds only objects that the operator labelled, so one that it does
// not hold is looked for in the API server before its name counts as free.
func fetch[T client.Object](ctx context.Context, r *Reconciler, s *scope, into T, kind, name string) (T, error) {
	var none T
	key := client.ObjectKey{Namespace: s.cache.Namespace, Name: name}
	err := r.Client.Get(ctx, key, into)
	if apierrors.IsNotFound(err) {
		err = r.APIReader.Get(ctx, key, into)
	}
	switch {
	case apierrors.IsNotFound(err):
		return none, nil
	case err != nil:
		return none, fmt.Errorf("get %s: %w", kind, err)
	case s.owns(into):
		return into, nil
	case !into.GetDeletionTimestamp().IsZero():
		s.going = append(s.going, kind+" "+name)
	default:
		s.disown(into, kind)
	}
	return none, nil
}

func (r *Reconciler) readPods(ctx context.Context, s *scope) error {
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(s.cache.Namespace), client.MatchingFields{indexOwner: string(s.cache.UID)}); err != nil {
		return fmt.Errorf("list Pods: %w", err)
	}
	s.flusherPods, s.redisPods, s.terminating, s.started = nil, nil, nil, false
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return compareNames(&a, &b) })
	for i := range pods.Items {
		pod := pods.Items[i]
		done := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
		s.started = s.started || pod.Labels[resources.LabelComponent] == resources.ComponentFlusher && podStarted(&pod)
		switch component := pod.Labels[resources.LabelComponent]; {
		case component == resources.ComponentFlusher && !pod.DeletionTimestamp.IsZero():
			s.terminating = append(s.terminating, pod)
		case done || !pod.DeletionTimestamp.IsZero():
		case component == resources.ComponentFlusher:
			s.flusherPods = append(s.flusherPods, pod)
		case component == resources.ComponentRedis:
			s.redisPods = append(s.redisPods, pod)
		}
	}
	return nil
}
