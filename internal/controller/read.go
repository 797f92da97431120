// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/rivals"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// reader fills a snapshot.
type reader struct {
	*Reconciler
	*snapshot.Snapshot

	// err is the first failure; nothing is read after it.
	err error
}

// read takes a snapshot. With an error it is as far as reading got.
func (r *Reconciler) read(ctx context.Context, cache *v1alpha1.WriteBehindCache) (*snapshot.Snapshot, error) {
	s := &snapshot.Snapshot{Now: time.Now(), Cache: cache, Release: r.Release}
	s.Redis.LostAfter = r.LostAfter
	in := &reader{Reconciler: r, Snapshot: s}
	flusher := resources.FlusherName(cache)
	var settings client.Reader = r.Client
	if s.Deleting() {
		settings = r.APIReader // a drain may need their text, of which the cache has a digest
	}
	s.Flushers.ConfigMap = fetchFrom(ctx, in, settings, &corev1.ConfigMap{}, flusher)
	s.Flushers.Service = fetch(ctx, in, &corev1.Service{}, flusher)
	s.Flushers.Deployment = fetch(ctx, in, &appsv1.Deployment{}, flusher)
	if s.Managed() {
		redis := resources.RedisName(cache)
		s.Redis.ConfigMap = fetch(ctx, in, &corev1.ConfigMap{}, redis)
		s.Redis.Users = fetch(ctx, in, &corev1.ConfigMap{}, resources.RedisUsersName(cache))
		s.Redis.Service = fetch(ctx, in, &corev1.Service{}, redis)
		s.Redis.StatefulSet = fetch(ctx, in, &appsv1.StatefulSet{}, redis)
		s.Redis.Volume = fetch(ctx, in, &corev1.PersistentVolumeClaim{}, resources.RedisVolumeName(cache))
	}
	s.Flushers.Budget = fetch(ctx, in, &policyv1.PodDisruptionBudget{}, flusher)
	in.readNetworkPolicies(ctx)
	in.readPods(ctx)
	if in.err == nil {
		s.Seen = r.Observer.Latest(client.ObjectKeyFromObject(cache), cache.UID)
		s.Rivals, in.err = rivals.Find(cache, func(q rivals.Queue) ([]*v1alpha1.WriteBehindCache, error) { return r.around(ctx, cache, q) })
	}
	return s, in.err
}

// fetch gets one object, nil when there is none or when it is somebody else's. The
// cache holds only objects that the operator labelled, so one that it does not hold
// is looked for in the API server before its name counts as free; and so is one of
// which it holds only the skeleton.
func fetch[T client.Object](ctx context.Context, in *reader, into T, name string) T {
	return fetchFrom(ctx, in, in.Client, into, name)
}

// fetchFrom gets it from the cache, or from the API server alone.
func fetchFrom[T client.Object](ctx context.Context, in *reader, from client.Reader, into T, name string) (none T) {
	if in.err != nil {
		return none
	}
	kind := reflect.TypeOf(into).Elem().Name()
	key := client.ObjectKey{Namespace: in.Cache.Namespace, Name: name}
	err := from.Get(ctx, key, into)
	if apierrors.IsNotFound(err) || err == nil && isSkeleton(into) {
		reflect.ValueOf(into).Elem().SetZero() // the decoder adds to what is there
		err = in.APIReader.Get(ctx, key, into)
	}
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		in.err = fmt.Errorf("get %s: %w", kind, err)
	case in.Owns(into):
		return into
	case !into.GetDeletionTimestamp().IsZero():
		in.Going = append(in.Going, kind+" "+name)
	default:
		in.disown(into, kind)
	}
	return none
}

// disown keeps the name of an object that belongs to somebody else.
func (in *reader) disown(object client.Object, kind string) {
	in.Foreign = append(in.Foreign, kind+" "+object.GetName())
	labels := object.GetLabels()
	if labels[resources.LabelManagedBy] == resources.ManagedBy && labels[resources.LabelComponent] == resources.ComponentRedis {
		in.RetainedBy = labels[v1alpha1.LabelOwnerUID]
		if set, is := object.(*appsv1.StatefulSet); is {
			in.RetainedWithoutUsers = !resources.ServesUsers(set.Spec.Template.Annotations)
		}
	}
}

// readNetworkPolicies reads those that are wanted. Where none are, it reads what is
// left of the operator's own; no name is needed then, so those of others do not
// matter.
func (in *reader) readNetworkPolicies(ctx context.Context) {
	flusher, redis := resources.FlusherName(in.Cache), resources.RedisName(in.Cache)
	if resources.WantsNetworkPolicies(in.Cache) {
		in.Flushers.Policy = fetch(ctx, in, &networkingv1.NetworkPolicy{}, flusher)
		if in.Managed() {
			in.Redis.Policy = fetch(ctx, in, &networkingv1.NetworkPolicy{}, redis)
		}
		return
	}
	for _, name := range []string{flusher, redis} {
		if in.err != nil {
			return
		}
		policy := &networkingv1.NetworkPolicy{}
		err := in.Client.Get(ctx, client.ObjectKey{Namespace: in.Cache.Namespace, Name: name}, policy)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			in.err = fmt.Errorf("get NetworkPolicy: %w", err)
		case in.Owns(policy):
			in.Unwanted = append(in.Unwanted, policy)
		}
	}
}

func (in *reader) readPods(ctx context.Context) {
	if in.err != nil {
		return
	}
	var pods corev1.PodList
	if err := in.Client.List(ctx, &pods, client.InNamespace(in.Cache.Namespace), client.MatchingFields{indexOwner: string(in.Cache.UID)}); err != nil {
		in.err = fmt.Errorf("list Pods: %w", err)
		return
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	for _, pod := range pods.Items {
		ended := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
		deleted := !pod.DeletionTimestamp.IsZero()
		switch pod.Labels[resources.LabelComponent] {
		case resources.ComponentFlusher:
			if !resources.OfFlusher(resources.FlusherName(in.Cache), &pod) {
				continue
			}
			in.Flushers.Started = in.Flushers.Started || snapshot.Started(&pod)
			switch {
			case deleted:
				in.Flushers.Terminating = append(in.Flushers.Terminating, pod)
			case !ended:
				in.Flushers.Pods = append(in.Flushers.Pods, pod)
			}
		case resources.ComponentRedis:
			switch {
			case deleted:
				in.Redis.Terminating = append(in.Redis.Terminating, pod)
			case !ended:
				in.Redis.Pods = append(in.Redis.Pods, pod)
			}
		}
	}
}
