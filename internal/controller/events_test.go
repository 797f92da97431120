// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("Events", func() {
	True, False := metav1.ConditionTrue, metav1.ConditionFalse

	It("tell each transition of a life once, in words a person can act on", func(ctx SpecContext) {
		w := newWorld(ctx, address("redis.events:6379"), func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages", "page:"))
			c.Spec.Backpressure = v1alpha1.Backpressure{MaxQueueDepth: 30, WarningQueueDepth: 10, CriticalQueueDepth: 20}
		})
		w.rollOut(ctx)
		missing := failing(v1alpha1.ReasonSecretMissing, "Secret shop-db has no key uri: create it, with the connection URL as its value")
		f := w.startFlusher(ctx, "a", func(s *config.Status) { s.Database = missing })
		told := func(condition string, status metav1.ConditionStatus, reason string) {
			GinkgoHelper()
			Eventually(w.poll(ctx)).Should(haveCondition(condition, status, reason))
		}
		told(v1alpha1.ConditionReady, False, v1alpha1.ReasonSecretMissing)
		f.say(nil)
		told(v1alpha1.ConditionReady, True, v1alpha1.ReasonAsExpected)

		down := failing(v1alpha1.ReasonConnectionFailed, "the connection to PostgreSQL at 10.1.2.3:5432 failed: connection refused")
		f.say(func(s *config.Status) { s.Database = down })
		told(v1alpha1.ConditionReady, False, v1alpha1.ReasonConnectionFailed)
		f.say(nil)
		told(v1alpha1.ConditionReady, True, v1alpha1.ReasonAsExpected)

		for _, depth := range []int64{12, 22, 32, 0} {
			f.say(func(s *config.Status) { s.Queues[0].Depth = depth })
			Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(Equal(depth))))
		}
		f.say(func(s *config.Status) { s.Queues[0].DeadLetters = 2 })
		told(v1alpha1.ConditionDeadLetterQueueEmpty, False, v1alpha1.ReasonDeadLetters)
		f.say(nil)
		told(v1alpha1.ConditionDeadLetterQueueEmpty, True, v1alpha1.ReasonAsExpected)

		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Suspend = true })
		told(v1alpha1.ConditionReady, False, v1alpha1.ReasonSuspended)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Suspend = false })
		Eventually(w.poll(ctx)).Should(beReady())

		f.silence(true)
		told(v1alpha1.ConditionReady, False, v1alpha1.ReasonFlushersDown)
		f.silence(false)
		Eventually(w.poll(ctx)).Should(beReady())

		By("retiring a mapping")
		before := w.deployment(ctx).Spec.Template
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = c.Spec.Mappings[:1] })
		Eventually(func() any { return w.deployment(ctx).Spec.Template }).ShouldNot(Equal(before))
		second := w.startFlusher(ctx, "b")
		f.end(ctx)
		w.rollOut(ctx)
		Eventually(w.poll(ctx)).Should(beReady())
		f = second

		By("deleting it")
		f.say(func(s *config.Status) { s.Queues[0].Depth = 3 })
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(3))))
		Expect(k8s.Delete(ctx, w.now(ctx))).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "3 entries"))
		f.say(nil)
		told(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained)
		f.end(ctx)
		Eventually(func() error { return k8s.Get(ctx, w.key(""), &v1alpha1.WriteBehindCache{}) }).Should(MatchError(ContainSubstring("not found")))

		Eventually(func() []string { return said.about(w.cache.Namespace, "Observe") }).Should(HaveExactElements(
			"Warning SecretMissing: flusher pod shop-flusher-a says: Secret shop-db has no key uri: create it, with the connection URL as its value",
			"Normal Ready: Data is reaching the database",
			"Warning ConnectionFailed: flusher pod shop-flusher-a says: the connection to PostgreSQL at 10.1.2.3:5432 failed: connection refused",
			"Normal Ready: Data is reaching the database",
			"Warning BacklogWarning: Queue products holds 12 entries and 0 dead letters; backpressure.warningQueueDepth is 10: more is written than is flushed, or flushing has stopped",
			"Warning BacklogCritical: Queue products holds 22 entries and 0 dead letters; backpressure.criticalQueueDepth is 20: at 30 the queue is full",
			"Warning BacklogFull: Queue products holds 32 entries and 0 dead letters; backpressure.maxQueueDepth is 30: writes of keys that are not dirty yet are refused with WBFULL",
			"Normal BacklogHealthy: Every queue is under backpressure.warningQueueDepth (10)",
			"Warning DeadLetters: Dead letters: 2 of mapping products; shown with their reasons by: kubectl exec -n "+w.cache.Namespace+" deploy/shop-flusher -- /flusher dlq list",
			"Normal DeadLetterQueueEmpty: No queue has dead letters",
			"Normal Suspended: spec.suspend is true: writes are accepted and wait in the queue",
			"Normal Ready: Data is reaching the database",
			"Warning FlushersDown: No flusher answers: Pod shop-flusher-a answers /status with HTTP 500",
			"Normal Ready: Data is reaching the database",
			"Normal Draining: queue products is not closed to writers yet",
			"Normal Drained: The queues are empty; the objects are being removed",
		))
	})

	It("tell a conflict once, though Ready says it too", func(ctx SpecContext) {
		readyWorld(ctx, address("conflict.events:6379"))
		cache := minimal(newNamespace(ctx))
		address("conflict.events:6379")(cache)
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		w := &world{cache: cache}
		DeferCleanup(func(ctx SpecContext) { w.discard(ctx) })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, True, v1alpha1.ReasonQueueConflict))
		conflicts := func() []string { return said.about(cache.Namespace, "Observe") }
		Eventually(conflicts).Should(ConsistOf(HavePrefix("Warning QueueConflict: ")))
		Consistently(conflicts).Should(HaveLen(1))
	})

	It("are not told again by an operator that starts anew", func(ctx SpecContext) {
		w, f := readyWorld(ctx, address("restart.events:6379"), func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Backpressure = v1alpha1.Backpressure{MaxQueueDepth: 30, WarningQueueDepth: 10, CriticalQueueDepth: 20}
		})
		f.say(func(s *config.Status) {
			s.Database = failing(v1alpha1.ReasonConnectionFailed, "connection refused")
			s.Durability.Persistence = failing(v1alpha1.ReasonAppendOnlyOff, "Redis keeps no append-only file")
			s.Queues[0].Depth, s.Queues[0].DeadLetters, s.Queues[0].DataLossEvents = 22, 2, 1
		})
		all := func() []string { return said.about(w.cache.Namespace, "") }
		Eventually(all).Should(ContainElements(
			HavePrefix("Warning ConnectionFailed: "), HavePrefix("Warning BacklogCritical: "),
			HavePrefix("Warning DeadLetters: "), HavePrefix("Warning DataLoss: "),
		))
		w.settle()
		before, versions := all(), w.versions(ctx)
		stop := startOperator()
		defer stop()
		Consistently(all).Should(Equal(before))
		Expect(w.versions(ctx)).To(Equal(versions))
	})
})

