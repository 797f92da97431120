// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
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
	// number of the pods' port that counts. At most 32 of them.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Egress []EgressRule `json:"egress,omitempty"`
}

// EgressRule lets flushers go to somebody, as a rule in the egress of a
// NetworkPolicy does. It is a type of its own because the schema of that one lets
// a port be a number that no Go program can read: one resource with it, and the
// operator could list none any more.
type EgressRule struct {
	// to whom; without anybody, to everybody. At most 32 of them.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	To []networkingv1.NetworkPolicyPeer `json:"to,omitempty"`

	// ports that may be reached there; without any, all of them. At most 32 of
	// them.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Ports []EgressPort `json:"ports,omitempty"`
}

// EgressPort is a port, or a range of them.
// +kubebuilder:validation:XValidation:rule="!has(self.endPort) || has(self.port) && self.port <= self.endPort",message="endPort ends a range that begins with port: give both, and endPort not below port"
type EgressPort struct {
	// protocol of the port: TCP, UDP or SCTP. Defaults to TCP.
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP
	// +optional
	Protocol *corev1.Protocol `json:"protocol,omitempty"`

	// port is its number, 1 to 65535. Without it every port of the protocol is
	// meant.
	// +optional
	Port *PortNumber `json:"port,omitempty"`

	// endPort makes port the first and this the last of a range. 1 to 65535.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	EndPort *int32 `json:"endPort,omitempty"`
}

// PortNumber is a number in the schema, and may be a name in a resource that was
// stored under an earlier one, which let it be either. It has to be readable still:
// one resource that is not, and the operator could list none any more.
// +kubebuilder:validation:Type=integer
// +kubebuilder:validation:Format=int32
// +kubebuilder:validation:Minimum=1
// +kubebuilder:validation:Maximum=65535
type PortNumber struct {
	intstr.IntOrString `json:",inline"`
}
