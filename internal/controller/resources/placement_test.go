// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// placement is every word that a spec has on where flushers run.
func placement(c *v1alpha1.WriteBehindCache) {
	flusher := &c.Spec.Flusher
	flusher.NodeSelector = map[string]v1alpha1.LabelValue{"pool": "data"}
	flusher.Tolerations = []corev1.Toleration{{
		Key: "pool", Operator: corev1.TolerationOpEqual, Value: "data", Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(30)),
	}}
	flusher.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			Weight: 7,
			PodAffinityTerm: corev1.PodAffinityTerm{
				TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "noisy"}},
			},
		}},
	}}
	flusher.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{
		{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule},
		{
			MaxSkew: 2, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "shop"}},
		},
	}
	flusher.PriorityClassName = "high"
}

// placedRedis is every word that a spec has on where a managed Redis runs, and an image by
// its digest.
func placedRedis(c *v1alpha1.WriteBehindCache) {
	like := cache(placement).Spec.Flusher
	c.Spec.Redis.Managed.Image = "registry.example:5000/redis:7.2@sha256:" + strings.Repeat("0a", 32)
	c.Spec.Redis.Managed.RedisPlacement = v1alpha1.RedisPlacement{
		NodeSelector: like.NodeSelector, Tolerations: like.Tolerations, Affinity: like.Affinity,
		TopologySpreadConstraints: like.TopologySpreadConstraints, PriorityClassName: like.PriorityClassName,
		ImagePullSecrets: []v1alpha1.SecretRef{{Name: "registry"}, {Name: "mirror"}},
	}
}

// narrowNetwork is the least that a spec can let through.
func narrowNetwork(c *v1alpha1.WriteBehindCache) {
	c.Spec.NetworkPolicy = v1alpha1.NetworkPolicy{
		Enabled: new(true),
		Clients: []networkingv1.NetworkPolicyPeer{{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "web"}},
			PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		}},
		Egress: []v1alpha1.EgressRule{{
			To:    []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "10.1.2.3/32"}}},
			Ports: []v1alpha1.EgressPort{{Protocol: new(corev1.ProtocolTCP), Port: &v1alpha1.PortNumber{IntOrString: intstr.FromInt32(5432)}}},
		}},
	}
}

func TestPlacementIsOfTheFlushersAlone(t *testing.T) {
	plain, placed := cache(nil), cache(placement)
	if diff := cmp.Diff(must(resources.RedisStatefulSet(plain, nil))(t), must(resources.RedisStatefulSet(placed, nil))(t)); diff != "" {
		t.Errorf("it changes the StatefulSet, which would restart Redis:\n%s", diff)
	}
	hashes := map[string]bool{}
	for _, c := range []*v1alpha1.WriteBehindCache{plain, placed} {
		hashes[must(resources.RestartHash(resources.FlusherConfig(c)))(t)] = true
	}
	if len(hashes) != 1 {
		t.Error("it changes the settings, which need no second reason to roll the flushers")
	}
}

// The words for a managed Redis are its own: they leave the flushers where they are.
func TestPlacementOfRedisIsOfRedisAlone(t *testing.T) {
	plain, placed := cache(nil), cache(placedRedis)
	if diff := cmp.Diff(deployment(t, plain), deployment(t, placed)); diff != "" {
		t.Errorf("it changes the Deployment, which would roll the flushers:\n%s", diff)
	}
}

// What the API server's answer is decoded into must not be the spec.
func TestPlacementIsACopy(t *testing.T) {
	c := cache(placement)
	pod := deployment(t, c).Spec.Template.Spec
	pod.NodeSelector["pool"] = "changed"
	(*pod.TopologySpreadConstraints[1].LabelSelector).MatchLabels["team"] = "changed"
	*pod.Tolerations[0].TolerationSeconds = 1
	if diff := cmp.Diff(cache(placement).Spec, c.Spec); diff != "" {
		t.Errorf("the spec has changed:\n%s", diff)
	}
}

// A constraint that selects no pod is one that does nothing.
func TestEverySpreadConstraintSelectsPods(t *testing.T) {
	for name, c := range map[string]*v1alpha1.WriteBehindCache{"default": cache(nil), "of the spec": cache(placement)} {
		constraints := deployment(t, c).Spec.Template.Spec.TopologySpreadConstraints
		if len(constraints) == 0 {
			t.Errorf("%s: none", name)
		}
		for _, constraint := range constraints {
			if constraint.LabelSelector == nil || len(constraint.LabelSelector.MatchLabels) == 0 {
				t.Errorf("%s: constraint on %s selects no pod", name, *constraint.TopologyKey)
			}
		}
	}
}

func TestNetworkPoliciesAreThereUnlessTheyAreSwitchedOff(t *testing.T) {
	for _, c := range []struct {
		enabled *bool
		want    bool
	}{{nil, true}, {new(true), true}, {new(false), false}} {
		got := resources.WantsNetworkPolicies(cache(func(w *v1alpha1.WriteBehindCache) { w.Spec.NetworkPolicy.Enabled = c.enabled }))
		if got != c.want {
			t.Errorf("enabled %v: %t, want %t", c.enabled, got, c.want)
		}
	}
}
