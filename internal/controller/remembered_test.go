// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/rivals"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
)

// lagging is a client whose cache shows the resource as it was.
type lagging struct {
	client.Client
	shown *v1alpha1.WriteBehindCache
}

func (c *lagging) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	if cache, ok := into.(*v1alpha1.WriteBehindCache); ok && c.shown != nil {
		c.shown.DeepCopyInto(cache)
		return nil
	}
	return c.Client.Get(ctx, key, into, options...)
}

// begin makes a reconciler that knows nothing yet, as after a restart: its
// observer has looked at nobody.
func begin(t *testing.T, cache *v1alpha1.WriteBehindCache) (r *Reconciler, cached *lagging, recorder *events.FakeRecorder) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(cache).WithIndex(cache, rivals.Index, rivals.Terms).
		WithIndex(&corev1.Pod{}, indexOwner, indexedOwner).
		WithStatusSubresource(&v1alpha1.WriteBehindCache{}, &appsv1.Deployment{}).Build()
	cached, recorder = &lagging{Client: api}, events.NewFakeRecorder(100)
	none := func(context.Context, types.NamespacedName, types.UID) ([]corev1.Pod, error) { return nil, nil }
	return &Reconciler{
		Client: cached, APIReader: api, Recorder: recorder, Observer: observe.New(observe.Options{List: none}),
		Site: plan.Site{FlusherImage: "x"}, StuckAfter: time.Minute, PasswordInterval: time.Minute, LostAfter: time.Minute,
	}, cached, recorder
}

// shopCache is without NetworkPolicies. The client of these tests takes them for
// objects with a status, and then refuses them for it.
func shopCache() *v1alpha1.WriteBehindCache {
	return snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) { c.Spec.NetworkPolicy.Enabled = new(false) }).Cache
}

func (c *lagging) live(t *testing.T) *v1alpha1.WriteBehindCache {
	t.Helper()
	cache := &v1alpha1.WriteBehindCache{}
	if err := c.Client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "shop"}, cache); err != nil {
		t.Fatal(err)
	}
	return cache
}

func passOnce(t *testing.T, r *Reconciler) {
	t.Helper()
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "shop"}}); err != nil {
		t.Fatal(err)
	}
}

func TestANewResourceIsNotReadyFromTheFirstPassOn(t *testing.T) {
	r, cached, _ := begin(t, shopCache())
	passOnce(t, r)
	for kind, status := range map[string]metav1.ConditionStatus{
		v1alpha1.ConditionReady: metav1.ConditionFalse, v1alpha1.ConditionSettingsApplied: metav1.ConditionFalse,
		v1alpha1.ConditionRedisReady: metav1.ConditionUnknown, v1alpha1.ConditionDatabaseReady: metav1.ConditionUnknown,
	} {
		c := meta.FindStatusCondition(cached.live(t).Status.Conditions, kind)
		if c == nil || c.Status != status || c.ObservedGeneration != 3 {
			t.Errorf("%s is %+v, want %s of generation 3", kind, c, status)
		}
	}
}

func TestAnOperatorThatHasNotLookedYetKeepsWhatWasSaid(t *testing.T) {
	said := map[string]metav1.Condition{}
	cache := shopCache()
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionSettingsApplied, v1alpha1.ConditionRedisReady, v1alpha1.ConditionDatabaseReady} {
		meta.SetStatusCondition(&cache.Status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAsExpected, Message: "as it was", ObservedGeneration: 2,
		})
		said[kind] = *meta.FindStatusCondition(cache.Status.Conditions, kind)
	}
	cache.Status.QueueDepth = new(int64(7))
	cache.Status.Mappings = []v1alpha1.MappingStatus{{Name: "products", Journal: "j", QueueDepth: new(int64(7))}}
	r, cached, recorder := begin(t, cache)
	passOnce(t, r)
	passOnce(t, r)
	now := cached.live(t)
	for kind, was := range said {
		is := meta.FindStatusCondition(now.Status.Conditions, kind)
		if is == nil || is.Status != was.Status || is.Message != was.Message || is.ObservedGeneration != was.ObservedGeneration {
			t.Errorf("%s became %+v", kind, is)
		}
	}
	if now.Status.QueueDepth == nil || *now.Status.QueueDepth != 7 {
		t.Error("the queue's depth was forgotten")
	}
	close(recorder.Events)
	for e := range recorder.Events {
		if e[:len(corev1.EventTypeWarning)] == corev1.EventTypeWarning {
			t.Errorf("event %q", e)
		}
	}
}

func TestAPassOnACopyOlderThanItsOwnLastWriteReadsTheResourceItself(t *testing.T) {
	r, cached, _ := begin(t, shopCache())
	passOnce(t, r)
	deployment := &appsv1.Deployment{}
	replicas := func(n int32) {
		t.Helper()
		if err := cached.Client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: resources.FlusherName(shopCache())}, deployment); err != nil {
			t.Fatal(err)
		}
		deployment.Status.Replicas = n
		if err := cached.Status().Update(t.Context(), deployment); err != nil {
			t.Fatal(err)
		}
	}
	replicas(1)
	passOnce(t, r)
	old := cached.live(t)
	replicas(2)
	passOnce(t, r)
	if n := cached.live(t).Status.Replicas; n != 2 {
		t.Fatalf("status.replicas is %d, want 2", n)
	}
	cached.shown = old
	replicas(1)
	passOnce(t, r)
	if n := cached.live(t).Status.Replicas; n != 1 {
		t.Errorf("status.replicas is %d, want 1: the pass took an old copy for the resource", n)
	}
}
