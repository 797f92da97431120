// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
)

type change = func(*v1alpha1.WriteBehindCache)

// minimal is the least that the API server takes, with a managed Redis. It is
// suspended in no way, and no test of this file waits for the operator.
func minimal(namespace string) *v1alpha1.WriteBehindCache {
	return &v1alpha1.WriteBehindCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop"},
		Spec: v1alpha1.WriteBehindCacheSpec{
			Redis: v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}},
			Database: v1alpha1.Database{Postgres: v1alpha1.Postgres{
				URLSecretRef: v1alpha1.URLSecretRef{Name: "shop-db"},
			}},
			Mappings: []v1alpha1.Mapping{mapping("products", "product:")},
		},
	}
}

func mapping(name, prefix string) v1alpha1.Mapping {
	return v1alpha1.Mapping{Name: name, KeyPrefix: prefix, Table: "public." + name, KeyColumn: "id"}
}

func external(address string) v1alpha1.Redis {
	return v1alpha1.Redis{External: &v1alpha1.ExternalRedis{Addresses: []string{address}}}
}

func first(edit func(*v1alpha1.Mapping)) change {
	return func(c *v1alpha1.WriteBehindCache) { edit(&c.Spec.Mappings[0]) }
}

func address(a string) change {
	return func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis = external(a) }
}

func columns(columns ...v1alpha1.Column) change {
	return first(func(m *v1alpha1.Mapping) { m.Columns = columns })
}

// marks sets the depths at which a backlog is told of; 0 leaves one out.
func marks(warning, critical int32) change {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Backpressure.WarningQueueDepth, c.Spec.Backpressure.CriticalQueueDepth = warning, critical
	}
}

func nodeSelector(key, value string) change {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Flusher.NodeSelector = map[string]v1alpha1.LabelValue{key: v1alpha1.LabelValue(value)}
	}
}

func toleration(t corev1.Toleration) change {
	return func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Tolerations = []corev1.Toleration{t} }
}

func spread(over string, unsatisfiable corev1.UnsatisfiableConstraintAction) corev1.TopologySpreadConstraint {
	return corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: over, WhenUnsatisfiable: unsatisfiable}
}

func spreads(constraints ...corev1.TopologySpreadConstraint) change {
	return func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.TopologySpreadConstraints = constraints }
}

func clients(peers ...networkingv1.NetworkPolicyPeer) change {
	return func(c *v1alpha1.WriteBehindCache) { c.Spec.NetworkPolicy.Clients = peers }
}

// wide is n bytes in characters of four bytes each.
func wide(n int) string { return strings.Repeat("𝕏", n/4) }

