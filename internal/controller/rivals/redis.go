// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"net"
	"slices"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// redisOf names the Redis that a resource asks for.
func redisOf(cache *v1alpha1.WriteBehindCache) []string {
	if external := cache.Spec.Redis.External; external != nil {
		return redisAt(cache.Namespace, resources.ExternalPlace(external))
	}
	return redisAt(cache.Namespace, resources.RedisAddress(cache))
}

// redisAt names a Redis by each of the servers that tell of it: its own, or its Sentinels
// with the name of the primary. A Service may be called by its name alone within its
// namespace, and with or without the cluster's domain.
func redisAt(namespace, place string) []string {
	var names []string
	for _, server := range resources.ServersAt(place) {
		master, address, sentinel := strings.Cut(server, "@")
		if !sentinel {
			master, address = "", server
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			host, port = address, ""
		}
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		if !strings.ContainsAny(host, ".:") {
			host += "." + namespace
		}
		for _, suffix := range []string{".cluster.local", ".svc"} {
			host = strings.TrimSuffix(host, suffix)
		}
		name := host + ":" + port
		if sentinel {
			name = master + "@" + name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func isManaged(cache *v1alpha1.WriteBehindCache) bool { return cache.Spec.Redis.Managed != nil }
