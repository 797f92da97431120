// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
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
	// grantHolds is how long a turn counts that the cache does not show yet.
	grantHolds = 30 * time.Second
)

// turns are who may be rolled because of an upgrade of the operator. Who is being rolled is
// read from the Deployments, so that the next operator goes on where this one ends.
type turns struct {
	// most is how many resources are rolled at a time; 0 for all of them.
	most int

	mu      sync.Mutex
	granted map[types.UID]time.Time
}

// take reports whether a resource may be rolled now.
func (t *turns) take(ctx context.Context, reader client.Reader, release string, cache *v1alpha1.WriteBehindCache, now time.Time) (bool, error) {
	if t.most == 0 {
		return true, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var all appsv1.DeploymentList
	// Thousands of them are only looked at.
	if err := reader.List(ctx, &all, client.MatchingLabels{resources.LabelManagedBy: resources.ManagedBy}, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("list Deployments: %w", err)
	}
	rolling := map[string]bool{}
	for i := range all.Items {
		if d := &all.Items[i]; d.Annotations[v1alpha1.AnnotationRelease] == release && rolls(d) {
			rolling[d.Labels[v1alpha1.LabelOwnerUID]] = true
		}
	}
	for uid, at := range t.granted {
		if now.Sub(at) >= grantHolds {
			delete(t.granted, uid)
			continue
		}
		rolling[string(uid)] = true
	}
	if len(rolling) >= t.most && !rolling[string(cache.UID)] {
		return false, nil
	}
	if t.granted == nil {
		t.granted = map[types.UID]time.Time{}
	}
	t.granted[cache.UID] = now
	return true, nil
}

// rolls reports whether a Deployment is being rolled out. One that does not get there within
// its deadline holds up nobody any more.
func rolls(d *appsv1.Deployment) bool {
	if d.Status.ObservedGeneration < d.Generation {
		return true
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing {
			switch c.Reason {
			case "NewReplicaSetAvailable", progressDeadlineExceeded:
				return false
			}
		}
	}
	replicas := int32(1)
	if d.Spec.Replicas != nil {
		replicas = *d.Spec.Replicas
	}
	return d.Status.UpdatedReplicas < replicas || d.Status.AvailableReplicas < replicas
}

// progressDeadlineExceeded is the reason that the controller of Deployments gives after
// progressDeadlineSeconds, 10 minutes.
const progressDeadlineExceeded = "ProgressDeadlineExceeded"
