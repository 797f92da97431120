// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/verdict"
)

func shopWith(redis v1alpha1.Redis) *v1alpha1.WriteBehindCache {
	return &v1alpha1.WriteBehindCache{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", UID: "u"}, Spec: v1alpha1.WriteBehindCacheSpec{Redis: redis},
	}
}

var (
	managedShop  = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}}
	externalShop = v1alpha1.Redis{External: &v1alpha1.ExternalRedis{}}
)

func TestWhatIsWrongWithAnObjectIsToldOfTheSpec(t *testing.T) {
	for _, c := range []struct {
		redis            v1alpha1.Redis
		kind, name       string
		path, want       string
		comesFromTheSpec bool
	}{
		{managedShop, "StatefulSet", "shop-redis", "spec.template.spec.tolerations[3].key", "spec.redis.managed.tolerations[3].key", true},
		{managedShop, "Deployment", "shop-flusher", "spec.template.spec.tolerations[3].key", "spec.flusher.tolerations[3].key", true},
		{managedShop, "Deployment", "shop-flusher", "spec.template.spec.containers[0].resources.limits[gpu]", "spec.flusher.resources.limits[gpu]", true},
		{managedShop, "Deployment", "shop-flusher", "spec.template.spec.affinityOfAnotherKind", "spec.template.spec.affinityOfAnotherKind", false},
		{managedShop, "Deployment", "shop-flusher", "spec.template.spec.volumes[0]", "spec.template.spec.volumes[0]", false},
		{managedShop, "StatefulSet", "shop-redis", "spec.template.spec.containers[0].resources.limits[gpu]", "spec.redis.managed.resources.limits[gpu]", true},
		{managedShop, "NetworkPolicy", "shop-redis", "spec.ingress[0].from[1].ipBlock.cidr", "spec.networkPolicy.clients[0].ipBlock.cidr", true},
		{managedShop, "NetworkPolicy", "shop-redis", "spec.ingress[0].from[0].podSelector", "spec.ingress[0].from[0].podSelector", false},
		{managedShop, "NetworkPolicy", "shop-flusher", "spec.egress[12].to[0]", "spec.networkPolicy.egress[10].to[0]", true},
		{externalShop, "NetworkPolicy", "shop-flusher", "spec.egress[1].to[0]", "spec.networkPolicy.egress[0].to[0]", true},
		{externalShop, "NetworkPolicy", "shop-flusher", "spec.egress[0].ports", "spec.egress[0].ports", false},
		{managedShop, "ServiceMonitor", "shop-flusher", "metadata.labels", "spec.monitoring.labels", true},
		{managedShop, "ConfigMap", "shop-flusher", "data", "data", false},
	} {
		got, ours := inSpec(c.path, originsOf(shopWith(c.redis), &plan.Object{Kind: c.kind, Name: c.name}))
		if got != c.want || ours != c.comesFromTheSpec {
			t.Errorf("%s of %s %s is told as %s, %t; want %s, %t", c.path, c.kind, c.name, got, ours, c.want, c.comesFromTheSpec)
		}
	}
}

func TestInvalidSpec(t *testing.T) {
	shop, deployment := shopWith(managedShop), &plan.Object{Kind: "Deployment", Name: "shop-flusher"}
	invalid := func(problems ...*field.Error) error {
		return apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "Deployment"}, "shop-flusher", problems)
	}
	tolerations := field.NewPath("spec", "template", "spec", "tolerations")
	key := func(i int, value string) *field.Error {
		return field.Invalid(tolerations.Index(i).Child("key"), value, "no good")
	}
	elsewhere := field.Forbidden(field.NewPath("spec", "selector"), "cannot change")
	for name, c := range map[string]struct {
		err     error
		want    []string
		without string
	}{
		"one mistake":    {invalid(key(0, "a b")), []string{`spec.flusher.tolerations[0].key: Invalid value: "a b": no good`, "Correct the spec", "Deployment shop-flusher"}, "template"},
		"five":           {invalid(key(0, "a"), key(1, "a"), key(2, "a"), key(3, "a"), key(4, "a")), []string{"tolerations[2]", "and 2 more"}, "tolerations[3]"},
		"a long value":   {invalid(key(0, strings.Repeat("x", 5000)), key(1, "a")), []string{"tolerations[0].key", "tolerations[1].key"}, "template"},
		"not the spec's": {invalid(elsewhere), []string{"spec.selector", "cannot change"}, "Correct the spec"},
		"no details":     {&apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonInvalid, Message: "the policy says no"}}, []string{"the policy says no"}, "Correct the spec"},
		"too large":      {apierrors.NewRequestEntityTooLargeError("limit is 3145728"), []string{"spec.flusher: Deployment shop-flusher would be larger than"}, "Correct the spec"},
		"storage":        {errors.New("etcdserver: request is too large"), []string{"spec.flusher: Deployment shop-flusher would be larger than"}, "etcd"},
		"its client":     {errors.New("rpc error: code = ResourceExhausted desc = trying to send message larger than max (2216255 vs. 2097152)"), []string{"spec.flusher"}, "rpc"},
	} {
		t.Run(name, func(t *testing.T) {
			var stalled *failure.Stalled
			if err := invalidSpec(shop, deployment, c.err); !errors.As(err, &stalled) || stalled.Reason != v1alpha1.ReasonInvalidSpec || stalled.Retry != rejectedRetry {
				t.Fatalf("is %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(stalled.Message, want) {
					t.Errorf("%q does not say %q", stalled.Message, want)
				}
			}
			if strings.Contains(stalled.Message, c.without) {
				t.Errorf("%q says %q", stalled.Message, c.without)
			}
			if len(stalled.Message) > verdict.MaxMessage {
				t.Errorf("%d bytes", len(stalled.Message))
			}
		})
	}
	other := errors.New("the API server is away")
	if err := invalidSpec(shop, deployment, other); !errors.Is(err, other) {
		t.Errorf("another failure is told as %v", err)
	}
}
