// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/verdict"
)

// defaultMonitoringInterval is how often the objects of the Prometheus Operator are
// checked although nothing hints at a change. They are not watched: a watch of a kind
// that is removed fails for ever. A thousand resources then cost three requests a
// second.
const defaultMonitoringInterval = 10 * time.Minute

// monitor makes the objects that the Prometheus Operator reads, where their kinds are
// served, and removes those that are no longer wanted. A failure is reported by an
// event and tried again. It changes no condition: data flows without the objects.
func (r *Reconciler) monitor(ctx context.Context, p *pass) error {
	for _, o := range []struct {
		wanted bool
		intent *unstructured.Unstructured
	}{
		{resources.WantsServiceMonitor(p.Cache), resources.ServiceMonitor(p.Cache)},
		{resources.WantsPrometheusRule(p.Cache), resources.PrometheusRule(p.Cache)},
	} {
		kind := o.intent.GetKind()
		if !r.kinds.has(kind) {
			r.remembered.monitored(p.Cache.UID, kind, monitoringMemory{})
			continue
		}
		intent := "none"
		if o.wanted {
			var err error
			if intent, err = intentHash(client.ApplyConfigurationFromUnstructured(o.intent)); err != nil {
				return fmt.Errorf("compare %s: %w", kind, err)
			}
		}
		left := r.remembered.monitoringDue(p.Cache.UID, kind, intent, time.Now(), r.monitoringInterval)
		if left == 0 {
			foreign, err := r.settleMonitoring(ctx, p, o.intent, o.wanted)
			latest := monitoringMemory{intent: intent, at: time.Now()}
			reason := v1alpha1.EventMonitoringFailed
			left = r.monitoringInterval
			switch {
			case err != nil:
				ctrl.LoggerFrom(ctx).Error(err, "Failed to apply an object of the Prometheus Operator", "kind", kind)
				latest.intent, latest.obstacle = "", "could not be applied: "+observe.Cut(err.Error(), verdict.MaxMessage/2)
				left = failure.ConflictRetry
			case foreign:
				reason, latest.obstacle = v1alpha1.ReasonObjectConflict, "belongs to somebody else and is not changed"
			}
			if news := r.remembered.monitored(p.Cache.UID, kind, latest); news && latest.obstacle != "" {
				r.warning(p.Cache, reason, "Apply"+kind, "%s %s %s", kind, o.intent.GetName(), latest.obstacle)
			}
		}
		p.did.PassAgain(left)
	}
	return nil
}

// settleMonitoring makes one object, or removes it. An object of the same name that
// somebody else made is left alone; foreign reports it where the object is wanted.
func (r *Reconciler) settleMonitoring(ctx context.Context, p *pass, intent *unstructured.Unstructured, wanted bool) (foreign bool, err error) {
	kind, name := intent.GetKind(), intent.GetName()
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(intent.GroupVersionKind())
	err = r.APIReader.Get(ctx, client.ObjectKeyFromObject(intent), found)
	switch {
	case apierrors.IsNotFound(err):
		if !wanted {
			return false, nil
		}
		return false, r.applyObject(ctx, p, &plan.Object{Intent: client.ApplyConfigurationFromUnstructured(intent), Kind: kind, Name: name})
	case err != nil:
		return false, fmt.Errorf("get %s: %w", kind, err)
	case !p.Owns(found):
		return wanted, nil
	case wanted:
		return false, r.applyObject(ctx, p, &plan.Object{Intent: client.ApplyConfigurationFromUnstructured(intent), Live: found, Kind: kind, Name: name})
	}
	uid := found.GetUID()
	if err := r.Client.Delete(ctx, found, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("delete %s: %w", kind, err)
	}
	r.normal(p.Cache, v1alpha1.EventDeleted, "Delete"+kind, "Deleted %s %s", kind, name)
	return false, nil
}
