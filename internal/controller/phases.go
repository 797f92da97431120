// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	for _, step := range []phase{r.plan, r.ensurePassword, r.apply, r.nudge} {
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// heldBack is an error while a part of the spec waits for a queue to be empty.
func (s *scope) heldBack() error {
	if s.held == "" {
		return nil
	}
	return &stalledError{reason: v1alpha1.ReasonQueueNotEmpty, message: s.held}
}

// plan decides what is to be there. It writes nothing.
func (r *Reconciler) plan(_ context.Context, s *scope) error {
	s.planSettings(s.previousSettings())
	if err := s.settings.Validate(); err != nil {
		return &stalledError{reason: v1alpha1.ReasonInvalidSpec, message: "spec." + err.Error()}
	}
	var err error
	if s.restartHash, err = resources.RestartHash(s.settings); err != nil {
		return err
	}
	if len(s.foreign) > 0 {
		return &stalledError{
			reason: v1alpha1.ReasonObjectConflict,
			message: fmt.Sprintf("%s of that name belongs to somebody else and is left alone; delete it, or give this resource another name",
				strings.Join(s.foreign, ", ")),
			retry: conflictRetry,
		}
	}
	return s.planObjects(r.FlusherImage)
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
	s.settingsHash = resources.Hash(configMap.Data[resources.ConfigFile])
	s.add(configMap, liveOrNil(s.flusherConfig), "ConfigMap", resources.FlusherName(s.cache))
	s.add(resources.FlusherService(s.cache), liveOrNil(s.flusherService), "Service", resources.FlusherName(s.cache))
	if !s.redisHeld() {
		s.add(resources.FlusherDeployment(s.cache, s.restartHash, image), liveOrNil(s.flushers), "Deployment", resources.FlusherName(s.cache))
	}
	return nil
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

// ensurePassword creates the managed Redis' Secret when nothing shows that it is
// there. The operator may not look; a Secret that exists is left as it is, and
// its name is the resource's alone.
func (r *Reconciler) ensurePassword(ctx context.Context, s *scope) error {
	if !s.managed() {
		return nil
	}
	name := resources.RedisSecretName(s.cache)
	told := s.cache.Status.Redis != nil && s.cache.Status.Redis.SecretName == name
	if told && !s.passwordMissing() {
		return nil
	}
	err := r.Client.Create(ctx, resources.RedisSecret(s.cache, rand.Text()+rand.Text()), FieldOwner)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Secret: %w", err)
	}
	if err == nil {
		r.normal(s.cache, "Created", "CreateSecret", "Created Secret %s with a new password of Redis", name)
	}
	s.cache.Status.Redis = &v1alpha1.RedisStatus{Address: resources.RedisAddress(s.cache), SecretName: name}
	return nil
}

// passwordMissing says whether anything shows that the Secret is gone: a flusher
// that misses it, or a Redis Pod that waits to start.
func (s *scope) passwordMissing() bool {
	for _, d := range s.seen.Answering() {
		if d.Redis.Reason == v1alpha1.ReasonSecretMissing {
			return true
		}
	}
	for i := range s.redisPods {
		if s.redisPods[i].Status.Phase == corev1.PodPending {
			return true
		}
	}
	return false
}

// apply writes the objects that differ from the plan.
func (r *Reconciler) apply(ctx context.Context, s *scope) error {
	for _, o := range s.objects {
		if err := r.applyObject(ctx, s, o); err != nil {
			return err
		}
	}
	return r.growVolume(ctx, s)
}

func (r *Reconciler) applyObject(ctx context.Context, s *scope, o object) error {
	if o.live != nil {
		differ, err := differs(o.intent, o.live, string(FieldOwner))
		if err != nil {
			return fmt.Errorf("compare %s: %w", o.kind, err)
		}
		if !differ {
			return nil
		}
	}
	if err := r.Client.Apply(ctx, o.intent, FieldOwner, client.ForceOwnership); err != nil {
		return refused(fmt.Errorf("apply %s %s: %w", o.kind, o.name, err))
	}
	ctrl.LoggerFrom(ctx).Info("Applied object", "kind", o.kind, "object", klog.KRef(s.cache.Namespace, o.name), "new", o.live == nil)
	if o.live == nil {
		r.normal(s.cache, "Created", "Create"+o.kind, "Created %s %s", o.kind, o.name)
	} else {
		r.normal(s.cache, "Updated", "Update"+o.kind, "Updated %s %s", o.kind, o.name)
	}
	return nil
}

// growVolume tells the claim of a managed Redis when more storage is asked for.
func (r *Reconciler) growVolume(ctx context.Context, s *scope) error {
	if !s.managed() || s.redisVolume == nil {
		return nil
	}
	want := s.cache.Spec.Redis.Managed.Storage.Size
	if want.Cmp(*s.redisVolume.Spec.Resources.Requests.Storage()) <= 0 {
		return nil
	}
	err := r.Client.Apply(ctx, resources.RedisVolume(s.cache, s.redisVolume), FieldOwner, client.ForceOwnership)
	switch {
	case err == nil:
		r.normal(s.cache, "Updated", "UpdatePersistentVolumeClaim", "Asked for %s of storage in PersistentVolumeClaim %s", want.String(), s.redisVolume.Name)
		return nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return &stalledError{
			reason: v1alpha1.ReasonStorageNotExpandable,
			message: fmt.Sprintf("PersistentVolumeClaim %s cannot grow to %s: its storage class must have allowVolumeExpansion: true",
				s.redisVolume.Name, want.String()),
			retry: conflictRetry,
		}
	default:
		return fmt.Errorf("apply PersistentVolumeClaim: %w", err)
	}
}

func compareNames(a, b client.Object) int { return cmp.Compare(a.GetName(), b.GetName()) }
