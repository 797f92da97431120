// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"net"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// Keys of a generated Secret. PasswordKey is the only place of the password: Redis, its probes
// and the flushers all take it from there.
const (
	UsernameKey = "username"
	PasswordKey = "password"
	hostKey     = "host"
	portKey     = "port"

	// earlierAuthKey is what a Redis from before there were users includes.
	earlierAuthKey = "redis-auth.conf"
)

// RedisSecret holds the password of a user of a managed Redis. It is created once and never
// read or changed by the operator, which may not. It has no URL, which would be another place
// of the password.
func RedisSecret(cache *v1alpha1.WriteBehindCache, user, password string) *corev1.Secret {
	name := FlusherSecretName(cache)
	data := map[string]string{UsernameKey: user, PasswordKey: password}
	if user == RedisApplication {
		name = ApplicationSecretName(cache)
		data[hostKey], data[portKey], _ = net.SplitHostPort(RedisAddress(cache))
	}
	return redisSecret(cache, name, data)
}

// DefaultSecret holds the password of the only user of a Redis from before there were others.
// It is needed for as long as such a Redis waits for its restart.
func DefaultSecret(cache *v1alpha1.WriteBehindCache, password string) *corev1.Secret {
	return redisSecret(cache, DefaultSecretName(cache), map[string]string{
		UsernameKey: redisDefault, PasswordKey: password, earlierAuthKey: "requirepass " + password + "\n",
	})
}

func redisSecret(cache *v1alpha1.WriteBehindCache, name string, data map[string]string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: cache.Namespace, Labels: Labels(cache, ComponentRedis)},
		Type:       corev1.SecretTypeOpaque,
		StringData: data,
	}
}
