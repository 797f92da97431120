// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/resources"
)

// rollout is the Deployment of another resource, which the new operator has begun to roll.
func rollout(name string, edits ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "other", Name: name, Generation: 2, Annotations: map[string]string{v1alpha1.AnnotationRelease: "new"},
			Labels: map[string]string{resources.LabelManagedBy: resources.ManagedBy, v1alpha1.LabelOwnerUID: "of-" + name},
		},
		Spec: appsv1.DeploymentSpec{Replicas: new(int32(2))},
		Status: appsv1.DeploymentStatus{
			ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 1, AvailableReplicas: 2,
			Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Reason: "ReplicaSetUpdated"}},
		},
	}
	for _, edit := range edits {
		edit(d)
	}
	return d
}

func progress(reason string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Status.Conditions[0].Reason = reason }
}

func paused(d *appsv1.Deployment) {
	d.Spec.Paused, d.Status.ObservedGeneration = true, 1
	d.Status.Conditions[0].Reason = "DeploymentPaused"
}

func none(d *appsv1.Deployment) {
	d.Spec.Replicas = new(int32(0))
	progress(resources.RolloutComplete)(d)
}

// restart is the StatefulSet of the resource with a rollout of that name: its Redis is not
// ready with what the operator wrote so long ago.
func restart(name string, ago time.Duration) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "other", Name: name, Generation: 2,
			Labels:        map[string]string{resources.LabelManagedBy: resources.ManagedBy, v1alpha1.LabelOwnerUID: "of-" + name},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: string(resources.FieldOwner), Time: &metav1.Time{Time: time.Now().Add(-ago)}}},
		},
		Status: appsv1.StatefulSetStatus{ObservedGeneration: 2, UpdatedReplicas: 1},
	}
}

// listing lists some StatefulSets beside what is there, with all their fields.
type listing struct {
	client.Client

	sets []*appsv1.StatefulSet
}

func (l *listing) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if err := l.Client.List(ctx, list, options...); err != nil {
		return err
	}
	if all, ok := list.(*appsv1.StatefulSetList); ok {
		for _, set := range l.sets {
			all.Items = append(all.Items, *set)
		}
	}
	return nil
}

