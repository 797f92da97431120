// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("Settings", func() {
	True, False := metav1.ConditionTrue, metav1.ConditionFalse

	It("that are live reach the flushers without a new Pod", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		before := w.deployment(ctx)
		old, err := w.settings(ctx)
		Expect(err).NotTo(HaveOccurred())
		f.freeze(old)
		noted := f.note(ctx)

		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flush.IntervalMilliseconds = 100
			c.Spec.Flush.MaxInFlightMebibytes = 16
			c.Spec.Backpressure.MaxQueueDepth = 7
			c.Spec.Mappings[0].TimeToLiveSeconds = new(int32(0))
			c.Spec.Suspend = true
		})
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(SatisfyAll(
			HaveField("Flush.IntervalMilliseconds", 100),
			HaveField("Flush.MaxInFlightMebibytes", 16),
			HaveField("Backpressure.MaxQueueDepth", 7),
			HaveField("Suspend", true),
			HaveField("Revision", w.now(ctx).Generation),
			HaveField("Mappings", ConsistOf(HaveField("TimeToLiveSeconds", 0))),
		))
		By("noting them on the Pod, so that the kubelet syncs them")
		Eventually(func() string { return f.note(ctx) }).ShouldNot(Equal(noted))
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionSettingsApplied, False, v1alpha1.ReasonRolling, "0 of 1"),
			haveCondition(v1alpha1.ConditionReconciling, True, v1alpha1.ReasonProgressing),
		))
		f.freeze(nil)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionSettingsApplied, True, v1alpha1.ReasonAsExpected))
		Expect(w.deployment(ctx).Spec.Template).To(Equal(before.Spec.Template))
		Expect(w.deployment(ctx).Generation).To(Equal(before.Generation))
	})

	It("are noted again for a flusher that they did not reach", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		old, err := w.settings(ctx)
		Expect(err).NotTo(HaveOccurred())
		f.freeze(old)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.BatchSize = 9 })
		Eventually(func() string { return f.note(ctx) }).Should(HaveSuffix("-1"))
		f.freeze(nil)
		Eventually(w.poll(ctx)).Should(beReady())
		noted := f.note(ctx)
		Consistently(func() string { return f.note(ctx) }).Should(Equal(noted))
	})

	It("of another owner do not count as applied", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(func(s *config.Status) { s.Owner = "another" })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionSettingsApplied, False, v1alpha1.ReasonFlushersDown, "for another resource"))
	})

	DescribeTable("that a flusher reads at its start roll the Pods",
		func(ctx SpecContext, edit change) {
			w, _ := readyWorld(ctx, address("redis:6379"))
			before := w.deployment(ctx).Spec.Template
			w.change(ctx, edit)
			Eventually(func() map[string]string { return w.deployment(ctx).Spec.Template.Annotations }).ShouldNot(Equal(before.Annotations))
			Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionSettingsApplied, False, v1alpha1.ReasonRolling))
		},
		Entry("a table", first(func(m *v1alpha1.Mapping) { m.Table = "elsewhere" })),
		Entry("a column", columns(v1alpha1.Column{Field: "title", Column: "name"})),
		Entry("a mapping", func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages", "page:"))
		}),
		Entry("connections", func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.MaxConnections = 9 }),
		Entry("a Secret", func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.URLSecretRef.Name = "other" }),
	)

	It("of a mapping that was taken out stay until its queue is empty", func(ctx SpecContext) {
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) {
			pages := mapping("pages", "page:")
			pages.Table = "public.pages_of_yore"
			c.Spec.Mappings = append(c.Spec.Mappings, pages)
		})
		depth := func(n int64) func(*config.Status) {
			return func(s *config.Status) {
				for i := range s.Queues {
					if s.Queues[i].Name == "pages" {
						s.Queues[i].Depth = n
					}
				}
			}
		}
		f.say(depth(12))
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(12))))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = c.Spec.Mappings[:1] })
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", HaveExactElements(
			SatisfyAll(HaveField("Name", "products"), HaveField("Retired", false)),
			SatisfyAll(HaveField("Name", "pages"), HaveField("Retired", true), HaveField("Table", "public.pages_of_yore")),
		)))
		Eventually(w.poll(ctx)).Should(HaveField("Status.Mappings", HaveExactElements(
			HaveField("Name", "products"),
			SatisfyAll(HaveField("Name", "pages"), HaveField("QueueDepth", HaveValue(BeEquivalentTo(12)))),
		)))

		By("holding back what would share its keys")
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages-again", "page:new:"))
		})
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionStalled, True, v1alpha1.ReasonQueueNotEmpty, "pages-again", "mapping pages", "is empty: 12 entries and 0 dead letters"),
			haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonQueueNotEmpty),
			haveCondition(v1alpha1.ConditionSettingsApplied, False, v1alpha1.ReasonQueueNotEmpty),
		))
		settings, err := w.settings(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(settings.Mappings).To(HaveLen(2))

		By("leaving a dead letter in it")
		f.say(func(s *config.Status) { s.Queues[1].DeadLetters = 1 })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, True, v1alpha1.ReasonQueueNotEmpty,
			"is empty: 0 entries and 1 dead letter (kubectl exec -n "+w.cache.Namespace+" deploy/shop-flusher -- /flusher dlq replay --all, or discard, takes"))

		By("emptying it")
		f.say(depth(0))
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", HaveExactElements(
			HaveField("Name", "products"), SatisfyAll(HaveField("Name", "pages-again"), HaveField("Retired", false)),
		)))
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveNoCondition(v1alpha1.ConditionStalled),
			HaveField("Status.Mappings", HaveExactElements(HaveField("Name", "products"), HaveField("Name", "pages-again"))),
		))
	})

	It("take a mapping back in that was taken out", func(ctx SpecContext) {
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages", "page:"))
		})
		f.say(func(s *config.Status) { s.Queues[len(s.Queues)-1].Depth = 1 })
		mappings := w.now(ctx).Spec.Mappings
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = mappings[:1] })
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", ContainElement(HaveField("Retired", true))))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = mappings })
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", SatisfyAll(
			HaveLen(2), HaveEach(HaveField("Retired", false)))))
	})

	It("keep the flushers at a Redis whose queue is not empty", func(ctx SpecContext) {
		w, f := readyWorld(ctx, address("old:6379"))
		f.say(func(s *config.Status) { s.Queues[0].Depth = 3 })
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(3))))
		before := w.deployment(ctx).Spec.Template
		w.change(ctx, address("new:6379"))
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, True, v1alpha1.ReasonQueueNotEmpty, "old:6379", "products", "the flushers stay with the earlier Redis: 3 entries and 0 dead letters"))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			metav1.SetMetaDataAnnotation(&c.ObjectMeta, v1alpha1.AnnotationForceDelete, "True")
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, True, v1alpha1.ReasonQueueNotEmpty, `is "True", which does nothing`))
		settings, err := w.settings(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(settings.Redis.External.Addresses).To(Equal([]string{"old:6379"}))
		Expect(w.deployment(ctx).Spec.Template).To(Equal(before))

		f.say(nil)
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Redis.External.Addresses", []string{"new:6379"}))
		Eventually(w.poll(ctx)).Should(haveNoCondition(v1alpha1.ConditionStalled))
	})

	It("of Redis roll its Pod, and its volume grows where it can", func(ctx SpecContext) {
		class := &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "expandable-"}, Provisioner: "cache.writebehind.dev/test-none",
			AllowVolumeExpansion: new(true),
		}
		Expect(k8s.Create(ctx, class)).To(Succeed())
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.Managed.Storage.StorageClassName = &class.Name })
		set := func() *appsv1.StatefulSet {
			found := &appsv1.StatefulSet{}
			Expect(k8s.Get(ctx, w.key("-redis"), found)).To(Succeed())
			return found
		}
		before := set()
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.Managed.AppendFsync = v1alpha1.AppendFsyncAlways })
		Eventually(set).ShouldNot(HaveField("Spec.Template.Annotations", Equal(before.Spec.Template.Annotations)))
		w.rollOut(ctx)

		By("growing a claim, as the controller of StatefulSets would have made it")
		template := before.Spec.VolumeClaimTemplates[0]
		claim := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.cache.Namespace, Name: "data-shop-redis-0", Labels: template.Labels},
			Spec:       template.Spec,
		}
		claim.Spec.VolumeName = "some-volume"
		Expect(k8s.Create(ctx, claim)).To(Succeed())
		grow := func(size string) {
			w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.Managed.Storage.Size = resource.MustParse(size) })
		}
		grow("2Gi")
		// What the API server says and the remedy; and data flows all the same.
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionStalled, True, v1alpha1.ReasonStorageNotExpandable, "data-shop-redis-0", "from 1Gi to 2Gi",
				"allowVolumeExpansion", "spec is immutable after creation except resources.requests"),
			haveCondition(v1alpha1.ConditionReady, True, v1alpha1.ReasonAsExpected),
			haveCondition(v1alpha1.ConditionSettingsApplied, True, v1alpha1.ReasonAsExpected),
		))
		By("noting live settings on the flushers meanwhile")
		noted := f.note(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.BatchSize = 9 })
		// Before the refused claim is tried again, which is a minute later.
		Eventually(func() string { return f.note(ctx) }).WithTimeout(45 * time.Second).ShouldNot(Equal(noted))
		By("a claim that can grow by now")
		claim.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: template.Spec.Resources.Requests}
		Expect(k8s.Status().Update(ctx, claim)).To(Succeed())
		Eventually(func() string {
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(claim), claim)).To(Succeed())
			return claim.Spec.Resources.Requests.Storage().String()
		}).Should(Equal("2Gi"))
		Eventually(w.poll(ctx)).Should(haveNoCondition(v1alpha1.ConditionStalled))
		Expect(set().Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage().String()).To(Equal("1Gi"))

		By("a claim that somebody else has made larger")
		claim.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("3Gi")
		Expect(k8s.Update(ctx, claim)).To(Succeed())
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionStalled, True, v1alpha1.ReasonStorageCannotShrink, "2Gi", "data-shop-redis-0", "3Gi or more"),
			haveCondition(v1alpha1.ConditionReady, True, v1alpha1.ReasonAsExpected),
		))
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(claim), claim)).To(Succeed())
		Expect(claim.Spec.Resources.Requests.Storage().String()).To(Equal("3Gi"))
	})

	It("that the API server refuses in an object are the spec's fault", func(ctx SpecContext) {
		w := newWorld(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Resources = v1alpha1.Resources{Limits: corev1.ResourceList{"a-thing": resource.MustParse("1")}}
		})
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionStalled, True, v1alpha1.ReasonInvalidSpec, "must be a standard resource for containers"),
			HaveField("Status.ObservedGeneration", w.now(ctx).Generation),
		))
	})
})

// note is what the operator noted on the flusher's Pod.
func (f *flusher) note(ctx SpecContext) string {
	GinkgoHelper()
	Expect(k8s.Get(ctx, client.ObjectKeyFromObject(f.pod), f.pod)).To(Succeed())
	return f.pod.Annotations[v1alpha1.AnnotationSettingsHash]
}
