// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// phase is one step of a pass. An error ends the pass; errors.go says what
// follows.
type phase func(context.Context, *scope) error

// bring runs the phases that bring the cluster to the spec.
func (r *Reconciler) bring(ctx context.Context, s *scope) error {
	for _, step := range []phase{r.plan, r.ensurePassword, r.apply, r.prune, r.nudge, r.growVolume, r.monitor} {
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// heldBack is an error while a part of the spec waits for a queue.
func (s *scope) heldBack() error {
	if s.held == "" {
		return nil
	}
	return &stalledError{reason: s.heldReason, message: s.held}
}

// plan decides what is to be there. It writes nothing.
func (r *Reconciler) plan(_ context.Context, s *scope) error {
	s.previous = s.previousSettings()
	if err := s.planSettings(s.previous); err != nil {
		return err
	}
	if err := s.settings.Validate(); err != nil {
		return &stalledError{reason: v1alpha1.ReasonInvalidSpec, message: "spec." + err.Error()}
	}
	var err error
	if s.restartHash, err = resources.RestartHash(s.settings); err != nil {
		return err
	}
	switch {
	case s.deleting(): // draining goes on with what is there
	case len(s.foreign) > 0:
		return s.conflict()
	case len(s.going) > 0:
		return s.goingAway()
	}
	return s.planObjects(r.FlusherImage)
}

// goingAway waits for objects of needed names that are being deleted.
func (s *scope) goingAway() error {
	return &waitingError{what: strings.Join(s.going, ", ") + " of an earlier life to be gone", after: goneRetry}
}

// planObjects lists the objects in the order in which they are needed.
func (s *scope) planObjects(image string) error {
	s.objects = nil
	if s.managed() {
		s.add(resources.RedisConfigMap(s.cache), liveOrNil(s.redisConfig), "ConfigMap", resources.RedisName(s.cache))
		s.add(resources.RedisService(s.cache), liveOrNil(s.redisService), "Service", resources.RedisName(s.cache))
		s.add(resources.RedisStatefulSet(s.cache, s.redis), liveOrNil(s.redis), "StatefulSet", resources.RedisName(s.cache))
	}
	configMap, err := resources.FlusherConfigMap(s.cache, s.settings)
	if err != nil {
		return err
	}
	if size := len(configMap.Data[resources.ConfigFile]); size > maxConfigMap {
		return tooManyColumns(size, maxConfigMap)
	}
	s.settingsHash = resources.Hash(configMap.Data[resources.ConfigFile])
	text, err := s.nowInForce().text()
	if err != nil {
		return err
	}
	remember := map[string]string{v1alpha1.AnnotationInForce: text}
	configMap.WithAnnotations(remember)
	if s.everStarted() {
		configMap.WithAnnotations(map[string]string{v1alpha1.AnnotationStarted: "true"})
	}
	s.add(configMap, liveOrNil(s.flusherConfig), "ConfigMap", resources.FlusherName(s.cache))
	s.add(resources.FlusherService(s.cache).WithAnnotations(remember), liveOrNil(s.flusherService), "Service", resources.FlusherName(s.cache))
	deployment, err := resources.FlusherDeployment(s.carried, s.flushers, s.restartHash, image)
	if err != nil {
		return err
	}
	s.add(deployment, liveOrNil(s.flushers), "Deployment", resources.FlusherName(s.cache))
	s.add(resources.FlusherDisruptionBudget(s.cache), liveOrNil(s.flusherBudget), "PodDisruptionBudget", resources.FlusherName(s.cache))
	return s.planNetworkPolicies()
}

func (s *scope) add(intent runtime.ApplyConfiguration, live client.Object, kind, name string) {
	s.objects = append(s.objects, object{intent: intent, live: live, kind: kind, name: name})
}

// liveOrNil keeps a nil pointer from becoming an interface that is not nil.
func liveOrNil[T any, P interface {
	*T
	client.Object
}](object P) client.Object {
	if object == nil {
		return nil
	}
	return object
}

// apply writes the objects that differ from the plan. One that is refused keeps
// nothing from the flushers that was written before it.
func (r *Reconciler) apply(ctx context.Context, s *scope) error {
	written := false
	for _, o := range s.objects {
		err := r.applyObject(ctx, s, o)
		switch {
		case err != nil && written:
			return worst([]error{err, r.nudge(ctx, s)})
		case err != nil:
			return err
		}
		written = written || s.isSettings(o)
	}
	return nil
}

// isSettings says whether an object is the flushers' config file.
func (s *scope) isSettings(o object) bool {
	return o.kind == "ConfigMap" && o.name == resources.FlusherName(s.cache)
}

func (r *Reconciler) applyObject(ctx context.Context, s *scope, o object) error {
	intent, err := intentHash(o.intent)
	if err != nil {
		return fmt.Errorf("compare %s: %w", o.kind, err)
	}
	key := refusalKey(s, o)
	if err := r.refusals.stands(key, intent, time.Now()); err != nil {
		return err
	}
	if o.live != nil {
		differ, err := differs(o.intent, o.live, string(FieldOwner))
		if err != nil {
			return fmt.Errorf("compare %s: %w", o.kind, err)
		}
		if !differ || r.applied.unchanged(o.live, intent) {
			return nil
		}
		if wait := r.applied.wait(o.live.GetUID(), intent, time.Now()); wait > 0 {
			s.lookAgain(wait)
			return nil
		}
	}
	if err := r.Client.Apply(ctx, o.intent, FieldOwner, client.ForceOwnership); err != nil {
		err := s.refused(o, fmt.Errorf("apply %s %s: %w", o.kind, o.name, err))
		if stalled := (*stalledError)(nil); errors.As(err, &stalled) {
			r.refusals.note(key, intent, stalled, time.Now())
		}
		return err
	}
	r.refusals.note(key, intent, nil, time.Now())
	if uid, version := identity(o.intent); uid != "" {
		r.applied.note(uid, intent, version, time.Now())
	}
	ctrl.LoggerFrom(ctx).Info("Applied object", "kind", o.kind, "object", klog.KRef(s.cache.Namespace, o.name), "new", o.live == nil)
	if o.live == nil {
		r.normal(s.cache, v1alpha1.EventCreated, "Create"+o.kind, "Created %s %s", o.kind, o.name)
	} else {
		r.normal(s.cache, v1alpha1.EventUpdated, "Update"+o.kind, "Updated %s %s", o.kind, o.name)
	}
	return nil
}

func compareNames(a, b client.Object) int { return cmp.Compare(a.GetName(), b.GetName()) }
