// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"slices"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// RedisPlace is the text that names a Redis in the status: its address, or the name of the
// primary and its Sentinels, as mymaster@a:26379,b:26379. Whatever the order in which the
// Sentinels are given, it is one text.
func RedisPlace(redis config.RedisExternal) string {
	servers := strings.Join(slices.Sorted(slices.Values(redis.Addresses)), ",")
	if redis.MasterName == "" {
		return servers
	}
	return redis.MasterName + "@" + servers
}

// ExternalPlace is the RedisPlace of an external Redis.
func ExternalPlace(external *v1alpha1.ExternalRedis) string {
	return RedisPlace(config.RedisExternal{Addresses: external.Addresses, MasterName: external.MasterName})
}

// ServersAt takes a place apart into the servers of which each tells what Redis it is: an
// address, or the name of a primary with one of its Sentinels.
func ServersAt(place string) []string {
	master, addresses, sentinels := strings.Cut(place, "@")
	if !sentinels {
		return strings.Split(place, ",")
	}
	var servers []string
	for address := range strings.SplitSeq(addresses, ",") {
		servers = append(servers, master+"@"+address)
	}
	return servers
}

// SamePlace reports whether two places are one Redis, as far as names tell: one Sentinel
// in common is enough, since all of them watch the same primary by its name. So a trio
// may be replaced one by one.
func SamePlace(a, b string) bool {
	others := ServersAt(b)
	return slices.ContainsFunc(ServersAt(a), func(server string) bool { return slices.Contains(others, server) })
}
