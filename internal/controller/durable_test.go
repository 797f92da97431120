// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("Durable", func() {
	True, False, Unknown := metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	ready := haveCondition(v1alpha1.ConditionReady, True, v1alpha1.ReasonAsExpected)
	durable := func(status metav1.ConditionStatus, reason string, texts ...string) gomegatypes.GomegaMatcher {
		return haveCondition(v1alpha1.ConditionDurable, status, reason, texts...)
	}

	It("is there from the first pass, and Unknown until the flushers have looked", func(ctx SpecContext) {
		w := newWorld(ctx)
		Eventually(w.poll(ctx)).Should(durable(Unknown, v1alpha1.ReasonFlushersDown, "No flusher answers"))
		Expect(w.now(ctx).Status.DataLossEvents).To(BeNil())
		w.rollOut(ctx)
		f := w.startFlusher(ctx, "a", func(s *config.Status) { s.Durability, s.Queues[0].Durable = config.Durability{}, config.Check{} })
		Eventually(w.poll(ctx)).Should(SatisfyAll(ready, durable(Unknown, v1alpha1.ReasonProgressing, "has not checked yet")))
		f.say(nil)
		Eventually(w.poll(ctx)).Should(SatisfyAll(durable(True, v1alpha1.ReasonAsExpected, "no data loss is known"),
			HaveField("Status.DataLossEvents", HaveValue(BeEquivalentTo(0)))))
		f.silence(true)
		Eventually(w.poll(ctx)).Should(durable(Unknown, v1alpha1.ReasonFlushersDown))
	})

	DescribeTable("says what the flushers found, heals with it, and Ready stays",
		func(ctx SpecContext, status metav1.ConditionStatus, reason string, texts []string, edit func(*config.Status)) {
			w, f := readyWorld(ctx)
			f.say(edit)
			Eventually(w.poll(ctx)).Should(SatisfyAll(durable(status, reason, texts...), ready, haveNoCondition(v1alpha1.ConditionStalled)))
			if status == False {
				Eventually(func() []string { return eventsOf(ctx, w) }).Should(ContainElement(SatisfyAll(
					HavePrefix("Warning "+reason+": "), ContainSubstring(texts[0]))))
			}
			f.say(nil)
			Eventually(w.poll(ctx)).Should(beReady())
			healed := ContainElement(HavePrefix("Normal Durable: Redis persists"))
			if status == False {
				Eventually(func() []string { return eventsOf(ctx, w) }).Should(healed)
			} else {
				Expect(eventsOf(ctx, w)).NotTo(healed)
			}
		},
		Entry("no append-only file", False, v1alpha1.ReasonAppendOnlyOff, []string{"aof_enabled is 0"},
			func(s *config.Status) {
				s.Durability.Persistence = failing(v1alpha1.ReasonAppendOnlyOff, "aof_enabled is 0")
			}),
		Entry("everything at once, the gravest first", False, v1alpha1.ReasonAppendOnlyOff, []string{"flusher pod shop-flusher-a says: no file; flusher pod shop-flusher-a says: allkeys-lru; flusher pod shop-flusher-a says: the ledger; flusher pod shop-flusher-a says: table x"},
			func(s *config.Status) {
				s.Durability.Ledger = failing(v1alpha1.ReasonTableUnlogged, "the ledger")
				s.Durability.Eviction = failing(v1alpha1.ReasonEvictionUnsafe, "allkeys-lru")
				s.Durability.Persistence = failing(v1alpha1.ReasonAppendOnlyOff, "no file")
				s.Queues[0].Durable = failing(v1alpha1.ReasonTableUnlogged, "table x")
			}),
		Entry("a user that may not look", Unknown, v1alpha1.ReasonPrivilegeMissing, []string{"may not run INFO"},
			func(s *config.Status) {
				s.Durability.Persistence = failing(v1alpha1.ReasonPrivilegeMissing, "may not run INFO")
				s.Durability.Eviction = s.Durability.Persistence
			}),
	)

	It("takes the worst of several flushers", func(ctx SpecContext) {
		w, a, b := twoFlushers(ctx)
		b.say(func(s *config.Status) {
			s.Durability.Eviction = failing(v1alpha1.ReasonEvictionUnsafe, "allkeys-lru")
		})
		Eventually(w.poll(ctx)).Should(durable(False, v1alpha1.ReasonEvictionUnsafe))
		lossAndTable := func(s *config.Status) {
			s.Durability.Ledger = failing(v1alpha1.ReasonTableUnlogged, "the ledger")
			s.Queues[0].DataLossEvents = 1
		}
		a.say(func(s *config.Status) {
			lossAndTable(s)
			s.Queues[0].DataLossEvents = 0
		})
		Eventually(w.poll(ctx)).Should(durable(False, v1alpha1.ReasonEvictionUnsafe, "flusher pod shop-flusher-b says: allkeys-lru; flusher pod shop-flusher-a says: the ledger"))
		a.say(lossAndTable)
		b.say(lossAndTable)
		Eventually(w.poll(ctx)).Should(durable(False, v1alpha1.ReasonDataLoss, "1 data-loss event", "; flusher pod shop-flusher-a says: the ledger"))
	})
})

