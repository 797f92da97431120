// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/rivals"
)

// around are the other resources that may meet a queue, each once. They are the
// cache's own and must not be changed: a copy of each would be made at every pass.
func (r *Reconciler) around(ctx context.Context, cache *v1alpha1.WriteBehindCache, q rivals.Queue) ([]*v1alpha1.WriteBehindCache, error) {
	var found []*v1alpha1.WriteBehindCache
	seen := map[types.UID]bool{cache.UID: true}
	for _, term := range q.Lookups() {
		var list v1alpha1.WriteBehindCacheList
		if err := r.Client.List(ctx, &list, client.MatchingFields{rivals.Index: term}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list WriteBehindCaches: %w", err)
		}
		for i := range list.Items {
			if other := &list.Items[i]; !seen[other.UID] {
				seen[other.UID] = true
				found = append(found, other)
			}
		}
	}
	return found, nil
}

// rivalsOf leads from a resource to the others that meet a queue of it: one of them
// may have waited for it.
func (r *Reconciler) rivalsOf(ctx context.Context, object client.Object) []reconcile.Request {
	cache, ok := object.(*v1alpha1.WriteBehindCache)
	if !ok {
		return nil
	}
	var requests []reconcile.Request
	for _, q := range rivals.QueuesOf(cache) {
		others, err := r.around(ctx, cache, q)
		if err != nil {
			return requests // a resource that waits also checks at intervals
		}
		for _, other := range others {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(other)})
		}
	}
	return requests
}

// queuesChanged lets through what may end or begin a conflict.
var queuesChanged = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.WriteBehindCache)
		after, isCache := e.ObjectNew.(*v1alpha1.WriteBehindCache)
		return ok && isCache && !slices.EqualFunc(rivals.QueuesOf(before), rivals.QueuesOf(after), rivals.Queue.Equal)
	},
}

// indexByQueue makes the cache find resources by their queues.
func indexByQueue(ctx context.Context, indexer client.FieldIndexer) error {
	if err := indexer.IndexField(ctx, &v1alpha1.WriteBehindCache{}, rivals.Index, rivals.Terms); err != nil {
		return fmt.Errorf("index WriteBehindCaches by queue: %w", err)
	}
	return nil
}
