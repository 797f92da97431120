// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// What the schema cannot judge ends in a condition that names field and problem,
// is not asked for again and again, and heals. The longest spec is here: it is to be
// under way while the others are.
var _ = Describe("A spec that only the cluster can judge", SpecPriority(1), func() {
	affinity := func(terms ...corev1.PodAffinityTerm) change {
		return func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms}}
		}
	}
	near := func(labels map[string]string) corev1.PodAffinityTerm {
		return corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: labels}}
	}
	// words are about a kilobyte that Kubernetes takes.
	words := func(i int) corev1.PodAffinityTerm {
		labels := map[string]string{}
		for j := range 8 {
			labels[fmt.Sprintf("%s-%d-%d", strings.Repeat("a", 50), i, j)] = strings.Repeat("x", 63)
		}
		return near(labels)
	}

	// busy makes the flusher tell new numbers n times, each of which is a pass.
	busy := func(ctx SpecContext, w *world, f *flusher, n int64) {
		GinkgoHelper()
		for i := range n {
			f.say(func(s *config.Status) { s.Queues[0].Flushed = i + 1 })
			Eventually(w.poll(ctx)).Should(HaveField("Status.FlushedTotal", HaveValue(BeEquivalentTo(i+1))))
		}
	}

	DescribeTable("is told, left alone, and heals",
		func(ctx SpecContext, request string, edit change, texts ...string) {
			w, f := readyWorld(ctx)
			good := w.now(ctx).Spec
			w.change(ctx, edit)
			Eventually(w.poll(ctx)).Should(SatisfyAll(
				haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec, texts...),
				haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, texts...),
				haveNoCondition(v1alpha1.ConditionReconciling),
				HaveField("Status.ObservedGeneration", w.now(ctx).Generation),
			))
			busy(ctx, w, f, 3)
			asked := slices.DeleteFunc(writes.of(w.cache.Namespace), func(sent string) bool { return !strings.HasSuffix(sent, request) })
			// One made it, and one was refused.
			Expect(len(asked)).To(BeNumerically("<=", 2), "%v", asked)
			w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec = good })
			w.rollOut(ctx)
			Eventually(w.poll(ctx)).Should(beReady())
		},
		Entry("labels of an affinity", "deployments/shop-flusher", affinity(near(map[string]string{"bad key!": "x"})),
			"spec.flusher.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchLabels", `"bad key!"`,
			"name part must consist of"),
		Entry("an affinity over no label", "deployments/shop-flusher", affinity(corev1.PodAffinityTerm{TopologyKey: "a b"}),
			"spec.flusher.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey", `"a b"`),
		Entry("a toleration of no taint", "deployments/shop-flusher", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Tolerations = []corev1.Toleration{{Key: "a b", Operator: corev1.TolerationOpExists}}
		}, "spec.flusher.tolerations[0].key", `"a b"`),
		Entry("a toleration of a managed Redis", "statefulsets/shop-redis", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.Tolerations = []corev1.Toleration{{Key: "a b", Operator: corev1.TolerationOpExists}}
		}, "spec.redis.managed.tolerations[0].key", `"a b"`),
		Entry("a spread over fewer than there may be", "deployments/shop-flusher", func(c *v1alpha1.WriteBehindCache) {
			few := spread("a", corev1.ScheduleAnyway)
			few.MinDomains = new(int32(2))
			c.Spec.Flusher.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{few}
		}, "spec.flusher.topologySpreadConstraints[0].minDomains", "can only use minDomains if whenUnsatisfiable=DoNotSchedule"),
		Entry("a resource of no name", "deployments/shop-flusher", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Resources.Limits = corev1.ResourceList{"gpu": resource.MustParse("1")}
		}, "spec.flusher.resources.limits[gpu]", "must be a standard resource"),
		Entry("a resource of a managed Redis", "statefulsets/shop-redis", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.Managed.Resources.Requests = corev1.ResourceList{"a b": resource.MustParse("1")}
		}, "spec.redis.managed.resources.requests[a b]"),
		Entry("requests of storage above its limit", "deployments/shop-flusher", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Resources = v1alpha1.Resources{
				Limits:   corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse("1Gi")},
				Requests: corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse("2Gi")},
			}
		}, "spec.flusher.resources.requests", "must be less than or equal to ephemeral-storage limit"),
		Entry("an egress to nobody", "networkpolicies/shop-flusher", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.NetworkPolicy.Egress = []v1alpha1.EgressRule{{}, {To: []networkingv1.NetworkPolicyPeer{{}}}}
		}, "spec.networkPolicy.egress[1].to[0]", "must specify a peer"),
		Entry("an address of clients", "networkpolicies/shop-redis", clients(networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/99"}}),
			"spec.networkPolicy.clients[0].ipBlock.cidr", `"10.0.0.0/99"`, "must be a valid CIDR value"),
	)

	It("for the settings that it has gathered is told, and heals", func(ctx SpecContext) {
		w := newWorld(ctx)
		stalled := haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec,
			"spec.mappings: the settings of the mappings", "there is room for", "name fewer columns")
		random := rand.New(rand.NewPCG(1, 2))
		// What packs badly fills the annotations after three changes.
		for i := range 4 {
			w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
				listing(2, 200, 256)(c)
				for j := range c.Spec.Mappings {
					m := &c.Spec.Mappings[j]
					m.Name, m.KeyPrefix = fmt.Sprintf("m-%d-%d", i, j), fmt.Sprintf("%d-%d:", i, j)
					for k := range m.Columns {
						field := []byte(m.Columns[k].Field)
						for l := range len(field) - 4 {
							field[l] = byte('a' + random.IntN(26))
						}
						m.Columns[k] = v1alpha1.Column{Field: string(field), Column: fmt.Sprintf("c%d", k)}
					}
				}
			})
			w.planned(ctx)
			if full, err := stalled.Match(w.now(ctx)); full && err == nil {
				break
			}
		}
		Expect(w.now(ctx)).To(stalled)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = []v1alpha1.Mapping{mapping("small", "small:")} })
		Eventually(w.poll(ctx)).ShouldNot(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec))
	})

	It("that leaves no room for a status is told by an event, seldom", func(ctx SpecContext) {
		cache := minimal(newNamespace(ctx))
		var terms []corev1.PodAffinityTerm
		for size := 0; size < 1<<20+1<<19; {
			terms = append(terms, words(len(terms)))
			text, err := json.Marshal(terms[len(terms)-1])
			Expect(err).NotTo(HaveOccurred())
			size += len(text)
		}
		Eventually(func() error { // the largest that is taken
			terms = terms[:len(terms)-1]
			affinity(terms...)(cache)
			return k8s.Create(ctx, cache)
		}).WithPolling(time.Millisecond).Should(Succeed())
		w := &world{cache: cache}
		DeferCleanup(func(ctx SpecContext) {
			w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Affinity = nil })
			// The API server marks what it has in memory as deleted, which may still be the large
			// one. etcd refuses that for its size, before it is found to be old.
			Eventually(func() error { return client.IgnoreNotFound(k8s.Delete(ctx, cache.DeepCopy())) }).Should(Succeed())
			w.discard(ctx)
		})
		Eventually(func() []string { return eventsOf(ctx, w) }).Should(ContainElement(And(
			ContainSubstring("larger than the API server stores"), ContainSubstring("name fewer columns"))))
		sent := len(writes.of(cache.Namespace))
		Consistently(func() int { return len(writes.of(cache.Namespace)) }).Should(BeNumerically("<=", sent+1))
	})
})

