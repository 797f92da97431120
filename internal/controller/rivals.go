// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// Two resources that name one queue on one Redis would each give it their own
// settings, and the deletion of one would close it to the writers of the other. So
// one of them has the queue, and the other waits.

// indexQueues finds the resources that name a queue, by where it is.
const indexQueues = "queues"

// queuesOf names each queue that a resource asks for or has, by Redis and name.
func queuesOf(cache *v1alpha1.WriteBehindCache) []string {
	var all []string
	address := addressOf(cache)
	for i := range cache.Spec.Mappings {
		all = append(all, queueAt(cache.Namespace, address, cache.Spec.Mappings[i].Name))
	}
	all = append(all, queuesHeld(cache)...)
	slices.Sort(all)
	return slices.Compact(all)
}

// queuesHeld names the queues that a resource's flushers were seen at.
func queuesHeld(cache *v1alpha1.WriteBehindCache) []string {
	var all []string
	for _, m := range cache.Status.Mappings {
		if m.Journal != "" && m.RedisAddress != "" {
			all = append(all, queueAt(cache.Namespace, m.RedisAddress, m.Name))
		}
	}
	return all
}

func addressOf(cache *v1alpha1.WriteBehindCache) string {
	if external := cache.Spec.Redis.External; external != nil {
		return strings.Join(external.Addresses, ",")
	}
	return resources.RedisAddress(cache)
}

// queueAt names a queue of one Redis. A Service may be called by its name alone
// within its namespace, and with or without the cluster's domain.
func queueAt(namespace, address, queue string) string {
	var servers []string
	for server := range strings.SplitSeq(address, ",") {
		host, port, err := net.SplitHostPort(server)
		if err != nil {
			host, port = server, ""
		}
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		if !strings.ContainsAny(host, ".:") {
			host += "." + namespace
		}
		for _, suffix := range []string{".cluster.local", ".svc"} {
			host = strings.TrimSuffix(host, suffix)
		}
		servers = append(servers, host+":"+port)
	}
	slices.Sort(servers)
	return strings.Join(servers, ",") + " " + queue
}

// findRivals looks for the resources that have a queue of this one.
func (r *Reconciler) findRivals(ctx context.Context, s *scope) error {
	s.rivals = make(map[string]string)
	address := addressOf(s.cache)
	for i := range s.cache.Spec.Mappings {
		name := s.cache.Spec.Mappings[i].Name
		rival, err := r.rival(ctx, s.cache, queueAt(s.cache.Namespace, address, name))
		if err != nil {
			return err
		}
		if rival != "" {
			s.rivals[name] = rival
		}
	}
	return nil
}

// rival is the resource that has the queue before this one, empty when none does.
func (r *Reconciler) rival(ctx context.Context, cache *v1alpha1.WriteBehindCache, key string) (string, error) {
	var list v1alpha1.WriteBehindCacheList
	if err := r.Client.List(ctx, &list, client.MatchingFields{indexQueues: key}); err != nil {
		return "", fmt.Errorf("list WriteBehindCaches: %w", err)
	}
	for i := range list.Items {
		other := &list.Items[i]
		if other.UID != cache.UID && precedes(other, cache, key) {
			return other.Namespace + "/" + other.Name, nil
		}
	}
	return "", nil
}

// precedes says who of two has the queue: the one whose own Redis it is in, against
// one of another namespace that names it from outside; or else the one whose
// flushers were seen at it; or else the one that was there first. Without the first
// anybody could stop a resource of another namespace by naming its Redis, which
// takes neither its password nor a way to it.
func precedes(a, b *v1alpha1.WriteBehindCache, key string) bool {
	aHolds, bHolds := slices.Contains(queuesHeld(a), key), slices.Contains(queuesHeld(b), key)
	switch {
	case a.Namespace != b.Namespace && isManaged(a) != isManaged(b):
		return isManaged(a)
	case aHolds != bHolds:
		return aHolds
	case !a.CreationTimestamp.Equal(&b.CreationTimestamp):
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	default:
		return a.UID < b.UID
	}
}

func isManaged(cache *v1alpha1.WriteBehindCache) bool { return cache.Spec.Redis.Managed != nil }

// giveWay leaves the queues of rivals alone. A resource that has nothing yet makes
// nothing, and one whose own queue turns out to be another's changes nothing; a
// mapping that comes new to a resource at work waits.
func (s *scope) giveWay(previous *inForce) error {
	for i := range s.cache.Spec.Mappings {
		name := s.cache.Spec.Mappings[i].Name
		rival := s.rivals[name]
		if rival == "" {
			continue
		}
		text := fmt.Sprintf("mapping %s names a queue that WriteBehindCache %s has on the same Redis: give the mapping another name, "+
			"or take it out of the other resource, or delete that one", name, rival)
		if previous == nil || previous.carries(name) {
			return &stalledError{reason: v1alpha1.ReasonQueueConflict, message: text, retry: conflictRetry}
		}
		s.holdFor(v1alpha1.ReasonQueueConflict, text)
		s.lookAgain(conflictRetry)
	}
	return nil
}

// withoutRivals is the resource without the mappings whose queues others have.
func (s *scope) withoutRivals(cache *v1alpha1.WriteBehindCache) *v1alpha1.WriteBehindCache {
	if len(s.rivals) == 0 {
		return cache
	}
	without := cache.DeepCopy()
	without.Spec.Mappings = slices.DeleteFunc(without.Spec.Mappings, func(m v1alpha1.Mapping) bool { return s.rivals[m.Name] != "" })
	return without
}

// onlyRivals tells whether others have every queue of this resource.
func (s *scope) onlyRivals() bool {
	if previous := s.previousSettings(); previous != nil && len(previous.without(s.rivals).Mappings) > 0 {
		return false
	}
	return len(s.withoutRivals(s.cache).Spec.Mappings) == 0
}

// rivalsOf leads from a resource to the others that name a queue of it: one of
// them may have waited for it.
func (r *Reconciler) rivalsOf(ctx context.Context, object client.Object) []reconcile.Request {
	cache, ok := object.(*v1alpha1.WriteBehindCache)
	if !ok {
		return nil
	}
	var requests []reconcile.Request
	for _, key := range queuesOf(cache) {
		var list v1alpha1.WriteBehindCacheList
		if err := r.Client.List(ctx, &list, client.MatchingFields{indexQueues: key}); err != nil {
			return requests // they look again by themselves
		}
		for i := range list.Items {
			if list.Items[i].UID != cache.UID {
				requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{
					Namespace: list.Items[i].Namespace, Name: list.Items[i].Name,
				}})
			}
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
		return ok && isCache && !slices.Equal(queuesOf(before), queuesOf(after))
	},
}

// indexByQueue makes the cache find resources by their queues.
func indexByQueue(ctx context.Context, indexer client.FieldIndexer) error {
	if err := indexer.IndexField(ctx, &v1alpha1.WriteBehindCache{}, indexQueues, indexedQueues); err != nil {
		return fmt.Errorf("index WriteBehindCaches by queue: %w", err)
	}
	return nil
}

func indexedQueues(object client.Object) []string {
	cache, ok := object.(*v1alpha1.WriteBehindCache)
	if !ok {
		return nil
	}
	return queuesOf(cache)
}
