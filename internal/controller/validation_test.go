// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
)

type change = func(*v1alpha1.WriteBehindCache)

// rule is one rule of the schema that is an expression, with inputs that break it
// and neighbours of theirs that keep it.
type rule struct {
	// field is where the schema has it, with [] for a list's items and {} for a
	// map's values, and says its message.
	field, says string
	// forbids means that the answer does not repeat the value.
	forbids bool
	refuses []attempt
	takes   []attempt
}

// attempt is one input.
type attempt struct {
	what string
	edit change
	// before makes the edit a change of what that has made; without it the edit is
	// made at creation.
	before change
	// at is the field in the API server's words, where it is not the rule's with
	// the first item of each list.
	at string
}

// rules are all of them, which the test of the schema makes sure of.
var rules = slices.Concat(redisRules, databaseRules, mappingRules, captureRules, flusherRules, networkRules, otherRules)

// as leaves the resource as it is, before a change of it.
func as(*v1alpha1.WriteBehindCache) {}

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

// wide is n bytes in characters of four bytes each.
func wide(n int) string { return strings.Repeat("𝕏", n/4) }

var _ = Describe("Validation", Ordered, ContinueOnFailure, func() {
	var (
		namespace string
		changed   []*v1alpha1.WriteBehindCache
	)
	// Everything is a dry run: it is the API server's answer that is tested. What is changed
	// is made, and goes before there is an operator again.
	BeforeAll(func(ctx SpecContext) {
		stopOwnOperator()
		namespace = newNamespace(ctx)
	})
	AfterAll(func(ctx SpecContext) {
		for _, made := range changed {
			Expect(k8s.Delete(ctx, made)).To(Succeed())
		}
		startOwnOperator()
	})

	create := func(ctx SpecContext, edit change) error {
		cache := minimal(namespace)
		if edit != nil {
			edit(cache)
		}
		return k8s.Create(ctx, cache, client.DryRunAll)
	}

	// update makes the resource in a namespace of its own and tries a change on it.
	update := func(ctx SpecContext, before, after change) error {
		cache := minimal(newNamespace(ctx))
		before(cache)
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		changed = append(changed, cache.DeepCopy())
		after(cache)
		return k8s.Update(ctx, cache, client.DryRunAll)
	}
	try := func(ctx SpecContext, a attempt) error {
		if a.before != nil {
			return update(ctx, a.before, a.edit)
		}
		return create(ctx, a.edit)
	}

	for _, r := range rules {
		for _, a := range r.refuses {
			It("refuses "+a.what, func(ctx SpecContext) {
				at := a.at
				if at == "" {
					at = strings.ReplaceAll(r.field, "[]", "[0]")
				}
				kind := "Invalid value: "
				if r.forbids {
					kind = "Forbidden: "
				}
				err := try(ctx, a)
				Expect(err).To(MatchError(SatisfyAll(ContainSubstring(at+": "+kind), ContainSubstring(r.says))))
				Expect(err).NotTo(MatchError(ContainSubstring("S3cret")))
			})
		}
		for _, a := range r.takes {
			It("takes "+a.what, func(ctx SpecContext) { Expect(try(ctx, a)).To(Succeed()) })
		}
	}

	DescribeTable("accepts on creation",
		func(ctx SpecContext, edit change) { Expect(create(ctx, edit)).To(Succeed()) },
		Entry("the least", nil),
		Entry("an external Redis with everything", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis = external("redis:1")
			c.Spec.Redis.External.CredentialsSecretRef = &v1alpha1.CredentialsSecretRef{Name: "a", UsernameKey: "u"}
			c.Spec.Redis.External.TLS = &v1alpha1.RedisTLS{
				CASecretRef: &v1alpha1.CASecretRef{Name: "ca"}, ClientCertSecretRef: &v1alpha1.SecretRef{Name: "cert"},
			}
		}),
		Entry("one field in two columns", columns(v1alpha1.Column{Field: "a", Column: "b"}, v1alpha1.Column{Field: "a", Column: "c"})),
		Entry("clean entries that stay for ever", first(func(m *v1alpha1.Mapping) { m.TimeToLiveSeconds = new(int32(0)) })),
		Entry("no retries", func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.MaxRetries = new(int32(0)) }),
		Entry("half a circuit breaker", func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.CircuitBreaker.FailureThreshold = 1 }),
		Entry("a queue smaller than the marks", func(c *v1alpha1.WriteBehindCache) { c.Spec.Backpressure.MaxQueueDepth = 10 }),
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
				Egress: []v1alpha1.EgressRule{{}, {Ports: []v1alpha1.EgressPort{{Port: port(5432)}}}},
			}
		}),
		Entry("no NetworkPolicy", func(c *v1alpha1.WriteBehindCache) { c.Spec.NetworkPolicy.Enabled = new(false) }),
	)

	It("takes a change of everything that is live", func(ctx SpecContext) {
		Expect(update(ctx, as, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Suspend = true
			c.Spec.Flush = v1alpha1.Flush{
				IntervalMilliseconds: 10, BatchSize: 10000, Concurrency: 64, MaxInFlightMebibytes: 170, MaxRetries: new(int32(100)),
				CircuitBreaker: v1alpha1.CircuitBreaker{FailureThreshold: 1000, OpenMilliseconds: 3600000},
			}
			c.Spec.Backpressure = v1alpha1.Backpressure{
				MaxQueueDepth: 1, WarningQueueDepth: 2, CriticalQueueDepth: 3, WhenFull: v1alpha1.WhenFullAccept,
			}
			c.Spec.Mappings[0].TimeToLiveSeconds = new(int32(1))
		})).To(Succeed())
	})

	It("refuses an empty choice of Redis", func(ctx SpecContext) {
		object := everythingAt(namespace, "")
		set(object.Object, "spec.redis", map[string]any{})
		Expect(k8s.Create(ctx, object, client.DryRunAll)).To(MatchError(ContainSubstring("spec.redis: Invalid value: give exactly one of managed and external")))
	})

	It("takes no time in the status that the operator could not read", func(ctx SpecContext) {
		cache := minimal(namespace)
		cache.Name = "times"
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		patch := func(format, when string) error {
			text := fmt.Sprintf(format, when)
			return k8s.Status().Patch(ctx, cache.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(text)), client.DryRunAll)
		}
		for says, format := range map[string]string{
			"lastFlushTime must be a time as RFC 3339 writes it":      `{"status":{"lastFlushTime":%q}}`,
			"lastObservedTime must be a time as RFC 3339 writes it":   `{"status":{"lastObservedTime":%q}}`,
			"lastTransitionTime must be a time as RFC 3339 writes it": `{"status":{"conditions":[{"type":"X","status":"True","reason":"A","message":"","lastTransitionTime":%q}]}}`,
		} {
			Expect(patch(format, "2026-01-02T15:04:05Z")).To(Succeed())
			Expect(patch(format, "2026-01-02T15:04:05.678+02:00")).To(Succeed())
			for _, bad := range []string{"2026-01-02t15:04:05z", "2026-01-02T15:04:05+99:99", "2026-01-02T15:04:05x5Z"} {
				Expect(patch(format, bad)).To(MatchError(ContainSubstring(says)), bad)
			}
		}
		format := `{"status":{"mappings":[{"name":"a","lastFlushTime":%q}]}}`
		Expect(patch(format, "2026-01-02T15:04:05Z")).To(Succeed())
		Expect(patch(format, "2026-01-02t15:04:05z")).To(MatchError(ContainSubstring("status.mappings[0].lastFlushTime")))
	})

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
			IntervalMilliseconds: 5000, BatchSize: 100, Concurrency: 4, MaxInFlightMebibytes: 64, MaxRetries: new(int32(3)),
			CircuitBreaker: v1alpha1.CircuitBreaker{FailureThreshold: 5, OpenMilliseconds: 10000},
		}))
		Expect(spec.Backpressure).To(Equal(v1alpha1.Backpressure{
			MaxQueueDepth: 100000, WarningQueueDepth: 1000, CriticalQueueDepth: 10000, WhenFull: v1alpha1.WhenFullReject,
		}))
		Expect(spec.Flusher).To(Equal(v1alpha1.Flusher{Replicas: new(int32(1)), TerminationGracePeriodSeconds: 60}))
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
		Expect(cache.Spec.Capture).To(Equal(v1alpha1.CaptureFunctions))

		cache = minimal(namespace)
		replicated(func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.Managed.Replication = &v1alpha1.ManagedReplication{} })(cache)
		Expect(k8s.Create(ctx, cache, client.DryRunAll)).To(Succeed())
		Expect(cache.Spec.Redis.Managed.Replication.Backlog.String()).To(Equal("64Mi"))
	})
})
