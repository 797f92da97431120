// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("A queue that another resource has on the same Redis", func() {
	// late makes a resource that is not expected to make any objects.
	late := func(ctx SpecContext, edits ...change) *world {
		GinkgoHelper()
		cache := minimal(newNamespace(ctx))
		for _, edit := range edits {
			edit(cache)
		}
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		w := &world{cache: cache}
		DeferCleanup(func(ctx SpecContext) { w.discard(ctx) })
		return w
	}
	named := func(name, prefix string) change {
		return first(func(m *v1alpha1.Mapping) { m.Name, m.KeyPrefix = name, prefix })
	}
	// notes are all that events of a namespace say.
	notes := func(ctx SpecContext, namespace string) (said []string) {
		GinkgoHelper()
		list := &eventsv1.EventList{}
		Expect(k8s.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
		for i := range list.Items {
			said = append(said, list.Items[i].Note)
		}
		return said
	}
	conflict := func(holder *world) OmegaMatcher {
		return SatisfyAll(
			haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueConflict, "mapping products", "a resource of another namespace"),
			Not(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueConflict, holder.cache.Namespace)),
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonQueueConflict),
		)
	}

	It("is left alone by the later one, also when that is deleted", func(ctx SpecContext) {
		holder, _ := readyWorld(ctx, address("first.rivals:6379"))
		w := late(ctx, address("First.Rivals.svc.cluster.local.:6379"))
		Eventually(w.poll(ctx)).Should(conflict(holder))
		Expect(w.objects(ctx)).To(BeEmpty())
		before := holder.versions(ctx)

		Expect(k8s.Delete(ctx, w.now(ctx))).To(Succeed())
		Eventually(func() error { return k8s.Get(ctx, w.key(""), &v1alpha1.WriteBehindCache{}) }).Should(MatchError(ContainSubstring("not found")))
		Expect(holder.versions(ctx)).To(Equal(before))
		Expect(holder.now(ctx)).To(beReady())
	})

	It("is left alone by one that names a managed Redis from outside", func(ctx SpecContext) {
		holder, _ := readyWorld(ctx)
		w := late(ctx, address("shop-redis."+holder.cache.Namespace+":6379"))
		Eventually(w.poll(ctx)).Should(conflict(holder))
		Expect(w.objects(ctx)).To(BeEmpty())
	})

	It("is not kept from its owners by a resource of another namespace whom nobody saw there", func(ctx SpecContext) {
		squatter := newWorld(ctx, address("squatted.rivals:6379"), named("any", "p"))
		holder, _ := readyWorld(ctx, address("squatted.rivals:6379"))
		Eventually(squatter.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueConflict))
		text := fmt.Sprint(squatter.now(ctx).Status, notes(ctx, squatter.cache.Namespace))
		for _, secret := range []string{holder.cache.Namespace, "products", "product:", string(holder.cache.UID)} {
			Expect(text).NotTo(ContainSubstring(secret))
		}
	})

	It("is told by name within a namespace", func(ctx SpecContext) {
		holder, _ := readyWorld(ctx, address("within.rivals:6379"))
		cache := minimal(holder.cache.Namespace)
		cache.Name = "second"
		address("within.rivals:6379")(cache)
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		w := &world{cache: cache}
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueConflict,
			"WriteBehindCache "+holder.cache.Namespace+"/shop", "or remove it from the other resource"))
		w.discard(ctx)
	})

	It("is taken over when it is free", func(ctx SpecContext) {
		holder, _ := readyWorld(ctx, address("second.rivals:6379"))
		w := late(ctx, address("second.rivals:6379"))
		Eventually(w.poll(ctx)).Should(conflict(holder))
		holder.discard(ctx)
		Eventually(func() error { return k8s.Get(ctx, w.key("-flusher"), &appsv1.Deployment{}) }).Should(Succeed())
		Eventually(w.poll(ctx)).Should(haveNoCondition(v1alpha1.ConditionStalled))
	})

	It("is no conflict under another name, on another port, or behind a name of another namespace", func(ctx SpecContext) {
		readyWorld(ctx, address("third.rivals:6379"))
		readyWorld(ctx, address("third.rivals:6379"), first(func(m *v1alpha1.Mapping) { m.Name, m.KeyPrefix = "pages", "page:" }))
		readyWorld(ctx, address("third.rivals:6380"))
		readyWorld(ctx, address("third:6379"))
		readyWorld(ctx, address("third:6379"))
	})

	It("stays with whom it is flushed by, though an older resource names it later", func(ctx SpecContext) {
		older, flusher := readyWorld(ctx, address("fourth.rivals:6379"), first(func(m *v1alpha1.Mapping) { m.Name, m.KeyPrefix = "pages", "page:" }))
		holder, _ := readyWorld(ctx, address("fourth.rivals:6379"))
		Eventually(holder.poll(ctx)).Should(HaveField("Status.Mappings", ConsistOf(HaveField("Journal", Not(BeEmpty())))))
		before := holder.versions(ctx)
		template := older.deployment(ctx).Spec.Template

		older.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("products", "product:"))
		})
		Eventually(older.poll(ctx)).Should(conflict(holder))
		Expect(older.settings(ctx)).To(HaveField("Mappings", ConsistOf(HaveField("Name", "pages"))))
		Expect(older.deployment(ctx).Spec.Template).To(Equal(template))
		Expect(holder.versions(ctx)).To(Equal(before))

		By("draining only what is its own")
		Expect(k8s.Delete(ctx, older.now(ctx))).To(Succeed())
		Eventually(func() (*config.Config, error) { return older.settings(ctx) }).Should(SatisfyAll(
			HaveField("Draining", true), HaveField("Mappings", ConsistOf(HaveField("Name", "pages")))))
		Eventually(older.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDrained))
		flusher.end(ctx)
		Eventually(func() error { return k8s.Get(ctx, older.key(""), &v1alpha1.WriteBehindCache{}) }).Should(MatchError(ContainSubstring("not found")))
		Expect(holder.versions(ctx)).To(Equal(before))
	})

	It("is waited for when the own queues are empty and it is all that the spec has", func(ctx SpecContext) {
		holder, _ := readyWorld(ctx, address("fifth.rivals:6379"), first(func(m *v1alpha1.Mapping) { *m = mapping("pages", "page:") }))
		Eventually(holder.poll(ctx)).Should(HaveField("Status.Mappings", ConsistOf(HaveField("Journal", Not(BeEmpty())))))
		w, f := readyWorld(ctx, address("fifth.rivals:6379"))
		w.change(ctx, first(func(m *v1alpha1.Mapping) { *m = mapping("pages", "page:") }))
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", ConsistOf(HaveField("Retired", true))))
		By("looking at it when a flusher has said that the queue is closed and empty")
		f.say(func(s *config.Status) { s.Queues[0].Flushed = 5 })
		Eventually(w.poll(ctx)).Should(HaveField("Status.FlushedTotal", HaveValue(BeEquivalentTo(5))))
		Expect(w.now(ctx)).To(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueConflict, "a resource of another namespace", "mapping pages"))
		holder.discard(ctx)
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", ConsistOf(SatisfyAll(
			HaveField("Name", "pages"), HaveField("Retired", false)))))
	})

	// overlap is the conflict of a mapping items with a mapping products of the holder.
	overlap := func(holder *world, mine string) OmegaMatcher {
		return SatisfyAll(
			haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueConflict,
				`mapping items (keyPrefix "`+mine+`")`, "shares keys with a queue that a resource of another namespace has", "another name and another keyPrefix"),
			Not(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueConflict, holder.cache.Namespace)),
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonQueueConflict),
		)
	}
	long := strings.Repeat("a-prefix-of-many-bytes:", 5)

	DescribeTable("is a conflict under another name too, where keys of one are keys of the other",
		func(ctx SpecContext, theirs, mine string) {
			holder, _ := readyWorld(ctx, address("overlap.rivals:6379"), named("products", theirs))
			w := late(ctx, address("overlap.rivals:6379"), named("items", mine))
			Eventually(w.poll(ctx)).Should(overlap(holder, mine))
			Expect(w.objects(ctx)).To(BeEmpty())
			before := holder.versions(ctx)

			By("starting the operator anew")
			stop := startOperator()
			Consistently(w.poll(ctx)).Should(overlap(holder, mine))
			stop()
			Expect(w.objects(ctx)).To(BeEmpty())

			Expect(k8s.Delete(ctx, w.now(ctx))).To(Succeed())
			Eventually(func() error { return k8s.Get(ctx, w.key(""), &v1alpha1.WriteBehindCache{}) }).Should(MatchError(ContainSubstring("not found")))
			Expect(holder.versions(ctx)).To(Equal(before))
			Expect(holder.now(ctx)).To(beReady())
		},
		Entry("the later one begins with the earlier", "product:", "product:1"),
		Entry("the earlier one begins with the later", "product:1", "product:"),
		Entry("they are the same", "product:", "product:"),
		Entry("the later one is longer than the index tells apart", long[:40], long),
		Entry("the earlier one is", long, long[:40]),
	)

	It("is no conflict while the prefixes only begin alike", func(ctx SpecContext) {
		readyWorld(ctx, address("alike.rivals:6379"), named("products", long[:80]+"1"))
		readyWorld(ctx, address("alike.rivals:6379"), named("items", long[:80]+"2"))
		readyWorld(ctx, address("alike.rivals:6379"), named("products-too", "product:"))
		readyWorld(ctx, address("alike.rivals:6380"), named("items", "product:1"))
	})

	It("counts while a mapping that was taken out is not empty", func(ctx SpecContext) {
		holder, f := readyWorld(ctx, address("retired.rivals:6379"), func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages", "page:"))
		})
		f.say(func(s *config.Status) { s.Queues[len(s.Queues)-1].Depth = 4 })
		Eventually(holder.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(4))))
		holder.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = c.Spec.Mappings[1:] })
		Eventually(func() (*config.Config, error) { return holder.settings(ctx) }).Should(HaveField("Mappings", ContainElement(HaveField("Retired", true))))
		Eventually(holder.poll(ctx)).Should(HaveField("Status.Mappings", ContainElement(HaveField("KeyPrefix", "product:"))))

		w := late(ctx, address("retired.rivals:6379"), named("items", "product:1"))
		Eventually(w.poll(ctx)).Should(overlap(holder, "product:1"))
		Consistently(func() map[string]client.Object { return w.objects(ctx) }).Should(BeEmpty())
		f.say(nil)
		Eventually(func() error { return k8s.Get(ctx, w.key("-flusher"), &appsv1.Deployment{}) }).Should(Succeed())
		Eventually(w.poll(ctx)).Should(haveNoCondition(v1alpha1.ConditionStalled))
	})

	It("stays with whom it is flushed by, though an older resource names keys of it later", func(ctx SpecContext) {
		older, _ := readyWorld(ctx, address("sixth.rivals:6379"), named("pages", "page:"))
		holder, _ := readyWorld(ctx, address("sixth.rivals:6379"))
		Eventually(holder.poll(ctx)).Should(HaveField("Status.Mappings", ConsistOf(HaveField("Journal", Not(BeEmpty())))))
		before := holder.versions(ctx)
		older.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("items", "product:1"))
		})
		Eventually(older.poll(ctx)).Should(overlap(holder, "product:1"))
		Expect(older.settings(ctx)).To(HaveField("Mappings", ConsistOf(HaveField("Name", "pages"))))
		Expect(holder.versions(ctx)).To(Equal(before))
		holder.discard(ctx)
		Eventually(func() (*config.Config, error) { return older.settings(ctx) }).Should(HaveField("Mappings", ContainElement(HaveField("Name", "items"))))
	})

	It("is emptied by a later one that was at work on keys of it, when that is deleted", func(ctx SpecContext) {
		theirs := newNamespace(ctx)
		w, f := readyWorld(ctx, address("shop-redis."+theirs+":6379"), named("items", "product:1"))
		f.say(func(s *config.Status) { s.Queues[0].Depth = 3 })
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(3))))
		objects := w.objects(ctx)

		holder := &world{cache: minimal(theirs)}
		Expect(k8s.Create(ctx, holder.cache)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { holder.discard(ctx) })
		w.touch(ctx)
		Eventually(w.poll(ctx)).Should(overlap(holder, "product:1"))
		Expect(missing(objects, w.objects(ctx))).To(BeEmpty())

		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDraining, "queue items holds 3 entries"))
		f.say(nil)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDrained))
		f.end(ctx)
		Eventually(func() error { return k8s.Get(ctx, w.key(""), &v1alpha1.WriteBehindCache{}) }).Should(MatchError(ContainSubstring("not found")))
	})
})
