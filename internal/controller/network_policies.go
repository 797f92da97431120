// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// readNetworkPolicies reads those that are wanted. Where none are, it notes what
// is left of the operator's own; somebody else's are nobody's concern then, since
// no name is needed.
func (r *Reconciler) readNetworkPolicies(ctx context.Context, s *scope) error {
	s.flusherPolicy, s.redisPolicy, s.unwanted = nil, nil, nil
	flusher, redis := resources.FlusherName(s.cache), resources.RedisName(s.cache)
	if !resources.WantsNetworkPolicies(s.cache) {
		for _, name := range []string{flusher, redis} {
			policy := &networkingv1.NetworkPolicy{}
			err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.cache.Namespace, Name: name}, policy)
			switch {
			case apierrors.IsNotFound(err):
			case err != nil:
				return fmt.Errorf("get NetworkPolicy: %w", err)
			case s.owns(policy):
				s.unwanted = append(s.unwanted, policy)
			}
		}
		return nil
	}
	var err error
	if s.flusherPolicy, err = fetch(ctx, r, s, &networkingv1.NetworkPolicy{}, "NetworkPolicy", flusher); err != nil {
		return err
	}
	if s.managed() {
		s.redisPolicy, err = fetch(ctx, r, s, &networkingv1.NetworkPolicy{}, "NetworkPolicy", redis)
	}
	return err
}

// planNetworkPolicies lists them after everything else: a rule that the API server
// refuses must not keep settings from the flushers.
func (s *scope) planNetworkPolicies() error {
	if !resources.WantsNetworkPolicies(s.cache) {
		return nil
	}
	policy, err := resources.FlusherNetworkPolicy(s.cache)
	if err != nil {
		return err
	}
	s.add(policy, liveOrNil(s.flusherPolicy), "NetworkPolicy", resources.FlusherName(s.cache))
	if !s.managed() {
		return nil
	}
	if policy, err = resources.RedisNetworkPolicy(s.cache); err != nil {
		return err
	}
	s.add(policy, liveOrNil(s.redisPolicy), "NetworkPolicy", resources.RedisName(s.cache))
	return nil
}

// prune deletes the operator's own objects that the spec no longer asks for.
func (r *Reconciler) prune(ctx context.Context, s *scope) error {
	for _, policy := range s.unwanted {
		uid := policy.GetUID()
		err := r.Client.Delete(ctx, policy, client.Preconditions{UID: &uid})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return fmt.Errorf("delete NetworkPolicy: %w", err)
		default:
			r.normal(s.cache, v1alpha1.EventDeleted, "DeleteNetworkPolicy", "Deleted NetworkPolicy %s", policy.GetName())
		}
	}
	return nil
}
