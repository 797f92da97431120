// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	networkingv1 "k8s.io/api/networking/v1"
)

// NetworkPolicy keeps from the pods what they do not need. Where the cluster's
// network does not enforce NetworkPolicies it has no effect.
type NetworkPolicy struct {
	// enabled makes one NetworkPolicy for the flushers and one for a managed Redis.
	// Defaults to true: Redis holds what the database does not have yet, behind one
	// password, and what the policies let through unless told otherwise is what an
	// application in this namespace needs.
	//
	// * Flushers are reached at their port for metrics, status and probes, by
	//   anybody: neither the operator's namespace nor that of Prometheus is known
	//   here, and the port shows no row and changes nothing. They reach what egress
	//   says.
	// * A managed Redis is reached at its port, by the flushers and by clients. It
	//   reaches nothing: it has no reason to.
	// +kubebuilder:default=true
	// +optional
	Enabled *bool `json:"enabled,omitempty"`

	// clients are who may reach a managed Redis beside the flushers, as in the from
	// of a NetworkPolicy. Without any it is every pod of this namespace; applications
	// in other namespaces have to be named here, together with those in this one. At
	// most 32 of them.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(c, has(c.podSelector) || has(c.namespaceSelector) || has(c.ipBlock))",message="give podSelector, namespaceSelector or ipBlock: a client without any is nobody"
	// +kubebuilder:validation:XValidation:rule="self.all(c, !has(c.ipBlock) || !has(c.podSelector) && !has(c.namespaceSelector))",message="a client is either an ipBlock or selected by podSelector and namespaceSelector"
	// +listType=atomic
	// +optional
	Clients []networkingv1.NetworkPolicyPeer `json:"clients,omitempty"`

	// egress is where the flushers may go, as in the egress of a NetworkPolicy:
	// the database, and an external Redis. DNS and a managed Redis need no rule.
	// Without any rule the flushers may go everywhere, since the database's address
	// is in a Secret, which the operator cannot read. Behind a Service it is the
	// port of the pods that counts. At most 32 of them.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Egress []networkingv1.NetworkPolicyEgressRule `json:"egress,omitempty"`
}
