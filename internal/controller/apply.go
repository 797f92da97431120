// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/resources"
)

// bring plans, and brings the cluster to the plan. The first error ends the pass;
// package failure says what follows. A part of the spec that is held back is an error
// at the end.
func (r *Reconciler) bring(ctx context.Context, p *pass) error {
	var err error
	if p.plan, err = plan.Make(p.Snapshot, &r.Site); err != nil {
		return err
	}
	if err := r.awaitTurn(ctx, p); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *pass) error{r.ensurePasswords, r.apply, r.prune, r.nudge, r.growVolume, r.monitor} {
		if err := step(ctx, p); err != nil {
			return err
		}
	}
	if p.plan.HeldBack != nil {
		return p.plan.HeldBack
	}
	return nil
}

// awaitTurn has a resource wait that an upgrade of the operator would roll, while as many as
// may be are being rolled.
func (r *Reconciler) awaitTurn(ctx context.Context, p *pass) error {
	if !p.plan.Upgrades {
		return nil
	}
	its, stopped, err := r.turns.take(ctx, r.Client, r.Release, p.Cache, p.Now)
	if err != nil || its {
		return err
	}
	p.plan = p.plan.UntilItsTurn(p.Snapshot, stopped)
	p.did.PassAgain(turnRetry)
	return nil
}

// apply writes the objects that differ from the plan. When one is refused, the
// flushers still learn of settings that were written before it.
func (r *Reconciler) apply(ctx context.Context, p *pass) error {
	written := false
	for i := range p.plan.Objects {
		o := &p.plan.Objects[i]
		err := r.applyObject(ctx, p, o)
		switch {
		case err != nil && written:
			return failure.Worst([]error{err, r.nudge(ctx, p)})
		case err != nil:
			return err
		}
		written = written || o.IsSettings(p.Cache)
	}
	return nil
}

func (r *Reconciler) applyObject(ctx context.Context, p *pass, o *plan.Object) error {
	intent, err := intentHash(o.Intent)
	if err != nil {
		return fmt.Errorf("compare %s: %w", o.Kind, err)
	}
	key := refusalKey(p.Cache, o)
	if err := r.rejections.stands(key, intent, time.Now()); err != nil {
		return err
	}
	if o.Live != nil {
		differ, err := differs(o.Intent, o.Live, string(resources.FieldOwner))
		if err != nil {
			return fmt.Errorf("compare %s: %w", o.Kind, err)
		}
		if !differ || r.applied.unchanged(o.Live, intent) {
			return nil
		}
		if wait := r.applied.wait(o.Live.GetUID(), intent, time.Now()); wait > 0 {
			p.did.PassAgain(wait)
			return nil
		}
	}
	if err := r.Client.Apply(ctx, o.Intent, resources.FieldOwner, client.ForceOwnership); err != nil {
		err := invalidSpec(p.Cache, o, fmt.Errorf("apply %s %s: %w", o.Kind, o.Name, err))
		if stalled := (*failure.Stalled)(nil); errors.As(err, &stalled) {
			r.rejections.record(key, intent, stalled, time.Now())
		}
		return err
	}
	r.rejections.record(key, intent, nil, time.Now())
	if uid, version := identity(o.Intent); uid != "" {
		r.applied.record(uid, intent, version, time.Now())
	}
	ctrl.LoggerFrom(ctx).Info("Applied object", "kind", o.Kind, "object", klog.KRef(p.Cache.Namespace, o.Name), "new", o.Live == nil)
	if o.Live == nil {
		r.normal(p.Cache, v1alpha1.EventCreated, "Create"+o.Kind, "Created %s %s", o.Kind, o.Name)
	} else {
		r.normal(p.Cache, v1alpha1.EventUpdated, "Update"+o.Kind, "Updated %s %s", o.Kind, o.Name)
	}
	return nil
}

// prune deletes the operator's own objects that the spec no longer asks for.
func (r *Reconciler) prune(ctx context.Context, p *pass) error {
	for _, policy := range p.Unwanted {
		uid := policy.GetUID()
		err := r.Client.Delete(ctx, policy, client.Preconditions{UID: &uid})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return fmt.Errorf("delete NetworkPolicy: %w", err)
		default:
			r.normal(p.Cache, v1alpha1.EventDeleted, "DeleteNetworkPolicy", "Deleted NetworkPolicy %s", policy.GetName())
		}
	}
	return nil
}

// nudge annotates the Pods that are to sync new settings, after the ConfigMaps were
// written.
func (r *Reconciler) nudge(ctx context.Context, p *pass) error {
	for _, n := range p.plan.Nudges(p.Snapshot) {
		p.did.PassAgain(n.Again)
		if n.Pod.Annotations[v1alpha1.AnnotationSettingsHash] == n.Mark {
			continue
		}
		if wait := r.applied.wait(n.Pod.UID, n.Mark, time.Now()); wait > 0 {
			p.did.PassAgain(wait) // somebody else removes it as often as it is set
			continue
		}
		err := r.Client.Apply(ctx, resources.SettingsPod(n.Pod, n.Mark), resources.SettingsOwner, client.ForceOwnership)
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
			// The Pod ended meanwhile; the one that follows mounts what is there.
			continue
		}
		if err != nil {
			return fmt.Errorf("annotate Pod: %w", err)
		}
		r.applied.record(n.Pod.UID, n.Mark, "", time.Now())
	}
	return nil
}
