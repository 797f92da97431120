// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// reopen lets writers in again before Redis is retained, when the deletion had
// begun to drain and then became one that retains: a queue that stays behind
// closed would refuse every write, and nothing would be left to open it. It is a
// waitingError until the flushers have seen every queue of the spec open.
func (r *Reconciler) reopen(ctx context.Context, s *scope) error {
	begun := meta.FindStatusCondition(s.cache.Status.Conditions, v1alpha1.ConditionDraining)
	if begun == nil || s.forced() || s.nothingToDrain() {
		return nil
	}
	failure := r.bringToDrain(ctx, s)
	var closed []string
	for i := range s.cache.Spec.Mappings {
		name := s.cache.Spec.Mappings[i].Name
		q := s.queue(name, func(d *config.Status) bool {
			return s.settled(d) && !d.Draining && d.Revision == s.cache.Generation
		})
		if q == nil || q.State == config.StatePaused {
			closed = append(closed, name)
		}
	}
	if len(closed) == 0 {
		return nil
	}
	if failure != nil {
		s.draining = &verdict{metav1.ConditionTrue, v1alpha1.ReasonDraining, "Redis cannot be retained yet: " + failure.Error()}
		return failure
	}
	what := fmt.Sprintf("queue %s to be open to writers again, before Redis is retained", strings.Join(closed, ", "))
	message := "Waiting for " + what
	if len(s.seen.Answering()) == 0 {
		message += ": " + s.whyNoFlusherAnswers()
	}
	s.draining = &verdict{
		metav1.ConditionTrue, v1alpha1.ReasonDraining,
		fmt.Sprintf("%s. To leave it closed, set the annotation %s: \"true\"", message, v1alpha1.AnnotationForceDelete),
	}
	return &waitingError{what: what}
}
