// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// A kubelet that learns of the Pod before it learns of the ConfigMap syncs the old
// file, and looks again only a minute later. So a flusher that is behind is nudged
// again after NudgeInterval, in which a sync and a look at it fit. It is nudged at
// most nudgeAttempts times, since a file that does not come then has another cause.
const (
	NudgeInterval = 3 * time.Second
	nudgeAttempts = 5
)

// Nudge is the annotation that brings new settings to one flusher Pod, or the rights of its
// users to that of a managed Redis.
type Nudge struct {
	Pod *corev1.Pod
	// Mark is what the Pod is to carry: the hash of the settings, and the attempt
	// when it took more than one.
	Mark string
	// Again is when another nudge may be due.
	Again time.Duration
}

// Nudges has one for each flusher Pod, and for each of a managed Redis that has users.
func (p *Plan) Nudges(s *snapshot.Snapshot) []Nudge {
	attempt := nudgeAttempt(s)
	var all []Nudge
	for i := range s.Flushers.Pods {
		pod := &s.Flushers.Pods[i]
		n := Nudge{Pod: pod, Mark: p.mark(s, pod, attempt)}
		if s.RunsEarlier(pod) && attempt < nudgeAttempts {
			n.Again = NudgeInterval
		}
		all = append(all, n)
	}
	for i := range s.Redis.Pods {
		if pod := &s.Redis.Pods[i]; p.UsersHash != "" && resources.ServesUsers(pod.Annotations) {
			all = append(all, Nudge{Pod: pod, Mark: p.UsersHash})
		}
	}
	return all
}

// mark is what the Pod is to carry. A flusher that runs the settings keeps what it
// has.
func (p *Plan) mark(s *snapshot.Snapshot, pod *corev1.Pod, attempt int) string {
	have := pod.Annotations[v1alpha1.AnnotationSettingsHash]
	if strings.HasPrefix(have, p.SettingsHash) && !s.RunsEarlier(pod) {
		return have
	}
	if attempt == 0 {
		return p.SettingsHash
	}
	return fmt.Sprintf("%s-%d", p.SettingsHash, attempt)
}

// nudgeAttempt is how often a flusher that is behind is due to have been nudged
// again, counted from when the settings ceased to be applied.
func nudgeAttempt(s *snapshot.Snapshot) int {
	c := meta.FindStatusCondition(s.Cache.Status.Conditions, v1alpha1.ConditionSettingsApplied)
	if c == nil || c.Status == metav1.ConditionTrue {
		return 0
	}
	return min(int(s.Now.Sub(c.LastTransitionTime.Time)/NudgeInterval), nudgeAttempts)
}
