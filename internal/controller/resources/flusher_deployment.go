// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

const (
	httpPortName = "http"

	configVolume      = "config"
	databaseVolume    = "database"
	credentialsVolume = "redis-credentials"
	redisCAVolume     = "redis-ca"
	redisClientVolume = "redis-client"
	sentinelVolume    = "sentinel-credentials"

	databaseCAVolume     = "database-ca"
	databaseClientVolume = "database-client"

	uriFile      = "uri"
	usernameFile = "username"
	passwordFile = "password"
	caFile       = "ca.crt"
	certFile     = corev1.TLSCertKey
	keyFile      = corev1.TLSPrivateKeyKey

	// flusherUser is the nonroot user of the distroless images.
	flusherUser int64 = 65532
)

// flusherResources hold the largest batches of 64 workers of ordinary rows.
var flusherResources = v1alpha1.Resources{
	Requests: corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("100m"),
		corev1.ResourceMemory: resource.MustParse("64Mi"),
	},
	Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
}

// flusherDefaults are the resources of a flusher of whom none are given. One that reads the
// replication stream keeps up to 256 MiB of what is dirty, and Go's collector as much again.
func flusherDefaults(cache *v1alpha1.WriteBehindCache) v1alpha1.Resources {
	if !Replicates(cache) {
		return flusherResources
	}
	more := *flusherResources.DeepCopy()
	more.Limits[corev1.ResourceMemory] = resource.MustParse("1Gi")
	return more
}

// FlusherReplicas is the number of flushers asked for.
func FlusherReplicas(cache *v1alpha1.WriteBehindCache) int32 {
	if cache.Spec.Flusher.Replicas == nil {
		return 1
	}
	return *cache.Spec.Flusher.Replicas
}

// FlusherDeployment runs the flushers. live is the Deployment that is there, if any.
// restartHash rolls them when a setting changes that they read only at the start; image
// is the one to take when the spec names none. asDefault has them log in to a managed Redis as
// they did before it had users.
//
// Every Secret is optional: a flusher starts without it, reports at /status which one is
// missing, and goes on when it appears.
func FlusherDeployment(cache *v1alpha1.WriteBehindCache, live *appsv1.Deployment, asDefault bool, restartHash, image string) (*appsv1ac.DeploymentApplyConfiguration, error) {
	if cache.Spec.Flusher.Image != "" {
		image = cache.Spec.Flusher.Image
	}
	grace := flusherGrace(cache)
	volumes, mounts := flusherVolumes(cache, asDefault)
	container := corev1ac.Container().
		WithName(ComponentFlusher).
		WithImage(image).
		WithCommand("/flusher", "--config", configDirectory+"/"+ConfigFile, "--grace-period", flushingAtTheEnd(grace).String()).
		WithPorts(corev1ac.ContainerPort().
			WithName(httpPortName).
			WithProtocol(corev1.ProtocolTCP).
			WithContainerPort(FlusherPort)).
		WithEnv(corev1ac.EnvVar().
			WithName(config.URLRevisionVariable).
			WithValue(strconv.FormatInt(urlRevision(cache, live), 10))).
		WithResources(requirements(cache.Spec.Flusher.Resources, flusherDefaults(cache))).
		WithLivenessProbe(httpProbe("/healthz").WithPeriodSeconds(10).WithTimeoutSeconds(5).WithFailureThreshold(6)).
		WithReadinessProbe(httpProbe("/readyz").WithPeriodSeconds(2).WithTimeoutSeconds(2).WithFailureThreshold(3)).
		WithSecurityContext(containerSecurityContext()).
		// The last line of a flusher that cannot use its config names the cause.
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithVolumeMounts(mounts...)
	pod := corev1ac.PodSpec().
		WithAutomountServiceAccountToken(false).
		WithTerminationGracePeriodSeconds(int64(grace)).
		WithSecurityContext(podSecurityContext(flusherUser)).
		WithContainers(container).
		WithVolumes(volumes...)
	if err := placeFlushers(cache, pod); err != nil {
		return nil, err
	}

	return appsv1ac.Deployment(FlusherName(cache), cache.Namespace).
		WithLabels(Labels(cache, ComponentFlusher)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithReplicas(FlusherReplicas(cache)).
			WithRevisionHistoryLimit(3).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(cache, ComponentFlusher))).
			WithTemplate(corev1ac.PodTemplateSpec().
				WithLabels(Labels(cache, ComponentFlusher)).
				WithAnnotations(map[string]string{v1alpha1.AnnotationConfigHash: restartHash, safeToEvict: "true"}).
				WithSpec(pod))), nil
}

