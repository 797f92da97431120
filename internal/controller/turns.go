// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

const (
	// DefaultRollouts is how many resources an upgrade of the operator rolls at a time: few
	// enough that a release that does not work stops few, and that a database which many
	// share is not met by all of its flushers at once.
	DefaultRollouts = 5
	// turnRetry is how often a resource asks for its turn. A rollout takes about as long.
	turnRetry = 15 * time.Second
	// grantHolds is how long a turn counts that the cache does not show yet, and grantSettles how
	// long one that it shows: it has not each kind of object at the same time.
	grantHolds   = 30 * time.Second
	grantSettles = 2 * time.Second
)

// turns are who may be rolled because of an upgrade of the operator. Who is being rolled is
// read from Deployments and StatefulSets, so that the next operator goes on where this one ends.
type turns struct {
	// most is how many resources are rolled at a time; 0 for all of them.
	most int

	mu      sync.Mutex
	granted map[types.UID]time.Time
}

// take reports whether a resource may be rolled now. stopped is how many resources the release
// was to roll and did not, where it rolls no more for that: as many as are rolled at a time, and
// more than it has rolled. Rollouts that never end hold up nobody, so without that a release
// that does not work would come to every resource in the end.
func (t *turns) take(ctx context.Context, reader client.Reader, release string, cache *v1alpha1.WriteBehindCache, now time.Time) (its bool, stopped int, err error) {
	if t.most == 0 {
		return true, 0, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	of, err := rollouts(ctx, reader, release, now)
	if err != nil {
		return false, 0, err
	}
	rolling := map[string]bool{}
	done, overdue := 0, 0
	for uid, state := range of {
		switch state {
		case isRolling:
			rolling[uid] = true
		case isDone:
			done++
		case isOverdue:
			overdue++
		}
	}
	for uid, at := range t.granted {
		holds := grantHolds
		if _, shown := of[string(uid)]; shown {
			holds = grantSettles
		}
		if now.Sub(at) >= holds {
			delete(t.granted, uid)
			continue
		}
		rolling[string(uid)] = true
	}
	switch {
	case rolling[string(cache.UID)]:
	case overdue >= t.most && overdue > done:
		return false, overdue, nil
	case len(rolling) >= t.most:
		return false, 0, nil
	}
	if t.granted == nil {
		t.granted = map[types.UID]time.Time{}
	}
	t.granted[cache.UID] = now
	return true, 0, nil
}

// state is how far a release is with a resource.
type state int

const (
	isRolling state = iota
	isDone
	isOverdue
	// isMute says nothing of the release: it is paused, or has no flusher.
	isMute
)

// rollouts are the resources that a release has begun to roll, by UID.
func rollouts(ctx context.Context, reader client.Reader, release string, now time.Time) (map[string]state, error) {
	var deployments appsv1.DeploymentList
	var sets appsv1.StatefulSetList
	// Thousands of them are only looked at.
	options := []client.ListOption{client.MatchingLabels{resources.LabelManagedBy: resources.ManagedBy}, client.UnsafeDisableDeepCopy}
	if err := reader.List(ctx, &sets, options...); err != nil {
		return nil, fmt.Errorf("list StatefulSets: %w", err)
	}
	if err := reader.List(ctx, &deployments, options...); err != nil {
		return nil, fmt.Errorf("list Deployments: %w", err)
	}
	restarts := map[string]bool{}
	for i := range sets.Items {
		restarts[sets.Items[i].Labels[v1alpha1.LabelOwnerUID]] = restarting(&sets.Items[i], now)
	}
	of := map[string]state{}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		uid := d.Labels[v1alpha1.LabelOwnerUID]
		switch {
		case d.Annotations[v1alpha1.AnnotationRelease] != release:
		case rolls(d) || restarts[uid]:
			of[uid] = isRolling
		case d.Spec.Paused || replicasOf(d) == 0:
			of[uid] = isMute
		case resources.Overdue(d):
			of[uid] = isOverdue
		default:
			of[uid] = isDone
		}
	}
	return of, nil
}

// rolls reports whether a Deployment is being rolled out. One that does not get there within
// its deadline holds up nobody any more, and neither does one that somebody has paused, which
// has no deadline.
func rolls(d *appsv1.Deployment) bool {
	switch {
	case d.Spec.Paused:
		return false
	case d.Status.ObservedGeneration < d.Generation:
		return true
	case resources.RolloutIs(d, resources.RolloutComplete), resources.Overdue(d):
		return false
	}
	replicas := replicasOf(d)
	return d.Status.UpdatedReplicas < replicas || d.Status.AvailableReplicas < replicas
}

func replicasOf(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// longestRestart is how long a managed Redis that does not become ready counts as being
// restarted. A StatefulSet has no deadline; this is that of a Deployment.
const longestRestart = 10 * time.Minute

// restarting reports whether a managed Redis is not ready with what the operator wrote last.
func restarting(set *appsv1.StatefulSet, now time.Time) bool {
	if set.Status.ObservedGeneration >= set.Generation && set.Status.UpdatedReplicas > 0 && set.Status.ReadyReplicas > 0 {
		return false
	}
	return slices.ContainsFunc(set.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == string(resources.FieldOwner) && e.Time != nil && now.Sub(e.Time.Time) < longestRestart
	})
}
