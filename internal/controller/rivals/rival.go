// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/writebehind/operator/api/v1alpha1"
)

// Rival is the queue of another resource that a mapping has to give way to.
type Rival struct {
	Queue

	// Resource is its namespace and name, with a slash between.
	Resource string
	// Elsewhere means that the resource is of another namespace. Nothing of it is told: who
	// may read one namespace need not know what there is in another.
	Elsewhere bool
}

// Find returns, by mapping, the queue of another resource that the mapping gives
// way to. around lists the other resources that may meet a queue.
func Find(cache *v1alpha1.WriteBehindCache, around func(Queue) ([]*v1alpha1.WriteBehindCache, error)) (map[string]*Rival, error) {
	found := make(map[string]*Rival)
	redis := redisOf(cache)
	for i := range cache.Spec.Mappings {
		m := &cache.Spec.Mappings[i]
		mine := Queue{Redis: redis, Name: m.Name, Prefix: m.KeyPrefix}
		others, err := around(mine)
		if err != nil {
			return nil, err
		}
		for _, other := range others {
			for _, theirs := range QueuesOf(other) {
				if mine.givesWay(cache, theirs, other) {
					found[m.Name] = first(found[m.Name], &Rival{theirs, other.Namespace + "/" + other.Name, other.Namespace != cache.Namespace})
				}
			}
		}
	}
	return found, nil
}

// givesWay reports whether a resource leaves its queue to another's that meets it.
func (q Queue) givesWay(cache *v1alpha1.WriteBehindCache, theirs Queue, other *v1alpha1.WriteBehindCache) bool {
	switch {
	case !q.meets(theirs) || !counts(theirs, other, cache) || !precedes(other, cache, theirs, q):
		return false
	case !cache.DeletionTimestamp.IsZero() && q.Name != theirs.Name && hasQueue(cache, q, theirs):
		// Both were at work before prefixes were compared. What was written into a
		// queue of its own is still owed to the database.
		return false
	default:
		return true
	}
}

// counts reports whether another resource's queue can be in the way of this one. Within a
// namespace what a spec asks for is enough. Across namespaces only a queue counts that the
// other's flushers were seen at, or one in the other's own managed Redis: a spec that names
// somebody's Redis takes neither its password nor a flusher, and would keep its owners from
// their own queues.
func counts(theirs Queue, other, cache *v1alpha1.WriteBehindCache) bool {
	return other.Namespace == cache.Namespace || theirs.Seen || isManaged(other) && !isManaged(cache)
}

// first is always the same of several, so that a message does not alternate: one of the own
// namespace, which the message can name, before others.
func first(a, b *Rival) *Rival {
	switch {
	case a == nil || a.Elsewhere && !b.Elsewhere:
		return b
	case a.Elsewhere != b.Elsewhere || cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Name, b.Name)) <= 0:
		return a
	default:
		return b
	}
}

// precedes reports whether resource a with its queue has precedence over resource b
// with its own. Precedence has the resource whose own Redis it is, over one of
// another namespace that names that Redis from outside; then the resource whose
// flushers were seen at the queue; then the older one. Without the first rule
// anybody could stop a resource of another namespace by naming its Redis, which
// takes neither its password nor a way to it.
func precedes(a, b *v1alpha1.WriteBehindCache, ofA, ofB Queue) bool {
	aHas, bHas := hasQueue(a, ofA, ofB), hasQueue(b, ofB, ofA)
	switch {
	case a.Namespace != b.Namespace && isManaged(a) != isManaged(b):
		return isManaged(a)
	case aHas != bHas:
		return aHas
	case !a.CreationTimestamp.Equal(&b.CreationTimestamp):
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	default:
		return a.UID < b.UID
	}
}

// hasQueue reports whether a resource's flushers were seen at its queue q while q
// conflicted with the other queue. A mapping may have been replaced since by one of the same
// name and another prefix.
func hasQueue(cache *v1alpha1.WriteBehindCache, q, other Queue) bool {
	return slices.ContainsFunc(QueuesOf(cache), func(h Queue) bool { return h.Seen && h.Name == q.Name && h.meets(other) })
}

// Conflict returns a message for the mapping's owner: what is in the way, and what helps.
func (r *Rival) Conflict(m *v1alpha1.Mapping) string {
	if r.Elsewhere {
		return r.conflictElsewhere(m)
	}
	what, remedy := fmt.Sprintf("mapping %s names a queue that WriteBehindCache %s has on the same Redis", m.Name, r.Resource), "another name"
	mine := Queue{Redis: r.Redis, Name: m.Name, Prefix: m.KeyPrefix}
	if mine.sharesKeys(r.Queue) {
		remedy = "another name and a keyPrefix that neither begins with the other nor begins it"
		if m.Name != r.Name {
			what = fmt.Sprintf("mapping %s (keyPrefix %q) shares keys with mapping %s (keyPrefix %q) of WriteBehindCache %s on the same Redis, "+
				"and each would write the other's into its table", m.Name, m.KeyPrefix, r.Name, r.Prefix, r.Resource)
		}
	}
	return what + ": give the mapping " + remedy + ", or remove it from the other resource, or delete that resource"
}

// conflictElsewhere names nothing of the other resource.
func (r *Rival) conflictElsewhere(m *v1alpha1.Mapping) string {
	what, remedy := fmt.Sprintf("mapping %s names a queue", m.Name), "another name"
	mine := Queue{Redis: r.Redis, Name: m.Name, Prefix: m.KeyPrefix}
	if mine.sharesKeys(r.Queue) {
		remedy = "another name and another keyPrefix"
		if m.Name != r.Name {
			what = fmt.Sprintf("mapping %s (keyPrefix %q) shares keys with a queue", m.Name, m.KeyPrefix)
		}
	}
	return what + " that a resource of another namespace has on the same Redis: give the mapping " + remedy +
		", or ask whoever may list the resources of all namespaces which one it is"
}
