// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// whyNoFlusherAnswers is one sentence about what the flushers wait for, in words
// that stay the same while the cause does.
func (s *scope) whyNoFlusherAnswers() string {
	if len(s.flusherPods) == 0 {
		return "No flusher answers: " + s.whyNoFlusherPod()
	}
	for i := range s.flusherPods {
		pod := &s.flusherPods[i]
		if problem := podProblem(pod); problem != "" {
			return fmt.Sprintf("No flusher answers: Pod %s %s", pod.Name, problem)
		}
	}
	pod := &s.flusherPods[0]
	if f, ok := s.seen.Of(pod.UID); ok && f.Problem != "" {
		return fmt.Sprintf("No flusher answers: Pod %s %s", pod.Name, f.Problem)
	}
	return fmt.Sprintf("No flusher answers: Pod %s is starting", pod.Name)
}

func (s *scope) whyNoFlusherPod() string {
	if resources.FlusherReplicas(s.cache) == 0 {
		return "spec.flusher.replicas is 0"
	}
	if s.flushers == nil {
		return "there is no Deployment yet"
	}
	if why := whyNoPods(s.flushers); why != "" {
		return why
	}
	return fmt.Sprintf("Deployment %s has no Pod yet", s.flushers.Name)
}

// whyRedisPodWaits is what keeps the managed Redis from being ready, empty when
// nothing does or nothing can be told.
func (s *scope) whyRedisPodWaits() string {
	for i := range s.redisPods {
		if problem := podProblem(&s.redisPods[i]); problem != "" {
			return fmt.Sprintf("Pod %s %s", s.redisPods[i].Name, problem)
		}
	}
	return ""
}

// podStarted says whether a container of the pod runs or ever ran.
func podStarted(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodRunning {
		return true
	}
	for i := range pod.Status.ContainerStatuses {
		c := &pod.Status.ContainerStatuses[i]
		if c.State.Running != nil || c.State.Terminated != nil || c.LastTerminationState.Terminated != nil || c.RestartCount > 0 {
			return true
		}
	}
	return false
}

// whyBehind says what keeps a flusher from running the present settings; empty
// when nothing is known to.
func (s *scope) whyBehind() string {
	for i := range s.flusherPods {
		pod := &s.flusherPods[i]
		if s.runs(pod) {
			continue
		}
		if problem := podProblem(pod); problem != "" {
			return fmt.Sprintf("Pod %s %s", pod.Name, problem)
		}
		if f, ok := s.seen.Of(pod.UID); ok && f.Problem != "" {
			return fmt.Sprintf("Pod %s %s", pod.Name, f.Problem)
		}
	}
	if s.flushers == nil {
		return ""
	}
	return whyNoPods(s.flushers)
}

// whyNotInForce says what keeps settings that a flusher runs from the capture
// functions; empty when nothing is known to.
func (s *scope) whyNotInForce() string {
	for i := range s.flusherPods {
		pod := &s.flusherPods[i]
		if s.runs(pod) || !s.ran(pod, (*config.Status).Tried) {
			continue
		}
		if f, _ := s.seen.Of(pod.UID); f.Status.Redis.Reason != "" {
			return fmt.Sprintf("Pod %s cannot bring them to Redis: see condition %s", pod.Name, v1alpha1.ConditionRedisReady)
		}
	}
	return ""
}

// deadLetterCommand is what a person types to look after dead letters, but for the
// subcommand.
func (s *scope) deadLetterCommand() string {
	return fmt.Sprintf("kubectl exec -n %s deploy/%s -- /flusher dlq", s.cache.Namespace, resources.FlusherName(s.cache))
}

// behindText joins a cause to a sentence.
func behindText(why string) string {
	if why == "" {
		return ""
	}
	return "; " + why
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

// podNames lists pods in words.
func podNames(pods []corev1.Pod) string {
	var names []string
	for i := range pods {
		if len(names) == mostNamed {
			names = append(names, fmt.Sprintf("and %d more", len(pods)-mostNamed))
			break
		}
		names = append(names, pods[i].Name)
	}
	return strings.Join(names, ", ")
}

// podProblem says what keeps a pod from running; empty when it runs.
func podProblem(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "cannot be scheduled: " + c.Message
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if problem := containerProblem(pod, &pod.Status.ContainerStatuses[i]); problem != "" {
			return problem
		}
	}
	if pod.Status.Phase == corev1.PodPending {
		return "is being created"
	}
	return ""
}

func containerProblem(pod *corev1.Pod, status *corev1.ContainerStatus) string {
	if ended := status.State.Terminated; ended != nil {
		return endProblem(ended)
	}
	waiting := status.State.Waiting
	if waiting == nil {
		return ""
	}
	switch waiting.Reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
		// The kubelet alternates between these, and its message counts seconds.
		return fmt.Sprintf("cannot pull image %s", imageOf(pod, status))
	case "CrashLoopBackOff":
		if ended := status.LastTerminationState.Terminated; ended != nil {
			return endProblem(ended)
		}
		return "keeps ending"
	case "", "ContainerCreating", "PodInitializing":
		return "is being created"
	default:
		return fmt.Sprintf("waits: %s", waiting.Reason)
	}
}

func imageOf(pod *corev1.Pod, status *corev1.ContainerStatus) string {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == status.Name {
			return pod.Spec.Containers[i].Image
		}
	}
	return status.Image
}

func endProblem(ended *corev1.ContainerStateTerminated) string {
	if ended.ExitCode != config.ExitUnusable || ended.Message == "" {
		return fmt.Sprintf("ended with exit code %d", ended.ExitCode)
	}
	lines := strings.Split(strings.TrimSpace(ended.Message), "\n")
	return fmt.Sprintf("cannot use its settings: %s", lines[len(lines)-1])
}
