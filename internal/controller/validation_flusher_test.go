// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/writebehind/operator/api/v1alpha1"
)

func monitoringLabel(key, value string) change {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Monitoring.Labels = map[string]v1alpha1.LabelValue{key: v1alpha1.LabelValue(value)}
	}
}

// labelRules are about the labels that set gives one of.
func labelRules(field string, set func(key, value string) change) []rule {
	keys := rule{
		field: field,
		says: "a label's name is 1 to 63 letters, digits, '-', '_' and '.', and begins and ends with a letter or digit; " +
			"a DNS name and '/' may precede it",
	}
	for _, bad := range []string{"", "a b", "-a", "a/", "/a", "a/b/c", "A.dev/a", "a..b/c", strings.Repeat("a", 64), strings.Repeat("a", 254) + "/a"} {
		keys.refuses = append(keys.refuses, attempt{what: "the label " + bad, edit: set(bad, "x")})
	}
	for _, good := range []string{"a", "A_b.c-1", "node.example.dev/pool", strings.Repeat("a", 253) + "/" + strings.Repeat("b", 63)} {
		keys.takes = append(keys.takes, attempt{what: "the label " + good, edit: set(good, "x")})
	}
	values := rule{
		field: field + "{}", says: "a label's value is empty, or letters, digits, -, _ and ., and begins and ends with a letter or digit",
		takes: []attempt{{what: "a label without a value", edit: set("a", "")}, {what: "a label with a value", edit: set("a", "A_b.c-1")}},
	}
	for _, bad := range []string{"-", "a b", "my stack", "a/b", "é", "a\n"} {
		values.refuses = append(values.refuses, attempt{what: "the label's value " + bad, edit: set("a", bad), at: field + "[a]"})
	}
	return []rule{keys, values}
}

func spread(over string, unsatisfiable corev1.UnsatisfiableConstraintAction) corev1.TopologySpreadConstraint {
	return corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: over, WhenUnsatisfiable: unsatisfiable}
}

func clients(peers ...networkingv1.NetworkPolicyPeer) change {
	return func(c *v1alpha1.WriteBehindCache) { c.Spec.NetworkPolicy.Clients = peers }
}

func port(number int32) *v1alpha1.PortNumber {
	return &v1alpha1.PortNumber{IntOrString: intstr.FromInt32(number)}
}

func portsTo(port v1alpha1.EgressPort) change {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.NetworkPolicy.Egress = []v1alpha1.EgressRule{{Ports: []v1alpha1.EgressPort{port}}}
	}
}

func named(name string) change { return func(c *v1alpha1.WriteBehindCache) { c.Name = name } }

var flusherRules = slices.Concat(append(
	amountRules("spec.flusher.resources", func(limits, requests string) change {
		return func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Resources = memoryResources(limits, requests) }
	}), []rule{
		imageRule("spec.flusher.image", func(image string) change {
			return func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Image = image }
		}),
	}...), placementRules("spec.flusher", func(c *v1alpha1.WriteBehindCache, p v1alpha1.RedisPlacement) {
	f := &c.Spec.Flusher
	f.NodeSelector, f.Tolerations, f.TopologySpreadConstraints, f.PriorityClassName =
		p.NodeSelector, p.Tolerations, p.TopologySpreadConstraints, p.PriorityClassName
}))

