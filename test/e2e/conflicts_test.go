// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/load"
)

// redisSecret is the Secret with the password of a Redis outside of the cluster.
const redisSecret = "queue"

var _ = Describe("WriteBehindCaches at one Redis", Ordered, func() {
	var s *shop
	var server *journaltest.Server

	BeforeAll(func(ctx SpecContext) {
		var err error
		// The server outlives the context that only bounds this node, and the shop.
		server, err = journaltest.Start(context.WithoutCancel(ctx), journaltest.Options{
			Host: gateway, Password: newPassword(), Config: []string{"appendonly yes"},
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(server.Close)
		s = newShop(ctx, "rivals")
		s.database.exec(ctx, load.CreateTable)
		s.database.exec(ctx, strings.Replace(load.CreateTable, "products", "reviews", 1))
		s.applySecret(ctx)
		Expect(cluster.ApplySecret(ctx, s.namespace, redisSecret, map[string]string{"password": server.Options().Password})).To(Succeed())
	}, NodeTimeout(time.Minute))

	AfterEach(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			dump(ctx, s.namespace, operator.Namespace)
		}
	})

	It("leave an object alone that has a needed name and belongs to somebody else", func(ctx SpecContext) {
		other := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "first-flusher"},
			Data:       map[string]string{"of": "somebody else"},
		}
		Expect(cluster.Client.Create(ctx, other)).To(Succeed())
		s.applyObject(ctx, external(server, "first"))
		Eventually(ctx, s.cache(ctx)).Should(SatisfyAll(
			HaveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonObjectConflict, "ConfigMap first-flusher", "delete it, or give this resource another name"),
			HaveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonObjectConflict),
		))
		found := &corev1.ConfigMap{}
		Expect(cluster.Client.Get(ctx, client.ObjectKeyFromObject(other), found)).To(Succeed())
		Expect(found).To(Equal(other), "it is as it was made")
		Expect(objectsOf(ctx, s.now(ctx))).To(BeEmpty(), "nothing is begun")

		By("doing what the condition says")
		Expect(cluster.Client.Delete(ctx, other)).To(Succeed())
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
		Expect(s.now(ctx).Status.Conditions).NotTo(ContainElement(HaveField("Type", v1alpha1.ConditionStalled)))
	}, SpecTimeout(startTimeout+time.Minute))

	It("have one owner of a queue; the later one touches nothing, also when it is deleted", func(ctx SpecContext) {
		s.load = s.connectTo(ctx, server.Options(), load.Options{Keys: 500, Workers: 2, Pipeline: 10})
		before, err := s.load.Stats(ctx)
		Expect(err).NotTo(HaveOccurred())
		objects, err := objectsOf(ctx, s.now(ctx))
		Expect(err).NotTo(HaveOccurred())
		ended := make(chan error, 1)
		go func() { ended <- s.load.Run(ctx, load.Volume{Writes: 20_000, Rate: upgradeRate}) }()
		Eventually(ctx, s.load.Acknowledged).Should(BeNumerically(">", upgradeRate))

		second := &shop{namespace: s.namespace}
		object := external(server, "second")
		Expect(unstructured.SetNestedField(object.Object, int64(7), "spec", "backpressure", "maxQueueDepth")).To(Succeed())
		second.applyObject(ctx, object)
		Eventually(ctx, second.cache(ctx)).Should(SatisfyAll(
			HaveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueConflict, "mapping products", s.namespace+"/first", "give the mapping another name"),
			HaveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonQueueConflict),
		))
		later := second.now(ctx)
		Expect(objectsOf(ctx, later)).To(BeEmpty(), "the later one makes nothing")
		_, err = cluster.Kubectl(ctx, "delete", "wbc", "second", "-n", s.namespace, "--timeout", reportTimeout.String())
		Expect(err).NotTo(HaveOccurred(), "it has nothing to drain")

		Eventually(ctx, ended).WithTimeout(flushTimeout).Should(Receive(Succeed()), "no write is refused")
		Eventually(ctx, s.depth(ctx)).WithTimeout(flushTimeout).Should(BeZero())
		s.expectEqual(ctx)
		lag := s.load.Lag()
		Expect(lag.Samples).To(BeNumerically(">", 100))
		Expect(lag.Longest).To(BeNumerically("<", leaseTime), "the first goes on flushing")
		after, err := s.load.Stats(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(after).To(SatisfyAll(
			HaveField("Journal", before.Journal), HaveField("Revision", before.Revision), HaveField("Max", before.Max), HaveField("State", before.State)))
		Expect(objectsOf(ctx, s.now(ctx))).To(Equal(objects))
		Expect(s.now(ctx)).To(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
	}, SpecTimeout(2*time.Minute))

	It("flush a mapping that is taken out of the spec to its end, and refuse its writers", func(ctx SpecContext) {
		review := func(id int) error {
			return s.redis.Do(ctx, "FCALL", "wb_set", 1, fmt.Sprintf("review:%d", id), "reviews",
				`{"name":"fine","price":1.5,"stock":1,"updated_at":"2026-01-02T12:00:00Z"}`).Err()
		}
		lines := func() (map[string]int64, error) {
			cache, err := cluster.Cache(ctx, s.key)
			depths := map[string]int64{}
			for _, m := range cache.Status.Mappings {
				depths[m.Name] = -1
				if m.QueueDepth != nil {
					depths[m.Name] = *m.QueueDepth
				}
			}
			return depths, err
		}

		By("taking it out while a lock keeps its rows from the database")
		s.database.exec(ctx, "BEGIN")
		s.database.exec(ctx, "LOCK TABLE reviews IN ACCESS EXCLUSIVE MODE")
		const reviews = 100
		for id := range reviews {
			Expect(review(id + 1)).To(Succeed())
		}
		s.patch(ctx, `{"mappings":[{"name":"products","keyPrefix":"product:","table":"public.products","keyColumn":"id"}]}`)
		Eventually(ctx, func() error { return review(1) }).Should(MatchError(ContainSubstring("WBPAUSED")))
		Eventually(ctx, lines).Should(HaveKeyWithValue("reviews", BeNumerically(">", 0)), "its line stays while there is something left")
		_, err := s.load.Put(ctx, 1, product("meanwhile"))
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, s.name(ctx, 1)).Should(Equal("meanwhile"), "the other mapping goes on")

		By("letting the rows through")
		s.database.exec(ctx, "COMMIT")
		Eventually(ctx, lines).Should(SatisfyAll(HaveLen(1), HaveKey("products")))
		var rows int
		Expect(s.database.db.QueryRow(ctx, "SELECT count(*) FROM reviews").Scan(&rows)).To(Succeed())
		Expect(rows).To(Equal(reviews))
		Expect(review(1)).To(MatchError(ContainSubstring("WBPAUSED")))
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(SatisfyAll(
			HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue),
			HaveCondition(v1alpha1.ConditionSettingsApplied, metav1.ConditionTrue)))
	}, SpecTimeout(startTimeout+time.Minute))
})

// external is the sample under another name, with the Redis outside of the cluster
// and a second mapping.
func external(server *journaltest.Server, name string) *unstructured.Unstructured {
	GinkgoHelper()
	object := sample(cluster.Path())
	object.SetName(name)
	Expect(unstructured.SetNestedMap(object.Object, map[string]any{"external": map[string]any{
		"addresses":            []any{server.Addr()},
		"credentialsSecretRef": map[string]any{"name": redisSecret, "passwordKey": "password"},
	}}, "spec", "redis")).To(Succeed())
	mappings, _, err := unstructured.NestedSlice(object.Object, "spec", "mappings")
	Expect(err).NotTo(HaveOccurred())
	mappings = append(mappings, map[string]any{"name": "reviews", "keyPrefix": "review:", "table": "public.reviews", "keyColumn": "id"})
	Expect(unstructured.SetNestedSlice(object.Object, mappings, "spec", "mappings")).To(Succeed())
	Expect(unstructured.SetNestedField(object.Object, int64(100), "spec", "flush", "intervalMilliseconds")).To(Succeed())
	return object
}
