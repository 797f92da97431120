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
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/resources"
)

// defaultMonitoringInterval is how often the objects of the Prometheus Operator
// are looked at although nothing hints at a change. They are not watched: a watch
// of a kind that is removed fails for ever. A thousand resources then cost three
// requests a second.
const defaultMonitoringInterval = 10 * time.Minute

// monitor makes the objects that the Prometheus Operator reads, where their kinds
// are served, and removes those that are no longer wanted. What goes wrong here is
// told by an event and tried again, and changes no condition: data flows without.
func (r *Reconciler) monitor(ctx context.Context, s *scope) error {
	for _, o := range []struct {
		wanted bool
		intent *unstructured.Unstructured
	}{
		{resources.WantsServiceMonitor(s.cache), resources.ServiceMonitor(s.cache)},
		{resources.WantsPrometheusRule(s.cache), resources.PrometheusRule(s.cache)},
	} {
		kind := o.intent.GetKind()
		if !r.kinds.has(kind) {
			r.remembered.monitored(s.cache.UID, kind, monitoringMemory{})
			continue
		}
		intent := "none"
		if o.wanted {
			var err error
			if intent, err = intentHash(client.ApplyConfigurationFromUnstructured(o.intent)); err != nil {
				return fmt.Errorf("compare %s: %w", kind, err)
			}
		}
		left := r.remembered.monitoringDue(s.cache.UID, kind, intent, time.Now(), r.monitoringInterval)
		if left == 0 {
			foreign, err := r.settleMonitoring(ctx, s, o.intent, o.wanted)
			latest := monitoringMemory{intent: intent, at: time.Now()}
			reason := v1alpha1.EventMonitoringFailed
			left = r.monitoringInterval
			switch {
			case err != nil:
				ctrl.LoggerFrom(ctx).Error(err, "Failed to bring about an object of the Prometheus Operator", "kind", kind)
				latest.intent, latest.obstacle = "", "could not be brought about: "+observe.Cut(err.Error(), maxMessage/2)
				left = conflictRetry
			case foreign:
				reason, latest.obstacle = v1alpha1.ReasonObjectConflict, "belongs to somebody else and is left alone"
			}
			if news := r.remembered.monitored(s.cache.UID, kind, latest); news && latest.obstacle != "" {
				r.warning(s.cache, reason, "Apply"+kind, "%s %s %s", kind, o.intent.GetName(), latest.obstacle)
			}
		}
		s.lookAgain(left)
	}
	return nil
}

// settleMonitoring makes one object be there or not. One of the same name that
// somebody else made is left alone, and foreign where it is wanted.
func (r *Reconciler) settleMonitoring(ctx context.Context, s *scope, intent *unstructured.Unstructured, wanted bool) (foreign bool, err error) {
	kind, name := intent.GetKind(), intent.GetName()
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(intent.GroupVersionKind())
	err = r.APIReader.Get(ctx, client.ObjectKeyFromObject(intent), found)
	switch {
	case apierrors.IsNotFound(err):
		if !wanted {
			return false, nil
		}
		return false, r.applyObject(ctx, s, object{client.ApplyConfigurationFromUnstructured(intent), nil, kind, name})
	case err != nil:
		return false, fmt.Errorf("get %s: %w", kind, err)
	case !s.owns(found):
		return wanted, nil
	case wanted:
		return false, r.applyObject(ctx, s, object{client.ApplyConfigurationFromUnstructured(intent), found, kind, name})
	}
	uid := found.GetUID()
	if err := r.Client.Delete(ctx, found, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("delete %s: %w", kind, err)
	}
	r.normal(s.cache, v1alpha1.EventDeleted, "Delete"+kind, "Deleted %s %s", kind, name)
	return false, nil
}
