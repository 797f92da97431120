// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/flusher/config"
)

// managedCache is one whose Redis the operator runs.
func managedCache() *v1alpha1.WriteBehindCache {
	cache := shopCache()
	cache.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}}
	return cache
}

func TestADeletedPasswordIsMadeAnew(t *testing.T) {
	answering := observe.Observation{Looked: true, Flushers: []observe.Flusher{{Pod: "a", Status: &config.Status{}}}}
	missing := observe.Observation{Looked: true, Flushers: []observe.Flusher{{Pod: "a", Status: &config.Status{
		Redis: config.Check{Reason: v1alpha1.ReasonSecretMissing},
	}}}}
	silent := observe.Observation{Looked: true, Flushers: []observe.Flusher{{Pod: "a", Problem: "does not answer"}}}
	for name, test := range map[string]struct {
		seen     observe.Observation
		interval time.Duration
		pod      string
		made     bool
		again    time.Duration
	}{
		"while a flusher finds its own":               {answering, time.Hour, "", false, watchedIntervals * time.Hour},
		"that no flusher misses, after a long time":   {answering, time.Nanosecond, "", true, watchedIntervals * time.Nanosecond},
		"when a flusher misses its own":               {missing, time.Hour, "", true, watchedIntervals * time.Hour},
		"when a Pod begins another life":              {answering, time.Hour, "b", true, watchedIntervals * time.Hour},
		"while no flusher answers":                    {silent, time.Hour, "", false, time.Hour},
		"while no flusher answers, after an interval": {silent, time.Nanosecond, "", true, time.Nanosecond},
		"without flushers, after an interval":         {observe.Observation{Looked: true}, time.Nanosecond, "", true, time.Nanosecond},
	} {
		t.Run(name, func(t *testing.T) {
			cache := managedCache()
			r, _, _ := begin(t, cache)
			r.PasswordInterval = time.Hour
			p := &pass{Snapshot: &snapshot.Snapshot{Cache: cache}, plan: &plan.Plan{}}
			ensure := func() {
				t.Helper()
				if err := r.ensurePasswords(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			ensure()
			secret := &corev1.Secret{}
			key := client.ObjectKey{Namespace: cache.Namespace, Name: resources.ApplicationSecretName(cache)}
			if err := r.Client.Get(t.Context(), key, secret); err != nil {
				t.Fatal(err)
			}
			if err := r.Client.Delete(t.Context(), secret); err != nil {
				t.Fatal(err)
			}

			p.Seen, p.did.Again, r.PasswordInterval = test.seen, 0, test.interval
			p.Cache.Status.Redis, p.did.Redis = p.did.Redis, nil
			if test.pod != "" {
				p.Flushers.Pods = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{UID: types.UID(test.pod)}}}
			}
			ensure()
			if err := r.Client.Get(t.Context(), key, secret); (err == nil) != test.made {
				t.Errorf("the Secret: %v; made anew is to be %t", err, test.made)
			}
			if p.did.Again > test.again || p.did.Again <= 0 != (test.again <= 0) {
				t.Errorf("another pass after %v, want %v", p.did.Again, test.again)
			}
		})
	}
}

// likeServer answers a creation that is to be tried alone as the API server does: the client of
// tests takes any.
type likeServer struct{ client.Client }

func (c likeServer) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	if len((&client.CreateOptions{}).ApplyOptions(options).DryRun) == 0 {
		return c.Client.Create(ctx, object, options...)
	}
	err := c.Get(ctx, client.ObjectKeyFromObject(object), &corev1.Secret{})
	if err == nil {
		return apierrors.NewAlreadyExists(corev1.Resource("secrets"), object.GetName())
	}
	return client.IgnoreNotFound(err)
}

