// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("The generation of a condition", func() {
	spoken := []string{v1alpha1.ConditionReady, v1alpha1.ConditionRedisReady, v1alpha1.ConditionDatabaseReady}
	// of is status and generation of the three conditions that speak of it.
	of := func(ctx SpecContext, w *world) func() map[string]metav1.Condition {
		return func() map[string]metav1.Condition {
			found := map[string]metav1.Condition{}
			now := w.now(ctx)
			for _, kind := range spoken {
				c := meta.FindStatusCondition(now.Status.Conditions, kind)
				found[kind] = metav1.Condition{Status: c.Status, ObservedGeneration: c.ObservedGeneration}
			}
			return found
		}
	}

	It("is that which a flusher has tried", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		settings, err := w.settings(ctx)
		Expect(err).NotTo(HaveOccurred())
		f.freeze(settings)
		before := of(ctx, w)()
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.URLSecretRef.Name = "nowhere" })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionSettingsApplied, metav1.ConditionFalse, v1alpha1.ReasonRolling))
		Consistently(of(ctx, w)).Should(Equal(before))
		By("syncing the file to the flusher, which still has the Secret that it was started with")
		f.freeze(nil)
		Consistently(of(ctx, w)).Should(Equal(before))
		By("starting another of the new template, which finds the Secret missing")
		b := w.startFlusher(ctx, "b", func(s *config.Status) {
			s.Database = failing(v1alpha1.ReasonSecretMissing, "Secret nowhere, key uri is missing")
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSecretMissing, "nowhere"))
		b.say(nil)
		f.end(ctx)
		w.rollOut(ctx)
		Eventually(w.poll(ctx)).Should(beReady())
	})

	It("follows a change of live settings without a word", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		for _, interval := range []int32{200, 300, 400} {
			w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.IntervalMilliseconds = interval })
			Eventually(func(g Gomega) {
				now := w.now(ctx)
				g.Expect(meta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())
				g.Expect(now).To(beReady())
			}).Should(Succeed())
		}
		Expect(eventReasons(ctx, w)).NotTo(ContainElements(v1alpha1.ReasonProgressing, v1alpha1.ReasonRolling))
	})

	It("is told with nothing known when flushers of an earlier one come back", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		settings, err := w.settings(ctx)
		Expect(err).NotTo(HaveOccurred())
		f.freeze(settings)
		f.silence(true)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonFlushersDown))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.URLSecretRef.Name = "nowhere" })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonFlushersDown))
		f.silence(false)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "No flusher that answers has tried"))
	})

	It("comes with the cause when a rollout does not end", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Image = "nowhere:1" })
		Eventually(func() string { return w.deployment(ctx).Spec.Template.Spec.Containers[0].Image }).Should(Equal("nowhere:1"))
		b := w.startFlusher(ctx, "b")
		b.setStatus(ctx, waitingPod("ImagePullBackOff", ""))
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionSettingsApplied, metav1.ConditionFalse, v1alpha1.ReasonRolling, "1 of 2", "Pod shop-flusher-b cannot pull image nowhere:1"),
			haveCondition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "Pod shop-flusher-b cannot pull image nowhere:1"),
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
		))
	})
})

var _ = Describe("A document at /status", func() {
	It("is brought into bounds, so that no value of it keeps the status as it was", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(func(s *config.Status) {
			q := &s.Queues[0]
			q.Journal, q.LastError, q.OldestPendingSeconds = strings.Repeat("j", 300), strings.Repeat("e", 1<<16), 1e300
			q.Depth, q.DeadLetters, q.Flushed, q.DataLossEvents = -1, 1<<62, -7, -3
			s.Database = failing(strings.Repeat("R", 2000), strings.Repeat("m", 1<<16))
		})
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonCommandFailed),
			HaveField("Status.Mappings", ConsistOf(HaveField("Journal", HaveLen(256)))),
			HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(0))),
		))
		f.say(nil)
		// Another journal and then the first again: either is a queue that was lost.
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
			HaveField("Status.DataLossEvents", HaveValue(BeEquivalentTo(2))),
		))
	})

	It("of another resource is no answer", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(func(s *config.Status) {
			s.Owner, s.Database = "another", failing(v1alpha1.ReasonConnectionFailed, "PostgreSQL of tenant B")
		})
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonFlushersDown, "for another resource"),
			haveCondition(v1alpha1.ConditionDatabaseReady, metav1.ConditionUnknown, v1alpha1.ReasonFlushersDown),
		))
	})
})

var _ = Describe("The password of a managed Redis", func() {
	It("is made anew when somebody has deleted it, at the next sign of life of a Pod", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		name := resources.FlusherSecretName(w.cache)
		key := client.ObjectKey{Namespace: w.cache.Namespace, Name: name}
		secret := &corev1.Secret{}
		Expect(k8s.Get(ctx, key, secret)).To(Succeed())
		Expect(k8s.Delete(ctx, secret)).To(Succeed())
		status := f.pod.Status.DeepCopy()
		status.ContainerStatuses = []corev1.ContainerStatus{{Name: "flusher", RestartCount: 1, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		f.setStatus(ctx, *status)
		Eventually(func() error { return k8s.Get(ctx, key, &corev1.Secret{}) }).Should(Succeed())
		Eventually(func() []string { return eventNotes(ctx, w) }).Should(ContainElement(ContainSubstring("was missing and was created again with a new password")))
		f.say(func(s *config.Status) {
			s.Redis = failing(v1alpha1.ReasonAuthenticationFailed, "Redis refuses the password")
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionRedisReady, metav1.ConditionFalse, v1alpha1.ReasonAuthenticationFailed,
			"Redis takes the password of Secret "+name, "no data is lost"))
	})
})