var _ = Describe("Validation", Ordered, ContinueOnFailure, func() {
	var namespace string
	BeforeAll(func(ctx SpecContext) { namespace = newNamespace(ctx) })

	// Everything is a dry run: it is the API server's answer that is tested.
	create := func(ctx SpecContext, edit change) error {
		cache := minimal(namespace)
		if edit != nil {
			edit(cache)
		}
		return k8s.Create(ctx, cache, client.DryRunAll)
	}

	DescribeTable("accepts on creation",
		func(ctx SpecContext, edit change) { Expect(create(ctx, edit)).To(Succeed()) },
		Entry("the least", nil),
		Entry("an external Redis", address("redis.shop:6379")),
		Entry("an IPv6 address", address("[fd00::1]:65535")),
		Entry("an external Redis with everything", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis = external("redis:1")
			c.Spec.Redis.External.CredentialsSecretRef = &v1alpha1.CredentialsSecretRef{Name: "a", UsernameKey: "u"}
			c.Spec.Redis.External.TLS = &v1alpha1.RedisTLS{
				CASecretRef: &v1alpha1.CASecretRef{Name: "ca"}, ClientCertSecretRef: &v1alpha1.SecretRef{Name: "cert"},
			}
		}),
		Entry("32 mappings of 200 columns with the longest names", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = nil
			for i := range 32 {
				m := mapping(fmt.Sprintf("%s-%02d", strings.Repeat("m", 60), i), fmt.Sprintf("%s%02d", strings.Repeat("p", 126), i))
				m.Table = strings.Repeat("s", 63) + "." + strings.Repeat("t", 63)
				for j := range 200 {
					m.Columns = append(m.Columns, v1alpha1.Column{
						Field: strings.Repeat("f", 256), Column: fmt.Sprintf("%s%03d", strings.Repeat("c", 60), j),
					})
				}
				c.Spec.Mappings = append(c.Spec.Mappings, m)
			}
		}),
		Entry("a prefix of 128 bytes in wide characters", first(func(m *v1alpha1.Mapping) { m.KeyPrefix = wide(128) })),
		Entry("a table without a schema", first(func(m *v1alpha1.Mapping) { m.Table = "products" })),
		Entry("a table with a dot in its own name", first(func(m *v1alpha1.Mapping) { m.Table = "public.a.b" })),
		Entry("the whole document in a column", columns(v1alpha1.Column{Field: "$", Column: "document"})),
		Entry("one field in two columns", columns(v1alpha1.Column{Field: "a", Column: "b"}, v1alpha1.Column{Field: "a", Column: "c"})),
		Entry("clean entries that stay for ever", first(func(m *v1alpha1.Mapping) { m.TimeToLiveSeconds = new(int32(0)) })),
		Entry("no retries", func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.MaxRetries = new(int32(0)) }),
		Entry("half a circuit breaker", func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.CircuitBreaker.FailureThreshold = 1 }),
		Entry("two marks at one depth", marks(7, 7)),
		Entry("a warning mark at the default of the critical one", marks(10000, 0)),
		Entry("a queue smaller than the marks", func(c *v1alpha1.WriteBehindCache) { c.Spec.Backpressure.MaxQueueDepth = 10 }),
		Entry("no flusher", func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Replicas = new(int32(0)) }),
		Entry("a memory limit of just maxMemory", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.MaxMemory = resource.MustParse("1Gi")
			c.Spec.Redis.Managed.Resources = v1alpha1.Resources{Limits: memory("1024Mi")}
		}),
		Entry("a memory of 16Ti in a volume of 1Pi", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.MaxMemory = resource.MustParse("16Ti")
			c.Spec.Redis.Managed.Storage = v1alpha1.Storage{Size: resource.MustParse("1Pi"), StorageClassName: new("fast.ssd-1")}
		}),
		Entry("requests at the limits, and none at all", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Resources = v1alpha1.Resources{Limits: memory("1Gi"), Requests: memory("1024Mi")}
			c.Spec.Redis.Managed.Resources = v1alpha1.Resources{Requests: memory("0")}
		}),
		Entry("an image by digest behind a port", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Image = "registry:5000/a/b:v1@sha256:" + strings.Repeat("0a", 32)
		}),
		Entry("flushers in their place", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.NodeSelector = map[string]v1alpha1.LabelValue{"node.example.dev/pool": "data", "empty": ""}
			c.Spec.Flusher.Tolerations = []corev1.Toleration{
				{Operator: corev1.TolerationOpExists},
				{Key: "pool", Value: "data", Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(0))},
				{Key: "pool", Operator: corev1.TolerationOpEqual},
			}
			c.Spec.Flusher.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "gpu", Operator: corev1.NodeSelectorOpDoesNotExist}},
				}}},
			}}
			c.Spec.Flusher.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{
				spread(corev1.LabelHostname, corev1.DoNotSchedule), spread(corev1.LabelHostname, corev1.ScheduleAnyway),
			}
			c.Spec.Flusher.PriorityClassName = "system-cluster-critical"
		}),
		Entry("who may come and where to go", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.NetworkPolicy = v1alpha1.NetworkPolicy{
				Clients: []networkingv1.NetworkPolicyPeer{
					{PodSelector: &metav1.LabelSelector{}, NamespaceSelector: &metav1.LabelSelector{}},
					{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8"}},
				},
				Egress: []networkingv1.NetworkPolicyEgressRule{{}, {Ports: []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromInt32(5432))}}}},
			}
		}),
		Entry("no NetworkPolicy", func(c *v1alpha1.WriteBehindCache) { c.Spec.NetworkPolicy.Enabled = new(false) }),
		Entry("a Secret with dots", func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.URLSecretRef.Name = "shop-db.eu.1" }),
		Entry("prefixes that differ in the end", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages", "products:"))
		}),
		Entry("a name of 46 characters", func(c *v1alpha1.WriteBehindCache) { c.Name = strings.Repeat("a", 46) }),
	)

	DescribeTable("refuses on creation",
		func(ctx SpecContext, message string, edit change) {
			Expect(create(ctx, edit)).To(MatchError(ContainSubstring(message)))
		},
		Entry("no Redis", "spec.redis: Required value", func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis = v1alpha1.Redis{} }),
		Entry("two kinds of Redis", "give exactly one of managed and external", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.External = external("redis:6379").External
		}),
		Entry("an address without a port", "should match", address("redis.shop")),
		Entry("port 0", "a port from 1 to 65535", address("redis.shop:0")),
		Entry("port 65536", "a port from 1 to 65535", address("redis.shop:65536")),
		Entry("an address without a host", "should match", address(":6379")),
		Entry("two addresses", "must have at most 1 item", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis = external("a:1")
			c.Spec.Redis.External.Addresses = []string{"a:1", "b:1"}
		}),
		Entry("a mode that is not there yet", "supported values: \"Standalone\"", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis = external("a:1")
			c.Spec.Redis.External.Mode = "Sentinel"
		}),
		Entry("too little memory", "maxMemory must be at least 16Mi", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.MaxMemory = resource.MustParse("15Mi")
		}),
		Entry("a memory of 100Ei", "maxMemory must be at most 16Ti", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.MaxMemory = resource.MustParse("100Ei")
		}),
		Entry("a memory of 1e30", "maxMemory must be at most 16Ti", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.MaxMemory = resource.MustParse("1e30")
		}),
		Entry("a volume of 1e30", "size must be at most 1Pi", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.Storage.Size = resource.MustParse("1e30")
		}),
		Entry("negative limits", "limits must not be negative", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Resources.Limits = memory("-1Gi")
		}),
		Entry("negative requests", "requests must not be negative", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.Resources.Requests = memory("-1")
		}),
		Entry("requests above the limits", "requests must not be above limits", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Resources = v1alpha1.Resources{Limits: memory("1Gi"), Requests: memory("1025Mi")}
		}),
		Entry("an image that is a space", "spec.flusher.image: Invalid value: \" \": image must not contain white space", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Image = " "
		}),
		Entry("an image of Redis with a line's end", "image must not contain white space", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.Image = "redis:7.2\n"
		}),
		Entry("a Secret for the database that cannot be", "urlSecretRef.name: Invalid value: \"Bad Name!\": name must be the name of a Secret", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Database.Postgres.URLSecretRef.Name = "Bad Name!"
		}),
		Entry("a Secret for Redis that cannot be", "name must be the name of a Secret", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis = external("a:1")
			c.Spec.Redis.External.CredentialsSecretRef = &v1alpha1.CredentialsSecretRef{Name: "a..b"}
		}),
		Entry("a storage class that cannot be", "storageClassName must be the name of a StorageClass", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.Storage.StorageClassName = new("Bad Class")
		}),
		Entry("a limit below maxMemory", "resources.limits.memory must not be below maxMemory", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.Resources = v1alpha1.Resources{Limits: memory("255Mi")}
		}),
		Entry("no storage", "size must be above 0", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.Storage.Size = resource.MustParse("-1Gi")
		}),
		Entry("an fsync policy that loses everything", "supported values", func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.Managed.AppendFsync = "No" }),
		Entry("no Secret for the database", "spec.database: Required value", func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.URLSecretRef.Name = "" }),
		Entry("no mapping", "mappings", func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = nil }),
		Entry("33 mappings", "must have at most 32 items", func(c *v1alpha1.WriteBehindCache) {
			for i := range 32 {
				c.Spec.Mappings = append(c.Spec.Mappings, mapping(fmt.Sprintf("m%d", i), fmt.Sprintf("m%02d:", i)))
			}
		}),
		Entry("two mappings of one name", "Duplicate value", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("products", "other:"))
		}),
		Entry("the same prefix twice", "no keyPrefix may be the same as another's", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("other", "product:"))
		}),
		Entry("a prefix that begins another", "no keyPrefix may be the same as another's", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("other", "product:new:"))
		}),
		Entry("the journal's prefix", "keyPrefix must not overlap wb:", first(func(m *v1alpha1.Mapping) { m.KeyPrefix = "wb:x" })),
		Entry("a beginning of the journal's prefix", "keyPrefix must not overlap wb:", first(func(m *v1alpha1.Mapping) { m.KeyPrefix = "w" })),
		Entry("an empty prefix", "keyPrefix", first(func(m *v1alpha1.Mapping) { m.KeyPrefix = "" })),
		Entry("a prefix of 132 bytes in wide characters", "keyPrefix must be 1 to 128 bytes", first(func(m *v1alpha1.Mapping) { m.KeyPrefix = wide(132) })),
		Entry("a name with capitals", "should match", first(func(m *v1alpha1.Mapping) { m.Name = "Products" })),
		Entry("a table without a name", "table must be table or schema.table", first(func(m *v1alpha1.Mapping) { m.Table = "public." })),
		Entry("a table without a schema's name", "table must be table or schema.table", first(func(m *v1alpha1.Mapping) { m.Table = ".products" })),
		Entry("a table of 64 bytes", "table must be table or schema.table", first(func(m *v1alpha1.Mapping) { m.Table = strings.Repeat("t", 64) })),
		Entry("a schema of 64 bytes", "table must be table or schema.table", first(func(m *v1alpha1.Mapping) { m.Table = wide(64) + ".t" })),
		Entry("a key column of 64 bytes", "keyColumn must be a name of 1 to 63 bytes", first(func(m *v1alpha1.Mapping) { m.KeyColumn = wide(64) })),
		Entry("a key column with a NUL", "should match", first(func(m *v1alpha1.Mapping) { m.KeyColumn = "a\x00b" })),
		Entry("a ledger schema of 64 bytes", "ledgerSchema must be a name of 1 to 63 bytes", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Database.Postgres.LedgerSchema = wide(64)
		}),
		Entry("a mode that is not there yet", "supported values: \"Latest\"", first(func(m *v1alpha1.Mapping) { m.Mode = "Increment" })),
		Entry("an encoding that is not there yet", "supported values: \"JSON\"", first(func(m *v1alpha1.Mapping) { m.Encoding = "Hash" })),
		Entry("an effect of deletion that is not there yet", "supported values: \"Delete\"", first(func(m *v1alpha1.Mapping) { m.OnDelete = "SoftDelete" })),
		Entry("a column twice", "Duplicate value", columns(v1alpha1.Column{Field: "a", Column: "x"}, v1alpha1.Column{Field: "b", Column: "x"})),
		Entry("the key column among the columns", "columns must not name the keyColumn", columns(v1alpha1.Column{Field: "a", Column: "id"})),
		Entry("a field of 260 bytes", "field must be 1 to 256 bytes", columns(v1alpha1.Column{Field: wide(260), Column: "x"})),
		Entry("a column of 64 bytes", "column must be a name of 1 to 63 bytes", columns(v1alpha1.Column{Field: "a", Column: wide(64)})),
		Entry("a capital policy", "supported values", func(c *v1alpha1.WriteBehindCache) { c.Spec.DeletionPolicy = "Orphan" }),
		Entry("an answer to a full queue that is none", "supported values", func(c *v1alpha1.WriteBehindCache) { c.Spec.Backpressure.WhenFull = "Drop" }),
		Entry("a warning mark above the critical one", "warningQueueDepth (1000 unless given) must not be above criticalQueueDepth", marks(8, 7)),
		Entry("a warning mark above the default of the critical one", "must not be above criticalQueueDepth (10000 unless given)", marks(10001, 0)),
		Entry("a critical mark below the default of the warning one", "raise criticalQueueDepth or lower warningQueueDepth", marks(0, 999)),
		Entry("a mark below every depth", "greater than or equal to 1", marks(-1, 0)),
		Entry("101 retries", "less than or equal to 100", func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.MaxRetries = new(int32(101)) }),
		Entry("a circuit that opens for 99 ms", "greater than or equal to 100", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flush.CircuitBreaker.OpenMilliseconds = 99
		}),
		Entry("a circuit that opens after 1001 failures", "less than or equal to 1000", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flush.CircuitBreaker.FailureThreshold = 1001
		}),
		Entry("fewer than no flushers", "greater than or equal to 0", func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Replicas = new(int32(-1)) }),
		Entry("a label of nodes that cannot be", "a label's name is letters, digits", nodeSelector("a b", "c")),
		Entry("a label of nodes with a value that cannot be", "nodeSelector.a in body should match", nodeSelector("a", "-")),
		Entry("a label of nodes with a value that is too long", "may not be more than 63", nodeSelector("a", strings.Repeat("a", 64))),
		Entry("a toleration of nothing", "a toleration without a key is for every taint", toleration(corev1.Toleration{Effect: corev1.TaintEffectNoSchedule})),
		Entry("a toleration that exists with a value", "operator Exists takes no value", toleration(corev1.Toleration{Key: "a", Operator: corev1.TolerationOpExists, Value: "b"})),
		Entry("a toleration of an effect that is none", "effect must be NoSchedule, PreferNoSchedule or NoExecute", toleration(corev1.Toleration{Key: "a", Effect: "Never"})),
		Entry("a toleration by an operator that is none", "operator must be Equal or Exists", toleration(corev1.Toleration{Key: "a", Operator: "exists"})),
		Entry("a toleration for seconds of what does not end", "tolerationSeconds is for effect NoExecute only",
			toleration(corev1.Toleration{Key: "a", Effect: corev1.TaintEffectNoSchedule, TolerationSeconds: new(int64(1))})),
		Entry("a skew of none", "maxSkew must be at least 1", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{TopologyKey: "a", WhenUnsatisfiable: corev1.DoNotSchedule}}
		}),
		Entry("a constraint that is kept somehow", "whenUnsatisfiable must be DoNotSchedule or ScheduleAnyway", spreads(spread("a", "Maybe"))),
		Entry("a constraint over nothing", "topologyKey must name a label of nodes", spreads(spread("", corev1.DoNotSchedule))),
		Entry("one constraint twice", "Duplicate value", spreads(spread("a", corev1.DoNotSchedule), spread("a", corev1.DoNotSchedule))),
		Entry("a PriorityClass that cannot be", "priorityClassName must be the name of a PriorityClass", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.PriorityClassName = "High!"
		}),
		Entry("a client that is nobody", "a client without any is nobody", clients(networkingv1.NetworkPolicyPeer{})),
		Entry("a client of two kinds", "a client is either an ipBlock or selected by", clients(networkingv1.NetworkPolicyPeer{
			IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8"}, PodSelector: &metav1.LabelSelector{},
		})),
		Entry("a name of 47 characters", "metadata.name must be 1 to 46", func(c *v1alpha1.WriteBehindCache) { c.Name = strings.Repeat("a", 47) }),
		Entry("a name with a dot", "metadata.name must be 1 to 46", func(c *v1alpha1.WriteBehindCache) { c.Name = "shop.eu" }),
		Entry("a name that begins with a digit", "metadata.name must be 1 to 46", func(c *v1alpha1.WriteBehindCache) { c.Name = "1shop" }),
	)

	// update makes the resource in a namespace that the operator leaves alone no
	// less than others, and tries the change on it.
	update := func(ctx SpecContext, before, after change) error {
		cache := minimal(newNamespace(ctx))
		if before != nil {
			before(cache)
		}
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		var err error
		Eventually(func() bool {
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(cache), cache)).To(Succeed())
			after(cache)
			err = k8s.Update(ctx, cache, client.DryRunAll)
			return err == nil || !strings.Contains(err.Error(), "the object has been modified")
		}).Should(BeTrue())
		return err
	}
	managedStorage := func(size string, class *string) change {
		return func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.Storage = v1alpha1.Storage{Size: resource.MustParse(size), StorageClassName: class}
		}
	}

	DescribeTable("accepts a change of",
		func(ctx SpecContext, before, after change) { Expect(update(ctx, before, after)).To(Succeed()) },
		Entry("everything that is live", nil, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Suspend = true
			c.Spec.Flush = v1alpha1.Flush{
				IntervalMilliseconds: 10, BatchSize: 10000, Concurrency: 64, MaxRetries: new(int32(100)),
				CircuitBreaker: v1alpha1.CircuitBreaker{FailureThreshold: 1000, OpenMilliseconds: 3600000},
			}
			c.Spec.Backpressure = v1alpha1.Backpressure{
				MaxQueueDepth: 1, WarningQueueDepth: 2, CriticalQueueDepth: 3, WhenFull: v1alpha1.WhenFullAccept,
			}
			c.Spec.Mappings[0].TimeToLiveSeconds = new(int32(1))
		}),
		Entry("storage that grows", managedStorage("1Gi", nil), managedStorage("1025Mi", nil)),
		Entry("the way a size is written", managedStorage("1Gi", nil), managedStorage("1024Mi", nil)),
		Entry("an external address", address("a:1"), address("b:2")),
		Entry("table and columns", nil, first(func(m *v1alpha1.Mapping) { m.Table = "other"; m.KeyColumn = "key" })),
		Entry("mappings, one for another", nil, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = []v1alpha1.Mapping{mapping("pages", "page:")}
		}),
		Entry("the order of mappings", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages", "page:"))
		}, func(c *v1alpha1.WriteBehindCache) {
			m := c.Spec.Mappings
			m[0], m[1] = m[1], m[0]
		}),
	)

	DescribeTable("refuses a change of",
		func(ctx SpecContext, message string, before, after change) {
			Expect(update(ctx, before, after)).To(MatchError(ContainSubstring(message)))
		},
		Entry("storage that shrinks", "size may only grow", managedStorage("1Gi", nil), managedStorage("1023Mi", nil)),
		Entry("managed to external", "the choice between managed and external cannot change", nil, address("a:1")),
		Entry("external to managed", "the choice between managed and external cannot change", address("a:1"), func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}}
		}),
		Entry("a prefix", "keyPrefix cannot change", nil, first(func(m *v1alpha1.Mapping) { m.KeyPrefix = "other:" })),
		Entry("partitions", "partitions cannot change", nil, first(func(m *v1alpha1.Mapping) { m.Partitions = 32 })),
		Entry("a storage class", "storageClassName cannot change", managedStorage("1Gi", new("fast")), managedStorage("1Gi", new("slow"))),
		Entry("no storage class to one", "storageClassName cannot change", managedStorage("1Gi", nil), managedStorage("1Gi", new("slow"))),
		Entry("a storage class to none", "storageClassName cannot change", managedStorage("1Gi", new("fast")), managedStorage("1Gi", nil)),
	)

	It("accepts the samples", func(ctx SpecContext) {
		files, err := filepath.Glob(filepath.Join("..", "..", "config", "samples", "cache_*.yaml"))
		Expect(err).NotTo(HaveOccurred())
		Expect(len(files)).To(BeNumerically(">=", 2))
		for _, file := range files {
			text, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			sample := &v1alpha1.WriteBehindCache{}
			Expect(yaml.UnmarshalStrict(text, sample)).To(Succeed(), file)
			sample.Namespace = namespace
			Expect(k8s.Create(ctx, sample, client.DryRunAll)).To(Succeed(), file)
		}
	})

	It("says of an address that is none only what it has to be", func(ctx SpecContext) {
		for _, bad := range []string{"redis.shop", "redis:port", "redis:99999999999999999999", ":6379", "a b:1"} {
			err := create(ctx, address(bad))
			Expect(err).To(MatchError(ContainSubstring("should match")), bad)
			Expect(err).NotTo(MatchError(ContainSubstring("conversion")), bad)
		}
	})

	It("refuses an empty choice of Redis", func(ctx SpecContext) {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(minimal(namespace))
		Expect(err).NotTo(HaveOccurred())
		object := &unstructured.Unstructured{Object: fields}
		object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("WriteBehindCache"))
		Expect(unstructured.SetNestedMap(object.Object, map[string]any{}, "spec", "redis")).To(Succeed())
		Expect(k8s.Create(ctx, object, client.DryRunAll)).To(MatchError(ContainSubstring("give exactly one of managed and external")))
	})

	It("fills in the defaults", func(ctx SpecContext) {
		cache := minimal(namespace)
		Expect(k8s.Create(ctx, cache, client.DryRunAll)).To(Succeed())
		spec := cache.Spec
		Expect(spec.Redis.Managed.Image).To(Equal("redis:7.2"))
		Expect(spec.Redis.Managed.MaxMemory.String()).To(Equal("256Mi"))
		Expect(spec.Redis.Managed.Storage.Size.String()).To(Equal("1Gi"))
		Expect(spec.Redis.Managed.AppendFsync).To(Equal(v1alpha1.AppendFsyncEverySecond))
		Expect(spec.Database.Postgres).To(Equal(v1alpha1.Postgres{
			URLSecretRef:   v1alpha1.URLSecretRef{Name: "shop-db", Key: "uri"},
			MaxConnections: 4, StatementTimeoutSeconds: 30, LedgerSchema: "writebehind",
		}))
		Expect(spec.Mappings).To(HaveLen(1))
		want := mapping("products", "product:")
		want.Mode, want.Encoding, want.OnDelete = v1alpha1.ModeLatest, v1alpha1.EncodingJSON, v1alpha1.OnDeleteDelete
		want.Partitions, want.TimeToLiveSeconds = 16, new(int32(3600))
		Expect(spec.Mappings[0]).To(Equal(want))
		Expect(spec.Flush).To(Equal(v1alpha1.Flush{
			IntervalMilliseconds: 5000, BatchSize: 100, Concurrency: 4, MaxRetries: new(int32(3)),
			CircuitBreaker: v1alpha1.CircuitBreaker{FailureThreshold: 5, OpenMilliseconds: 10000},
		}))
		Expect(spec.Backpressure).To(Equal(v1alpha1.Backpressure{
			MaxQueueDepth: 100000, WarningQueueDepth: 1000, CriticalQueueDepth: 10000, WhenFull: v1alpha1.WhenFullReject,
		}))
		Expect(spec.Flusher).To(Equal(v1alpha1.Flusher{Replicas: new(int32(1))}))
		Expect(spec.NetworkPolicy).To(Equal(v1alpha1.NetworkPolicy{Enabled: new(true)}))
		Expect(spec.DeletionPolicy).To(Equal(v1alpha1.DeletionPolicyDrain))
		Expect(spec.DrainTimeoutSeconds).To(BeEquivalentTo(300))

		cache = minimal(namespace)
		cache.Spec.Redis = external("a:1")
		cache.Spec.Redis.External.CredentialsSecretRef = &v1alpha1.CredentialsSecretRef{Name: "a"}
		cache.Spec.Redis.External.TLS = &v1alpha1.RedisTLS{CASecretRef: &v1alpha1.CASecretRef{Name: "ca"}}
		Expect(k8s.Create(ctx, cache, client.DryRunAll)).To(Succeed())
		Expect(cache.Spec.Redis.External.Mode).To(Equal(v1alpha1.RedisModeStandalone))
		Expect(cache.Spec.Redis.External.CredentialsSecretRef.PasswordKey).To(Equal("password"))
		Expect(cache.Spec.Redis.External.CredentialsSecretRef.UsernameKey).To(BeEmpty())
		Expect(cache.Spec.Redis.External.TLS.CASecretRef.Key).To(Equal("ca.crt"))
	})
})
