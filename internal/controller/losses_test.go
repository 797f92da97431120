// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("A Redis that comes back empty while no flusher runs", func() {
	False := metav1.ConditionFalse
	pages := func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages", "page:"))
	}
	// replicas is what a person does who takes all flushers away, and brings one back.
	replicas := func(n int32, suspend bool) change {
		return func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Replicas, c.Spec.Suspend = &n, suspend }
	}
	// anew is what a flusher says that has found none of its queues, and made them; counted
	// is how many events it has counted itself.
	anew := func(life string, counted int64) func(*config.Status) {
		return func(s *config.Status) {
			for i := range s.Queues {
				s.Queues[i].Journal, s.Queues[i].DataLossEvents = life+s.Queues[i].Name, counted
			}
		}
	}
	warnings := func(w *world) func() []string {
		return func() []string {
			return slices.DeleteFunc(said.about(w.cache.Namespace, ""), func(e string) bool { return !strings.HasPrefix(e, "Warning DataLoss: ") })
		}
	}
	// told waits for the one warning: an event comes after the status that it tells of.
	told := func(w *world, warning any) {
		GinkgoHelper()
		Eventually(warnings(w)).Should(ConsistOf(warning))
		Consistently(warnings(w)).Should(HaveLen(1))
	}
	down := func(ctx SpecContext, w *world) {
		GinkgoHelper()
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonFlushersDown))
	}
	// scale has the Deployment follow.
	scale := func(ctx SpecContext, w *world, edit change) {
		GinkgoHelper()
		w.change(ctx, edit)
		w.rollOut(ctx)
	}

	for name, away := range map[string]struct {
		edits       []change
		leave, come func(SpecContext, *world, *flusher)
	}{
		"after its flushers died": {
			leave: func(ctx SpecContext, w *world, f *flusher) { f.end(ctx); down(ctx, w) },
			come:  func(SpecContext, *world, *flusher) {},
		},
		"from outside, after its flushers died": {
			edits: []change{address("wiped.losses:6379")},
			leave: func(ctx SpecContext, w *world, f *flusher) { f.end(ctx); down(ctx, w) },
			come:  func(SpecContext, *world, *flusher) {},
		},
		"scaled to nothing": {
			leave: func(ctx SpecContext, w *world, f *flusher) {
				scale(ctx, w, replicas(0, false))
				f.end(ctx)
				down(ctx, w)
			},
			come: func(ctx SpecContext, w *world, _ *flusher) { scale(ctx, w, replicas(1, false)) },
		},
		"suspended, with no replicas": {
			leave: func(ctx SpecContext, w *world, f *flusher) {
				scale(ctx, w, replicas(0, true))
				f.end(ctx)
				Eventually(w.poll(ctx)).Should(HaveField("Status.Replicas", BeEquivalentTo(0)))
			},
			come: func(ctx SpecContext, w *world, _ *flusher) { scale(ctx, w, replicas(1, true)) },
		},
	} {
		for counter, counted := range map[string]int64{"the operator alone": 0, "the flusher too": 1} {
			It("is one loss, "+name+", noticed by "+counter, func(ctx SpecContext) {
				w, f := readyWorld(ctx, away.edits...)
				f.say(func(s *config.Status) { s.Queues[0].Flushed = 7 })
				Eventually(w.poll(ctx)).Should(HaveField("Status.FlushedTotal", HaveValue(BeEquivalentTo(7))))
				away.leave(ctx, w, f)
				Expect(w.now(ctx).Status.DataLossEvents).To(HaveValue(BeEquivalentTo(0)))
				away.come(ctx, w, f)
				w.startFlusher(ctx, "b", anew("second-", counted))
				Eventually(w.poll(ctx)).Should(SatisfyAll(
					HaveField("Status.DataLossEvents", HaveValue(BeEquivalentTo(1))),
					HaveField("Status.Mappings", ConsistOf(HaveField("DataLossEvents", HaveValue(BeEquivalentTo(1))))),
					haveCondition(v1alpha1.ConditionDurable, False, v1alpha1.ReasonDataLoss, "1 data-loss event (1 of mapping products)")))
				Eventually(warnings(w)).Should(ConsistOf(HaveSuffix("new data-loss events: 1, in all: 1; flushing goes on")))

				By("an operator that starts anew")
				w.settle()
				versions := w.versions(ctx)
				stop := startOperator()
				defer stop()
				Consistently(warnings(w)).Should(HaveLen(1))
				Expect(w.versions(ctx)).To(Equal(versions))
			})
		}
	}

	It("is a loss of each queue", func(ctx SpecContext) {
		w, f := readyWorld(ctx, pages)
		f.end(ctx)
		down(ctx, w)
		w.startFlusher(ctx, "b", anew("second-", 0))
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			HaveField("Status.DataLossEvents", HaveValue(BeEquivalentTo(2))),
			haveCondition(v1alpha1.ConditionDurable, False, v1alpha1.ReasonDataLoss, "1 of mapping products, 1 of mapping pages")))
		told(w, HaveSuffix("new data-loss events: 2, in all: 2; flushing goes on"))
	})

	It("is told of no mapping that was retired and emptied before", func(ctx SpecContext) {
		w, f := readyWorld(ctx, pages)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = c.Spec.Mappings[:1] })
		Eventually(w.poll(ctx)).Should(HaveField("Status.Mappings", ConsistOf(HaveField("Name", "products"))))
		f.end(ctx)
		down(ctx, w)
		w.change(ctx, pages)
		w.rollOut(ctx)
		w.startFlusher(ctx, "b", anew("second-", 0))
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			HaveField("Status.DataLossEvents", HaveValue(BeEquivalentTo(1))),
			HaveField("Status.Mappings", ContainElement(HaveField("Journal", "second-pages"))),
			haveCondition(v1alpha1.ConditionDurable, False, v1alpha1.ReasonDataLoss, "(1 of mapping products)")))
		told(w, HaveSuffix("new data-loss events: 1, in all: 1; flushing goes on"))
	})

	It("is told of a mapping that was retired and not emptied", func(ctx SpecContext) {
		w, f := readyWorld(ctx, pages)
		f.say(func(s *config.Status) { s.Queues[1].Depth = 3 })
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(3))))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = c.Spec.Mappings[:1] })
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", ContainElement(HaveField("Retired", true))))
		f.end(ctx)
		down(ctx, w)
		w.rollOut(ctx)
		w.startFlusher(ctx, "b", anew("second-", 0))
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			HaveField("Status.DataLossEvents", HaveValue(BeEquivalentTo(2))),
			HaveField("Status.Mappings", ConsistOf(HaveField("Name", "products")))))
		told(w, HaveSuffix("new data-loss events: 2, in all: 2; flushing goes on"))
	})

	It("is told of a resource that was being drained", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(func(s *config.Status) { s.Queues[0].Depth = 3 })
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDraining, "3 entries"))
		f.end(ctx)
		b := w.startFlusher(ctx, "b", anew("second-", 0))
		told(w, HaveSuffix("new data-loss events: 1, in all: 1; flushing goes on"))
		b.end(ctx)
	})

	It("is told of no resource that was drained before, nor of the one that takes its name", func(ctx SpecContext) {
		w, f := readyWorld(ctx, address("drained.losses:6379"))
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDrained))
		By("a flusher that has not ended yet")
		f.say(anew("second-", 0))
		Consistently(warnings(w)).Should(BeEmpty())
		f.end(ctx)
		Eventually(func() error { return k8s.Get(ctx, w.key(""), &v1alpha1.WriteBehindCache{}) }).Should(MatchError(ContainSubstring("not found")))
		again := minimal(w.cache.Namespace)
		address("drained.losses:6379")(again)
		Expect(k8s.Create(ctx, again)).To(Succeed())
		next := &world{cache: again}
		DeferCleanup(func(ctx SpecContext) { next.discard(ctx) })
		next.rollOut(ctx)
		next.startFlusher(ctx, "b", anew("third-", 0))
		Eventually(next.poll(ctx)).Should(SatisfyAll(beReady(), HaveField("Status.DataLossEvents", HaveValue(BeEquivalentTo(0)))))
		Consistently(warnings(next)).Should(BeEmpty())
	})
})
