// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// A quota is judged before the API server looks whether the object is there. Whoever raises the
// bound of a full queue at night must not wait until somebody has raised the quota.
var _ = Describe("A quota of Secrets that is used up", func() {
	It("keeps no setting from a resource that has its Secrets", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		used := corev1.ResourceList{corev1.ResourceSecrets: resource.MustParse("2")}
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.cache.Namespace, Name: "full"}, Spec: corev1.ResourceQuotaSpec{Hard: used},
		}
		Expect(k8s.Create(ctx, quota)).To(Succeed())
		quota.Status = corev1.ResourceQuotaStatus{Hard: used, Used: used}
		Expect(k8s.Status().Update(ctx, quota)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(k8s.Delete(ctx, quota)).To(Succeed()) })
		Eventually(func() error {
			return k8s.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.cache.Namespace, GenerateName: "more-"}})
		}).Should(MatchError(ContainSubstring("exceeded quota")))

		By("restarting the operator, which asks for the Secrets then")
		stopOwnOperator()
		startOwnOperator()
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Backpressure.MaxQueueDepth = 200000 })
		Eventually(w.settings).WithContext(ctx).Should(HaveField("Backpressure.MaxQueueDepth", 200000))
		Eventually(w.poll(ctx)).Should(beReady())
	})
})
