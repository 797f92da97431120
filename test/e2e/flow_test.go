// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/load"
)

var _ = Describe("A WriteBehindCache", Ordered, func() {
	var s *shop

	BeforeAll(func(ctx SpecContext) {
		s = newShop(ctx, "flow")
		s.database.exec(ctx, load.CreateTable)
		s.applySecret(ctx)
	})

	AfterEach(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			dump(ctx, s.namespace, operator.Namespace)
		}
	})

	It("becomes Ready in a namespace that enforces the restricted profile", func(ctx SpecContext) {
		s.apply(ctx)
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(SatisfyAll(
			HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue),
			HaveCondition(v1alpha1.ConditionRedisReady, metav1.ConditionTrue),
			HaveCondition(v1alpha1.ConditionDatabaseReady, metav1.ConditionTrue),
			HaveCondition(v1alpha1.ConditionSettingsApplied, metav1.ConditionTrue),
		))
		s.load = s.connect(ctx, load.Options{Keys: 2000, Workers: 4, Pipeline: 50, DeletePercent: 5})
	}, SpecTimeout(startTimeout+time.Minute))

	It("carries the last acknowledged write of every key to its row", func(ctx SpecContext) {
		Expect(s.load.Run(ctx, load.Volume{Writes: 40_000, Rate: 10_000})).To(Succeed())
		Eventually(ctx, s.depth(ctx)).WithTimeout(flushTimeout).Should(BeZero())
		s.expectEqual(ctx)
		stats, err := s.load.Stats(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(stats.Writes).To(Equal(s.load.Acknowledged()), "wb_stats counts every acknowledged write")
		Expect(stats.Flushed+stats.Coalesced).To(Equal(stats.Writes), "every write was flushed or coalesced into a later one")
		Expect(stats.Coalesced).To(BeNumerically(">", 0))
		Eventually(ctx, s.cache(ctx)).Should(HaveField("Status", SatisfyAll(
			HaveField("QueueDepth", HaveValue(BeZero())),
			HaveField("DeadLetters", HaveValue(BeZero())),
			HaveField("FlushedTotal", HaveValue(BeEquivalentTo(stats.Flushed))),
			HaveField("LastFlushTime.Time", BeTemporally("~", time.Now(), 2*time.Minute)),
		)))
	}, SpecTimeout(2*time.Minute))

	It("loses nothing when its flusher is killed under load, again and again", func(ctx SpecContext) {
		ended := make(chan error, 1)
		go func() { ended <- s.load.Run(ctx, load.Volume{Writes: 150_000, Rate: 7_500}) }()
		for range 4 {
			pod := s.readyFlusher(ctx)
			killed := s.load.Acknowledged()
			Expect(cluster.Client.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
			Eventually(ctx, func() types.UID { return s.readyFlusher(ctx).UID }).WithTimeout(startTimeout).ShouldNot(Equal(pod.UID))
			Expect(s.load.Acknowledged()).To(BeNumerically(">", killed), "writes go on without a flusher")
		}
		Eventually(ctx, ended).WithTimeout(startTimeout).Should(Receive(Succeed()))
		Eventually(ctx, s.depth(ctx)).WithTimeout(flushTimeout).Should(BeZero())
		s.expectEqual(ctx)
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
	}, SpecTimeout(5*time.Minute))

	It("holds writes back while it is suspended, and says so", func(ctx SpecContext) {
		s.tune(ctx, `{"suspend":true,"flush":{"intervalMilliseconds":100}}`)
		Eventually(ctx, s.cache(ctx)).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSuspended))
		_, err := s.load.Put(ctx, 2, product("suspended"))
		Expect(err).NotTo(HaveOccurred())
		Consistently(ctx, s.name(ctx, 2)).WithTimeout(3 * time.Second).ShouldNot(Equal("suspended"))
		s.tune(ctx, `{"suspend":false}`)
		Eventually(ctx, s.name(ctx, 2)).WithTimeout(3 * time.Second).Should(Equal("suspended"))
	}, SpecTimeout(time.Minute))

	It("puts right what was changed by hand", func(ctx SpecContext) {
		deployment, err := cluster.DeploymentOf(ctx, s.now(ctx))
		Expect(err).NotTo(HaveOccurred())
		_, err = cluster.Kubectl(ctx, "scale", "deployment", deployment.Name, "-n", s.namespace, "--replicas", "0")
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() (*appsv1.Deployment, error) { return cluster.DeploymentOf(ctx, s.now(ctx)) }).
			Should(HaveField("Spec.Replicas", HaveValue(BeEquivalentTo(1))))

		services := func() ([]string, error) {
			list := &corev1.ServiceList{}
			err := cluster.Client.List(ctx, list, client.InNamespace(s.namespace),
				client.MatchingLabels{v1alpha1.LabelOwnerUID: string(s.now(ctx).UID)})
			names := make([]string, 0, len(list.Items))
			for i := range list.Items {
				names = append(names, list.Items[i].Name)
			}
			return names, err
		}
		before, err := services()
		Expect(err).NotTo(HaveOccurred())
		Expect(before).NotTo(BeEmpty())
		_, err = cluster.Kubectl(ctx, "delete", "services", "-n", s.namespace, "--all")
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, services).Should(ConsistOf(before))

		_, err = s.load.Put(ctx, 4, product("after the repair"))
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, s.name(ctx, 4)).WithTimeout(startTimeout).Should(Equal("after the repair"))
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
	}, SpecTimeout(startTimeout+time.Minute))

	It("says that the database refuses the password, and heals with a rotated Secret", func(ctx SpecContext) {
		s.database.changePassword(ctx)
		s.database.endSessions(ctx)
		Eventually(ctx, s.cache(ctx)).WithTimeout(reportTimeout).Should(SatisfyAll(
			HaveCondition(v1alpha1.ConditionDatabaseReady, metav1.ConditionFalse, v1alpha1.ReasonAuthenticationFailed, databaseSecret),
			HaveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonAuthenticationFailed),
		))
		_, err := s.load.Put(ctx, 3, product("while the password was wrong"))
		Expect(err).NotTo(HaveOccurred(), "writes go on without a database")
		s.applySecret(ctx)
		s.hurry(ctx)
		Eventually(ctx, s.cache(ctx)).WithTimeout(secretTimeout).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
		Eventually(ctx, s.name(ctx, 3)).Should(Equal("while the password was wrong"))
	}, SpecTimeout(secretTimeout+time.Minute))

	It("drains before it goes, and leaves nothing behind", func(ctx SpecContext) {
		cache := s.now(ctx)
		s.tune(ctx, `{"flush":{"intervalMilliseconds":3600000,"batchSize":10000}}`)
		for id := int64(1); id <= 500; id++ {
			_, err := s.load.Put(ctx, id, product(fmt.Sprintf("queued %d", id)))
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(s.depth(ctx)()).To(BeNumerically(">=", 1))

		By("deleting it while a lock keeps the database from taking rows")
		s.database.exec(ctx, "BEGIN")
		s.database.exec(ctx, "LOCK TABLE products IN ACCESS EXCLUSIVE MODE")
		_, err := cluster.Kubectl(ctx, "delete", "wbc", s.key.Name, "-n", s.namespace, "--wait=false", "--cascade=foreground")
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, s.cache(ctx)).Should(HaveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue))
		Eventually(ctx, func() error {
			_, err := s.load.Put(ctx, 1, product("too late"))
			return err
		}).Should(MatchError(ContainSubstring("WBPAUSED")))

		By("letting the rows through")
		s.database.exec(ctx, "COMMIT")
		Eventually(ctx, func() error {
			_, err := cluster.Cache(ctx, s.key)
			return err
		}).WithTimeout(drainTimeout).Should(MatchError(ContainSubstring("not found")))
		s.expectEqual(ctx)
		Eventually(ctx, func() (string, error) { return objectsOf(ctx, cache) }).WithTimeout(drainTimeout).Should(BeEmpty())
	}, SpecTimeout(2*drainTimeout))
})

