// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
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
// settings, and the deletion of one would close it to the writers of the other. Two
// whose queues have other names and share keys would write each other's values into
// their tables. So one of them has the queue, and the other waits.

const (
	// indexClaims finds the resources that may meet a claim, by the claim's terms.
	indexClaims = "claims"
	// mostBeginnings is how many bytes of a keyPrefix the index tells apart. With all
	// 128 that a prefix may have, the 32 mappings of one resource would take several
	// megabytes of the operator's memory.
	mostBeginnings = 32
)

// claim is a queue that a resource asks for, or has.
type claim struct {
	redis, name, prefix string
	// held is set when the resource's flushers were seen at the queue.
	held bool
}

// claimsOf are the queues of the spec, and those that the resource's flushers were
// seen at, the retired ones and those in another Redis included.
func claimsOf(cache *v1alpha1.WriteBehindCache) []claim {
	var all []claim
	redis := redisOf(cache)
	prefixes := map[string]string{}
	for i := range cache.Spec.Mappings {
		m := &cache.Spec.Mappings[i]
		prefixes[m.Name] = m.KeyPrefix
		all = append(all, claim{redis: redis, name: m.Name, prefix: m.KeyPrefix})
	}
	for _, m := range cache.Status.Mappings {
		if m.Journal != "" && m.RedisAddress != "" {
			// A status of before there was a prefix in it is of the spec's mapping.
			prefix := cmp.Or(m.KeyPrefix, prefixes[m.Name])
			all = append(all, claim{redis: redisAt(cache.Namespace, m.RedisAddress), name: m.Name, prefix: prefix, held: true})
		}
	}
	return all
}

// redisOf names the Redis that a resource asks for.
func redisOf(cache *v1alpha1.WriteBehindCache) string {
	if external := cache.Spec.Redis.External; external != nil {
		return redisAt(cache.Namespace, strings.Join(external.Addresses, ","))
	}
	return redisAt(cache.Namespace, resources.RedisAddress(cache))
}

// redisAt names a Redis. A Service may be called by its name alone within its
// namespace, and with or without the cluster's domain.
func redisAt(namespace, address string) string {
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
	return strings.Join(servers, ",")
}

// meets says whether both cannot be: they are one queue, or keys of one are keys of
// the other.
func (c claim) meets(other claim) bool {
	return c.redis == other.redis && (c.name == other.name || c.sharesKeys(other))
}

func (c claim) sharesKeys(other claim) bool {
	return c.prefix != "" && other.prefix != "" &&
		(strings.HasPrefix(c.prefix, other.prefix) || strings.HasPrefix(other.prefix, c.prefix))
}

// terms are what a claim is indexed by: its name, its prefix, and each beginning of
// that, so that whatever it meets finds it without a look at every resource of the
// same Redis.
func (c claim) terms() []string {
	terms := []string{c.term("name", c.name)}
	for i := range min(len(c.prefix), mostBeginnings) {
		terms = append(terms, c.term("begins", c.prefix[:i+1]))
	}
	if len(c.prefix) <= mostBeginnings {
		terms = append(terms, c.term("is", c.prefix))
	}
	return terms
}

// lookups are the terms of the claims that this one may meet: those of its name,
// those whose prefix begins with its own, and those whose prefix begins its own.
func (c claim) lookups() []string {
	terms := []string{c.term("name", c.name), c.term("begins", c.prefix[:min(len(c.prefix), mostBeginnings)])}
	for i := range min(len(c.prefix)-1, mostBeginnings) {
		terms = append(terms, c.term("is", c.prefix[:i+1]))
	}
	return terms
}

func (c claim) term(kind, text string) string { return c.redis + " " + kind + " " + text }

// rival is the queue of another resource that a mapping has to give way to.
type rival struct {
	claim

	resource string // namespace/name
}

// findRivals looks for the resources whose queues the mappings of this one meet.
func (r *Reconciler) findRivals(ctx context.Context, s *scope) error {
	s.rivals = make(map[string]*rival)
	redis := redisOf(s.cache)
	for i := range s.cache.Spec.Mappings {
		m := &s.cache.Spec.Mappings[i]
		mine := claim{redis: redis, name: m.Name, prefix: m.KeyPrefix}
		others, err := r.around(ctx, s.cache, mine)
		if err != nil {
			return err
		}
		for _, other := range others {
			for _, theirs := range claimsOf(other) {
				switch {
				case !mine.meets(theirs) || !precedes(other, s.cache, theirs, mine):
				case s.deleting() && mine.name != theirs.name && holds(s.cache, mine, theirs):
					// Both were at work before anybody looked at prefixes. What was
					// written into a queue of its own is still owed to the database.
				default:
					s.rivals[m.Name] = first(s.rivals[m.Name], &rival{theirs, other.Namespace + "/" + other.Name})
				}
			}
		}
	}
	return nil
}

// first is always the same of several, so that a message does not alternate.
func first(a, b *rival) *rival {
	if a != nil && cmp.Or(cmp.Compare(a.resource, b.resource), cmp.Compare(a.name, b.name)) <= 0 {
		return a
	}
	return b
}

