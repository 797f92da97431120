// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
)

func waiting(reason, message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "flusher", Image: "operator:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}}}
}

func crashed(code int32, message string) corev1.PodStatus {
	status := waiting("CrashLoopBackOff", "back-off 40s restarting failed container")
	status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: code, Message: message}
	return status
}

// The cause stays in the same words while it is the same, or each look would be news.
func TestWhatTheFlushersWaitFor(t *testing.T) {
	pod := func(status corev1.PodStatus) snapshottest.Edit {
		return func(s *snapshot.Snapshot) { s.Flushers.Pods[0].Status = status }
	}
	none := func(s *snapshot.Snapshot) { s.Flushers.Pods, s.Seen.Flushers = nil, nil }
	ended := waiting("", "")
	ended.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}
	crashing := crashed(0, "")
	crashing.ContainerStatuses[0].LastTerminationState = corev1.ContainerState{}
	refused := func(s *snapshot.Snapshot) {
		none(s)
		s.Flushers.Deployment.Status.Conditions = []appsv1.DeploymentCondition{{
			Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota",
		}}
	}
	const a = "Pod shop-flusher-a "
	for name, c := range map[string]struct {
		edits []snapshottest.Edit
		want  string
	}{
		"an image":               {[]snapshottest.Edit{pod(waiting("ImagePullBackOff", "Back-off pulling image for 20s"))}, a + "cannot pull image operator:1"},
		"a node":                 {[]snapshottest.Edit{pod(pending)}, a + "cannot be scheduled: no node"},
		"settings it can use":    {[]snapshottest.Edit{pod(crashed(2, "Starting\nmappings[0].table: no\n"))}, a + "cannot use its settings, and says: mappings[0].table: no"},
		"a program that crashes": {[]snapshottest.Edit{pod(crashed(139, ""))}, a + "ended with exit code 139"},
		"a program that ended":   {[]snapshottest.Edit{pod(ended)}, a + "ended with exit code 1"},
		"a program that ends":    {[]snapshottest.Edit{pod(crashing)}, a + "keeps ending"},
		"its container":          {[]snapshottest.Edit{pod(waiting("ContainerCreating", ""))}, a + "is being created"},
		"its configuration":      {[]snapshottest.Edit{pod(waiting("CreateContainerConfigError", "x"))}, a + "waits: CreateContainerConfigError"},
		"an answer":              {nil, a + "does not answer"},
		"the first look":         {[]snapshottest.Edit{snapshottest.NotLooked}, a + "is starting"},
		"a Pod":                  {[]snapshottest.Edit{none}, "Deployment shop-flusher has no Pod yet"},
		"room for a Pod":         {[]snapshottest.Edit{refused}, "Deployment shop-flusher cannot make Pods: exceeded quota"},
		"a Deployment":           {[]snapshottest.Edit{none, func(s *snapshot.Snapshot) { s.Flushers.Deployment = nil }}, "there is no Deployment yet"},
		"nobody":                 {[]snapshottest.Edit{none, func(s *snapshot.Snapshot) { s.Cache.Spec.Flusher.Replicas = new(int32(0)) }}, "spec.flusher.replicas is 0"},
	} {
		s := snapshottest.Ready(nil)
		snapshottest.Silent(s)
		for _, edit := range c.edits {
			edit(s)
		}
		v := reach(t, s, Progress{})
		if got := shown(&v.Status, v1alpha1.ConditionReady); !strings.HasSuffix(got, "No flusher answers: "+c.want) {
			t.Errorf("%s: Ready is %s", name, got)
		}
	}
}
