// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// redisConfigFile is the key of the managed Redis' ConfigMap, and the file's
// name.
const redisConfigFile = "redis.conf"

// redisConf is the managed Redis' configuration. A dirty entry has no time to
// live, so volatile-lru evicts only clean ones. A failed snapshot must not stop
// writes, since the append-only file is what makes them durable. A connection that says
// nothing for five minutes is ended, so that those that somebody leaves open, with or without
// a password, do not add up to all that Redis takes.
//
// The volume of 4 times maxMemory, which the schema asks for, holds at most a snapshot, the
// append-only file up to half as large again as the data, and another of the data while it is
// rewritten: 3.3 times maxMemory, measured with documents of 1 kB that were all overwritten
// every six seconds. A snapshot every hour is a copy for back-ups. At SIGTERM none is written:
// with a full volume Redis would not end.
const redisConf = `# Written by the Write-Behind Operator, which puts changes by hand back.
aclfile %s/users.acl
bind * -::*
protected-mode yes
%s
dir %s
appendonly yes
appendfsync %s
auto-aof-rewrite-percentage 50
auto-aof-rewrite-min-size %d
save 3600 1
stop-writes-on-bgsave-error no
shutdown-on-sigterm nosave force
maxmemory %d
maxmemory-policy volatile-lru
timeout %d
`

// redisTimeoutSeconds is far longer than flushers are silent, and than clients with a
// heartbeat of their own are.
const redisTimeoutSeconds = 300

// redisReplication is what a managed Redis needs beside, for flushers that read its
// replication stream. Keys that expire or are evicted go by UNLINK there, and GETDEL by DEL:
// only so can a deletion of the application be told from one that Redis makes for itself. The
// backlog stays however long no flusher is there, and no more waits for one than it holds. A
// flusher attaches at once, since no other replica is waited for.
const redisReplication = `repl-backlog-size %[1]d
repl-backlog-ttl 0
client-output-buffer-limit replica %[1]d 0 0
repl-diskless-sync yes
repl-diskless-sync-delay 0
lazyfree-lazy-expire yes
lazyfree-lazy-eviction yes
lazyfree-lazy-user-del no
`

// RedisConf is the text of the managed Redis' configuration file. It holds no
// secret: the users come from a file that the Pod makes. A Pod from before there were users does
// not start with it, since it has no such file: it would have no password.
func RedisConf(cache *v1alpha1.WriteBehindCache) string {
	managed := cache.Spec.Redis.Managed
	fsync := "everysec"
	if managed.AppendFsync == v1alpha1.AppendFsyncAlways {
		fsync = "always"
	}
	memory := RedisMemory(cache)
	conf := fmt.Sprintf(redisConf, redisRunDirectory, redisListens(cache), redisDataDirectory, fsync, redisRewriteMin(cache), memory.Value(), redisTimeoutSeconds)
	if Replicates(cache) {
		backlog := redisBacklog(cache)
		conf += fmt.Sprintf(redisReplication, backlog.Value())
	}
	return conf
}

// redisRewriteMin is the size in bytes under which the append-only file is not rewritten: 64 MiB,
// or half of maxMemory where that is less, so that it fits the volume of a small Redis.
func redisRewriteMin(cache *v1alpha1.WriteBehindCache) int64 {
	return min(64<<20, cache.Spec.Redis.Managed.MaxMemory.Value()/2)
}

// redisBacklog is how much of its replication stream a managed Redis keeps.
func redisBacklog(cache *v1alpha1.WriteBehindCache) resource.Quantity {
	if r := cache.Spec.Redis.Managed.Replication; r != nil && !r.Backlog.IsZero() {
		return r.Backlog
	}
	return resource.MustParse("64Mi")
}

// RedisMemory is the bound of a managed Redis' memory. Redis counts the backlog, and what
// waits for a flusher, as its own memory, and would evict keys for it.
func RedisMemory(cache *v1alpha1.WriteBehindCache) resource.Quantity {
	memory := cache.Spec.Redis.Managed.MaxMemory.DeepCopy()
	if Replicates(cache) {
		backlog := redisBacklog(cache)
		memory.Add(backlog)
		memory.Add(backlog)
	}
	return memory
}

// RedisConfigMap holds the managed Redis' configuration file, and the script that makes and
// keeps its users.
func RedisConfigMap(cache *v1alpha1.WriteBehindCache) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(RedisName(cache), cache.Namespace).
		WithLabels(Labels(cache, ComponentRedis)).
		WithData(map[string]string{redisConfigFile: RedisConf(cache), redisScriptFile: redisUsersScript})
}
