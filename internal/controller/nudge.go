// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// A kubelet that hears of the Pod before it hears of the ConfigMap syncs the old
// file, and looks again only a minute later. So a flusher that is behind is
// nudged again after nudgeInterval, in which a sync and a look at it fit, and at
// most nudgeAttempts times, since a file that does not come then has another
// cause.
const (
	nudgeInterval = 3 * time.Second
	nudgeAttempts = 5
)

// nudge notes new settings on the flusher Pods, after the ConfigMap was written.
func (r *Reconciler) nudge(ctx context.Context, s *scope) error {
	attempt := s.nudgeAttempt(time.Now())
	for i := range s.flusherPods {
		pod := &s.flusherPods[i]
		if s.behind(pod) && attempt < nudgeAttempts {
			s.lookAgain(nudgeInterval)
		}
		note := s.note(pod, attempt)
		if pod.Annotations[v1alpha1.AnnotationSettingsHash] == note {
			continue
		}
		if wait := r.applied.wait(pod.UID, note, time.Now()); wait > 0 {
			s.lookAgain(wait) // somebody else takes it away as often as it is put there
			continue
		}
		err := r.Client.Apply(ctx, resources.FlusherPod(pod, note), SettingsOwner, client.ForceOwnership)
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
			// It went meanwhile; the one that follows mounts what is there.
			continue
		}
		if err != nil {
			return fmt.Errorf("annotate Pod: %w", err)
		}
		r.applied.note(pod.UID, note, "", time.Now())
	}
	return nil
}

// note is what the Pod is to carry: the hash of the settings, and behind it the
// attempt, if it took more than one. A flusher that runs them keeps what it has.
func (s *scope) note(pod *corev1.Pod, attempt int) string {
	have := pod.Annotations[v1alpha1.AnnotationSettingsHash]
	if strings.HasPrefix(have, s.settingsHash) && !s.behind(pod) {
		return have
	}
	if attempt == 0 {
		return s.settingsHash
	}
	return fmt.Sprintf("%s-%d", s.settingsHash, attempt)
}

// behind says whether a flusher answers with settings of an earlier generation.
func (s *scope) behind(pod *corev1.Pod) bool {
	f, ok := s.seen.Of(pod.UID)
	return ok && f.Status != nil && f.Status.Tried() < s.cache.Generation
}

// nudgeAttempt is how often a flusher that is behind should have been nudged
// again by now, counted from when the settings ceased to be applied.
func (s *scope) nudgeAttempt(now time.Time) int {
	c := meta.FindStatusCondition(s.cache.Status.Conditions, v1alpha1.ConditionSettingsApplied)
	if c == nil || c.Status == metav1.ConditionTrue {
		return 0
	}
	return min(int(now.Sub(c.LastTransitionTime.Time)/nudgeInterval), nudgeAttempts)
}
