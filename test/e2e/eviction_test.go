// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/load"
)

const (
	// leaseTime is how long a partition stays with a flusher that has died.
	leaseTime = 4 * time.Second
	// evictionInterval is the flush interval under which flushers are evicted.
	evictionInterval = 200 * time.Millisecond
)

// What `kubectl drain` does to the pods of a node, one request a pod. The cluster
// has one node, so the node itself is left as it is and takes the successors.
var _ = Describe("The drain of a node", Ordered, func() {
	var s *shop

	BeforeAll(func(ctx SpecContext) {
		s = newShop(ctx, "eviction")
		s.database.exec(ctx, load.CreateTable)
		s.applySecret(ctx)
		s.apply(ctx)
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
		s.tune(ctx, fmt.Sprintf(`{"flush":{"intervalMilliseconds":%d}}`, evictionInterval.Milliseconds()))
		s.load = s.connect(ctx, load.Options{Keys: 2000, Workers: 2, Pipeline: 10})
	}, NodeTimeout(startTimeout+time.Minute))

	AfterEach(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			dump(ctx, s.namespace, operator.Namespace)
		}
	})

	It("is let into a namespace of the restricted profile, without a token of the service account", func(ctx SpecContext) {
		stranger := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "stranger"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "nowhere:1"}}},
		}
		Expect(cluster.Client.Create(ctx, stranger, client.DryRunAll)).To(MatchError(ContainSubstring("violates PodSecurity \"restricted")),
			"the profile is enforced")
		var pods corev1.PodList
		Expect(cluster.Client.List(ctx, &pods, client.InNamespace(s.namespace))).To(Succeed())
		Expect(len(pods.Items)).To(BeNumerically(">=", 2), "a flusher and Redis")
		for i := range pods.Items {
			Expect(pods.Items[i].Spec.Volumes).To(HaveEach(HaveField("Projected", BeNil())), pods.Items[i].Name)
		}
	})

	It("does not wait for a single flusher, nor for Redis", func(ctx SpecContext) {
		Eventually(ctx, s.allowed(ctx)).Should(BeEquivalentTo(1))
		first := s.readyFlusher(ctx)
		Expect(evict(ctx, first)).To(Succeed())
		Eventually(ctx, func() types.UID { return s.readyFlusher(ctx).UID }).WithTimeout(startTimeout).ShouldNot(Equal(first.UID))
		redis := &corev1.Pod{}
		Expect(cluster.Client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: s.key.Name + "-redis-0"}, redis)).To(Succeed())
		Expect(evict(ctx, redis, metav1.DryRunAll)).To(Succeed())
	}, SpecTimeout(startTimeout+time.Minute))

	It("takes two flushers one after the other, and flushing goes on", func(ctx SpecContext) {
		_, err := cluster.Kubectl(ctx, "scale", "wbc", s.key.Name, "-n", s.namespace, "--replicas", "2")
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, s.ready(ctx)).WithTimeout(startTimeout).Should(HaveLen(2))
		Eventually(ctx, s.cache(ctx)).Should(HaveField("Status.Replicas", BeEquivalentTo(2)))
		Eventually(ctx, s.allowed(ctx)).Should(BeEquivalentTo(1))

		const writes = 60_000
		ended := make(chan error, 1)
		go func() { ended <- s.load.Run(ctx, load.Volume{Writes: writes, Rate: 3_000}) }()
		Eventually(ctx, s.load.Acknowledged).Should(BeNumerically(">", writes/20))

		before, err := s.ready(ctx)()
		Expect(err).NotTo(HaveOccurred())
		first, second := before[0], before[1]
		Expect(evict(ctx, &first)).To(Succeed())
		refused := 0
		Eventually(ctx, func() error {
			err := evict(ctx, &second)
			if apierrors.IsTooManyRequests(err) {
				refused++
			}
			return err
		}).WithTimeout(startTimeout).WithPolling(50 * time.Millisecond).Should(Succeed())
		Expect(refused).To(BeNumerically(">", 0), "the second is refused at first")
		now, err := s.ready(ctx)()
		Expect(err).NotTo(HaveOccurred())
		Expect(slices.DeleteFunc(now, func(p corev1.Pod) bool { return p.UID == first.UID || p.UID == second.UID })).
			NotTo(BeEmpty(), "the second goes when the successor of the first is ready")
		Expect(s.load.Acknowledged()).To(BeNumerically("<", writes), "there was load all the time")

		Eventually(ctx, ended).WithTimeout(startTimeout).Should(Receive(Succeed()))
		Eventually(ctx, s.depth(ctx)).WithTimeout(flushTimeout).Should(BeZero())
		s.expectEqual(ctx)
		lag := s.load.Lag()
		AddReportEntry("lag", fmt.Sprintf("%d samples, p50 %s, p99 %s, longest %s; the second flusher was refused %d times",
			lag.Samples, lag.P50, lag.P99, lag.Longest, refused), ReportEntryVisibilityAlways)
		Expect(lag.Samples).To(BeNumerically(">", 100))
		Expect(lag.Longest).To(BeNumerically("<", leaseTime+evictionInterval), "a flusher that leaves hands over, and is not waited for")
		Eventually(ctx, s.ready(ctx)).WithTimeout(startTimeout).Should(HaveLen(2))
		Expect(s.now(ctx).Status.DataLossEvents).To(HaveValue(BeZero()))
	}, SpecTimeout(3*startTimeout))
})

// evict asks for what kubectl drain asks for.
func evict(ctx context.Context, pod *corev1.Pod, dryRun ...string) error {
	return cluster.Client.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}, DryRun: dryRun},
	})
}

// allowed is how many flushers may be evicted now; it is made to be polled.
func (s *shop) allowed(ctx context.Context) func() (int32, error) {
	return func() (int32, error) {
		budget := &policyv1.PodDisruptionBudget{}
		err := cluster.Client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: s.key.Name + "-flusher"}, budget)
		return budget.Status.DisruptionsAllowed, err
	}
}

// ready lists the flusher pods that are ready and not on their way out; it is made
// to be polled.
func (s *shop) ready(ctx context.Context) func() ([]corev1.Pod, error) {
	return func() ([]corev1.Pod, error) {
		cache, err := cluster.Cache(ctx, s.key)
		if err != nil {
			return nil, err
		}
		pods, err := cluster.Pods(ctx, s.namespace, cache.Status.Selector)
		return slices.DeleteFunc(pods, func(pod corev1.Pod) bool {
			return !pod.DeletionTimestamp.IsZero() || !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			})
		}), err
	}
}
