// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	_ "embed"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// Users of a managed Redis. The user local, which is for probes and for who may run commands
// in the Pod, has a password that the Pod makes for itself.
const (
	RedisApplication = "application"
	RedisFlusher     = "flusher"
	// redisDefault is the only user of a Redis from before there were others. It may do
	// everything, and is off where its Secret is not there.
	redisDefault = "default"
)

const (
	redisUsersDirectory = "/etc/redis-users"
	redisRunDirectory   = "/run/redis"

	redisUsersVolume = "users"
	redisRunVolume   = "run"

	// redisUsersFile is the key of the ConfigMap with the users' rights, and redisScriptFile
	// that of the ConfigMap with the configuration that has the script of the users.
	redisUsersFile  = "users"
	redisScriptFile = "users.sh"
)

//go:embed redis_users.sh
var redisUsersScript string

// redisStart begins the command of the container, before what starts Redis. A password that
// is missing ends the container, with the remedy in its last line.
const redisStart = ". " + redisConfigDirectory + "/" + redisScriptFile + " && begin_users || exit 2\n"

// What no user of the network may: ACL, CONFIG SET, SHUTDOWN, REPLICAOF, FLUSHALL, DEBUG and
// their like, and FUNCTION, which is in none of Redis' categories of administration.
const redisNoAdministration = " -@admin -@dangerous -function"

const (
	// applicationOfFunctions is what the capture functions run, which have the rights of their caller,
	// and what reads and opens a connection.
	applicationOfFunctions = "+@read +@connection +@transaction" + redisNoAdministration +
		" +info +fcall +fcall_ro +get +set +del +type +time +hget +hset +hexists +hmget +hdel +hincrby +hlen" +
		" +llen +lindex +rpush +rpop +zadd +zrem +zcard +zrange +zscore"
	// applicationOfReplication keeps the commands that the application has, scripts and messages
	// among them. RESTORE and SORT are dangerous only where they reach keys of others.
	applicationOfReplication = "&* +@all" + redisNoAdministration + " +info +restore +sort +sort_ro"

	// The flushers' keys do not depend on the mappings: this Redis is theirs, and a mapping that
	// is added is served before the kubelet has brought anything to Redis' Pod.
	flusherOfFunctions = "~* +@all" + redisNoAdministration + " +info +function|load +function|list"
	// flusherOfReplication reads every key, as a replica does, and writes none but the witness.
	flusherOfReplication = "%R~* ~wb:witness:* +@read +@connection +@transaction" + redisNoAdministration +
		" +info +set +psync +replconf +config|get"
)

// RedisUsers has a line for each user of the network: its name, and its rights in the words of
// an ACL, without a password.
func RedisUsers(cache *v1alpha1.WriteBehindCache, mappings []config.Mapping) string {
	application, flusher := applicationOfFunctions, flusherOfFunctions
	if Replicates(cache) {
		application, flusher = applicationOfReplication, flusherOfReplication
	}
	var keys []string
	for i := range mappings {
		keys = append(keys, mappings[i].KeyPattern())
		if !Replicates(cache) {
			keys = append(keys, mappings[i].JournalPatterns()...)
		}
	}
	return RedisApplication + " " + strings.Join(keys, " ") + " " + application + "\n" +
		RedisFlusher + " " + flusher + "\n"
}

// RedisUsersConfigMap holds the users' rights. It is apart from the configuration file, which
// stays as it is while a restart of Redis has to wait.
func RedisUsersConfigMap(cache *v1alpha1.WriteBehindCache, mappings []config.Mapping) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(RedisUsersName(cache), cache.Namespace).
		WithLabels(Labels(cache, ComponentRedis)).
		WithData(map[string]string{redisUsersFile: RedisUsers(cache, mappings)})
}

// giveUsers gives the Pod of Redis what its users are made of. The kubelet holds all of it in
// memory.
func giveUsers(cache *v1alpha1.WriteBehindCache, pod *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) {
	container.WithVolumeMounts(mount(redisUsersVolume, redisUsersDirectory),
		corev1ac.VolumeMount().WithName(redisRunVolume).WithMountPath(redisRunDirectory))
	pod.WithVolumes(
		corev1ac.Volume().WithName(redisUsersVolume).
			WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(RedisUsersName(cache))),
		corev1ac.Volume().WithName(redisRunVolume).
			WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithMedium(corev1.StorageMediumMemory).WithSizeLimit(resource.MustParse("1Mi"))))
	for _, of := range []struct {
		user, secret string
		optional     bool
	}{
		{RedisApplication, ApplicationSecretName(cache), false},
		{RedisFlusher, FlusherSecretName(cache), false},
		{redisDefault, DefaultSecretName(cache), true},
	} {
		volume := "password-" + of.user
		container.WithVolumeMounts(mount(volume, redisAuthDirectory+"/"+of.user))
		pod.WithVolumes(secretVolume(volume, of.secret, of.optional, secretFile{PasswordKey, PasswordKey}))
	}
}

// ServesUsers reports whether a Pod of Redis, which has these annotations, was made with users.
func ServesUsers(annotations map[string]string) bool {
	return annotations[v1alpha1.AnnotationRedisUsers] == "true"
}

// LogsInAsDefault reports whether flushers were made to log in to a managed Redis as default.
func LogsInAsDefault(cache *v1alpha1.WriteBehindCache, flushers *appsv1.Deployment) bool {
	return slices.ContainsFunc(flushers.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool {
		return v.Secret != nil && v.Secret.SecretName == DefaultSecretName(cache)
	})
}

// AsDefault has flushers log in to a managed Redis as default, as they did before there were
// users.
func AsDefault(cache *v1alpha1.WriteBehindCache, c *config.Config) {
	redis := &c.Redis.External
	redis.UsernameFile, redis.UsernameSecret = "", ""
	redis.CredentialsSecret = config.SecretKey(DefaultSecretName(cache), PasswordKey)
}