// said are all the events of the suite, in order, taken from the log of the
// recorder: the API server keeps only the first note of a series.
var said = &eventLog{}

type eventLog struct {
	mu    sync.Mutex
	lines []loggedEvent
}

type loggedEvent struct {
	Object                     struct{ Namespace, Name string }
	Type, Reason, Action, Note string
}

// Write takes one line of the log.
func (l *eventLog) Write(line []byte) (int, error) {
	if _, text, ok := bytes.Cut(line, []byte("Event occurred\t")); ok {
		var e loggedEvent
		if err := json.Unmarshal(text, &e); err != nil {
			return 0, err
		}
		l.mu.Lock()
		l.lines = append(l.lines, e)
		l.mu.Unlock()
	}
	return len(line), nil
}

// about are the events of a namespace with the action, or with any, one line each.
func (l *eventLog) about(namespace, action string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for _, e := range l.lines {
		if e.Object.Namespace == namespace && (action == "" || e.Action == action) {
			lines = append(lines, fmt.Sprintf("%s %s: %s", e.Type, e.Reason, e.Note))
		}
	}
	return lines
}

// malformed are the notes whose text and arguments do not fit.
func (l *eventLog) malformed() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, e := range l.lines {
		if strings.Contains(e.Note, "%!") || e.Note == "" || e.Action == "" || len(e.Note) > 1024 {
			found = append(found, fmt.Sprintf("%+v", e))
		}
	}
	return found
}

var _ = AfterSuite(func() {
	said.mu.Lock()
	n := len(said.lines)
	said.mu.Unlock()
	if ranMuch() {
		Expect(n).NotTo(BeZero(), "no event was logged")
	}
	Expect(said.malformed()).To(BeEmpty())
})
