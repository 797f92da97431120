// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/load"
)

const (
	// passwordTimeout is how long a managed Redis may take to serve under a new
	// password: the kubelet's time to take the old file away and to bring the new one,
	// a minute of liveness probes, and a start.
	passwordTimeout = 5 * time.Minute
	// rotationGap is how long a rotated password of the database may keep everything
	// from being flushed: one new connection, on a busy machine.
	rotationGap = 10 * time.Second
)

var _ = Describe("A WriteBehindCache whose passwords change", Ordered, func() {
	var s, other *shop
	var pods []string
	var before string
	var deleted time.Time

	BeforeAll(func(ctx SpecContext) {
		s, other = newShop(ctx, "rotated"), newShop(ctx, "renewed")
		for _, shop := range []*shop{s, other} {
			shop.database.exec(ctx, load.CreateTable)
			shop.applySecret(ctx)
			shop.apply(ctx)
		}
		for _, shop := range []*shop{s, other} {
			Eventually(ctx, shop.cache(ctx)).WithTimeout(startTimeout).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
			shop.load = shop.connect(ctx, load.Options{Keys: 2000, Workers: 2, Pipeline: 20, DeletePercent: 5})
		}
	}, NodeTimeout(2*startTimeout+time.Minute))

	AfterEach(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			dump(ctx, s.namespace, other.namespace, operator.Namespace)
		}
	})

	// What follows takes the kubelet's time for a changed Secret, in which the next
	// spec looks at the other password.
	It("loses the Secret of its Redis while something is queued", func(ctx SpecContext) {
		other.tune(ctx, fmt.Sprintf(`{"flush":{"intervalMilliseconds":%d,"batchSize":10000}}`, never))
		pods = other.flusherPods(ctx)
		for id := int64(1); id <= waiting; id++ {
			_, err := other.load.Put(ctx, id, product("before"))
			Expect(err).NotTo(HaveOccurred())
		}
		before = other.redis.Options().Password
		deleted = time.Now()
		// The flushers, which report theirs missing, have the operator look for the applications' too.
		_, err := cluster.Kubectl(ctx, "delete", "secret", "-n", other.namespace, "--selector", "app.kubernetes.io/component=redis")
		Expect(err).NotTo(HaveOccurred())
	}, SpecTimeout(startTimeout+time.Minute))

	It("goes on flushing under load while the database's is rotated, and loses nothing", func(ctx SpecContext) {
		s.tune(ctx, `{"flush":{"intervalMilliseconds":100}}`)
		pods := s.flusherPods(ctx)
		var enough atomic.Bool
		ended := make(chan error, 1)
		go func() { ended <- s.writeUntil(ctx, &enough) }()
		writeOn := func() {
			GinkgoHelper()
			acknowledged := s.load.Acknowledged()
			Eventually(ctx, s.load.Acknowledged).Should(BeNumerically(">", acknowledged+3*upgradeRate))
		}
		writeOn()
		watched := s.watchGaps(ctx)
		writeOn()
		usual, _ := watched.end()

		By("rotating it, while the sessions of the old one go on")
		watched = s.watchGaps(ctx)
		rotated := time.Now()
		s.database.changePassword(ctx)
		s.applySecret(ctx)
		Eventually(ctx, func() (old int, err error) {
			err = s.database.db.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND backend_start < $2", s.database.name, rotated).Scan(&old)
			return old, err
		}).WithTimeout(secretTimeout).Should(BeZero(), "sessions of the old password")
		took := time.Since(rotated)
		By("ending every session, so that the new one has to do")
		s.database.endSessions(ctx)
		writeOn()
		gap, at := watched.end()
		AddReportEntry("the gap in flushing", fmt.Sprintf("the longest time without a flush was %s, %s after the rotation (%s before it); the flusher had the new password after %s",
			brief(gap), brief(at.Sub(rotated)), brief(usual), brief(took)), ReportEntryVisibilityAlways)
		Expect(gap).To(BeNumerically("<", rotationGap))

		enough.Store(true)
		Eventually(ctx, ended).WithTimeout(flushTimeout).Should(Receive(Succeed()))
		Eventually(ctx, s.depth(ctx)).WithTimeout(flushTimeout).Should(BeZero())
		s.expectEqual(ctx)
		stats, err := s.load.Stats(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(stats.Flushed+stats.Coalesced).To(Equal(stats.Writes), "every write was flushed or coalesced into a later one")
		Expect(s.flusherPods(ctx)).To(Equal(pods), "the same flushers")
		Expect(s.now(ctx)).To(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
	}, SpecTimeout(secretTimeout+2*time.Minute))

	It("comes back by itself under the new password of its Redis, with what was queued", func(ctx SpecContext) {
		var client *redis.Client
		Eventually(ctx, func() error {
			address, err := cluster.Redis(ctx, other.now(ctx))
			if err != nil {
				return err
			}
			if address.Password == before {
				return errors.New("the Secret is the old one")
			}
			secrets = append(secrets, address.Password)
			client = redis.NewClient(address)
			DeferCleanup(client.Close)
			return client.Ping(ctx).Err()
		}).WithTimeout(passwordTimeout).WithPolling(time.Second).Should(Succeed())
		AddReportEntry("the Secret of Redis", fmt.Sprintf("Redis served under the new password %s after the Secret was deleted", brief(time.Since(deleted))), ReportEntryVisibilityAlways)
		Expect(other.name(ctx, waiting)()).To(BeEmpty(), "nothing was flushed yet")

		other.patch(ctx, `{"flush":{"intervalMilliseconds":100}}`)
		Eventually(ctx, other.name(ctx, waiting)).WithTimeout(secretTimeout).Should(Equal("before"))
		Eventually(ctx, func() (int64, error) {
			stats, err := load.ReadStats(ctx, client, "products")
			return stats.Depth, err
		}).Should(BeZero())
		other.expectEqual(ctx)
		Eventually(ctx, other.cache(ctx)).Should(SatisfyAll(
			HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue),
			HaveField("Status.DataLossEvents", HaveValue(BeZero()))))
		Expect(other.flusherPods(ctx)).To(Equal(pods), "the same flushers")
	}, SpecTimeout(passwordTimeout+secretTimeout+time.Minute))
})