var _ = Describe("Data loss", func() {
	True, False := metav1.ConditionTrue, metav1.ConditionFalse
	events := func(n int64) gomegatypes.GomegaMatcher {
		return HaveField("Status.DataLossEvents", HaveValue(Equal(n)))
	}
	lost := func(texts ...string) gomegatypes.GomegaMatcher {
		return haveCondition(v1alpha1.ConditionDurable, False, v1alpha1.ReasonDataLoss, texts...)
	}
	kept := func(texts ...string) gomegatypes.GomegaMatcher {
		return haveCondition(v1alpha1.ConditionDurable, True, v1alpha1.ReasonAsExpected, texts...)
	}
	// telling is what a flusher says of the first queue.
	telling := func(journal string, counted int64) func(*config.Status) {
		return func(s *config.Status) { s.Queues[0].Journal, s.Queues[0].DataLossEvents = journal, counted }
	}
	acknowledge := func(ctx context.Context, w *world, value string) {
		GinkgoHelper()
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			metav1.SetMetaDataAnnotation(&c.ObjectMeta, v1alpha1.AnnotationAcknowledgeDataLoss, value)
		})
	}
	// losses are the events that tell of one, without what is told of the condition.
	losses := func(ctx SpecContext, w *world) func() []string {
		return func() []string {
			var notes []string
			for _, e := range eventsOf(ctx, w) {
				if _, note, ok := strings.Cut(e, "Warning DataLoss: Redis or PostgreSQL lost confirmed data, by what a flusher pod reports: "); ok && strings.HasPrefix(note, "new ") {
					notes = append(notes, note)
				}
			}
			return notes
		}
	}

	It("is told until a person acknowledges it, and the next one anew", func(ctx SpecContext) {
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages", "page:"))
		})
		count := func(products, pages int64) {
			f.say(func(s *config.Status) { s.Queues[0].DataLossEvents, s.Queues[1].DataLossEvents = products, pages })
		}
		count(2, 1)
		Eventually(w.poll(ctx)).Should(SatisfyAll(events(3),
			lost("3 data-loss events (2 of mapping products, 1 of mapping pages), acknowledged: 0",
				"kubectl annotate --overwrite wbc shop cache.writebehind.dev/acknowledge-data-loss=3"),
			haveCondition(v1alpha1.ConditionReady, True, v1alpha1.ReasonAsExpected)))
		acknowledge(ctx, w, "2")
		Eventually(w.poll(ctx)).Should(lost("acknowledged: 2"))
		acknowledge(ctx, w, "3")
		Eventually(w.poll(ctx)).Should(SatisfyAll(events(3), kept("every data-loss event is acknowledged (3)")))
		count(2, 2)
		Eventually(w.poll(ctx)).Should(SatisfyAll(events(4), lost("4 data-loss events", "acknowledged: 3")))
		acknowledge(ctx, w, "4")
		Eventually(w.poll(ctx)).Should(kept())
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { delete(c.Annotations, v1alpha1.AnnotationAcknowledgeDataLoss) })
		Eventually(w.poll(ctx)).Should(lost("acknowledged: 0"))
		Eventually(losses(ctx, w)).Should(ConsistOf(ContainSubstring("new data-loss events: 3, in all: 3"), ContainSubstring("new data-loss events: 1, in all: 4")))
		Eventually(func() []string { return eventsOf(ctx, w) }).Should(ContainElement(HavePrefix("Normal Durable: ")))
	})

	It("by a queue that vanished is counted once, whoever noticed it", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(telling("first", 0))
		Eventually(w.poll(ctx)).Should(events(1)) // another journal than the one at which it became ready
		acknowledge(ctx, w, "1")
		Eventually(w.poll(ctx)).Should(kept())

		By("the flusher, which saw it vanish")
		f.say(telling("second", 1))
		Eventually(w.poll(ctx)).Should(SatisfyAll(events(2), lost("2 of mapping products")))

		By("the operator alone, since the flusher was new too")
		f.say(telling("third", 0))
		Eventually(w.poll(ctx)).Should(events(3))
		f.say(telling("third", 1))
		Eventually(w.poll(ctx)).Should(SatisfyAll(events(4), HaveField("Status.Mappings", ConsistOf(SatisfyAll(
			HaveField("Journal", "third"), HaveField("DataLossEvents", HaveValue(BeEquivalentTo(4))))))))

		By("nobody twice")
		Consistently(w.poll(ctx)).Should(events(4))
		Eventually(losses(ctx, w)).Should(ConsistOf(ContainSubstring("new data-loss events: 1, in all: 1"), ContainSubstring("new data-loss events: 1, in all: 2"),
			ContainSubstring("new data-loss events: 1, in all: 3"), ContainSubstring("new data-loss events: 1, in all: 4")))
	})

	It("is remembered while no flusher answers", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.silence(true)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonFlushersDown))
		f.say(telling("another", 0))
		f.silence(false)
		Eventually(w.poll(ctx)).Should(SatisfyAll(events(1), lost()))
		f.silence(true)
		Eventually(w.poll(ctx)).Should(SatisfyAll(haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonFlushersDown), events(1), lost()))
		f.end(ctx)
	})

	It("of a Redis that went back to older data is counted although its own count fell", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(telling("journal-of-products", 5))
		Eventually(w.poll(ctx)).Should(events(5))
		acknowledge(ctx, w, "5")
		Eventually(w.poll(ctx)).Should(kept())
		observed := w.now(ctx).Status.LastObservedTime.Time

		By("not by one that was looked at before")
		f.say(func(s *config.Status) {
			telling("journal-of-products", 4)(s)
			s.ObservedTime, s.Queues[0].Depth = observed, 7
		})
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(7))))
		Expect(w.now(ctx)).To(SatisfyAll(events(5), kept()))

		f.say(func(s *config.Status) {
			telling("journal-of-products", 1)(s)
			s.ObservedTime = observed.Add(time.Minute)
		})
		Eventually(w.poll(ctx)).Should(SatisfyAll(events(6), lost("6 data-loss events")))
		f.say(func(s *config.Status) {
			telling("journal-of-products", 2)(s)
			s.ObservedTime = observed.Add(2 * time.Minute)
		})
		Eventually(w.poll(ctx)).Should(events(7))
	})

	It("is neither a mapping that goes and comes back, nor forgotten with it", func(ctx SpecContext) {
		pages := mapping("pages", "page:")
		add := func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = append(c.Spec.Mappings, pages) }
		w, f := readyWorld(ctx, add)
		tell := func(journal string, counted int64) func(*config.Status) {
			return func(s *config.Status) {
				for i := range s.Queues {
					if q := &s.Queues[i]; q.Name == "pages" {
						q.Journal, q.DataLossEvents = journal, counted
					}
				}
			}
		}
		said := tell("journal-of-pages", 2)
		f.say(said)
		Eventually(w.poll(ctx)).Should(events(2))
		again := func(name string, edit change) {
			w.change(ctx, edit)
			Eventually(func() bool {
				settings, err := w.settings(ctx)
				return err == nil && settings.Revision == w.now(ctx).Generation
			}).Should(BeTrue())
			w.rollOut(ctx)
			f.end(ctx)
			f = w.startFlusher(ctx, name, said)
		}
		again("b", func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = c.Spec.Mappings[:1] })
		Eventually(w.poll(ctx)).Should(SatisfyAll(HaveField("Status.Mappings", HaveLen(1)), events(2), lost("2 of other mappings")))
		again("c", add)
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			HaveField("Status.Mappings", ConsistOf(HaveField("Name", "products"), HaveField("Journal", "journal-of-pages"))), events(2)))
		Consistently(w.poll(ctx)).Should(events(2))

		By("another journal after it was gone")
		again("d", func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = c.Spec.Mappings[:1] })
		Eventually(w.poll(ctx)).Should(HaveField("Status.Mappings", HaveLen(1)))
		said = tell("another-of-pages", 0)
		f.say(said)
		again("e", add)
		Eventually(w.poll(ctx)).Should(HaveField("Status.Mappings", ContainElement(HaveField("Journal", "another-of-pages"))))
		Consistently(w.poll(ctx)).Should(events(2))
	})

	It("is not another Redis in the spec", func(ctx SpecContext) {
		w, f := readyWorld(ctx, address("redis.shop:6379"))
		f.say(telling("there", 1))
		Eventually(w.poll(ctx)).Should(events(1))
		move := func(name, address, journal string, counted int64) {
			w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.External.Addresses = []string{address} })
			Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Redis.External.Addresses", ConsistOf(address)))
			w.rollOut(ctx)
			f.end(ctx)
			f = w.startFlusher(ctx, name, telling(journal, counted))
			Eventually(w.poll(ctx)).Should(HaveField("Status.Mappings", ConsistOf(SatisfyAll(
				HaveField("Journal", journal), HaveField("RedisAddress", address)))))
		}
		before := w.now(ctx).Status.Mappings[0].RedisAddress
		move("b", "elsewhere.shop:6379", "here", 0)
		Expect(w.now(ctx)).To(events(1))
		move("c", before, "there", 1)
		Consistently(w.poll(ctx)).Should(events(1))
		f.say(telling("anew", 0))
		Eventually(w.poll(ctx)).Should(events(2))
	})
})
