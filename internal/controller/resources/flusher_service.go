// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// FlusherService makes the flushers' metrics findable. It has no address of its
// own: each flusher reports its own partitions, so all must be scraped.
func FlusherService(cache *v1alpha1.WriteBehindCache) *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service(FlusherName(cache), cache.Namespace).
		WithLabels(Labels(cache, ComponentFlusher)).
		WithSpec(corev1ac.ServiceSpec().
			WithClusterIP(corev1.ClusterIPNone).
			WithPublishNotReadyAddresses(true).
			WithSelector(SelectorLabels(cache, ComponentFlusher)).
			WithPorts(corev1ac.ServicePort().
				WithName(httpPortName).
				WithProtocol(corev1.ProtocolTCP).
				WithPort(FlusherPort).
				WithTargetPort(intstr.FromString(httpPortName))))
}
