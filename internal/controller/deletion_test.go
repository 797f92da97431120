// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("Deletion", func() {
	True := metav1.ConditionTrue
	holding := func(depth, dead int64) func(*config.Status) {
		return func(s *config.Status) { s.Queues[0].Depth, s.Queues[0].DeadLetters = depth, dead }
	}
	gone := func(ctx SpecContext, w *world) {
		GinkgoHelper()
		Eventually(func() error { return k8s.Get(ctx, w.key(""), &v1alpha1.WriteBehindCache{}) }).Should(MatchError(ContainSubstring("not found")))
	}

	It("drains first, also in the foreground, and then leaves nothing", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		Expect(k8s.Create(ctx, redisClaim(w))).To(Succeed())
		f.say(holding(35, 1))
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(35))))
		objects := w.objects(ctx)

		Expect(k8s.Delete(ctx, w.cache, client.PropagationPolicy(metav1.DeletePropagationForeground))).To(Succeed())
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "queue products holds 35 entries and 1 dead letter"),
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonDraining),
		))
		settings, err := w.settings(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(settings.Draining).To(BeTrue())
		Expect(settings.Revision).To(Equal(w.now(ctx).Generation))
		Consistently(func() []string { return missing(objects, w.objects(ctx)) }).Should(BeEmpty())

		By("emptying the queue but not the dead letters")
		f.say(holding(0, 1))
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "holds 0 entries and 1 dead letter", "(kubectl exec -n "+w.cache.Namespace+" deploy/shop-flusher -- /flusher dlq replay --all, or discard, takes"))
		Expect(w.now(ctx)).To(haveCondition(v1alpha1.ConditionDeadLetterQueueEmpty, metav1.ConditionFalse, v1alpha1.ReasonDeadLetters, "1 of mapping products"))

		By("emptying both, as seen by a flusher that does not drain yet")
		f.say(func(s *config.Status) { s.Draining = false })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "not closed to writers yet"))
		f.say(func(s *config.Status) { s.Queues[0].State = "open" })
		Consistently(func() []string { return missing(objects, w.objects(ctx)) }).Should(BeEmpty())

		By("emptying both")
		f.say(nil)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained))
		By("waiting for the flushers to end, before what they drained goes")
		Eventually(func() map[string]client.Object { return w.objects(ctx) }).ShouldNot(HaveKey("*v1.Deployment shop-flusher"))
		Consistently(func() map[string]client.Object { return w.objects(ctx) }).Should(SatisfyAll(
			HaveKey("*v1.StatefulSet shop-redis"), HaveKey("*v1.PersistentVolumeClaim data-shop-redis-0")))
		f.end(ctx)
		By("playing the garbage collector, which finds no dependent")
		Eventually(w.poll(ctx)).Should(HaveField("Finalizers", ConsistOf(metav1.FinalizerDeleteDependents)))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Finalizers = nil })
		gone(ctx, w)
		removeProtection(ctx, w)
		Eventually(func() map[string]client.Object { return w.objects(ctx) }).Should(BeEmpty())
	})

	It("says what is in the way when the time is up, and goes by force", func(ctx SpecContext) {
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.DrainTimeoutSeconds = 1 })
		f.say(func(s *config.Status) {
			holding(4, 0)(s)
			s.Database = failing(v1alpha1.ReasonConnectionFailed, "PostgreSQL cannot be reached")
		})
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(4))))
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrainBlocked,
			"4 entries", "ConnectionFailed", "PostgreSQL cannot be reached", v1alpha1.AnnotationForceDelete))
		Eventually(func() []string { return eventReasons(ctx, w) }).Should(ContainElement("DrainBlocked"))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			metav1.SetMetaDataAnnotation(&c.ObjectMeta, v1alpha1.AnnotationForceDelete, "true")
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained, "gives up"))
		f.end(ctx)
		gone(ctx, w)
		Eventually(func() map[string]client.Object { return w.objects(ctx) }).Should(BeEmpty())
	})

	It("says what a watchdog says, and that dead letters are in the way when the time is up", func(ctx SpecContext) {
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.DrainTimeoutSeconds = 1 })
		f.say(func(s *config.Status) {
			holding(2, 5)(s)
			s.Queues[0].Ready = failing(v1alpha1.ReasonStuck, "entries of queue products wait")
		})
		Eventually(w.poll(ctx)).Should(HaveField("Status.DeadLetters", HaveValue(BeEquivalentTo(5))))
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrainBlocked,
			"2 entries and 5 dead letters", "/flusher dlq replay --all, or discard", "Stuck: flusher pod shop-flusher-a says: entries of queue products wait", v1alpha1.AnnotationForceDelete))
		f.say(holding(0, 0))
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained))
		f.end(ctx)
		gone(ctx, w)
	})

	DescribeTable("names the way out from the start when no flusher is at Redis",
		func(ctx SpecContext, cut func(SpecContext, *flusher), why string) {
			w, f := readyWorld(ctx)
			f.say(holding(2, 0))
			Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(2))))
			Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
			Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "2 entries"))
			Expect(meta.FindStatusCondition(w.now(ctx).Status.Conditions, v1alpha1.ConditionDraining).Message).NotTo(ContainSubstring(v1alpha1.AnnotationForceDelete))
			cut(ctx, f)
			Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining,
				why, `If that does not change, the annotation `+v1alpha1.AnnotationForceDelete+`: "true" gives up what is queued`))
		},
		Entry("a Redis that is gone", func(_ SpecContext, f *flusher) {
			f.say(func(s *config.Status) { s.Redis = failing(v1alpha1.ReasonConnectionFailed, "nobody listens") })
		}, "ConnectionFailed: flusher pod shop-flusher-a says: nobody listens"),
		Entry("flushers that do not answer", func(_ SpecContext, f *flusher) { f.silence(true) }, "HTTP 500"),
		Entry("flushers that are gone", func(ctx SpecContext, f *flusher) { f.end(ctx) }, "No flusher answers"),
	)

	It("says of an annotation with another value than true that it does nothing", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(holding(2, 0))
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(2))))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			metav1.SetMetaDataAnnotation(&c.ObjectMeta, v1alpha1.AnnotationForceDelete, "yes")
		})
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "2 entries",
			`the annotation `+v1alpha1.AnnotationForceDelete+` is "yes", which does nothing: only "true" gives up what is queued`))
	})

	It("waits for a flusher when a queue was seen once", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		Eventually(w.poll(ctx)).Should(HaveField("Status.Mappings", ConsistOf(HaveField("Journal", Not(BeEmpty())))))
		f.end(ctx)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonFlushersDown))
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "No flusher answers"))
		Expect(k8s.Delete(ctx, w.deployment(ctx))).To(Succeed())
		Eventually(func() map[string]client.Object { return w.objects(ctx) }).Should(HaveKey("*v1.Deployment shop-flusher"))
		f = w.startFlusher(ctx, "b")
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained))
		f.end(ctx)
		gone(ctx, w)
	})

	It("ends at once when no queue was ever seen", func(ctx SpecContext) {
		w := newWorld(ctx)
		w.rollOut(ctx)
		f := w.startFlusher(ctx, "a", func(s *config.Status) {
			s.Redis, s.ObservedTime = failing(v1alpha1.ReasonAuthenticationFailed, "wrong password"), time.Time{}
			s.Queues[0].Journal = ""
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonAuthenticationFailed))
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained, "nothing to drain"))
		f.end(ctx)
		gone(ctx, w)
		Eventually(func() map[string]client.Object { return w.objects(ctx) }).Should(BeEmpty())
	})

	It("drains a suspended resource: the flushers flush while they drain", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Suspend = true })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSuspended))
		f.say(holding(3, 0))
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "3 entries"))
		f.say(holding(0, 0))
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained))
		f.end(ctx)
		gone(ctx, w)
	})

	It("with the policy Retain leaves Redis with what is queued", func(ctx SpecContext) {
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		Expect(k8s.Create(ctx, redisClaim(w))).To(Succeed())
		f.say(holding(9, 0))
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(9))))
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonRetained, "Retain", "Secrets "+w.now(ctx).Status.Redis.SecretName))
		By("changing the policy when it is too late to drain")
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDrain })
		f.end(ctx)
		gone(ctx, w)
		Eventually(func() map[string]client.Object { return w.objects(ctx) }).Should(SatisfyAll(
			HaveLen(8), HaveKey("*v1.ConfigMap shop-redis-users"), HaveKey("*v1.Secret shop-redis-flusher-"+string(w.cache.UID)[:8]), HaveKey("*v1.NetworkPolicy shop-redis"), HaveKey("*v1.StatefulSet shop-redis"), HaveKey("*v1.Service shop-redis"), HaveKey("*v1.ConfigMap shop-redis"),
			HaveKey("*v1.PersistentVolumeClaim data-shop-redis-0"), HaveKey("*v1.Secret shop-redis-application-"+string(w.cache.UID)[:8])))
		Eventually(func() []string { return eventReasons(ctx, w) }).Should(ContainElement("Retained"))
	})
})

func missing(before, after map[string]client.Object) []string {
	var names []string
	for name := range before {
		if _, ok := after[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// removeProtection plays the controller that lets a claim go that no Pod uses.
func removeProtection(ctx SpecContext, w *world) {
	GinkgoHelper()
	claims := &corev1.PersistentVolumeClaimList{}
	Expect(k8s.List(ctx, claims, client.InNamespace(w.cache.Namespace))).To(Succeed())
	for i := range claims.Items {
		claim := &claims.Items[i]
		Expect(claim.DeletionTimestamp).NotTo(BeNil(), claim.Name)
		claim.Finalizers = nil
		Expect(k8s.Update(ctx, claim)).To(Succeed())
	}
}

func eventReasons(ctx SpecContext, w *world) []string {
	GinkgoHelper()
	list := &eventsv1.EventList{}
	Expect(k8s.List(ctx, list, client.InNamespace(w.cache.Namespace))).To(Succeed())
	var reasons []string
	for _, e := range list.Items {
		if e.Regarding.Name == w.cache.Name {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}
