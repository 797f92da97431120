// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package resources builds the objects that one WriteBehindCache needs. Every
// builder is a pure function of the resource. It returns only the fields that the operator
// owns, so that fields that others set stay theirs.
package resources

import (
	"net"
	"strconv"

	"github.com/writebehind/operator/api/v1alpha1"
)

// ManagedBy is the value of app.kubernetes.io/managed-by on every object. The
// operator's caches hold only objects that carry it.
const ManagedBy = "writebehind-operator"

// Values of app.kubernetes.io/component.
const (
	ComponentFlusher = "flusher"
	ComponentRedis   = "redis"
)

// Well-known labels.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelInstance  = "app.kubernetes.io/instance"
	LabelComponent = "app.kubernetes.io/component"
	LabelManagedBy = "app.kubernetes.io/managed-by"
)

// FlusherPort is where a flusher serves /metrics, /healthz, /readyz and /status.
const FlusherPort = 8080

// RedisPort is where a managed Redis listens.
const RedisPort = 6379

// FlusherName names the flushers' Deployment, Service and ConfigMap.
func FlusherName(cache *v1alpha1.WriteBehindCache) string { return cache.Name + "-flusher" }

// RedisName names the managed Redis' StatefulSet, Service and ConfigMap.
func RedisName(cache *v1alpha1.WriteBehindCache) string { return cache.Name + "-redis" }

// RedisVolumeName names the claim that the StatefulSet makes for its only pod.
func RedisVolumeName(cache *v1alpha1.WriteBehindCache) string {
	return redisVolume + "-" + RedisName(cache) + "-0"
}

// RedisUsersName names the ConfigMap with the rights of the managed Redis' users.
func RedisUsersName(cache *v1alpha1.WriteBehindCache) string { return RedisName(cache) + "-users" }

// ApplicationSecretName names the Secret of the applications' user of a managed Redis. Like
// the others it holds a part of the UID, because the operator may not look whether a Secret is
// its own: a name that nobody else would choose takes that look's place.
func ApplicationSecretName(cache *v1alpha1.WriteBehindCache) string {
	return secretName(cache, RedisApplication, string(cache.UID))
}

// FlusherSecretName names the Secret of the flushers' user of a managed Redis.
func FlusherSecretName(cache *v1alpha1.WriteBehindCache) string {
	return RetainedSecretName(cache, string(cache.UID))
}

// RetainedSecretName names the FlusherSecretName of a resource of the same name and of
// another UID, which left its Redis behind.
func RetainedSecretName(cache *v1alpha1.WriteBehindCache, uid string) string {
	return secretName(cache, RedisFlusher, uid)
}

// DefaultSecretName names the Secret of the user default. It is there only where the Redis is from
// before there were other users.
func DefaultSecretName(cache *v1alpha1.WriteBehindCache) string {
	return RetainedDefaultSecretName(cache, string(cache.UID))
}

// RetainedDefaultSecretName names the DefaultSecretName of a resource of the same name and of
// another UID, which left its Redis behind.
func RetainedDefaultSecretName(cache *v1alpha1.WriteBehindCache, uid string) string {
	return RedisName(cache) + "-" + start(uid)
}

func secretName(cache *v1alpha1.WriteBehindCache, user, uid string) string {
	return RedisName(cache) + "-" + user + "-" + start(uid)
}

func start(uid string) string { return uid[:min(8, len(uid))] }

// RedisAddress is the managed Redis' host:port inside the cluster.
func RedisAddress(cache *v1alpha1.WriteBehindCache) string {
	return net.JoinHostPort(RedisName(cache)+"."+cache.Namespace+".svc", strconv.Itoa(RedisPort))
}

// SelectorLabels find the pods of one component of one resource, and no others:
// a UID is never used twice.
func SelectorLabels(cache *v1alpha1.WriteBehindCache, component string) map[string]string {
	return map[string]string{
		LabelComponent:         component,
		v1alpha1.LabelOwnerUID: string(cache.UID),
	}
}

// OwnerLabels find every object of one resource.
func OwnerLabels(cache *v1alpha1.WriteBehindCache) map[string]string {
	return map[string]string{v1alpha1.LabelOwnerUID: string(cache.UID)}
}

// Labels of every object of one component.
func Labels(cache *v1alpha1.WriteBehindCache, component string) map[string]string {
	return map[string]string{
		LabelName:              "writebehind",
		LabelInstance:          cache.Name,
		LabelComponent:         component,
		LabelManagedBy:         ManagedBy,
		v1alpha1.LabelOwnerUID: string(cache.UID),
	}
}
