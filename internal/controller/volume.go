// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// growVolume tells the claim of a managed Redis when more storage is asked for,
// and puts its label back. It comes last, since nothing waits for it: a claim
// that cannot grow must not keep settings from the flushers, or a deletion from
// draining.
func (r *Reconciler) growVolume(ctx context.Context, s *scope) error {
	if !s.managed() || s.redisVolume == nil || s.deleting() {
		return nil
	}
	want, have := s.cache.Spec.Redis.Managed.Storage.Size, *s.redisVolume.Spec.Resources.Requests.Storage()
	labelled := s.redisVolume.Labels[v1alpha1.LabelOwnerUID] == string(s.cache.UID)
	if want.Cmp(have) < 0 && labelled {
		return &stalledError{
			reason: v1alpha1.ReasonStorageCannotShrink,
			message: fmt.Sprintf("spec.redis.managed.storage.size is %s, and PersistentVolumeClaim %s asks for %s already: a volume cannot shrink; set the size to %s or more",
				want.String(), s.redisVolume.Name, have.String(), have.String()),
		}
	}
	if want.Cmp(have) <= 0 && labelled {
		return nil
	}
	size := want
	if want.Cmp(have) < 0 {
		size = have
	}
	err := r.Client.Apply(ctx, resources.RedisVolume(s.cache, s.redisVolume, size), FieldOwner, client.ForceOwnership)
	switch {
	case err == nil:
		r.normal(s.cache, v1alpha1.EventUpdated, "UpdatePersistentVolumeClaim", "Asked for %s of storage in PersistentVolumeClaim %s", size.String(), s.redisVolume.Name)
		return nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		said, _, _ := strings.Cut(err.Error(), "\n") // what follows is a difference of two objects
		return &stalledError{
			reason: v1alpha1.ReasonStorageNotExpandable,
			message: fmt.Sprintf("PersistentVolumeClaim %s cannot grow from %s to %s. Mend what the API server says (a storage class needs allowVolumeExpansion: true): %s",
				s.redisVolume.Name, have.String(), want.String(), said),
			retry: conflictRetry,
		}
	default:
		return fmt.Errorf("apply PersistentVolumeClaim: %w", err)
	}
}
