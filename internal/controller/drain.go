// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// bringToDrain brings about what draining needs, and no more. The flushers'
// settings come first, since they close the queues to writers. What cannot be
// brought about keeps nothing else from being: flushers and a Redis that work go
// on as they are, and are all that draining needs.
func (r *Reconciler) bringToDrain(ctx context.Context, s *scope) error {
	var failures []error
	if err := r.plan(ctx, s); err != nil {
		failures = append(failures, err)
		if err := s.drainAsBefore(); err != nil {
			return worst(append(failures, err))
		}
	}
	taken := slices.Concat(s.foreign, s.going)
	for _, first := range []bool{true, false} {
		for _, o := range s.objects {
			needless := o.kind == "Service" && o.name == resources.FlusherName(s.cache)
			if s.isSettings(o) != first || needless || slices.Contains(taken, o.kind+" "+o.name) {
				continue
			}
			failures = append(failures, r.applyObject(ctx, s, o))
		}
		if first {
			failures = append(failures, r.ensurePassword(ctx, s))
		}
	}
	if len(s.objects) == 0 {
		failures = append(failures, r.ending(ctx, s))
	}
	if len(s.foreign) > 0 {
		failures = append(failures, s.conflict())
	}
	if len(s.going) > 0 {
		failures = append(failures, s.goingAway())
	}
	return worst(append(failures, r.prune(ctx, s), r.nudge(ctx, s)))
}

// ending is the API server's word that the namespace is being deleted, if it is.
// Where nothing is left to apply, nothing else would tell.
func (r *Reconciler) ending(ctx context.Context, s *scope) error {
	err := r.Client.Apply(ctx, resources.FlusherService(s.cache), FieldOwner, client.ForceOwnership, client.DryRunAll)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return err
	}
	return nil
}

// drainAsBefore takes the settings that are in force, and changes nothing of
// them but that they drain: what the spec says by now cannot be used, and the
// queues are those of an earlier one.
func (s *scope) drainAsBefore() error {
	s.settings, s.objects = nil, nil
	if s.flusherConfig == nil {
		return nil
	}
	settings, err := config.Parse([]byte(s.flusherConfig.Data[resources.ConfigFile]))
	if err != nil || settings.Owner != string(s.cache.UID) {
		return nil //nolint:nilerr // what the plan said is what a person has to know
	}
	settings.Draining, settings.Revision = true, s.cache.Generation
	configMap, err := resources.FlusherConfigMap(s.cache, settings)
	if err != nil {
		return err
	}
	for _, name := range []string{v1alpha1.AnnotationInForce, v1alpha1.AnnotationStarted} {
		if text, ok := s.flusherConfig.Annotations[name]; ok {
			configMap.WithAnnotations(map[string]string{name: text})
		}
	}
	s.settings = settings
	s.settingsHash = resources.Hash(configMap.Data[resources.ConfigFile])
	s.add(configMap, liveOrNil(s.flusherConfig), "ConfigMap", resources.FlusherName(s.cache))
	s.restartHash, err = resources.RestartHash(settings)
	return err
}

// worst is the failure that decides how the pass goes on: that the namespace is
// going, which ends everything; then one that another attempt may mend; then one
// that only a person can.
func worst(failures []error) error {
	var stalled *stalledError
	for _, is := range []func(error) bool{
		func(err error) bool { return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) },
		apierrors.IsConflict,
		func(err error) bool { return !errors.As(err, &stalled) },
		func(error) bool { return true },
	} {
		for _, err := range failures {
			if err != nil && is(err) {
				return err
			}
		}
	}
	return nil
}
