// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

func failing(reason, message string) config.Check {
	return config.Check{Reason: reason, Message: message}
}

var _ = Describe("Conditions", func() {
	True, False, Unknown := metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown

	DescribeTable("say what the flushers say, and heal with it",
		func(ctx SpecContext, condition, reason, message string, edit func(*config.Status)) {
			w, f := readyWorld(ctx)
			f.say(edit)
			other := v1alpha1.ConditionDatabaseReady
			if condition == other {
				other = v1alpha1.ConditionRedisReady
			}
			Eventually(w.poll(ctx)).Should(SatisfyAll(
				haveCondition(condition, False, reason, message),
				haveCondition(v1alpha1.ConditionReady, False, reason, message),
				haveCondition(other, True, v1alpha1.ReasonAsExpected),
				haveNoCondition(v1alpha1.ConditionStalled),
			))
			f.say(nil)
			Eventually(w.poll(ctx)).Should(beReady())
		},
		Entry("a Secret that is missing", v1alpha1.ConditionDatabaseReady, v1alpha1.ReasonSecretMissing, "Secret shop-db",
			func(s *config.Status) {
				s.Database = failing(v1alpha1.ReasonSecretMissing, "Secret shop-db, key uri is missing")
				s.Queues[0].Ready = s.Database
			}),
		Entry("a table that is missing", v1alpha1.ConditionDatabaseReady, v1alpha1.ReasonSchemaMismatch, "mapping products: flusher pod shop-flusher-a says: table public.x",
			func(s *config.Status) {
				s.Queues[0].Ready = failing(v1alpha1.ReasonSchemaMismatch, "table public.x does not exist")
			}),
		Entry("a Redis that cannot be reached", v1alpha1.ConditionRedisReady, v1alpha1.ReasonConnectionFailed, "connection refused",
			func(s *config.Status) {
				s.Redis = failing(v1alpha1.ReasonConnectionFailed, "connection refused")
				s.Queues[0].Ready = s.Redis
			}),
	)

	It("say Suspended", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Suspend = true })
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonSuspended),
			haveCondition(v1alpha1.ConditionSettingsApplied, True, v1alpha1.ReasonAsExpected),
		))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Suspend = false })
		Eventually(w.poll(ctx)).Should(beReady())
	})

	It("say FlushersDown when none answers, and keep the numbers", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(func(s *config.Status) { s.Queues[0].Depth = 42 })
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(42))))
		f.silence(true)
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonFlushersDown, "shop-flusher-a", "HTTP 500"),
			haveCondition(v1alpha1.ConditionRedisReady, Unknown, v1alpha1.ReasonFlushersDown),
			haveCondition(v1alpha1.ConditionDatabaseReady, Unknown, v1alpha1.ReasonFlushersDown),
			haveCondition(v1alpha1.ConditionSettingsApplied, False, v1alpha1.ReasonFlushersDown),
			HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(42))),
			HaveField("Status.LastObservedTime.IsZero()", BeFalse()),
		))
		f.silence(false)
		Eventually(w.poll(ctx)).Should(beReady())
		f.end(ctx)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonFlushersDown, "Deployment shop-flusher has no Pod"))
	})

	DescribeTable("say what the Pods wait for",
		func(ctx SpecContext, message string, status corev1.PodStatus) {
			w, f := readyWorld(ctx)
			f.setStatus(ctx, status)
			Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonFlushersDown, "Pod shop-flusher-a "+message))
		},
		Entry("an image", "cannot pull image "+flusherImage, waitingPod("ImagePullBackOff", "Back-off pulling image for 20s")),
		Entry("a program that does not end", "ended with exit code 139", crashedPod(139, "")),
	)

	It("say Stuck when entries wait although nothing is known to be wrong", func(ctx SpecContext) {
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.IntervalMilliseconds = 10 })
		start := time.Now()
		old := func(s *config.Status) {
			s.Queues[0].Depth, s.Queues[0].OldestPendingSeconds = 7, 600+time.Since(start).Seconds()
			s.Queues[0].LastError = "23503 of products_fk"
		}
		f.say(old)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonStuck, "products", "7 entries", "23503"))
		f.say(func(s *config.Status) {
			old(s)
			s.Queues[0].LastFlushTime = time.Now()
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, True, v1alpha1.ReasonAsExpected))
	})

	It("say Stuck when a flusher's watchdog does, and find neither server at fault", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(func(s *config.Status) {
			s.Queues[0].Depth, s.Queues[0].LastError = 2, "55P03 of public.products"
			s.Queues[0].Ready = failing(v1alpha1.ReasonStuck, "entries of queue products wait and nothing has been flushed for three intervals")
		})
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonStuck, "queue products", "three intervals", "55P03"),
			haveCondition(v1alpha1.ConditionRedisReady, True, v1alpha1.ReasonAsExpected),
			haveCondition(v1alpha1.ConditionDatabaseReady, True, v1alpha1.ReasonAsExpected),
		))
		f.say(nil)
		Eventually(w.poll(ctx)).Should(beReady())
	})

	It("keep CircuitOpen while the breaker tries, until entries get through", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		open := func(s *config.Status) {
			s.Circuit, s.Database = "open", failing(v1alpha1.ReasonCircuitOpen, "the database fails at every batch")
			s.Queues[0].Depth = 3
		}
		trying := func(depth int64, flushed time.Time) func(*config.Status) {
			return func(s *config.Status) {
				s.Circuit = "half-open"
				s.Queues[0].Depth, s.Queues[0].LastFlushTime = depth, flushed
			}
		}
		stays := haveCondition(v1alpha1.ConditionDatabaseReady, False, v1alpha1.ReasonCircuitOpen, "fails at every batch")
		f.say(open)
		Eventually(w.poll(ctx)).Should(stays)
		f.say(trying(4, time.Time{}))
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(4))))
		Consistently(w.poll(ctx)).Should(stays)
		f.say(trying(2, time.Now().Add(time.Minute)))
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, True, v1alpha1.ReasonAsExpected))

		By("leaving an idle queue alone, whose circuit nothing closes")
		f.say(open)
		Eventually(w.poll(ctx)).Should(stays)
		f.say(trying(0, time.Time{}))
		Eventually(w.poll(ctx)).Should(beReady())
	})

	It("write numbers when they change, and not otherwise", func(ctx SpecContext) {
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages", "page:"))
		})
		flushed := time.Now().Add(-time.Minute).Truncate(time.Second)
		f.say(func(s *config.Status) {
			s.Queues[0].Depth, s.Queues[0].DeadLetters, s.Queues[0].OldestPendingSeconds = 10, 1, 3.9
			s.Queues[0].Flushed, s.Queues[0].LastFlushTime, s.Queues[0].LastError = 100, flushed, strings.Repeat("é", 2000)
			s.Queues[1].Depth, s.Queues[1].OldestPendingSeconds, s.Queues[1].Flushed, s.Queues[1].DataLossEvents = 5, 8, 7, 2
		})
		Eventually(w.poll(ctx)).Should(HaveField("Status", SatisfyAll(
			HaveField("QueueDepth", HaveValue(BeEquivalentTo(15))),
			HaveField("DeadLetters", HaveValue(BeEquivalentTo(1))),
			HaveField("OldestPendingSeconds", HaveValue(BeEquivalentTo(8))),
			HaveField("FlushedTotal", HaveValue(BeEquivalentTo(107))),
			HaveField("DataLossEvents", HaveValue(BeEquivalentTo(2))),
			HaveField("LastFlushTime.Time", BeTemporally("==", flushed)),
			HaveField("Mappings", HaveLen(2)),
			HaveField("Mappings", HaveEach(HaveField("Journal", HavePrefix("journal-of-")))),
		)))
		Expect(len(w.now(ctx).Status.Mappings[0].LastError)).To(And(BeNumerically(">", 800), BeNumerically("<=", 1024)))
		w.settle()
		before := w.versions(ctx)
		sent := writes.of(w.cache.Namespace)
		Consistently(func() map[string]string { return difference(before, w.versions(ctx)) }).Should(BeEmpty())
		Expect(writes.of(w.cache.Namespace)).To(Equal(sent), "requests that change something")
	})

	It("write seldom while numbers change all the time", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		var count int64
		f.say(func(s *config.Status) {
			count++
			s.Queues[0].Depth, s.Queues[0].Flushed, s.Queues[0].LastFlushTime = 5+count%3, count, time.Now()
		})
		Eventually(w.poll(ctx)).Should(HaveField("Status.FlushedTotal", HaveValue(BeNumerically(">", 3))))
		sent := len(writes.of(w.cache.Namespace))
		start := time.Now()
		Consistently(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, True, v1alpha1.ReasonAsExpected))
		most := int(time.Since(start)/numbersInterval) + 1
		Expect(len(writes.of(w.cache.Namespace)) - sent).To(And(BeNumerically(">", 1), BeNumerically("<=", most)))
	})
})

func waitingPod(reason, message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "flusher", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}}}
}

func crashedPod(code int32, message string) corev1.PodStatus {
	status := waitingPod("CrashLoopBackOff", "back-off 40s restarting failed container")
	status.ContainerStatuses[0].LastTerminationState = corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message},
	}
	return status
}
