// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"fmt"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
)

// Forced reports whether a person has given up what is queued.
func (s *Snapshot) Forced() bool {
	return s.Cache.Annotations[v1alpha1.AnnotationForceDelete] == "true"
}

// AboutForce returns what is wrong with the annotation that gives up what is queued;
// empty when nothing is.
func (s *Snapshot) AboutForce() string {
	value, given := s.Cache.Annotations[v1alpha1.AnnotationForceDelete]
	if !given || s.Forced() {
		return ""
	}
	return fmt.Sprintf("; the annotation %s is %q, which does nothing: only \"true\" gives up what is queued",
		v1alpha1.AnnotationForceDelete, observe.Cut(value, 40))
}
