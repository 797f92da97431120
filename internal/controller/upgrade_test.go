// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller"
)

// What the fake client of turns_test.go cannot show: that the API server's own record and
// counts are what a turn is read from, by an operator that begins with nothing.
var _ = Describe("An upgrade of the operator", func() {
	const image = "upgraded:1"
	next := func(o *controller.Options) {
		o.Release, o.MaxRollouts, o.Site.FlusherImage = "next", 1, image
	}
	imageOf := func(ctx SpecContext, w *world) string {
		return w.deployment(ctx).Spec.Template.Spec.Containers[0].Image
	}
	waits := haveCondition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "waits for its turn")
	setOf := func(ctx SpecContext, w *world, edit func(*appsv1.StatefulSetStatus)) {
		GinkgoHelper()
		Eventually(func() error {
			set := &appsv1.StatefulSet{}
			if err := k8s.Get(ctx, w.key("-redis"), set); err != nil {
				return err
			}
			edit(&set.Status)
			return k8s.Status().Update(ctx, set)
		}).Should(Succeed())
	}

	It("rolls one resource after the other, also by an operator that restarts", func(ctx SpecContext) {
		var worlds []*world
		var namespaces []string
		for range 3 {
			w := newWorld(ctx)
			w.rollOut(ctx)
			w.settle()
			worlds, namespaces = append(worlds, w), append(namespaces, w.cache.Namespace)
		}
		stopOwnOperator()
		DeferCleanup(func() { startOwnOperator() })
		before := map[*world]map[string]string{}
		for _, w := range worlds {
			before[w] = w.versions(ctx)
			delete(before[w], "resource")
		}
		// rolled asks for the turns, and is the resources that had theirs.
		rolled := func() (had []*world) {
			for _, w := range worlds {
				w.touch(ctx)
			}
			for _, w := range worlds {
				if imageOf(ctx, w) == image {
					had = append(had, w)
				}
			}
			return had
		}
		stop := startUpgraded(next, namespaces...)
		restart := func() {
			stop()
			stop = startUpgraded(next, namespaces...)
		}
		DeferCleanup(func() { stop() })

		Eventually(rolled).Should(HaveLen(1))
		first := rolled()[0]
		for _, w := range worlds {
			if w == first {
				continue
			}
			Eventually(w.poll(ctx)).Should(waits)
			after := w.versions(ctx)
			delete(after, "resource")
			Expect(difference(before[w], after)).To(BeEmpty(), "what waits stays as it is")
		}
		restart()
		Consistently(rolled).Should(HaveLen(1))

		By("restarting the Redis of the first, while its flushers are there")
		setOf(ctx, first, func(s *appsv1.StatefulSetStatus) { s.UpdatedReplicas, s.ReadyReplicas = 0, 0 })
		d := first.deployment(ctx)
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
		Expect(k8s.Status().Update(ctx, d)).To(Succeed())
		restart()
		Consistently(rolled).Should(HaveLen(1))

		By("having its Redis ready")
		first.rollOut(ctx)
		Eventually(rolled).Should(HaveLen(2))

		By("pausing the second")
		for _, w := range rolled() {
			if w != first {
				paused := w.deployment(ctx)
				was := paused.DeepCopy()
				paused.Spec.Paused = true
				Expect(k8s.Patch(ctx, paused, client.MergeFrom(was))).To(Succeed())
			}
		}
		Eventually(rolled).Should(HaveLen(3))
	})
})
