// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// FlushersEnd is what a deletion waits for before it removes what the flushers
// drained; nil when no flusher Pod may still be running. lostAfter is how long after
// its grace period a Pod counts as one of a lost node.
func FlushersEnd(s *snapshot.Snapshot, lostAfter time.Duration) *failure.Waiting {
	pods, after := unfinished(s, lostAfter)
	if len(pods) == 0 {
		return nil
	}
	return &failure.Waiting{What: "flusher Pods " + podNames(pods) + " to end", After: after}
}

// unfinished returns the flusher Pods that may still be running, and how long to wait for
// them; zero while a watch reports their end. With the annotation that gives up the queue, a
// Pod of a lost node is not waited for: only a person or the node could remove it.
func unfinished(s *snapshot.Snapshot, lostAfter time.Duration) (pods []corev1.Pod, after time.Duration) {
	pods = slices.Clone(s.Flushers.Pods)
	for i := range s.Flushers.Terminating {
		pod := &s.Flushers.Terminating[i]
		left := pod.DeletionTimestamp.Add(lostAfter).Sub(s.Now)
		if s.Forced() {
			if left <= 0 {
				continue
			}
			after = max(after, left)
		}
		pods = append(pods, *pod)
	}
	return pods, after
}

// podNames lists Pods in words.
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