// around are the other resources that may meet a claim, each once. They are the
// cache's own and must not be changed: a copy of each would be made at every pass.
func (r *Reconciler) around(ctx context.Context, cache *v1alpha1.WriteBehindCache, c claim) ([]*v1alpha1.WriteBehindCache, error) {
	var found []*v1alpha1.WriteBehindCache
	seen := map[types.UID]bool{cache.UID: true}
	for _, term := range c.lookups() {
		var list v1alpha1.WriteBehindCacheList
		if err := r.Client.List(ctx, &list, client.MatchingFields{indexClaims: term}, client.UnsafeDisableDeepCopy); err != nil {
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

// precedes says which of two resources has the queue, a with its claim or b with
// its: the one whose own Redis it is in, against one of another namespace that names
// it from outside; or else the one whose flushers were seen at it; or else the one
// that was there first. Without the first anybody could stop a resource of another
// namespace by naming its Redis, which takes neither its password nor a way to it.
func precedes(a, b *v1alpha1.WriteBehindCache, ofA, ofB claim) bool {
	aHolds, bHolds := holds(a, ofA, ofB), holds(b, ofB, ofA)
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

// holds says whether the flushers of a resource were seen at the queue of its claim,
// as one that the other claim meets: a mapping may have been replaced by one of the
// same name and another prefix.
func holds(cache *v1alpha1.WriteBehindCache, c, other claim) bool {
	return slices.ContainsFunc(claimsOf(cache), func(h claim) bool { return h.held && h.name == c.name && h.meets(other) })
}

func isManaged(cache *v1alpha1.WriteBehindCache) bool { return cache.Spec.Redis.Managed != nil }

// giveWay leaves the queues of rivals alone. A resource that has nothing yet makes
// nothing, and one whose own queue turns out to be another's changes nothing; a
// mapping that comes new to a resource at work waits.
func (s *scope) giveWay(previous *inForce) error {
	for i := range s.cache.Spec.Mappings {
		name := s.cache.Spec.Mappings[i].Name
		rival := s.rivals[name]
		if rival == nil {
			continue
		}
		text := rival.conflict(&s.cache.Spec.Mappings[i])
		if previous == nil || previous.carries(name) {
			return &stalledError{reason: v1alpha1.ReasonQueueConflict, message: text, retry: conflictRetry}
		}
		s.holdFor(v1alpha1.ReasonQueueConflict, text)
		s.lookAgain(conflictRetry)
	}
	return nil
}

// conflict tells the mapping's owner what is in the way and what helps.
func (r *rival) conflict(m *v1alpha1.Mapping) string {
	what, remedy := fmt.Sprintf("mapping %s names a queue that WriteBehindCache %s has on the same Redis", m.Name, r.resource), "another name"
	mine := claim{redis: r.redis, name: m.Name, prefix: m.KeyPrefix}
	if mine.sharesKeys(r.claim) {
		remedy = "another name and a keyPrefix that neither begins with the other nor begins it"
		if m.Name != r.name {
			what = fmt.Sprintf("mapping %s (keyPrefix %q) shares keys with mapping %s (keyPrefix %q) of WriteBehindCache %s on the same Redis, "+
				"and each would write the other's into its table", m.Name, m.KeyPrefix, r.name, r.prefix, r.resource)
		}
	}
	return what + ": give the mapping " + remedy + ", or take it out of the other resource, or delete that one"
}

// withoutRivals is the resource without the mappings whose queues others have.
func (s *scope) withoutRivals(cache *v1alpha1.WriteBehindCache) *v1alpha1.WriteBehindCache {
	if len(s.rivals) == 0 {
		return cache
	}
	without := cache.DeepCopy()
	without.Spec.Mappings = slices.DeleteFunc(without.Spec.Mappings, func(m v1alpha1.Mapping) bool { return s.rivals[m.Name] != nil })
	return without
}

// onlyRivals tells whether others have every queue of this resource.
func (s *scope) onlyRivals() bool {
	if previous := s.previousSettings(); previous != nil && len(previous.without(s.rivals).Mappings) > 0 {
		return false
	}
	return len(s.withoutRivals(s.cache).Spec.Mappings) == 0
}

// rivalsOf leads from a resource to the others that meet a queue of it: one of
// them may have waited for it.
func (r *Reconciler) rivalsOf(ctx context.Context, object client.Object) []reconcile.Request {
	cache, ok := object.(*v1alpha1.WriteBehindCache)
	if !ok {
		return nil
	}
	var requests []reconcile.Request
	for _, c := range claimsOf(cache) {
		others, err := r.around(ctx, cache, c)
		if err != nil {
			return requests // they look again by themselves
		}
		for _, other := range others {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(other)})
		}
	}
	return requests
}

// claimsChanged lets through what may end or begin a conflict.
var claimsChanged = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.WriteBehindCache)
		after, isCache := e.ObjectNew.(*v1alpha1.WriteBehindCache)
		return ok && isCache && !slices.Equal(claimsOf(before), claimsOf(after))
	},
}

// indexByClaim makes the cache find resources by their claims.
func indexByClaim(ctx context.Context, indexer client.FieldIndexer) error {
	if err := indexer.IndexField(ctx, &v1alpha1.WriteBehindCache{}, indexClaims, indexedClaims); err != nil {
		return fmt.Errorf("index WriteBehindCaches by claim: %w", err)
	}
	return nil
}

func indexedClaims(object client.Object) []string {
	cache, ok := object.(*v1alpha1.WriteBehindCache)
	if !ok {
		return nil
	}
	var terms []string
	for _, c := range claimsOf(cache) {
		terms = append(terms, c.terms()...)
	}
	slices.Sort(terms)
	return slices.Compact(terms)
}
