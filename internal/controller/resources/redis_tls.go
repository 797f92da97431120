// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

const (
	redisTLSDirectory = "/etc/redis-tls"
	redisTLSVolume    = "tls"
)

// redisTLSStart starts Redis with the certificate of the Secret; %s is the Secret and its key. A
// Secret or a key that is missing ends the container with config.ExitUnusable and a last line
// that names it, which the conditions repeat. Redis gets the path behind the link that the
// kubelet moves at a renewal: so the path that Redis has tells which certificate it uses.
const redisTLSStart = `for key in ` + certFile + " " + keyFile + " " + caFile + `; do
  if ! [ -s ` + redisTLSDirectory + `/$key ]; then
    echo "%s, is missing or empty: create it, or correct spec.redis.managed.tls.secretRef" >&2
    exit %d
  fi
done
cd -P ` + redisTLSDirectory + `/..data && exec redis-server ` + redisConfigDirectory + "/" + redisConfigFile + ` \
  --tls-cert-file "$PWD/` + certFile + `" --tls-key-file "$PWD/` + keyFile + `"`

// redisTLSRenew has a Redis that serves take a renewed certificate. It is for new
// connections; those that are open stay. A certificate that Redis refuses leaves the earlier
// one in force, and is in Redis' log.
const redisTLSRenew = `cd -P ` + redisTLSDirectory + `/..data || exit 0
case "$(ask 'CONFIG GET tls-cert-file')" in *"$PWD/` + certFile + `"*) exit 0;; esac
ask "CONFIG SET tls-cert-file $PWD/` + certFile + ` tls-key-file $PWD/` + keyFile + `"; `

// RedisTLSSecret is the Secret with the certificate of a managed Redis, empty for one without
// TLS, and for one that is not managed.
func RedisTLSSecret(cache *v1alpha1.WriteBehindCache) string {
	managed := cache.Spec.Redis.Managed
	if managed == nil || managed.TLS == nil {
		return ""
	}
	return managed.TLS.SecretRef.Name
}

// MountedRedisTLS is the TLS that the Pod of a StatefulSet was made with, nil for none.
func MountedRedisTLS(pod *corev1.PodSpec) *v1alpha1.ManagedTLS {
	for i := range pod.Volumes {
		if v := &pod.Volumes[i]; v.Name == redisTLSVolume && v.Secret != nil {
			return &v1alpha1.ManagedTLS{SecretRef: v1alpha1.SecretRef{Name: v.Secret.SecretName}}
		}
	}
	return nil
}

// redisListens is at which port a managed Redis listens, and how. Its clients authenticate
// by password, so none needs a certificate.
func redisListens(cache *v1alpha1.WriteBehindCache) string {
	if RedisTLSSecret(cache) == "" {
		return fmt.Sprintf("port %d", RedisPort)
	}
	return fmt.Sprintf("port 0\ntls-port %d\ntls-auth-clients no", RedisPort)
}

// redisCLI is the first line of a probe: how redis-cli reaches a managed Redis. A probe
// asks whether Redis serves, not whether its certificate is valid: a restart would not make it so.
func redisCLI(cache *v1alpha1.WriteBehindCache) string {
	if RedisTLSSecret(cache) == "" {
		return "cli='redis-cli -h 127.0.0.1'\n"
	}
	return "cli='redis-cli -h 127.0.0.1 --tls --insecure'\n"
}

// redisTLSRenewal is what the readiness probe of a Redis with TLS does beside; empty without.
func redisTLSRenewal(cache *v1alpha1.WriteBehindCache) string {
	if RedisTLSSecret(cache) == "" {
		return ""
	}
	return redisTLSRenew
}

// secureRedis gives the Pod of a Redis with TLS its certificate. The Secret is optional, so
// that a Pod without it starts, and says what is missing: one that waits for a volume does not.
func secureRedis(cache *v1alpha1.WriteBehindCache, pod *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) {
	secret := RedisTLSSecret(cache)
	if secret == "" {
		return
	}
	container.Command = []string{"/bin/sh", "-c", redisStart + fmt.Sprintf(redisTLSStart, config.SecretKey(secret, "$key"), config.ExitUnusable)}
	container.WithVolumeMounts(mount(redisTLSVolume, redisTLSDirectory))
	pod.WithVolumes(secretVolume(redisTLSVolume, secret, true,
		secretFile{certFile, certFile}, secretFile{keyFile, keyFile}, secretFile{caFile, caFile}))
}

// managedTLSConfig is how flushers reach a managed Redis with TLS; nil without.
func managedTLSConfig(cache *v1alpha1.WriteBehindCache) *config.TLS {
	secret := RedisTLSSecret(cache)
	if secret == "" {
		return nil
	}
	return tlsConfig(&v1alpha1.CASecretRef{Name: secret, Key: caFile}, redisCADirectory, nil, "")
}
