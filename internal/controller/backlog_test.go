// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("Backlog", func() {
	True, False, Unknown := metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown

	// limits has two queues, so that the deepest decides and not their sum.
	limits := func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages", "page:"))
		c.Spec.Backpressure = v1alpha1.Backpressure{MaxQueueDepth: 30, WarningQueueDepth: 10, CriticalQueueDepth: 20}
	}
	holding := func(depth, dead int64) func(*config.Status) {
		return func(s *config.Status) {
			s.Queues[0].Depth = 9
			s.Queues[1].Depth, s.Queues[1].DeadLetters = depth, dead
		}
	}
	ready := haveCondition(v1alpha1.ConditionReady, True, v1alpha1.ReasonAsExpected)

	It("is told of by the deepest queue, and Ready stays", func(ctx SpecContext) {
		w, f := readyWorld(ctx, limits)
		f.say(holding(9, 0))
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(18))),
			haveCondition(v1alpha1.ConditionBacklogHealthy, True, v1alpha1.ReasonAsExpected, "under backpressure.warningQueueDepth (10)"),
		))
		for _, step := range []struct {
			depth, dead int64
			reason      string
			texts       []string
		}{
			{9, 1, v1alpha1.ReasonWarning, []string{"pages holds 9 entries and 1 dead letter", "warningQueueDepth is 10"}},
			{19, 1, v1alpha1.ReasonCritical, []string{"pages holds 19 entries", "criticalQueueDepth is 20", "at 30 the queue is full"}},
			{29, 1, v1alpha1.ReasonFull, []string{"pages holds 29 entries", "maxQueueDepth is 30", "refused with WBFULL"}},
			{10, 0, v1alpha1.ReasonWarning, []string{"pages holds 10 entries"}},
		} {
			f.say(holding(step.depth, step.dead))
			Eventually(w.poll(ctx)).Should(SatisfyAll(haveCondition(v1alpha1.ConditionBacklogHealthy, False, step.reason, step.texts...), ready))
		}
		f.say(nil)
		Eventually(w.poll(ctx)).Should(SatisfyAll(haveCondition(v1alpha1.ConditionBacklogHealthy, True, v1alpha1.ReasonAsExpected), ready))
		Eventually(func() []string { return eventsOf(ctx, w) }).Should(ContainElements(
			HavePrefix("Warning BacklogWarning: Queue pages"), HavePrefix("Warning BacklogCritical: Queue pages"),
			HavePrefix("Warning BacklogFull: Queue pages"), HavePrefix("Normal BacklogHealthy: Every queue"),
		))
	})

	It("of a queue that is smaller than the marks, or takes everything, is Full", func(ctx SpecContext) {
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Backpressure = v1alpha1.Backpressure{MaxQueueDepth: 3, WhenFull: v1alpha1.WhenFullAccept}
		})
		f.say(func(s *config.Status) { s.Queues[0].Depth = 4 })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionBacklogHealthy, False, v1alpha1.ReasonFull, "4 entries", "maxQueueDepth is 3", "still accepted"))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Backpressure.MaxQueueDepth = 5 })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionBacklogHealthy, True, v1alpha1.ReasonAsExpected, "maxQueueDepth (5), which lies below the marks"))
	})

	It("is Unknown until a queue was looked at, and keeps its last verdict when no flusher answers", func(ctx SpecContext) {
		w := newWorld(ctx, limits)
		kinds := []string{v1alpha1.ConditionBacklogHealthy, v1alpha1.ConditionDeadLetterQueueEmpty}
		for _, kind := range kinds {
			Eventually(w.poll(ctx)).Should(haveCondition(kind, Unknown, v1alpha1.ReasonFlushersDown, "No flusher answers"))
		}
		w.rollOut(ctx)
		f := w.startFlusher(ctx, "a", func(s *config.Status) {
			s.Redis, s.ObservedTime = failing(v1alpha1.ReasonConnectionFailed, "connection refused"), time.Time{}
		})
		for _, kind := range kinds {
			Eventually(w.poll(ctx)).Should(haveCondition(kind, Unknown, v1alpha1.ReasonProgressing))
		}
		f.say(holding(15, 2))
		for _, reason := range []string{v1alpha1.ReasonAsExpected, v1alpha1.ReasonFlushersDown} {
			status := map[string]metav1.ConditionStatus{v1alpha1.ReasonAsExpected: True, v1alpha1.ReasonFlushersDown: False}[reason]
			Eventually(w.poll(ctx)).Should(SatisfyAll(
				haveCondition(v1alpha1.ConditionReady, status, reason),
				haveCondition(v1alpha1.ConditionBacklogHealthy, False, v1alpha1.ReasonWarning, "pages holds 15 entries"),
				haveCondition(v1alpha1.ConditionDeadLetterQueueEmpty, False, v1alpha1.ReasonDeadLetters, "2 of mapping pages"),
			))
			f.silence(true)
		}
	})

	It("of dead letters names their number and the command, and Ready stays", func(ctx SpecContext) {
		w, f := readyWorld(ctx, limits)
		f.say(func(s *config.Status) { s.Queues[0].DeadLetters, s.Queues[1].DeadLetters = 3, 1 })
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionDeadLetterQueueEmpty, False, v1alpha1.ReasonDeadLetters,
				"3 of mapping products, 1 of mapping pages", "kubectl exec -n "+w.cache.Namespace+" deploy/shop-flusher -- /flusher dlq list"),
			haveCondition(v1alpha1.ConditionBacklogHealthy, True, v1alpha1.ReasonAsExpected), ready,
		))
		Eventually(func() []string { return eventsOf(ctx, w) }).Should(ContainElement(HavePrefix("Warning DeadLetters: Dead letters: 3 of mapping products")))
		f.say(nil)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDeadLetterQueueEmpty, True, v1alpha1.ReasonAsExpected))
		Eventually(func() []string { return eventsOf(ctx, w) }).Should(ContainElement(HavePrefix("Normal DeadLetterQueueEmpty: ")))
	})

	It("that was lost is told of once, also when a flusher does not know a queue for a while", func(ctx SpecContext) {
		w, f := readyWorld(ctx, limits)
		lost := func(s *config.Status) { s.Queues[0].DataLossEvents, s.Queues[1].DataLossEvents = 1, 2 }
		f.say(lost)
		Eventually(w.poll(ctx)).Should(HaveField("Status.DataLossEvents", HaveValue(BeEquivalentTo(3))))
		told := func() []string {
			var notes []string
			for _, e := range eventsOf(ctx, w) {
				if strings.Contains(e, "DataLoss") {
					notes = append(notes, e)
				}
			}
			return notes
		}
		Eventually(told).Should(ConsistOf(SatisfyAll(HavePrefix("Warning DataLoss: "), ContainSubstring("new data-loss events: 3, in all: 3"))))
		f.say(func(s *config.Status) {
			lost(s)
			s.Queues[1] = config.QueueStatus{Name: s.Queues[1].Name, Ready: config.Check{OK: true}}
			s.Queues[0].Depth = 5
		})
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(5))),
			HaveField("Status.DataLossEvents", HaveValue(BeEquivalentTo(3))),
			HaveField("Status.Mappings", HaveEach(HaveField("Journal", Not(BeEmpty())))),
		))
		f.say(lost)
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(0))))
		Expect(told()).To(HaveLen(1))
	})
})

// eventsOf are the events about the resource, one line each, with how often one
// was counted.
func eventsOf(ctx SpecContext, w *world) []string {
	GinkgoHelper()
	list := &eventsv1.EventList{}
	Expect(k8s.List(ctx, list, client.InNamespace(w.cache.Namespace))).To(Succeed())
	var lines []string
	for _, e := range list.Items {
		if e.Regarding.Name != w.cache.Name {
			continue
		}
		line := fmt.Sprintf("%s %s: %s", e.Type, e.Reason, e.Note)
		if e.Series != nil {
			line += fmt.Sprintf(" (%d times)", e.Series.Count)
		}
		lines = append(lines, line)
	}
	return lines
}
