// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// Keys of the generated Secret. An application takes UsernameKey and
// PasswordKey; RedisAuthKey is what the server's configuration includes.
const (
	UsernameKey  = "username"
	PasswordKey  = "password"
	RedisAuthKey = "redis-auth.conf"
)

// redisUser is the user that requirepass gives its password to.
const redisUser = "default"

// RedisSecret holds the managed Redis' password, made of letters and digits. It
// is created once and never read or changed by the operator, which may not.
func RedisSecret(cache *v1alpha1.WriteBehindCache, password string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name:      RedisSecretName(cache),
			Namespace: cache.Namespace,
			Labels:    Labels(cache, ComponentRedis),
		},
		Type: corev1.SecretTypeOpaque,
		StringData: map[string]string{
			UsernameKey:  redisUser,
			PasswordKey:  password,
			RedisAuthKey: "requirepass " + password + "\n",
		},
	}
}
