// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"fmt"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// redisConfigFile is the key of the managed Redis' ConfigMap, and the file's
// name.
const redisConfigFile = "redis.conf"

// redisConf is the managed Redis' configuration. A dirty entry has no time to
// live, so volatile-lru evicts only clean ones. A failed snapshot must not stop
// writes, since the append-only file is what makes them durable.
const redisConf = `# Written by the Write-Behind Operator, which puts changes by hand back.
include %s/%s
bind * -::*
protected-mode yes
port %d
dir %s
appendonly yes
appendfsync %s
save 900 1 300 10 60 10000
stop-writes-on-bgsave-error no
maxmemory %d
maxmemory-policy volatile-lru
`

// RedisConf is the text of the managed Redis' configuration file. It holds no
// secret: the password comes from a file that it includes.
func RedisConf(cache *v1alpha1.WriteBehindCache) string {
	managed := cache.Spec.Redis.Managed
	fsync := "everysec"
	if managed.AppendFsync == v1alpha1.AppendFsyncAlways {
		fsync = "always"
	}
	return fmt.Sprintf(redisConf, redisAuthDirectory, RedisAuthKey, RedisPort, redisDataDirectory, fsync, managed.MaxMemory.Value())
}

// RedisConfigMap holds the managed Redis' configuration file.
func RedisConfigMap(cache *v1alpha1.WriteBehindCache) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(RedisName(cache), cache.Namespace).
		WithLabels(Labels(cache, ComponentRedis)).
		WithData(map[string]string{redisConfigFile: RedisConf(cache)})
}
