// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// Ours reports whether a document is about this resource's settings.
func (s *Snapshot) Ours(d *config.Status) bool { return d.Owner == string(s.Cache.UID) }

// Settled reports whether a document's numbers are those of the Redis that its
// flusher can reach, and of all that is dirty there.
func (s *Snapshot) Settled(d *config.Status) bool {
	return s.Ours(d) && d.Redis.OK && !d.ObservedTime.IsZero() && s.readsFor(d)
}

// Ran reports whether the flusher in a Pod answers and a revision of its document is
// the present generation. The document has the live settings; the template that the Pod was
// made from, named by restartHash, has the others.
func (s *Snapshot) Ran(pod *corev1.Pod, restartHash string, revision func(*config.Status) int64) bool {
	f, ok := s.Seen.Of(pod.UID)
	current := ok && f.Status != nil && s.Ours(f.Status) && revision(f.Status) == s.Cache.Generation
	return current && pod.Annotations[v1alpha1.AnnotationConfigHash] == restartHash
}

// RunsEarlier reports whether a flusher answers with settings of an earlier generation.
func (s *Snapshot) RunsEarlier(pod *corev1.Pod) bool {
	f, ok := s.Seen.Of(pod.UID)
	return ok && f.Status != nil && f.Status.Tried() < s.Cache.Generation
}
