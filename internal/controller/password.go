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
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// defaultPasswordInterval is how often the Secret is created if it is missing, while
// no flusher answers that would report it missing. Only applications, which the
// operator does not see, then need the password.
const defaultPasswordInterval = 5 * time.Minute

// ensurePassword creates the managed Redis' Secret unless it is known to be there.
// The operator has no right to read it, so it tries to create it: whenever a Pod
// begins another life or waits, when a flusher reports that the password is missing,
// and at intervals while no flusher answers. A Secret that exists answers with
// AlreadyExists and is left as it is; its name is the resource's alone.
func (r *Reconciler) ensurePassword(ctx context.Context, p *pass) error {
	if !p.Managed() {
		return nil
	}
	name := resources.RedisSecretName(p.Cache)
	recorded := p.Cache.Status.Redis != nil && p.Cache.Status.Redis.SecretName == name
	pods, now := podLives(p.Snapshot), time.Now()
	known := r.remembered.passwordKnown(p.Cache.UID, pods)
	watched := len(p.Seen.Answering()) > 0
	left := known.Add(r.PasswordInterval).Sub(now)
	switch {
	case !recorded, known.IsZero(), passwordMissing(p.Snapshot):
	case watched:
		return nil
	case left > 0:
		p.did.PassAgain(left)
		return nil
	}
	err := r.Client.Create(ctx, resources.RedisSecret(p.Cache, rand.Text()+rand.Text()), resources.FieldOwner)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Secret: %w", err)
	}
	r.remembered.passwordThere(p.Cache.UID, pods, now)
	if !watched {
		p.did.PassAgain(r.PasswordInterval)
	}
	switch {
	case err == nil && recorded:
		r.warning(p.Cache, v1alpha1.EventCreated, "CreateSecret",
			"Secret %s was missing and was created again with a new password: Redis restarts with it, and applications must read the Secret again", name)
	case err == nil:
		r.normal(p.Cache, v1alpha1.EventCreated, "CreateSecret", "Created Secret %s with a new password for Redis", name)
	}
	p.did.Redis = &v1alpha1.RedisStatus{Address: resources.RedisAddress(p.Cache), SecretName: name}
	return nil
}

// podLives changes whenever a Pod or a container in one begins another life.
func podLives(s *snapshot.Snapshot) string {
	var text strings.Builder
	for _, pods := range [][]corev1.Pod{s.Flushers.Pods, s.Redis.Pods} {
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

// passwordMissing reports whether anything shows that the Secret is gone: a flusher
// that reports it missing, or a Redis Pod that waits to start.
func passwordMissing(s *snapshot.Snapshot) bool {
	for _, d := range s.Seen.Answering() {
		if d.Redis.Reason == v1alpha1.ReasonSecretMissing {
			return true
		}
	}
	for i := range s.Redis.Pods {
		if s.Redis.Pods[i].Status.Phase == corev1.PodPending {
			return true
		}
	}
	return false
}
