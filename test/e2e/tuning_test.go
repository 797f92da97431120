// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/test/load"
)

const (
	// liveTimeout is the promise for a live setting: from the return of the patch
	// until every flusher and the capture functions go by it.
	liveTimeout = 2 * time.Second
	// never is a flush interval, in ms, that no spec lives to see the end of.
	never = 3_600_000
	// waiting is how many keys wait in the queue where a setting is to let them go;
	// every partition has some.
	waiting = 256
)

var _ = Describe("A WriteBehindCache that is tuned", Ordered, func() {
	var s *shop
	var pods []string

	BeforeAll(func(ctx SpecContext) {
		s = newShop(ctx, "tuning")
		s.database.exec(ctx, load.CreateTable)
		s.applySecret(ctx)
	})

	AfterEach(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			dump(ctx, s.namespace, operator.Namespace)
		}
	})

	It("is waited for by kubectl from the first second on", func(ctx SpecContext) {
		s.apply(ctx)
		_, err := cluster.Kubectl(ctx, "wait", "--for=condition=Ready", "wbc/"+s.key.Name, "-n", s.namespace, "--timeout", startTimeout.String())
		Expect(err).NotTo(HaveOccurred())
		cache := s.now(ctx)
		Expect(cache).To(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
		s.load = s.connect(ctx, load.Options{Keys: 2000, Workers: 2, Pipeline: 10})
		_, err = s.load.Put(ctx, 1, product("at once"))
		Expect(err).NotTo(HaveOccurred(), "Ready means that writes are taken")
		Eventually(ctx, s.name(ctx, 1)).WithTimeout(time.Duration(cache.Spec.Flush.IntervalMilliseconds)*time.Millisecond + liveTimeout).Should(Equal("at once"))
	}, SpecTimeout(startTimeout+time.Minute))

	// The cluster has no metrics server, so the autoscaler acts on its bounds alone.
	// That it then fails at the metrics, and not at the selector, shows that the
	// scale subresource leads it to the pods.
	It("is scaled by a HorizontalPodAutoscaler", func(ctx SpecContext) {
		two := int32(2)
		autoscaler := &autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.key.Name},
			Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "WriteBehindCache", Name: s.key.Name},
				MinReplicas:    &two, MaxReplicas: 3,
				Metrics: []autoscalingv2.MetricSpec{{
					Type: autoscalingv2.ResourceMetricSourceType,
					Resource: &autoscalingv2.ResourceMetricSource{
						Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(80))},
					},
				}},
			},
		}
		Expect(cluster.Client.Create(ctx, autoscaler)).To(Succeed())
		Eventually(ctx, s.ready(ctx)).WithTimeout(startTimeout).Should(HaveLen(2))
		Eventually(ctx, func() ([]string, error) {
			err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(autoscaler), autoscaler)
			var told []string
			for _, c := range autoscaler.Status.Conditions {
				told = append(told, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason))
			}
			return told, err
		}).WithTimeout(time.Minute).Should(ContainElements(
			HavePrefix("AbleToScale=True"), "ScalingActive=False FailedGetResourceMetric"))
		Expect(autoscaler.Status.CurrentReplicas).To(BeEquivalentTo(2))
		Expect(cluster.Client.Delete(ctx, autoscaler)).To(Succeed())
		Eventually(ctx, func() (map[string]int, error) { return s.partitions(ctx) }).Should(SatisfyAll(HaveLen(2), HaveEach(BeNumerically(">", 0))), "both flushers have work")
		pods = s.flusherPods(ctx)
	}, SpecTimeout(startTimeout+2*time.Minute))

	It("has a new flush interval in force in every flusher within two seconds", func(ctx SpecContext) {
		var first, all []time.Duration
		for round := range 5 {
			s.tune(ctx, fmt.Sprintf(`{"flush":{"intervalMilliseconds":%d,"batchSize":10000}}`, never))
			for id := int64(1); id <= waiting; id++ {
				_, err := s.load.Put(ctx, id, product(fmt.Sprintf("round %d", round)))
				Expect(err).NotTo(HaveOccurred())
			}
			Consistently(ctx, s.depth(ctx)).WithTimeout(300*time.Millisecond).Should(BeEquivalentTo(waiting), "the long interval is in force where the status says so")

			s.patch(ctx, `{"flush":{"intervalMilliseconds":100}}`)
			patched := time.Now()
			var begun time.Duration
			Eventually(ctx, func() (int64, error) {
				depth, err := s.depth(ctx)()
				if begun == 0 && err == nil && depth < waiting {
					begun = time.Since(patched)
				}
				return depth, err
			}).WithTimeout(liveTimeout).WithPolling(5 * time.Millisecond).Should(BeZero())
			first, all = append(first, begun), append(all, time.Since(patched))
			s.expectApplied(ctx)
		}
		AddReportEntry("from the patch of the interval", fmt.Sprintf("first flush %s; all %d keys of both flushers %s", spread(first), waiting, spread(all)), ReportEntryVisibilityAlways)
	}, SpecTimeout(2*time.Minute))

	It("has a new capacity in force in the capture functions within two seconds", func(ctx SpecContext) {
		s.tune(ctx, fmt.Sprintf(`{"flush":{"intervalMilliseconds":%d,"batchSize":10000}}`, never))
		id := int64(0)
		another := func() error {
			id++
			_, err := s.load.Put(ctx, id, product("one more"))
			return err
		}
		for range waiting {
			Expect(another()).To(Succeed())
		}
		var took [2]time.Duration
		for i, step := range []struct {
			depth int
			taken types.GomegaMatcher
		}{
			{waiting, MatchError(ContainSubstring("WBFULL"))},
			{100_000, Succeed()},
		} {
			s.patch(ctx, fmt.Sprintf(`{"backpressure":{"maxQueueDepth":%d}}`, step.depth))
			patched := time.Now()
			Eventually(ctx, another).WithTimeout(liveTimeout).WithPolling(10 * time.Millisecond).Should(step.taken)
			took[i] = time.Since(patched)
			_, err := s.load.Put(ctx, 1, product("dirty already"))
			Expect(err).NotTo(HaveOccurred(), "a key that is dirty already is taken by a full queue too")
			s.expectApplied(ctx)
		}
		AddReportEntry("from the patch of maxQueueDepth", fmt.Sprintf("WBFULL after %s, none after %s", brief(took[0]), brief(took[1])), ReportEntryVisibilityAlways)
	}, SpecTimeout(time.Minute))

	It("gives clean entries a new time to live within two seconds", func(ctx SpecContext) {
		s.tune(ctx, `{"flush":{"intervalMilliseconds":100}}`)
		flushed := func() (time.Duration, error) {
			if _, err := s.load.Put(ctx, 1, product("to live")); err != nil {
				return 0, err
			}
			Eventually(ctx, s.depth(ctx)).WithPolling(5 * time.Millisecond).Should(BeZero())
			return s.redis.TTL(ctx, s.now(ctx).Spec.Mappings[0].KeyPrefix+"1").Result()
		}
		Expect(flushed()).To(BeNumerically("~", time.Hour, time.Minute), "the default")
		s.patch(ctx, `{"mappings":[{"name":"products","keyPrefix":"product:","table":"public.products","keyColumn":"id","timeToLiveSeconds":600}]}`)
		Eventually(ctx, flushed).WithTimeout(liveTimeout).WithPolling(10 * time.Millisecond).Should(BeNumerically("~", 10*time.Minute, time.Minute))
		s.expectApplied(ctx)
	}, SpecTimeout(time.Minute))

	It("has restarted no flusher for any of that", func(ctx SpecContext) {
		Expect(s.flusherPods(ctx)).To(Equal(pods))
	})

	for _, roll := range []struct {
		flushers int
		columns  string
	}{
		{2, `,"columns":[{"field":"name","column":"name"},{"field":"price","column":"price"},{"field":"stock","column":"stock"},{"field":"updated_at","column":"updated_at"}]`},
		{1, ``},
	} {
		It(fmt.Sprintf("rolls its flushers, %d of them, for other columns without a gap in flushing", roll.flushers), func(ctx SpecContext) {
			const interval, writes = 200 * time.Millisecond, 45_000
			s.tune(ctx, fmt.Sprintf(`{"flush":{"intervalMilliseconds":%d}}`, interval.Milliseconds()))
			_, err := cluster.Kubectl(ctx, "scale", "wbc", s.key.Name, "-n", s.namespace, "--replicas", fmt.Sprint(roll.flushers))
			Expect(err).NotTo(HaveOccurred())
			Eventually(ctx, s.ready(ctx)).WithTimeout(startTimeout).Should(HaveLen(roll.flushers))
			was := s.deployment(ctx)

			ended := make(chan error, 1)
			go func() { ended <- s.load.Run(ctx, load.Volume{Writes: writes, Rate: 3_000}) }()
			acknowledged := s.load.Acknowledged()
			Eventually(ctx, s.load.Acknowledged).Should(BeNumerically(">", acknowledged+writes/20))
			s.patch(ctx, `{"mappings":[{"name":"products","keyPrefix":"product:","table":"public.products","keyColumn":"id"`+roll.columns+`}]}`)
			Eventually(ctx, func() rollout { return s.deployment(ctx) }).WithTimeout(startTimeout).Should(SatisfyAll(
				HaveField("Revision", was.Revision+1), HaveField("Updated", BeEquivalentTo(roll.flushers)),
				HaveField("Ready", BeEquivalentTo(roll.flushers)), HaveField("Replicas", BeEquivalentTo(roll.flushers))))
			s.expectApplied(ctx)
			Expect(s.load.Acknowledged()-acknowledged).To(BeNumerically("<", writes), "there was load all the time")

			Eventually(ctx, ended).WithTimeout(startTimeout).Should(Receive(Succeed()))
			Eventually(ctx, s.depth(ctx)).WithTimeout(flushTimeout).Should(BeZero())
			s.expectEqual(ctx)
			lag := s.load.Lag()
			AddReportEntry("lag", fmt.Sprintf("%d samples, p50 %s, p99 %s, longest %s", lag.Samples, lag.P50, lag.P99, lag.Longest), ReportEntryVisibilityAlways)
			Expect(lag.Samples).To(BeNumerically(">", 100))
			Expect(lag.Longest).To(BeNumerically("<", leaseTime), "a flusher that leaves hands over, and is not waited for")
			Expect(s.now(ctx).Status.DataLossEvents).To(HaveValue(BeZero()))
		}, SpecTimeout(3*startTimeout))
	}
})