// TestAnUpgradeKeepsTheUserDefault goes from a Redis with one user to one with others, and to
// the deletion of the Secret of the one.
func TestAnUpgradeKeepsTheUserDefault(t *testing.T) {
	cache := managedCache()
	r, _, _ := begin(t, cache)
	r.PasswordInterval, r.Client = time.Nanosecond, likeServer{r.Client}
	earlier := resources.DefaultSecret(cache, "earlier")
	if err := r.Client.Create(t.Context(), earlier); err != nil {
		t.Fatal(err)
	}
	cache.Status.Redis = &v1alpha1.RedisStatus{Address: resources.RedisAddress(cache), SecretName: earlier.Name}
	p := &pass{Snapshot: &snapshot.Snapshot{Cache: cache}, plan: &plan.Plan{AsDefault: true}}
	told := func(secret, earlier string) {
		t.Helper()
		if err := r.ensurePasswords(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got := p.did.Redis; got.SecretName != secret || got.EarlierSecretName != earlier {
			t.Errorf("told are %+v, want %s, and %q as the earlier one", got, secret, earlier)
		}
		cache.Status.Redis = p.did.Redis
	}
	told(earlier.Name, "")
	application, flusher := &corev1.Secret{}, &corev1.Secret{}
	for name, secret := range map[string]*corev1.Secret{resources.ApplicationSecretName(cache): application, resources.FlusherSecretName(cache): flusher} {
		if err := r.Client.Get(t.Context(), client.ObjectKey{Namespace: cache.Namespace, Name: name}, secret); err != nil {
			t.Errorf("Redis could not start with its users: %v", err)
		}
	}
	p.plan.AsDefault = false
	told(application.Name, earlier.Name)
	told(application.Name, earlier.Name)
	if err := r.Client.Delete(t.Context(), earlier); err != nil {
		t.Fatal(err)
	}
	told(application.Name, "")
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(earlier), &corev1.Secret{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Secret that a person has deleted: %v", err)
	}
}

func TestPasswordKnown(t *testing.T) {
	var m remembered
	now := time.Now()
	known := func(pods string) bool { return m.passwordKnown("u", pods).Equal(now) }
	if !m.passwordKnown("u", "").IsZero() {
		t.Error("known before it was ever made sure of")
	}
	m.passwordThere("u", "a Running 0", now)
	if !known("a Running 0") {
		t.Error("not known although nothing changed")
	}
	if known("a Running 1") || known("") {
		t.Error("known although a Pod began another life")
	}
	m.forget("u")
	if known("a Running 0") {
		t.Error("known of another resource")
	}
}

// refusing refuses to make anything.
type refusing struct {
	client.Client

	with error
}

func (c refusing) Create(context.Context, client.Object, ...client.CreateOption) error { return c.with }

// TestARefusedSecretStopsNoPassThatNeedsNone: a quota that is used up refuses what is there too.
// One that is new or missing, and a namespace that is being deleted, are another matter.
func TestARefusedSecretStopsNoPassThatNeedsNone(t *testing.T) {
	quota := apierrors.NewForbidden(corev1.Resource("secrets"), "any", errors.New("exceeded quota"))
	ending := apierrors.NewForbidden(corev1.Resource("secrets"), "any", errors.New("being deleted"))
	ending.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	missing := observe.Observation{Looked: true, Flushers: []observe.Flusher{{Pod: "a", Status: &config.Status{Redis: config.Check{Reason: v1alpha1.ReasonSecretMissing}}}}}
	for name, c := range map[string]struct {
		refusal error
		known   bool
		seen    observe.Observation
		stops   bool
	}{
		"by a quota, and it was there":                  {quota, true, observe.Observation{}, false},
		"by a quota, and it is new":                     {quota, false, observe.Observation{}, true},
		"by a quota, and a flusher misses it":           {quota, true, missing, true},
		"by the end of its namespace":                   {ending, true, observe.Observation{}, true},
		"by an API server that does not answer in time": {apierrors.NewTimeoutError("slow", 1), true, observe.Observation{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			cache := managedCache()
			if c.known {
				cache.Status.Redis = &v1alpha1.RedisStatus{
					SecretName: resources.ApplicationSecretName(cache), EarlierSecretName: resources.DefaultSecretName(cache),
				}
			}
			r, _, _ := begin(t, cache)
			r.Client = refusing{r.Client, c.refusal}
			p := &pass{Snapshot: &snapshot.Snapshot{Cache: cache, Seen: c.seen}, plan: &plan.Plan{}}
			err := r.ensurePasswords(t.Context(), p)
			if (err != nil) != c.stops {
				t.Errorf("it stops the pass: %v", err)
			}
			if !c.stops && p.did.Redis.EarlierSecretName != resources.DefaultSecretName(cache) {
				t.Errorf("told are %+v", p.did.Redis)
			}
		})
	}
}