// TestAnUpgradeRollsAFewResourcesAtATime: a release that does not work stops few, and what a
// user changes waits for nobody.
func TestAnUpgradeRollsAFewResourcesAtATime(t *testing.T) {
	const most = 2
	for name, c := range map[string]struct {
		others []*appsv1.Deployment
		sets   []*appsv1.StatefulSet
		edit   func(*v1alpha1.WriteBehindCache)
		waits  bool
		// text is what Reconciling says of a resource that waits.
		text string
	}{
		"as many as may be are rolled":    {others: []*appsv1.Deployment{rollout("a"), rollout("b")}, waits: true},
		"fewer are rolled":                {others: []*appsv1.Deployment{rollout("a")}},
		"one of them has come to its end": {others: []*appsv1.Deployment{rollout("a"), rollout("b", progress(resources.RolloutComplete))}},
		"one of them is stuck":            {others: []*appsv1.Deployment{rollout("a"), rollout("b", progress(resources.RolloutOverdue))}},
		"one of them is as it has to be": {others: []*appsv1.Deployment{rollout("a"), rollout("b", func(d *appsv1.Deployment) {
			d.Status.UpdatedReplicas, d.Status.AvailableReplicas = 2, 2
		})}},
		"one of them has just begun": {others: []*appsv1.Deployment{rollout("a"), rollout("b", progress(resources.RolloutComplete), func(d *appsv1.Deployment) {
			d.Status.ObservedGeneration = 1
		})}, waits: true},
		"somebody has paused one of them": {others: []*appsv1.Deployment{rollout("a"), rollout("b", paused)}},
		"the Redis of one of them restarts": {
			others: []*appsv1.Deployment{rollout("a"), rollout("b", progress(resources.RolloutComplete))},
			sets:   []*appsv1.StatefulSet{restart("b", time.Minute)}, waits: true,
		},
		"the Redis of one of them never gets ready": {
			others: []*appsv1.Deployment{rollout("a"), rollout("b", progress(resources.RolloutComplete))},
			sets:   []*appsv1.StatefulSet{restart("b", longestRestart)},
		},
		"the release works nowhere": {
			others: []*appsv1.Deployment{rollout("a", progress(resources.RolloutOverdue)), rollout("b", progress(resources.RolloutOverdue))},
			waits:  true, text: "the upgrade has stopped: the rollouts of 2 resources have not come to their end in time",
		},
		"the release works nowhere, and rolled what has no flusher": {
			others: []*appsv1.Deployment{
				rollout("a", progress(resources.RolloutOverdue)), rollout("b", progress(resources.RolloutOverdue)),
				rollout("c", none), rollout("d", none), rollout("e", none),
			},
			waits: true, text: "the upgrade has stopped",
		},
		"the release works elsewhere": {
			others: []*appsv1.Deployment{
				rollout("a", progress(resources.RolloutOverdue)), rollout("b", progress(resources.RolloutOverdue)),
				rollout("c", progress(resources.RolloutComplete)), rollout("d", progress(resources.RolloutComplete)),
			},
		},
		"others roll for their users": {others: []*appsv1.Deployment{rollout("a"), rollout("b", func(d *appsv1.Deployment) {
			d.Annotations[v1alpha1.AnnotationRelease] = "old"
		})}},
		"the user has changed the spec": {
			others: []*appsv1.Deployment{rollout("a"), rollout("b")},
			edit:   func(c *v1alpha1.WriteBehindCache) { c.Generation++ },
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, cached, _ := begin(t, shopCache())
			r.Release = "old"
			passOnce(t, r)
			passOnce(t, r)
			deployment := func() *appsv1.Deployment {
				t.Helper()
				d := &appsv1.Deployment{}
				if err := cached.Client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "shop-flusher"}, d); err != nil {
					t.Fatal(err)
				}
				return d
			}
			before := deployment()
			if before.Annotations[v1alpha1.AnnotationRelease] != "old" || before.Spec.Template.Spec.Containers[0].Image != "x" {
				t.Fatalf("the Deployment is %+v", before)
			}
			for _, other := range c.others {
				if err := cached.Create(t.Context(), other); err != nil {
					t.Fatal(err)
				}
			}
			if c.edit != nil {
				live := cached.live(t)
				c.edit(live)
				if err := cached.Update(t.Context(), live); err != nil {
					t.Fatal(err)
				}
			}

			// The next operator, which knows nothing but what is there.
			next := &Reconciler{
				Client: &listing{Client: cached, sets: c.sets}, APIReader: cached, Recorder: r.Recorder, Observer: r.Observer,
				Site: plan.Site{FlusherImage: "y"}, Release: "new", StuckAfter: r.StuckAfter, PasswordInterval: r.PasswordInterval, LostAfter: r.LostAfter,
				turns: turns{most: most},
			}
			passOnce(t, next)
			after := deployment()
			told := meta.FindStatusCondition(cached.live(t).Status.Conditions, v1alpha1.ConditionReconciling)
			waits := told != nil && strings.Contains(told.Message, cmp.Or(c.text, "waits for its turn"))
			if waits != c.waits {
				t.Errorf("Reconciling is %+v", told)
			}
			if c.waits && after.ResourceVersion != before.ResourceVersion {
				t.Error("the Deployment was changed before its turn")
			}
			if image := after.Spec.Template.Spec.Containers[0].Image; !c.waits && (image != "y" || after.Annotations[v1alpha1.AnnotationRelease] != "new") {
				t.Errorf("the flushers have image %s and release %s", image, after.Annotations[v1alpha1.AnnotationRelease])
			}
			if !c.waits {
				return
			}

			// What is missing is made before the turn, and the turn comes.
			service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop-flusher"}}
			if err := cached.Delete(t.Context(), service); err != nil {
				t.Fatal(err)
			}
			passOnce(t, next)
			if err := cached.Client.Get(t.Context(), client.ObjectKeyFromObject(service), service); err != nil || deployment().ResourceVersion != before.ResourceVersion {
				t.Errorf("what is missing is not made, or more than that: %v", err)
			}
			if err := cached.Delete(t.Context(), c.others[0]); err != nil {
				t.Fatal(err)
			}
			passOnce(t, next)
			if image := deployment().Spec.Template.Spec.Containers[0].Image; image != "y" {
				t.Errorf("when its turn has come the flushers have image %s", image)
			}
		})
	}
}

// TestATurnCountsBeforeTheCacheShowsIt: several passes run at a time.
func TestATurnCountsBeforeTheCacheShowsIt(t *testing.T) {
	_, cached, _ := begin(t, shopCache())
	several := turns{most: 2}
	now := metav1.Now().Time
	take := func(uid types.UID, want bool) {
		t.Helper()
		cache := shopCache()
		cache.UID = uid
		its, _, err := several.take(t.Context(), cached.Client, "new", cache, now)
		if err != nil || its != want {
			t.Errorf("%s has its turn: %t, %v", uid, its, err)
		}
	}
	take("a", true)
	take("b", true)
	take("c", false)
	take("a", true) // a pass that is made again
	now = now.Add(grantHolds)
	take("c", true)
	// The cache shows that c was rolled.
	shown := rollout("c", progress(resources.RolloutComplete))
	shown.Labels[v1alpha1.LabelOwnerUID] = "c"
	if err := cached.Create(t.Context(), shown); err != nil {
		t.Fatal(err)
	}
	take("d", true)
	take("e", false)
	now = now.Add(grantSettles)
	take("e", true)
	several.most = 0
	for _, uid := range []types.UID{"f", "g", "h", "i"} {
		take(uid, true)
	}
}