var _ = Describe("A WriteBehindCache whose surroundings are not there yet", Ordered, func() {
	var s *shop

	BeforeAll(func(ctx SpecContext) {
		s = newShop(ctx, "late")
		s.apply(ctx)
	})

	AfterEach(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			dump(ctx, s.namespace, operator.Namespace)
		}
	})

	It("names the Secret that is missing", func(ctx SpecContext) {
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(SatisfyAll(
			HaveCondition(v1alpha1.ConditionDatabaseReady, metav1.ConditionFalse, v1alpha1.ReasonSecretMissing, databaseSecret),
			HaveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSecretMissing),
		))
	}, SpecTimeout(startTimeout+time.Minute))

	It("names the table that is missing, once the Secret is there", func(ctx SpecContext) {
		s.applySecret(ctx)
		s.hurry(ctx)
		Eventually(ctx, s.cache(ctx)).WithTimeout(secretTimeout).Should(
			HaveCondition(v1alpha1.ConditionDatabaseReady, metav1.ConditionFalse, v1alpha1.ReasonSchemaMismatch, "products"))
	}, SpecTimeout(secretTimeout+time.Minute))

	It("names the key that the table lacks", func(ctx SpecContext) {
		s.database.exec(ctx, strings.Replace(load.CreateTable, "PRIMARY KEY", "", 1))
		Eventually(ctx, s.cache(ctx)).WithTimeout(reportTimeout).Should(
			HaveCondition(v1alpha1.ConditionDatabaseReady, metav1.ConditionFalse, v1alpha1.ReasonSchemaMismatch, "id"))
	}, SpecTimeout(time.Minute))

	It("becomes Ready when all is mended, and flushes what was written meanwhile", func(ctx SpecContext) {
		s.load = s.connect(ctx, load.Options{Keys: 100, Workers: 1, Pipeline: 10})
		_, err := s.load.Put(ctx, 7, product("early"))
		Expect(err).NotTo(HaveOccurred(), "writes are taken before the database can take them")
		s.database.exec(ctx, "ALTER TABLE products ADD PRIMARY KEY (id)")
		Eventually(ctx, s.cache(ctx)).WithTimeout(reportTimeout).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
		Eventually(ctx, s.name(ctx, 7)).Should(Equal("early"))
		s.expectEqual(ctx)
	}, SpecTimeout(time.Minute))
})

