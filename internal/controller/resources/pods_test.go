// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources_test

import (
	"encoding/json"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// pods are the Pods that the templates ask for.
func pods(t *testing.T) map[string]corev1.PodTemplateSpec {
	t.Helper()
	found := map[string]corev1.PodTemplateSpec{}
	for name, template := range map[string]any{
		"flusher":                      deployment(t, cache(nil)).Spec.Template,
		"flusher of an external Redis": deployment(t, cache(externalRedis)).Spec.Template,
		"flusher with Sentinels":       deployment(t, cache(sentinelRedis)).Spec.Template,
		"flusher in its place":         deployment(t, cache(placement)).Spec.Template,
		"redis":                        must(resources.RedisStatefulSet(cache(nil), nil))(t).Spec.Template,
	} {
		text, err := json.Marshal(template)
		if err != nil {
			t.Fatal(err)
		}
		var pod corev1.PodTemplateSpec
		if err := json.Unmarshal(text, &pod); err != nil {
			t.Fatal(err)
		}
		found[name] = pod
	}
	return found
}

// The judge is the code of the API server's own admission.
func TestEveryPodPassesTheRestrictedStandard(t *testing.T) {
	judge, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for name, pod := range pods(t) {
		verdict := policy.AggregateCheckResults(judge.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
		if !verdict.Allowed {
			t.Errorf("%s: %s", name, verdict.ForbiddenDetail())
		}
		pod.Spec.HostNetwork = true
		if policy.AggregateCheckResults(judge.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)).Allowed {
			t.Fatal("the judge lets everything through")
		}
	}
}

func TestNoPodHasAServiceAccountToken(t *testing.T) {
	for name, pod := range pods(t) {
		if mounts := pod.Spec.AutomountServiceAccountToken; mounts == nil || *mounts {
			t.Errorf("%s: a token of the service account is mounted", name)
		}
		for _, volume := range pod.Spec.Volumes {
			if volume.Projected != nil {
				t.Errorf("%s: volume %s could hold a token", name, volume.Name)
			}
		}
	}
}

// A limit on CPU is left out on purpose: it would slow a pod down while the node
// has nothing else to do.
func TestEveryContainerHasRequestsLimitsAndProbes(t *testing.T) {
	for name, pod := range pods(t) {
		for i := range pod.Spec.Containers {
			container := &pod.Spec.Containers[i]
			has := container.Resources
			for what, amount := range map[string]int64{
				"request for CPU":    has.Requests.Cpu().MilliValue(),
				"request for memory": has.Requests.Memory().Value(),
				"limit on memory":    has.Limits.Memory().Value(),
			} {
				if amount <= 0 {
					t.Errorf("%s: container %s has no %s", name, container.Name, what)
				}
			}
			if container.ReadinessProbe == nil || container.LivenessProbe == nil {
				t.Errorf("%s: container %s lacks a probe", name, container.Name)
			}
		}
		if len(pod.Spec.Containers) == 0 {
			t.Errorf("%s: no container", name)
		}
	}
}

func TestTheAutoscalerMayMoveFlushersAndNotRedis(t *testing.T) {
	const annotation = "cluster-autoscaler.kubernetes.io/safe-to-evict"
	for name, pod := range pods(t) {
		want := "true"
		if name == "redis" {
			want = "false"
		}
		if got := pod.Annotations[annotation]; got != want {
			t.Errorf("%s: %s is %q, want %q", name, annotation, got, want)
		}
	}
}

// A flusher goes on flushing for the most of what its Pod has to end, and never for all of it.
func TestTheGraceOfAFlusher(t *testing.T) {
	for seconds, want := range map[int32]struct {
		pod      int64
		flushing string
	}{0: {60, "45s"}, 60: {60, "45s"}, 3600: {3600, "59m45s"}, 31: {31, "16s"}, 20: {20, "10s"}, 10: {10, "5s"}} {
		pod := deployment(t, cache(func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.TerminationGracePeriodSeconds = seconds
		})).Spec.Template.Spec
		command := pod.Containers[0].Command
		if got := *pod.TerminationGracePeriodSeconds; got != want.pod {
			t.Errorf("of %d seconds the Pod has %d, want %d", seconds, got, want.pod)
		}
		if i := slices.Index(command, "--grace-period"); i < 0 || command[i+1] != want.flushing {
			t.Errorf("of %d seconds the command is %q, want --grace-period %s", seconds, command, want.flushing)
		}
	}
}