// What a tenant can do with the rights on the resource and on everything else in
// the namespace, Pods of flushers included: spec.flusher.image is the tenant's.
var _ = Describe("A hostile tenant", func() {
	It("puts nothing into the status that a terminal acts on", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(func(s *config.Status) {
			s.Queues[0].LastError = "a\x1b[2Jb\nc\u202ed"
			s.Database = failing(v1alpha1.ReasonConnectionFailed, "a\x1b]0;b\x07c")
		})
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionDatabaseReady, metav1.ConditionFalse, v1alpha1.ReasonConnectionFailed, "flusher pod shop-flusher-a says: a ]0;b c"),
			HaveField("Status.Mappings", ConsistOf(HaveField("LastError", "flusher pod shop-flusher-a says: a [2Jb c d"))),
		))
	})

	It("is not believed by a Pod that only has the labels of a flusher", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		liar := w.startFlusher(ctx, "liar")
		Eventually(func() error {
			if err := k8s.Get(ctx, client.ObjectKeyFromObject(liar.pod), liar.pod); err != nil {
				return err
			}
			liar.pod.OwnerReferences = nil
			return k8s.Update(ctx, liar.pod)
		}).Should(Succeed())
		w.settle()
		liar.say(func(s *config.Status) {
			s.Queues[0].DataLossEvents, s.Database = 1000, failing(v1alpha1.ReasonConnectionFailed, "all is lost")
		})
		Consistently(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionDatabaseReady, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
			HaveField("Status.DataLossEvents", HaveValue(BeEquivalentTo(0))),
		))
	})

	It("gets no answer believed that is larger than any flusher's", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(func(s *config.Status) { s.Queues = append(s.Queues, make([]config.QueueStatus, 1000)...) })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonFlushersDown,
			"answers /status with something other than a status document"))
	})

	It("that takes a note from a Pod again and again is not fought for ever", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		sent := len(writes.of(w.cache.Namespace))
		taken := 0
		take := func() error {
			pod := &corev1.Pod{}
			if err := k8s.Get(ctx, client.ObjectKeyFromObject(f.pod), pod); err != nil {
				return err
			}
			if pod.Annotations[v1alpha1.AnnotationSettingsHash] != "" {
				delete(pod.Annotations, v1alpha1.AnnotationSettingsHash)
				if k8s.Update(ctx, pod) == nil {
					taken++
				}
			}
			return nil
		}
		notes := func() int {
			return len(slices.DeleteFunc(writes.of(w.cache.Namespace)[sent:], func(s string) bool { return !strings.Contains(s, "pods/") }))
		}
		Eventually(func() (int, error) { return notes(), take() }).Should(BeNumerically(">=", 2))
		Consistently(take).WithTimeout(2 * quiet).Should(Succeed())
		Expect(notes()).To(BeNumerically("<=", 6), "after %d were taken", taken)
	})

	It("stops nobody else's resource by naming its managed Redis first", func(ctx SpecContext) {
		victims := newNamespace(ctx)
		squatter := newWorld(ctx, address("shop-redis."+victims+".svc:6379"))
		squatter.rollOut(ctx)
		squatter.startFlusher(ctx, "a") // which says that it has the queue
		Eventually(squatter.poll(ctx)).Should(beReady())

		victim := &world{cache: minimal(victims)}
		Expect(k8s.Create(ctx, victim.cache)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { victim.discard(ctx) })
		Eventually(func() map[string]client.Object { return victim.objects(ctx) }).Should(HaveKey("*v1.Deployment shop-flusher"))
		Eventually(victim.poll(ctx)).Should(haveNoCondition(v1alpha1.ConditionStalled))
		squatter.touch(ctx)
		Eventually(squatter.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueConflict, "a queue that a resource of another namespace has"))
	})

	It("gets no settings in force believed that it has made up", func(ctx SpecContext) {
		w, _ := readyWorld(ctx, address("made.up:6379"))
		for _, plain := range []string{
			`{"revision":9223372036854775807}`,
			`{"revision":9223372036854775807,"external":{},"mappings":[{}]}`,
			`{"revision":9223372036854775807,"external":{"addresses":[""],"tls":{}},"mappings":[{"name":"products","partitions":-1,"columns":[{}]},{"retired":true}]}`,
		} {
			text := packed(plain)
			Eventually(func() error {
				service := &corev1.Service{}
				if err := k8s.Get(ctx, w.key("-flusher"), service); err != nil {
					return err
				}
				metav1.SetMetaDataAnnotation(&service.ObjectMeta, v1alpha1.AnnotationInForce, text)
				return k8s.Update(ctx, service)
			}).Should(Succeed())
			Eventually(func() error {
				service := &corev1.Service{}
				if err := k8s.Get(ctx, w.key("-flusher"), service); err != nil {
					return err
				}
				if service.Annotations[v1alpha1.AnnotationInForce] == text {
					return fmt.Errorf("%s is not put right", plain)
				}
				return nil
			}).Should(Succeed())
			Eventually(w.poll(ctx)).Should(beReady())
		}
	})
})

// packed is a text as the operator notes the settings in force.
func packed(plain string) string {
	GinkgoHelper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write([]byte(plain))
	Expect(err).NotTo(HaveOccurred())
	Expect(w.Close()).To(Succeed())
	return resources.Hash(plain) + "." + base64.StdEncoding.EncodeToString(zipped.Bytes())
}
