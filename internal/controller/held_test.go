// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("Another address of Redis", func() {
	const True, False = metav1.ConditionTrue, metav1.ConditionFalse
	addresses := func(ctx context.Context, w *world) func() ([]string, error) {
		return func() ([]string, error) {
			settings, err := w.settings(ctx)
			if err != nil {
				return nil, err
			}
			return settings.Redis.External.Addresses, nil
		}
	}
	seenAt := func(address string) OmegaMatcher {
		return HaveField("Status.Mappings", ConsistOf(HaveField("RedisAddress", address)))
	}

	It("is taken when the one before was never reached, though another was once", func(ctx SpecContext) {
		w, f := readyWorld(ctx, address("old:6379"))
		Eventually(w.poll(ctx)).Should(seenAt("old:6379"))
		settings, err := w.settings(ctx)
		Expect(err).NotTo(HaveOccurred())
		settings.Mappings = nil // of whose queues it then knows nothing
		w.change(ctx, address("typo:6379"))
		Eventually(addresses(ctx, w)).Should(Equal([]string{"typo:6379"}))
		f.freeze(settings)
		f.say(func(s *config.Status) {
			s.Redis, s.ObservedTime = config.Check{Reason: v1alpha1.ReasonConnectionFailed, Message: "typo:6379 cannot be resolved"}, time.Time{}
		})
		Eventually(w.poll(ctx)).Should(HaveField("Status.Conditions", ContainElement(SatisfyAll(
			HaveField("Type", v1alpha1.ConditionRedisReady), HaveField("Reason", v1alpha1.ReasonConnectionFailed)))))
		w.change(ctx, address("old:6379"))
		Eventually(addresses(ctx, w)).Should(Equal([]string{"old:6379"}))
		Eventually(w.poll(ctx)).Should(haveNoCondition(v1alpha1.ConditionStalled))
	})

	It("waits for the queue of the one before, whatever a flusher says that is at an earlier one yet", func(ctx SpecContext) {
		w, f := readyWorld(ctx, address("old:6379"))
		settings, err := w.settings(ctx)
		Expect(err).NotTo(HaveOccurred())
		f.freeze(settings)
		f.say(func(s *config.Status) { s.ObservedTime = time.Now().Add(time.Minute) })
		w.change(ctx, address("new:6379"))
		Eventually(func() string { return w.deployment(ctx).Spec.Template.Annotations[v1alpha1.AnnotationConfigHash] }).
			ShouldNot(Equal(f.pod.Annotations[v1alpha1.AnnotationConfigHash]))
		w.startFlusher(ctx, "b", func(s *config.Status) { s.Queues[0].Journal, s.Queues[0].Depth = "another", 7 })
		Eventually(w.poll(ctx)).Should(seenAt("new:6379"))
		w.change(ctx, address("third:6379"))
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, True, v1alpha1.ReasonQueueNotEmpty, "new:6379", "products"))
		Expect(addresses(ctx, w)()).To(Equal([]string{"new:6379"}))
	})

	It("waits while a flusher ran and nobody knows what it did", func(ctx SpecContext) {
		w := newWorld(ctx, address("old:6379"))
		f := w.startFlusher(ctx, "a", func(s *config.Status) { s.Queues = nil })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionRedisReady, True, v1alpha1.ReasonAsExpected))
		f.silence(true)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonFlushersDown))
		w.change(ctx, address("new:6379"))
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, True, v1alpha1.ReasonQueueNotEmpty, "old:6379"))
		Expect(addresses(ctx, w)()).To(Equal([]string{"old:6379"}))

		By("going on when it says that it never had the queue")
		f.silence(false)
		Eventually(addresses(ctx, w)).Should(Equal([]string{"new:6379"}))
	})
})

var _ = Describe("The first of as many mappings as there may be", func() {
	It("is replaced when its queue is empty", func(ctx SpecContext) {
		w, _ := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = nil
			for i := range 32 {
				c.Spec.Mappings = append(c.Spec.Mappings, mapping(fmt.Sprintf("m%02d", i), fmt.Sprintf("m%02d:", i)))
			}
		})
		w.change(ctx, first(func(m *v1alpha1.Mapping) { *m = mapping("fresh", "fresh:") }))
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", SatisfyAll(
			HaveLen(32), ContainElement(HaveField("Name", "fresh")), HaveEach(HaveField("Retired", false)))))
		Eventually(w.poll(ctx)).Should(haveNoCondition(v1alpha1.ConditionStalled))
	})
})
