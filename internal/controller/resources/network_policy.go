// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// dnsPorts are where the pods behind a cluster's DNS Service listen: a policy is
// about the port of the pod, not of the Service. 53 nearly everywhere, 5353 on
// OpenShift, 8053 on Gardener.
var dnsPorts = []int32{53, 5353, 8053}

// WantsNetworkPolicies reports whether the pods are to have NetworkPolicies.
func WantsNetworkPolicies(cache *v1alpha1.WriteBehindCache) bool {
	enabled := cache.Spec.NetworkPolicy.Enabled
	return enabled == nil || *enabled
}

// Admitted are who may connect to the flushers' port besides their kubelet, which no policy
// keeps out, as the operator is told.
type Admitted struct {
	// OperatorNamespace is where the operator runs, who polls the port. Outside of a cluster
	// it is empty, and the port is open to all: the operator has no pod to name.
	OperatorNamespace string
	// Scrapers selects the namespaces of a Prometheus where a resource names no scrapers. Nil
	// selects none.
	Scrapers *metav1.LabelSelector
}

// FlusherNetworkPolicy allows connections from the operator and the scrapers to the flushers'
// one port, and to no other port. The operator is known by its namespace and not by the
// labels of its pod, which whoever installs it may change.
//
// Flushers' connections are limited as soon as the spec lists the database.
// Its address is in a Secret that the operator never reads, and a guess at its
// port would cut off those who use another.
func FlusherNetworkPolicy(cache *v1alpha1.WriteBehindCache, admitted *Admitted) (*networkingv1ac.NetworkPolicyApplyConfiguration, error) {
	rule := networkingv1ac.NetworkPolicyIngressRule().WithPorts(policyPort(corev1.ProtocolTCP, FlusherPort))
	if err := admit(cache, admitted, rule); err != nil {
		return nil, err
	}
	spec := networkPolicySpec(SelectorLabels(cache, ComponentFlusher)).
		WithPolicyTypes(networkingv1.PolicyTypeIngress).
		WithIngress(rule)
	if len(cache.Spec.NetworkPolicy.Egress) > 0 {
		spec.WithPolicyTypes(networkingv1.PolicyTypeEgress).WithEgress(dnsEgress())
		if cache.Spec.Redis.Managed != nil {
			spec.WithEgress(networkingv1ac.NetworkPolicyEgressRule().
				WithTo(podPeer(SelectorLabels(cache, ComponentRedis))).
				WithPorts(policyPort(corev1.ProtocolTCP, RedisPort)))
		}
		for i := range cache.Spec.NetworkPolicy.Egress {
			rule, err := configurationOf[networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration](&cache.Spec.NetworkPolicy.Egress[i])
			if err != nil {
				return nil, fmt.Errorf("spec.networkPolicy.egress[%d]: %w", i, err)
			}
			spec.WithEgress(rule)
		}
	}
	return networkingv1ac.NetworkPolicy(FlusherName(cache), cache.Namespace).
		WithLabels(Labels(cache, ComponentFlusher)).
		WithSpec(spec), nil
}

// admit names who may connect to the flushers' port.
func admit(cache *v1alpha1.WriteBehindCache, admitted *Admitted, rule *networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration) error {
	if admitted.OperatorNamespace == "" {
		return nil
	}
	rule.WithFrom(networkingv1ac.NetworkPolicyPeer().WithNamespaceSelector(metav1ac.LabelSelector().
		WithMatchLabels(map[string]string{corev1.LabelMetadataName: admitted.OperatorNamespace})))
	scrapers := cache.Spec.NetworkPolicy.Scrapers
	if len(scrapers) == 0 && admitted.Scrapers != nil {
		scrapers = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: admitted.Scrapers}}
	}
	for i := range scrapers {
		peer, err := configurationOf[networkingv1ac.NetworkPolicyPeerApplyConfiguration](&scrapers[i])
		if err != nil {
			return fmt.Errorf("spec.networkPolicy.scrapers[%d]: %w", i, err)
		}
		rule.WithFrom(peer)
	}
	return nil
}

// RedisNetworkPolicy allows connections from the flushers and the clients to a managed Redis,
// and none from it: an attacker who controls a Redis lets it send its data elsewhere, as a
// replica or key by key, and this Redis needs no connection of its own.
//
// The flushers are named without the UID, so that a Redis that was retained lets
// in those of the resource that takes it over under the same name.
func RedisNetworkPolicy(cache *v1alpha1.WriteBehindCache) (*networkingv1ac.NetworkPolicyApplyConfiguration, error) {
	flushers := Labels(cache, ComponentFlusher)
	delete(flushers, v1alpha1.LabelOwnerUID)
	rule := networkingv1ac.NetworkPolicyIngressRule().
		WithPorts(policyPort(corev1.ProtocolTCP, RedisPort)).
		WithFrom(podPeer(flushers))
	for i := range cache.Spec.NetworkPolicy.Clients {
		peer, err := configurationOf[networkingv1ac.NetworkPolicyPeerApplyConfiguration](&cache.Spec.NetworkPolicy.Clients[i])
		if err != nil {
			return nil, fmt.Errorf("spec.networkPolicy.clients[%d]: %w", i, err)
		}
		rule.WithFrom(peer)
	}
	if len(cache.Spec.NetworkPolicy.Clients) == 0 {
		rule.WithFrom(podPeer(nil))
	}
	return networkingv1ac.NetworkPolicy(RedisName(cache), cache.Namespace).
		WithLabels(Labels(cache, ComponentRedis)).
		WithSpec(networkPolicySpec(SelectorLabels(cache, ComponentRedis)).
			WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
			WithIngress(rule)), nil
}

func networkPolicySpec(pods map[string]string) *networkingv1ac.NetworkPolicySpecApplyConfiguration {
	return networkingv1ac.NetworkPolicySpec().WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(pods))
}

// podPeer are the pods of the namespace that have the labels; without labels, all.
func podPeer(labels map[string]string) *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	return networkingv1ac.NetworkPolicyPeer().WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(labels))
}

func policyPort(protocol corev1.Protocol, port int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt32(port))
}

// dnsEgress goes anywhere: a resolver may be a pod, the node or outside.
func dnsEgress() *networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	rule := networkingv1ac.NetworkPolicyEgressRule()
	for _, port := range dnsPorts {
		rule.WithPorts(policyPort(corev1.ProtocolUDP, port), policyPort(corev1.ProtocolTCP, port))
	}
	return rule
}
