// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/flusher/config"
)

// podProblem is what keeps a Pod from running, empty when it runs.
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
	return fmt.Sprintf("cannot use its settings, and says: %s", observe.Harmless(lines[len(lines)-1]))
}
