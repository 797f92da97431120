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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// defaultPasswordInterval is how often the Secrets are created if they are missing, while
// no flusher answers that would report its own missing. Only applications, which the
// operator does not see, then need a password.
const defaultPasswordInterval = 5 * time.Minute

// watchedIntervals is how many times rarer that is while a flusher answers: what may be missing
// unnoticed then is the applications' Secret alone, and a request a resource is not free.
const watchedIntervals = 3

// ensurePasswords creates the managed Redis' Secrets unless they are known to be there.
// The operator has no right to read them, so it tries to create them: whenever a Pod
// begins another life or waits, when a flusher reports that its password is missing,
// and at intervals. A Secret that exists answers with
// AlreadyExists and is left as it is; its name is the resource's alone.
func (r *Reconciler) ensurePasswords(ctx context.Context, p *pass) error {
	if !p.Managed() {
		return nil
	}
	wanted := []*corev1.Secret{
		resources.RedisSecret(p.Cache, resources.RedisFlusher, newPassword()), resources.RedisSecret(p.Cache, resources.RedisApplication, newPassword()),
	}
	told := &v1alpha1.RedisStatus{Address: resources.RedisAddress(p.Cache), SecretName: resources.ApplicationSecretName(p.Cache)}
	if p.plan.AsDefault {
		wanted = append(wanted, resources.DefaultSecret(p.Cache, newPassword()))
		told.SecretName = resources.DefaultSecretName(p.Cache)
	}
	recorded := p.Cache.Status.Redis
	if recorded == nil {
		recorded = &v1alpha1.RedisStatus{}
	}
	pods, now, interval := podLives(p.Snapshot), time.Now(), r.PasswordInterval
	if len(p.Seen.Answering()) > 0 {
		interval *= watchedIntervals
	}
	known := r.remembered.passwordKnown(p.Cache.UID, pods)
	if left := known.Add(interval).Sub(now); recorded.SecretName == told.SecretName && !known.IsZero() && !passwordMissing(p.Snapshot) && left > 0 {
		p.did.PassAgain(left)
		return nil
	}
	// A quota that is used up, or a policy, refuses a Secret before it is found to be there. What
	// was there counts as there until something misses it: no setting is to wait for that.
	tolerable := func(err error) bool {
		return apierrors.IsForbidden(err) && !failure.NamespaceTerminating(err) && recorded.SecretName == told.SecretName && !passwordMissing(p.Snapshot)
	}
	for _, secret := range wanted {
		if err := r.createSecret(ctx, p, secret, recorded.SecretName != ""); err != nil && !tolerable(err) {
			return err
		}
	}
	switch earlier, err := r.earlierSecret(ctx, p, recorded); {
	case err == nil:
		told.EarlierSecretName = earlier
	case tolerable(err):
		told.EarlierSecretName = recorded.EarlierSecretName
	default:
		return err
	}
	r.remembered.passwordThere(p.Cache.UID, pods, now)
	p.did.PassAgain(interval)
	if recorded.SecretName != "" && recorded.SecretName != told.SecretName && !p.plan.AsDefault {
		r.warning(p.Cache, v1alpha1.EventUpdated, "CreateSecret", "Redis has a user for applications now, in Secret %s. "+
			"Its user default, which may do everything, goes on until Secret %s is deleted: give applications the new one first", told.SecretName, recorded.SecretName)
	}
	p.did.Redis = told
	return nil
}

// createSecret creates a Secret unless it is there.
func (r *Reconciler) createSecret(ctx context.Context, p *pass, secret *corev1.Secret, again bool) error {
	err := r.Client.Create(ctx, secret, resources.FieldOwner)
	switch {
	case apierrors.IsAlreadyExists(err):
	case err != nil:
		return fmt.Errorf("create Secret: %w", err)
	case again && p.Cache.Status.Redis.SecretName != resources.DefaultSecretName(p.Cache):
		r.warning(p.Cache, v1alpha1.EventCreated, "CreateSecret",
			"Secret %s was missing and was created again with a new password, which Redis takes within about two minutes: who logs in with it must read it again", secret.Name)
	default:
		r.normal(p.Cache, v1alpha1.EventCreated, "CreateSecret", "Created Secret %s with a new password for Redis", secret.Name)
	}
	return nil
}

// earlierSecret is the name of the Secret of the user default, empty where it is not there or
// never was. Whether it is there shows in what would become of creating it.
func (r *Reconciler) earlierSecret(ctx context.Context, p *pass, recorded *v1alpha1.RedisStatus) (string, error) {
	name := resources.DefaultSecretName(p.Cache)
	if p.plan.AsDefault || recorded.SecretName != name && recorded.EarlierSecretName == "" {
		return "", nil
	}
	err := r.Client.Create(ctx, resources.DefaultSecret(p.Cache, newPassword()), resources.FieldOwner, client.DryRunAll)
	switch {
	case apierrors.IsAlreadyExists(err):
		return name, nil
	case err != nil:
		return "", fmt.Errorf("look for Secret %s: %w", name, err)
	}
	r.normal(p.Cache, v1alpha1.EventUpdated, "EndUser", "Secret %s is gone, and with it the user default of Redis", name)
	return "", nil
}

// newPassword has letters and digits alone, and 260 bits.
func newPassword() string { return rand.Text() + rand.Text() }

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
