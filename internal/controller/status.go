// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/verdict"
)

// store writes the status if it changed, and then emits the events about what
// changed.
func (r *Reconciler) store(ctx context.Context, cache *v1alpha1.WriteBehindCache, v verdict.Verdict) error {
	if equality.Semantic.DeepEqual(cache.Status, v.Status) {
		return nil
	}
	next := cache.DeepCopy()
	next.Status = v.Status
	// The patch replaces the lists as a whole, so it must be made from the newest
	// ones.
	patch := client.MergeFromWithOptions(cache, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, next, patch); err != nil {
		return fmt.Errorf("patch status: %w", err)
	}
	r.remembered.wrote(next)
	for _, e := range v.Events {
		if e.Warning {
			r.warning(next, e.Reason, actionObserve, "%s", e.Note)
		} else {
			r.normal(next, e.Reason, actionObserve, "%s", e.Note)
		}
	}
	return nil
}