var _ = Describe("The operator", func() {
	It("has no right to read Secrets", func(ctx SpecContext) {
		deployment := &appsv1.Deployment{}
		Expect(cluster.Client.Get(ctx, operator, deployment)).To(Succeed())
		account := fmt.Sprintf("system:serviceaccount:%s:%s", operator.Namespace, deployment.Spec.Template.Spec.ServiceAccountName)
		for _, verb := range []string{"get", "list", "watch"} {
			printed, _ := cluster.Kubectl(ctx, "auth", "can-i", verb, "secrets", "--all-namespaces", "--as", account)
			Expect(strings.TrimSpace(printed)).To(Equal("no"), "kubectl auth can-i %s secrets --as %s", verb, account)
		}
	})

	It("meets the restricted profile itself", func(ctx SpecContext) {
		cmd := cluster.KubectlCommand(ctx, "label", "--dry-run=server", "--overwrite", "namespace", operator.Namespace,
			"pod-security.kubernetes.io/enforce=restricted")
		printed, err := cmd.CombinedOutput()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(printed)).NotTo(ContainSubstring("violate"))
	})

	It("lets the API server refuse a spec that cannot work, with the field's name", func(ctx SpecContext) {
		cache := &v1alpha1.WriteBehindCache{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "WriteBehindCache"}}
		cache.Namespace, cache.Name = "default", "refused"
		cache.Spec = v1alpha1.WriteBehindCacheSpec{
			Redis:    v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}},
			Database: v1alpha1.Database{Postgres: v1alpha1.Postgres{URLSecretRef: v1alpha1.URLSecretRef{Name: databaseSecret}}},
			Mappings: []v1alpha1.Mapping{{Name: "products", KeyPrefix: "wb:products:", Table: "products", KeyColumn: "id"}},
		}
		manifest, err := json.Marshal(cache)
		Expect(err).NotTo(HaveOccurred())
		_, err = cluster.KubectlWithInput(ctx, manifest, "create", "-f", "-")
		Expect(err).To(MatchError(ContainSubstring("spec.mappings[0].keyPrefix")))
	})
})

func product(name string) load.Product {
	return load.Product{Name: name, PriceCents: 1999, Stock: 1, UpdatedAt: time.Now().UTC().Truncate(time.Microsecond)}
}

// objectsOf lists everything that still carries a cache's label.
func objectsOf(ctx context.Context, cache *v1alpha1.WriteBehindCache) (string, error) {
	return cluster.Kubectl(ctx, "get", "deployments,statefulsets,pods,services,configmaps,secrets,persistentvolumeclaims,poddisruptionbudgets,networkpolicies",
		"-n", cache.Namespace, "-l", v1alpha1.LabelOwnerUID+"="+string(cache.UID), "-o", "name")
}
