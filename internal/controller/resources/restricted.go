// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// Both pods keep to the Pod Security Standard "restricted", so that they run in
// a namespace that enforces it.

func podSecurityContext(user int64) *corev1ac.PodSecurityContextApplyConfiguration {
	return corev1ac.PodSecurityContext().
		WithRunAsNonRoot(true).
		WithRunAsUser(user).
		WithRunAsGroup(user).
		WithFSGroup(user).
		WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch).
		WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
}

func containerSecurityContext() *corev1ac.SecurityContextApplyConfiguration {
	return corev1ac.SecurityContext().
		WithAllowPrivilegeEscalation(false).
		WithReadOnlyRootFilesystem(true).
		WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))
}

// requirements are the resources asked for, or the defaults when none are: half
// of one and half of the other could contradict each other.
func requirements(asked v1alpha1.Resources, defaults v1alpha1.Resources) *corev1ac.ResourceRequirementsApplyConfiguration {
	if len(asked.Limits) == 0 && len(asked.Requests) == 0 {
		asked = defaults
	}
	out := corev1ac.ResourceRequirements()
	if len(asked.Limits) > 0 {
		out.WithLimits(rounded(asked.Limits))
	}
	if len(asked.Requests) > 0 {
		out.WithRequests(rounded(asked.Requests))
	}
	return out
}

// rounded is a copy, since the client decodes the API server's answer into what
// it has applied, and in whole thousandths, as the API server stores them: an
// amount that is finer would differ from what is there for ever.
func rounded(list corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, amount := range list {
		amount = amount.DeepCopy()
		amount.RoundUp(resource.Milli)
		out[name] = amount
	}
	return out
}

func httpProbe(path string) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString(httpPortName)))
}

// secretFile shows one key of a Secret as a file. Only the keys that are needed
// are mounted.
type secretFile struct{ key, path string }

// secretMode lets the pod's group read, since the kubelet gives the files to
// root and to fsGroup.
const secretMode int32 = 0o440

func secretVolume(volume, secret string, optional bool, files ...secretFile) *corev1ac.VolumeApplyConfiguration {
	source := corev1ac.SecretVolumeSource().WithSecretName(secret).WithDefaultMode(secretMode)
	if optional {
		source.WithOptional(true)
	}
	for _, f := range files {
		source.WithItems(corev1ac.KeyToPath().WithKey(f.key).WithPath(f.path))
	}
	return corev1ac.Volume().WithName(volume).WithSecret(source)
}

func mount(volume, path string) *corev1ac.VolumeMountApplyConfiguration {
	return corev1ac.VolumeMount().WithName(volume).WithMountPath(path).WithReadOnly(true)
}
