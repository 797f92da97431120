// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package rivals decides which of several resources gets a queue.
//
// Two resources that name one queue on one Redis would each give it their own
// settings, and the deletion of one would close it to the writers of the other. Two
// whose queues have other names and share keys would write each other's values into
// their tables. So one of them gets the queue, and the other waits.
package rivals

import (
	"cmp"
	"slices"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
)

// Queue is a queue that a resource asks for, or has.
type Queue struct {
	// Redis are the names of the Redis. Two queues are at the same Redis if they have one of
	// them in common: see redisAt.
	Redis        []string
	Name, Prefix string
	// Seen means that the resource's flushers were seen at the queue.
	Seen bool
	// managed means that it is in the resource's own managed Redis, where few others are.
	managed bool
}

// QueuesOf are the queues of the spec, and those that the resource's flushers were
// seen at, the retired ones and those in another Redis included.
func QueuesOf(cache *v1alpha1.WriteBehindCache) []Queue {
	var all []Queue
	redis := redisOf(cache)
	prefixes := map[string]string{}
	for i := range cache.Spec.Mappings {
		m := &cache.Spec.Mappings[i]
		prefixes[m.Name] = m.KeyPrefix
		all = append(all, Queue{Redis: redis, Name: m.Name, Prefix: m.KeyPrefix, managed: isManaged(cache)})
	}
	for _, m := range cache.Status.Mappings {
		if m.Journal != "" && m.RedisAddress != "" {
			// A status that was written before it had prefixes is of the spec's mapping.
			prefix := cmp.Or(m.KeyPrefix, prefixes[m.Name])
			at := redisAt(cache.Namespace, m.RedisAddress)
			all = append(all, Queue{Redis: at, Name: m.Name, Prefix: prefix, Seen: true, managed: isManaged(cache) && slices.Equal(at, redis)})
		}
	}
	return all
}

// Equal reports whether the two queues are the same in every field.
func (q Queue) Equal(other Queue) bool {
	return slices.Equal(q.Redis, other.Redis) && q.Name == other.Name && q.Prefix == other.Prefix && q.Seen == other.Seen
}

// meets reports whether the two queues conflict: they have one name, or keys of one are keys
// of the other.
func (q Queue) meets(other Queue) bool {
	return slices.ContainsFunc(q.Redis, func(name string) bool { return slices.Contains(other.Redis, name) }) && (q.Name == other.Name || q.sharesKeys(other))
}

func (q Queue) sharesKeys(other Queue) bool {
	return q.Prefix != "" && other.Prefix != "" &&
		(strings.HasPrefix(q.Prefix, other.Prefix) || strings.HasPrefix(other.Prefix, q.Prefix))
}
