// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

func nobodyAnswers(f *facts) *Condition {
	if len(f.documents) > 0 {
		return nil
	}
	return bad(v1alpha1.ReasonFlushersDown, whyNoFlusherAnswers(f))
}

// nobodyKnows applies while no flusher answers: only they look at the servers.
func nobodyKnows(f *facts) *Condition {
	if len(f.documents) > 0 {
		return nil
	}
	return unknown(v1alpha1.ReasonFlushersDown, whyNoFlusherAnswers(f))
}

// whyNoFlusherAnswers is one sentence about what the flushers wait for, in words
// that stay the same while the cause does.
func whyNoFlusherAnswers(f *facts) string {
	pods := f.Flushers.Pods
	if len(pods) == 0 {
		return "No flusher answers: " + whyNoFlusherPod(f)
	}
	for i := range pods {
		if problem := podProblem(&pods[i]); problem != "" {
			return fmt.Sprintf("No flusher answers: Pod %s %s", pods[i].Name, problem)
		}
	}
	if answer, ok := f.Seen.Of(pods[0].UID); ok && answer.Problem != "" {
		return fmt.Sprintf("No flusher answers: Pod %s %s", pods[0].Name, answer.Problem)
	}
	return fmt.Sprintf("No flusher answers: Pod %s is starting", pods[0].Name)
}

func whyNoFlusherPod(f *facts) string {
	if resources.FlusherReplicas(f.Cache) == 0 {
		return "spec.flusher.replicas is 0"
	}
	if f.Flushers.Deployment == nil {
		return "there is no Deployment yet"
	}
	if why := whyNoPods(f.Flushers.Deployment); why != "" {
		return why
	}
	return fmt.Sprintf("Deployment %s has no Pod yet", f.Flushers.Deployment.Name)
}

// whyNoPods is what keeps a Deployment from making Pods.
func whyNoPods(d *appsv1.Deployment) string {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return fmt.Sprintf("Deployment %s cannot make Pods: %s", d.Name, c.Message)
		}
	}
	return ""
}

// whyRedisPodWaits is what keeps the managed Redis from being ready, empty when
// nothing is known to.
func whyRedisPodWaits(f *facts) string {
	if lost := lostRedis(f); lost != "" {
		return lost
	}
	for i := range f.Redis.Pods {
		if problem := podProblem(&f.Redis.Pods[i]); problem != "" {
			return fmt.Sprintf("Pod %s %s", f.Redis.Pods[i].Name, problem)
		}
	}
	return ""
}

// whyBehind is what keeps a flusher from running the present settings, empty when
// nothing is known to.
func whyBehind(f *facts) string {
	for i := range f.Flushers.Pods {
		pod := &f.Flushers.Pods[i]
		if f.runs(pod) {
			continue
		}
		if problem := podProblem(pod); problem != "" {
			return fmt.Sprintf("Pod %s %s", pod.Name, problem)
		}
		if answer, ok := f.Seen.Of(pod.UID); ok && answer.Problem != "" {
			return fmt.Sprintf("Pod %s %s", pod.Name, answer.Problem)
		}
	}
	if f.Flushers.Deployment == nil {
		return ""
	}
	return whyNoPods(f.Flushers.Deployment)
}

// whyNotInForce is what keeps settings that a flusher runs from the capture
// functions, empty when nothing is known to.
func whyNotInForce(f *facts) string {
	for i := range f.Flushers.Pods {
		pod := &f.Flushers.Pods[i]
		if f.runs(pod) || !f.Ran(pod, f.RestartHash, (*config.Status).Tried) {
			continue
		}
		if answer, _ := f.Seen.Of(pod.UID); answer.Status.Redis.Reason != "" {
			return fmt.Sprintf("Pod %s cannot write them to Redis: see condition %s", pod.Name, v1alpha1.ConditionRedisReady)
		}
	}
	return ""
}
