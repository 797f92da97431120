// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

const (
	redisConfigDirectory = "/etc/redis"
	redisAuthDirectory   = "/etc/redis-auth"
	redisDataDirectory   = "/data"

	redisConfigVolume = "config"
	redisVolume       = "data"

	// redisUserID is the user redis of the images of Redis and Valkey.
	redisUserID int64 = 999

	// redisGraceSeconds leaves Redis ten times the 10 s for which it waits for flushers
	// that read its replication stream, and the time to sync its append-only file. No snapshot
	// is written at the end.
	redisGraceSeconds int64 = 120
)

// redisPing asks Redis for PONG, as the user that the Pod has made for itself: neither a
// Secret nor the network has a part in whether Redis is alive.
const redisPing = ". " + redisConfigDirectory + "/" + redisScriptFile + `
answer=$(ask PING)
case "$answer" in `

// redisLive passes while Redis loads its data too, and while it has as many clients as it
// takes: a restart would cut all of them off, and they would be back at once.
const redisLive = redisPing + `*PONG*|*LOADING*|*'max number of clients'*) exit 0;; esac
printf '%s\n' "$answer"; exit 1`

// redisReady passes while Redis serves, and keeps its users in step.
func redisReady(cache *v1alpha1.WriteBehindCache) string {
	return redisPing + `*PONG*) keep_users; ` + redisTLSRenewal(cache) + `exit 0;; esac
printf '%s\n' "$answer"; exit 1`
}

// RedisStatefulSet runs one Redis. live is the StatefulSet as it is, or nil: the
// size in its volume template cannot change, so the one that is there is kept
// and the claim is grown instead.
//
// Its claim outlives it whatever the deletion policy says, so that a StatefulSet
// that was deleted by hand takes no acknowledged write with it; the finalizer
// removes the claim when the policy says so and the queue is empty.
func RedisStatefulSet(cache *v1alpha1.WriteBehindCache, live *appsv1.StatefulSet) (*appsv1ac.StatefulSetApplyConfiguration, error) {
	managed := cache.Spec.Redis.Managed
	container := corev1ac.Container().
		WithName(ComponentRedis).
		WithImage(managed.Image).
		WithCommand("/bin/sh", "-c", redisStart+"exec redis-server "+redisConfigDirectory+"/"+redisConfigFile).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithPorts(corev1ac.ContainerPort().
			WithName(redisPortName).
			WithProtocol(corev1.ProtocolTCP).
			WithContainerPort(RedisPort)).
		WithResources(requirements(managed.Resources, redisResources(RedisMemory(cache)))).
		WithLivenessProbe(execProbe(redisCLI(cache)+redisLive).WithInitialDelaySeconds(10).WithPeriodSeconds(10).WithTimeoutSeconds(5).WithFailureThreshold(6)).
		WithReadinessProbe(execProbe(redisCLI(cache)+redisReady(cache)).WithPeriodSeconds(3).WithTimeoutSeconds(3).WithFailureThreshold(2)).
		WithSecurityContext(containerSecurityContext()).
		WithVolumeMounts(
			mount(redisConfigVolume, redisConfigDirectory),
			corev1ac.VolumeMount().WithName(redisVolume).WithMountPath(redisDataDirectory))

	pod := corev1ac.PodSpec().
		WithAutomountServiceAccountToken(false).
		WithTerminationGracePeriodSeconds(redisGraceSeconds).
		WithSecurityContext(podSecurityContext(redisUserID)).
		WithVolumes(
			corev1ac.Volume().WithName(redisConfigVolume).
				WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(RedisName(cache))))
	giveUsers(cache, pod, container)
	secureRedis(cache, pod, container)
	pod.WithContainers(container) // a copy
	if err := placeRedis(cache, pod); err != nil {
		return nil, err
	}
	hash, err := redisHash(cache, pod)
	if err != nil {
		return nil, err
	}

	return appsv1ac.StatefulSet(RedisName(cache), cache.Namespace).
		WithLabels(Labels(cache, ComponentRedis)).
		WithSpec(appsv1ac.StatefulSetSpec().
			WithReplicas(1).
			// With OrderedReady a Pod that cannot start, for an image that is not
			// there, is never replaced by one of a corrected template.
			WithPodManagementPolicy(appsv1.ParallelPodManagement).
			WithRevisionHistoryLimit(3).
			WithServiceName(RedisName(cache)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(cache, ComponentRedis))).
			WithPersistentVolumeClaimRetentionPolicy(appsv1ac.StatefulSetPersistentVolumeClaimRetentionPolicy().
				WithWhenDeleted(appsv1.RetainPersistentVolumeClaimRetentionPolicyType).
				WithWhenScaled(appsv1.RetainPersistentVolumeClaimRetentionPolicyType)).
			WithTemplate(corev1ac.PodTemplateSpec().
				WithLabels(Labels(cache, ComponentRedis)).
				WithAnnotations(map[string]string{v1alpha1.AnnotationConfigHash: hash, v1alpha1.AnnotationRedisUsers: "true", safeToEvict: "false"}).
				WithSpec(pod)).
			WithVolumeClaimTemplates(redisClaim(cache, live))), nil
}

// redisHash names what Redis is restarted for: its configuration file; and with capture
// Replication the whole Pod, so that a restart can be seen to come, whatever for.
func redisHash(cache *v1alpha1.WriteBehindCache, pod *corev1ac.PodSpecApplyConfiguration) (string, error) {
	conf := RedisConf(cache)
	if !Replicates(cache) {
		return Hash(conf), nil
	}
	text, err := json.Marshal(pod)
	if err != nil {
		return "", fmt.Errorf("encode the Pod of Redis: %w", err)
	}
	return Hash(conf + string(text)), nil
}

func redisClaim(cache *v1alpha1.WriteBehindCache, live *appsv1.StatefulSet) *corev1ac.PersistentVolumeClaimApplyConfiguration {
	storage := cache.Spec.Redis.Managed.Storage
	size := storage.Size
	if live != nil && len(live.Spec.VolumeClaimTemplates) == 1 {
		size = *live.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage()
	}
	spec := corev1ac.PersistentVolumeClaimSpec().
		WithAccessModes(corev1.ReadWriteOnce).
		WithResources(storageRequest(size))
	if storage.StorageClassName != nil {
		spec.WithStorageClassName(*storage.StorageClassName)
	}
	claim := corev1ac.PersistentVolumeClaimApplyConfiguration{}
	return claim.WithName(redisVolume).WithLabels(Labels(cache, ComponentRedis)).WithSpec(spec)
}

// redisResources leave room for the copies of pages that are written while a
// snapshot or a rewrite of the append-only file runs: at worst all of them.
func redisResources(maxMemory resource.Quantity) v1alpha1.Resources {
	twice := maxMemory.DeepCopy()
	twice.Add(maxMemory)
	return v1alpha1.Resources{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("100m"),
			corev1.ResourceMemory: maxMemory,
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: twice},
	}
}

func execProbe(script string) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().WithExec(corev1ac.ExecAction().WithCommand("/bin/sh", "-c", script))
}
