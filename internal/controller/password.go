// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// defaultPasswordInterval is for a Secret whose Redis has no flusher that answers:
// nobody then misses the password, but for applications whom the operator does not
// see.
const defaultPasswordInterval = 5 * time.Minute

// ensurePassword creates the managed Redis' Secret unless it is known to be
// there. The operator may not look, so it tries to create: whenever a Pod of it
// starts, restarts or waits, when a flusher misses the password, and at intervals
// while no flusher looks. A Secret that exists answers with AlreadyExists and is
// left as it is; its name is the resource's alone.
func (r *Reconciler) ensurePassword(ctx context.Context, s *scope) error {
	if !s.managed() {
		return nil
	}
	name := resources.RedisSecretName(s.cache)
	told := s.cache.Status.Redis != nil && s.cache.Status.Redis.SecretName == name
	pods, now := s.podLives(), time.Now()
	known := r.remembered.passwordKnown(s.cache.UID, pods)
	watched := len(s.seen.Answering()) > 0
	left := known.Add(r.PasswordInterval).Sub(now)
	switch {
	case !told, known.IsZero(), s.passwordMissing():
	case watched:
		return nil
	case left > 0:
		s.lookAgain(left)
		return nil
	}
	err := r.Client.Create(ctx, resources.RedisSecret(s.cache, rand.Text()+rand.Text()), FieldOwner)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Secret: %w", err)
	}
	r.remembered.passwordThere(s.cache.UID, pods, now)
	if !watched {
		s.lookAgain(r.PasswordInterval)
	}
	switch {
	case err == nil && told:
		r.warning(s.cache, v1alpha1.EventCreated, "CreateSecret",
			"Secret %s was gone; created it with a new password: Redis restarts to take it, and applications have to read it again", name)
	case err == nil:
		r.normal(s.cache, v1alpha1.EventCreated, "CreateSecret", "Created Secret %s with a new password of Redis", name)
	}
	s.cache.Status.Redis = &v1alpha1.RedisStatus{Address: resources.RedisAddress(s.cache), SecretName: name}
	return nil
}

// podLives changes whenever a Pod or a container in one begins another life.
func (s *scope) podLives() string {
	var text strings.Builder
	for _, pods := range [][]corev1.Pod{s.flusherPods, s.redisPods} {
		for i := range pods {
			fmt.Fprintf(&text, "%s %s", pods[i].UID, pods[i].Status.Phase)
			for j := range pods[i].Status.ContainerStatuses {
				fmt.Fprintf(&text, " %d", pods[i].Status.ContainerStatuses[j].RestartCount)
			}
			text.WriteByte('\n')
		}
	}
	return text.String()
}

// passwordRemedy says what becomes of a managed Redis whose password is gone or
// is another; empty where the user keeps the Secret.
func (s *scope) passwordRemedy(reason string) string {
	if !s.managed() {
		return ""
	}
	name := resources.RedisSecretName(s.cache)
	switch reason {
	case v1alpha1.ReasonSecretMissing:
		return fmt.Sprintf("the operator makes Secret %s anew, with a new password, and Redis restarts to take it; no data is lost", name)
	case v1alpha1.ReasonAuthenticationFailed:
		return fmt.Sprintf("Redis runs with another password than Secret %s holds, and restarts within about two minutes to take that; no data is lost. "+
			"To do so at once, delete Pod %s-0", name, resources.RedisName(s.cache))
	}
	return ""
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
