// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// NetworkPolicy restricts the pods' connections to those that they need. It has no
// effect if the cluster's network does not enforce NetworkPolicies.
type NetworkPolicy struct {
	// enabled creates one NetworkPolicy for the flushers and one for a managed Redis.
	// Defaults to true: Redis holds data that the database does not have yet, behind
	// one password. By default the policies allow what an application in this namespace
	// needs.
	//
	// * Flushers accept connections at their port for metrics, status and probes from the
	//   operator's namespace and from scrapers. The kubelet needs no rule. Flushers may
	//   connect to what egress lists.
	// * A managed Redis accepts connections at its port, from the flushers and from
	//   clients. It may connect to nothing.
	// +kubebuilder:default=true
	// +optional
	Enabled *bool `json:"enabled,omitempty"`

	// clients are the peers that may connect to a managed Redis besides the flushers,
	// as in the from of a NetworkPolicy. If unset, every pod of this namespace may. To
	// let in applications of other namespaces, list them together with those of this
	// one. At most 32 of them.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(c, has(c.podSelector) || has(c.namespaceSelector) || has(c.ipBlock))",message="give podSelector, namespaceSelector or ipBlock: a client without any is nobody"
	// +kubebuilder:validation:XValidation:rule="self.all(c, !has(c.ipBlock) || !has(c.podSelector) && !has(c.namespaceSelector))",message="a client is either an ipBlock or selected by podSelector and namespaceSelector"
	// +listType=atomic
	// +optional
	Clients []networkingv1.NetworkPolicyPeer `json:"clients,omitempty"`

	// scrapers are the peers that may connect to the flushers' port besides the operator, as
	// in the from of a NetworkPolicy. If unset, they are the namespaces that the operator's
	// flag --prometheus-namespace-selector selects, which by default are those labelled
	// metrics: enabled. At most 32 of them.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(c, has(c.podSelector) || has(c.namespaceSelector) || has(c.ipBlock))",message="give podSelector, namespaceSelector or ipBlock: a scraper without any is nobody"
	// +kubebuilder:validation:XValidation:rule="self.all(c, !has(c.ipBlock) || !has(c.podSelector) && !has(c.namespaceSelector))",message="a scraper is either an ipBlock or selected by podSelector and namespaceSelector"
	// +listType=atomic
	// +optional
	Scrapers []networkingv1.NetworkPolicyPeer `json:"scrapers,omitempty"`

	// egress is where the flushers may connect to, as in the egress of a NetworkPolicy:
	// the database, and an external Redis. DNS and a managed Redis need no rule.
	// If unset, the flushers may connect to everything, since the database's address
	// is in a Secret, which the operator cannot read. For a Service, give the port of
	// its pods. At most 32 of them.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Egress []EgressRule `json:"egress,omitempty"`
}

// EgressRule allows connections of the flushers, like a rule in the egress of a
// NetworkPolicy. It is a type of its own because the schema of that rule accepts a
// port number that no Go program can decode: a single resource with such a port would
// keep the operator from listing any.
type EgressRule struct {
	// to lists the peers. If unset, the rule allows every peer. At most 32 of them.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	To []networkingv1.NetworkPolicyPeer `json:"to,omitempty"`

	// ports lists the peers' ports. If unset, the rule allows every port. At most 32
	// of them.
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

	// port is its number, 1 to 65535. If unset, every port of the protocol is meant.
	// +optional
	Port *PortNumber `json:"port,omitempty"`

	// endPort is the last port of a range that begins with port. 1 to 65535.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	EndPort *int32 `json:"endPort,omitempty"`
}

// PortNumber is a number in the schema. An earlier schema accepted a name too, and
// resources that were stored under it must stay readable: a single unreadable resource
// would keep the operator from listing any.
// +kubebuilder:validation:Type=integer
// +kubebuilder:validation:Format=int32
// +kubebuilder:validation:Minimum=1
// +kubebuilder:validation:Maximum=65535
type PortNumber struct {
	intstr.IntOrString `json:",inline"`
}