// placementRules are about where pods run, which put says.
func placementRules(field string, put func(*v1alpha1.WriteBehindCache, v1alpha1.RedisPlacement)) []rule {
	at := func(p v1alpha1.RedisPlacement) change { return func(c *v1alpha1.WriteBehindCache) { put(c, p) } }
	toleration := func(t corev1.Toleration) change {
		return at(v1alpha1.RedisPlacement{Tolerations: []corev1.Toleration{t}})
	}
	spreads := func(constraints ...corev1.TopologySpreadConstraint) change {
		return at(v1alpha1.RedisPlacement{TopologySpreadConstraints: constraints})
	}
	tolerations, constraints := field+".tolerations", field+".topologySpreadConstraints"
	labels := labelRules(field+".nodeSelector", func(key, value string) change {
		return at(v1alpha1.RedisPlacement{NodeSelector: map[string]v1alpha1.LabelValue{key: v1alpha1.LabelValue(value)}})
	})
	return append(labels, []rule{
		namesRule(field+".priorityClassName",
			"priorityClassName must be the name of a PriorityClass: lower case letters, digits, - and ., beginning and ending with a letter or digit",
			func(name string) change { return at(v1alpha1.RedisPlacement{PriorityClassName: name}) }),
		{
			field: tolerations, says: "operator must be Equal or Exists, or Gt or Lt where the cluster knows them",
			refuses: []attempt{{what: "a toleration by an operator that is none", edit: toleration(corev1.Toleration{Key: "a", Operator: "exists"})}},
			takes: []attempt{
				{what: "a toleration that equals", edit: toleration(corev1.Toleration{Key: "a", Operator: corev1.TolerationOpEqual})},
				{what: "a toleration that is above", edit: toleration(corev1.Toleration{Key: "a", Operator: "Gt", Value: "1"})},
			},
		},
		{
			field: tolerations, says: "effect must be NoSchedule, PreferNoSchedule or NoExecute",
			refuses: []attempt{{what: "a toleration of an effect that is none", edit: toleration(corev1.Toleration{Key: "a", Effect: "Never"})}},
			takes:   []attempt{{what: "a toleration of one effect", edit: toleration(corev1.Toleration{Key: "a", Effect: corev1.TaintEffectPreferNoSchedule})}},
		},
		{
			field: tolerations, says: "a toleration without a key is for every taint: give it operator Exists, or a key",
			refuses: []attempt{{what: "a toleration of nothing", edit: toleration(corev1.Toleration{Effect: corev1.TaintEffectNoSchedule})}},
			takes:   []attempt{{what: "a toleration of everything", edit: toleration(corev1.Toleration{Operator: corev1.TolerationOpExists})}},
		},
		{
			field: tolerations, says: "a toleration with operator Exists takes no value",
			refuses: []attempt{{what: "a toleration that exists with a value", edit: toleration(corev1.Toleration{Key: "a", Operator: corev1.TolerationOpExists, Value: "b"})}},
			takes:   []attempt{{what: "a toleration of a value", edit: toleration(corev1.Toleration{Key: "a", Value: "b"})}},
		},
		{
			field: tolerations, says: "tolerationSeconds is for effect NoExecute only",
			refuses: []attempt{{what: "a toleration for seconds of what does not end", edit: toleration(corev1.Toleration{
				Key: "a", Effect: corev1.TaintEffectNoSchedule, TolerationSeconds: new(int64(1)),
			})}},
			takes: []attempt{{what: "a toleration for seconds", edit: toleration(corev1.Toleration{
				Key: "a", Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(0)),
			})}},
		},
		{
			field: constraints, says: "maxSkew must be at least 1",
			refuses: []attempt{{what: "a skew of none", edit: spreads(corev1.TopologySpreadConstraint{TopologyKey: "a", WhenUnsatisfiable: corev1.DoNotSchedule})}},
			takes:   []attempt{{what: "a skew of one", edit: spreads(spread("a", corev1.DoNotSchedule))}},
		},
		{
			field: constraints, says: "whenUnsatisfiable must be DoNotSchedule or ScheduleAnyway",
			refuses: []attempt{{what: "a constraint that is kept somehow", edit: spreads(spread("a", "Maybe"))}},
			takes:   []attempt{{what: "a constraint in both ways", edit: spreads(spread("a", corev1.DoNotSchedule), spread("a", corev1.ScheduleAnyway))}},
		},
		{
			field: constraints, says: "topologyKey must name a label of nodes, such as kubernetes.io/hostname or topology.kubernetes.io/zone",
			refuses: []attempt{{what: "a constraint over nothing", edit: spreads(spread("", corev1.DoNotSchedule))}},
			takes:   []attempt{{what: "a constraint over nodes", edit: spreads(spread(corev1.LabelHostname, corev1.DoNotSchedule))}},
		},
	}...)
}

var networkRules = []rule{
	{
		field: "spec.networkPolicy.clients", says: "give podSelector, namespaceSelector or ipBlock: a client without any is nobody",
		refuses: []attempt{{what: "a client that is nobody", edit: clients(networkingv1.NetworkPolicyPeer{})}},
		takes: []attempt{{what: "clients of two kinds", edit: clients(
			networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}, NamespaceSelector: &metav1.LabelSelector{}},
			networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8"}},
		)}},
	},
	{
		field: "spec.networkPolicy.clients", says: "a client is either an ipBlock or selected by podSelector and namespaceSelector",
		refuses: []attempt{{what: "a client of two kinds", edit: clients(networkingv1.NetworkPolicyPeer{
			IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8"}, PodSelector: &metav1.LabelSelector{},
		})}},
		takes: []attempt{{what: "a client by its address", edit: clients(networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8"}})}},
	},
	{
		field: "spec.networkPolicy.egress[].ports[]", says: "endPort ends a range that begins with port: give both, and endPort not below port",
		refuses: []attempt{
			{what: "a range without a beginning", edit: portsTo(v1alpha1.EgressPort{EndPort: new(int32(2))})},
			{what: "a range that ends before it begins", edit: portsTo(v1alpha1.EgressPort{Port: port(3), EndPort: new(int32(2))})},
		},
		takes: []attempt{
			{what: "a range of one port", edit: portsTo(v1alpha1.EgressPort{Port: port(2), EndPort: new(int32(2))})},
			{what: "one port", edit: portsTo(v1alpha1.EgressPort{Port: port(5432)})},
			{what: "every port", edit: portsTo(v1alpha1.EgressPort{Protocol: new(corev1.ProtocolTCP)})},
		},
	},
}

var otherRules = append(labelRules("spec.monitoring.labels", monitoringLabel), []rule{
	{
		field: "spec.backpressure",
		says: "warningQueueDepth (1000 unless given) must not be above criticalQueueDepth (10000 unless given): " +
			"raise criticalQueueDepth or lower warningQueueDepth",
		refuses: []attempt{
			{what: "a warning mark above the critical one", edit: marks(8, 7)},
			{what: "a warning mark above the default of the critical one", edit: marks(10001, 0)},
			{what: "a critical mark below the default of the warning one", edit: marks(0, 999)},
		},
		takes: []attempt{
			{what: "two marks at one depth", edit: marks(7, 7)},
			{what: "a warning mark at the default of the critical one", edit: marks(10000, 0)},
		},
	},
	{
		says: "metadata.name must be 1 to 46 of a-z, 0-9 and -, beginning with a letter and ending with a letter or digit: " +
			"Services and pods are named after it",
		refuses: []attempt{
			{what: "a resource's name of 47 characters", edit: named(strings.Repeat("a", 47))},
			{what: "a resource's name with a dot", edit: named("shop.eu")},
			{what: "a resource's name that begins with a digit", edit: named("1shop")},
		},
		takes: []attempt{{what: "a resource's name of 46 characters", edit: named(strings.Repeat("a", 46))}},
	},
}...)
