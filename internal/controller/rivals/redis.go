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

func isManaged(cache *v1alpha1.WriteBehindCache) bool { return cache.Spec.Redis.Managed != nil }