// expectApplied waits until the status says that every flusher runs the present
// generation.
func (s *shop) expectApplied(ctx context.Context) {
	GinkgoHelper()
	generation := s.now(ctx).Generation
	Eventually(ctx, s.cache(ctx)).WithTimeout(settingsTimeout).Should(SatisfyAll(
		HaveCondition(v1alpha1.ConditionSettingsApplied, metav1.ConditionTrue),
		HaveField("Generation", generation), HaveField("Status.ObservedGeneration", generation),
	))
}

// partitions is how many partitions each flusher holds, by pod, as the flushers
// themselves say.
func (s *shop) partitions(ctx context.Context) (map[string]int, error) {
	pods, err := s.ready(ctx)()
	if err != nil {
		return nil, err
	}
	held := map[string]int{}
	for i := range pods {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:8080/status", pods[i].Status.PodIP), nil)
		if err != nil {
			return nil, err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		var status config.Status
		err = json.NewDecoder(answer.Body).Decode(&status)
		answer.Body.Close()
		if err != nil {
			return nil, err
		}
		for j := range status.Queues {
			held[pods[i].Name] += len(status.Queues[j].Partitions)
		}
	}
	return held, nil
}

// spread tells the least, the middle and the greatest.
func spread(d []time.Duration) string {
	sorted := slices.Sorted(slices.Values(d))
	return fmt.Sprintf("min %s, median %s, max %s of %d", brief(sorted[0]), brief(sorted[len(sorted)/2]), brief(sorted[len(sorted)-1]), len(sorted))
}

func brief(d time.Duration) string { return d.Round(time.Millisecond).String() }
