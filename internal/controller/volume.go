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
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/resources"
)

// growVolume asks for more storage in the PersistentVolumeClaim of a managed Redis
// when the spec does, and restores its label. Nothing else waits for it: a volume that
// cannot grow must not keep settings from the flushers, or a deletion from draining.
func (r *Reconciler) growVolume(ctx context.Context, p *pass) error {
	if !p.Managed() || p.Redis.Volume == nil || p.Deleting() {
		return nil
	}
	want, have := p.Cache.Spec.Redis.Managed.Storage.Size, *p.Redis.Volume.Spec.Resources.Requests.Storage()
	labelled := p.Redis.Volume.Labels[v1alpha1.LabelOwnerUID] == string(p.Cache.UID)
	if want.Cmp(have) < 0 && labelled {
		return &failure.Stalled{
			Reason: v1alpha1.ReasonStorageCannotShrink,
			Message: fmt.Sprintf("spec.redis.managed.storage.size is %s, and PersistentVolumeClaim %s asks for %s already: a volume cannot shrink; set the size to %s or more",
				want.String(), p.Redis.Volume.Name, have.String(), have.String()),
		}
	}
	if want.Cmp(have) <= 0 && labelled {
		return nil
	}
	size := want
	if want.Cmp(have) < 0 {
		size = have
	}
	err := r.Client.Apply(ctx, resources.RedisVolume(p.Cache, p.Redis.Volume, size), resources.FieldOwner, client.ForceOwnership)
	switch {
	case err == nil:
		r.normal(p.Cache, v1alpha1.EventUpdated, "UpdatePersistentVolumeClaim", "Asked for %s of storage in PersistentVolumeClaim %s", size.String(), p.Redis.Volume.Name)
		return nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		said, _, _ := strings.Cut(err.Error(), "\n") // what follows is a difference of two objects
		return &failure.Stalled{
			Reason: v1alpha1.ReasonStorageNotExpandable,
			Message: fmt.Sprintf("PersistentVolumeClaim %s cannot grow from %s to %s. The API server names the cause (a storage class needs allowVolumeExpansion: true): %s",
				p.Redis.Volume.Name, have.String(), want.String(), said),
			Retry: failure.ConflictRetry,
		}
	default:
		return fmt.Errorf("apply PersistentVolumeClaim: %w", err)
	}
}