// urlRevision is the generation that first named the Secret of the database's URL. As
// long as the spec names the same, it is what the Deployment says that is there.
func urlRevision(cache *v1alpha1.WriteBehindCache, live *appsv1.Deployment) int64 {
	if live == nil {
		return cache.Generation
	}
	pod, ref := &live.Spec.Template.Spec, cache.Spec.Database.Postgres.URLSecretRef
	mounted := slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool {
		return v.Name == databaseVolume && v.Secret != nil && v.Secret.SecretName == ref.Name &&
			len(v.Secret.Items) == 1 && v.Secret.Items[0].Key == ref.Key
	})
	if !mounted {
		return cache.Generation
	}
	for _, c := range pod.Containers {
		for _, e := range c.Env {
			// One that lies ahead was put there by hand, and would go before every later one.
			revision, err := strconv.ParseInt(e.Value, 10, 64)
			if e.Name == config.URLRevisionVariable && err == nil && 0 < revision && revision < cache.Generation {
				return revision
			}
		}
	}
	return cache.Generation
}

// flusherVolumes are whole directories, never subPath: the kubelet does not
// update a file that is mounted by subPath.
func flusherVolumes(cache *v1alpha1.WriteBehindCache, asDefault bool) (volumes []*corev1ac.VolumeApplyConfiguration, mounts []*corev1ac.VolumeMountApplyConfiguration) {
	add := func(volume *corev1ac.VolumeApplyConfiguration, directory string) {
		volumes = append(volumes, volume)
		mounts = append(mounts, mount(*volume.Name, directory))
	}
	add(corev1ac.Volume().WithName(configVolume).
		WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(FlusherName(cache))), configDirectory)

	url := cache.Spec.Database.Postgres.URLSecretRef
	add(secretVolume(databaseVolume, url.Name, true, secretFile{url.Key, uriFile}), databaseDirectory)
	addTLS := func(ca *v1alpha1.CASecretRef, caVolume, caDirectory string, client *v1alpha1.SecretRef, clientVolume, clientDirectory string) {
		if ca != nil {
			add(secretVolume(caVolume, ca.Name, true, secretFile{ca.Key, caFile}), caDirectory)
		}
		if client != nil {
			add(secretVolume(clientVolume, client.Name, true, secretFile{certFile, certFile}, secretFile{keyFile, keyFile}), clientDirectory)
		}
	}
	if tls := cache.Spec.Database.Postgres.TLS; tls != nil {
		addTLS(tls.CASecretRef, databaseCAVolume, databaseCADirectory, tls.ClientCertSecretRef, databaseClientVolume, databaseClientDirectory)
	}

	external := cache.Spec.Redis.External
	if external == nil {
		if asDefault {
			add(secretVolume(credentialsVolume, DefaultSecretName(cache), true, secretFile{PasswordKey, passwordFile}), redisDirectory)
		} else {
			add(secretVolume(credentialsVolume, FlusherSecretName(cache), true,
				secretFile{PasswordKey, passwordFile}, secretFile{UsernameKey, usernameFile}), redisDirectory)
		}
		if secret := RedisTLSSecret(cache); secret != "" {
			add(secretVolume(redisCAVolume, secret, true, secretFile{caFile, caFile}), redisCADirectory)
		}
		return volumes, mounts
	}
	addUser := func(ref *v1alpha1.CredentialsSecretRef, volume, directory string) {
		if ref == nil {
			return
		}
		files := []secretFile{{ref.PasswordKey, passwordFile}}
		if ref.UsernameKey != "" {
			files = append(files, secretFile{ref.UsernameKey, usernameFile})
		}
		add(secretVolume(volume, ref.Name, true, files...), directory)
	}
	addUser(external.CredentialsSecretRef, credentialsVolume, redisDirectory)
	addUser(external.SentinelCredentialsSecretRef, sentinelVolume, sentinelDirectory)
	if tls := external.TLS; tls != nil {
		addTLS(tls.CASecretRef, redisCAVolume, redisCADirectory, tls.ClientCertSecretRef, redisClientVolume, redisClientDirectory)
	}
	return volumes, mounts
}
