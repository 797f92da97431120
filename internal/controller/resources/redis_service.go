// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

const redisPortName = "redis"

// RedisService gives the managed Redis its name. The name leads to the pod while
// it loads its data too: a client then hears LOADING at once, and does not keep
// a failed look-up for as long as the resolver caches it.
func RedisService(cache *v1alpha1.WriteBehindCache) *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service(RedisName(cache), cache.Namespace).
		WithLabels(Labels(cache, ComponentRedis)).
		WithSpec(corev1ac.ServiceSpec().
			WithClusterIP(corev1.ClusterIPNone).
			WithPublishNotReadyAddresses(true).
			WithSelector(SelectorLabels(cache, ComponentRedis)).
			WithPorts(corev1ac.ServicePort().
				WithName(redisPortName).
				WithProtocol(corev1.ProtocolTCP).
				WithPort(RedisPort).
				WithTargetPort(intstr.FromString(redisPortName))))
}
