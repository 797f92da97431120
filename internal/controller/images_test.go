// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/resources"
)

// site is what the operator of the specs is told; every image of a spec is allowed but those
// that are to be refused.
func site() plan.Site {
	return plan.Site{
		FlusherImage:         flusherImage,
		AllowedFlusherImages: plan.Images{"*:1"},
		AllowedRedisImages:   plan.Images{"redis:*", "nowhere:7"},
		Admitted:             resources.Admitted{OperatorNamespace: "writebehind-system"},
	}
}

var _ = Describe("An image that the operator does not allow", func() {
	refused := func(field, image, allowed string) OmegaMatcher {
		return SatisfyAll(
			haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonImageNotAllowed, field, `"`+image+`"`, allowed),
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonImageNotAllowed),
			haveNoCondition(v1alpha1.ConditionReconciling),
		)
	}

	DescribeTable("is refused, with what runs left as it is, and heals",
		func(ctx SpecContext, edit change, matches OmegaMatcher) {
			w, _ := readyWorld(ctx)
			good := w.now(ctx).Spec
			before := w.versions(ctx)
			delete(before, "resource")
			w.change(ctx, edit)
			Eventually(w.poll(ctx)).Should(SatisfyAll(matches, HaveField("Status.ObservedGeneration", w.now(ctx).Generation)))
			Consistently(func() map[string]string {
				after := w.versions(ctx)
				delete(after, "resource")
				return after
			}).Should(Equal(before))

			w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec = good })
			Eventually(w.poll(ctx)).Should(haveNoCondition(v1alpha1.ConditionStalled))
		},
		Entry("of the flushers", func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Image = "evil:2" }, refused("spec.flusher.image", "evil:2", "*:1")),
		Entry("of a managed Redis", managed(func(m *v1alpha1.ManagedRedis) { m.Image = "redis:5000/evil" }),
			refused("spec.redis.managed.image", "redis:5000/evil", "redis:*, nowhere:7")),
	)

	It("keeps a new resource from having anything, and goes with it", func(ctx SpecContext) {
		cache := minimal(newNamespace(ctx))
		cache.Spec.Flusher.Image = "evil:2"
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		w := &world{cache: cache}
		Eventually(w.poll(ctx)).Should(refused("spec.flusher.image", "evil:2", "*:1"))
		Expect(w.objects(ctx)).To(BeEmpty())
		Expect(k8s.Delete(ctx, w.now(ctx))).To(Succeed())
		Eventually(func() bool {
			_, err := w.poll(ctx)()
			return apierrors.IsNotFound(err)
		}).Should(BeTrue())
	})

	It("does not keep a deletion from draining what it had", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Image = "evil:2" })
		Eventually(w.poll(ctx)).Should(refused("spec.flusher.image", "evil:2", "*:1"))
		Expect(k8s.Delete(ctx, w.now(ctx))).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDrained))
		f.end(ctx)
		Eventually(func() bool {
			_, err := w.poll(ctx)()
			return apierrors.IsNotFound(err)
		}).Should(BeTrue())
	})
})
