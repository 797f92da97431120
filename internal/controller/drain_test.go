// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("Draining", func() {
	const held = "cache.writebehind.dev/test-held"
	True := metav1.ConditionTrue
	holding := func(depth int64) func(*config.Status) {
		return func(s *config.Status) { s.Queues[0].Depth = depth }
	}
	gone := func(ctx SpecContext, w *world) {
		GinkgoHelper()
		Eventually(func() error { return k8s.Get(ctx, w.key(""), &v1alpha1.WriteBehindCache{}) }).Should(MatchError(ContainSubstring("not found")))
	}
	drains := func(ctx SpecContext, w *world, f *flusher) {
		GinkgoHelper()
		Eventually(w.settings).WithContext(ctx).Should(SatisfyAll(
			HaveField("Draining", BeTrue()), HaveField("Revision", Equal(w.now(ctx).Generation))))
		f.say(nil)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained))
		f.end(ctx)
		gone(ctx, w)
	}

	It("takes silence for no sign that there is nothing to drain", func(ctx SpecContext) {
		w := newWorld(ctx)
		w.rollOut(ctx)
		f := w.startSilentFlusher(ctx, "a")
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonFlushersDown, "HTTP 500"))
		Expect(w.now(ctx).Status.Mappings).To(HaveEach(HaveField("Journal", BeEmpty())))
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "HTTP 500", "no flusher has reported the queues empty"))
		objects := w.objects(ctx)
		Consistently(func() []string { return missing(objects, w.objects(ctx)) }).Should(BeEmpty())
		By("answering")
		f.say(holding(3))
		f.silence(false)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "3 entries"))
		drains(ctx, w, f)
	})

	It("remembers that a flusher ran when nothing of it is left", func(ctx SpecContext) {
		w := newWorld(ctx)
		f := w.startSilentFlusher(ctx, "a")
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonFlushersDown, "HTTP 500"))
		f.end(ctx)
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonFlushersDown, "has no Pod"))
		Expect(k8s.Delete(ctx, w.deployment(ctx))).To(Succeed())
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "no flusher has reported the queues empty"))
		drains(ctx, w, w.startFlusher(ctx, "b"))
	})

	It("ends at once when no container of a flusher ever began", func(ctx SpecContext) {
		w := newWorld(ctx)
		template := w.deployment(ctx).Spec.Template
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.cache.Namespace, Name: "shop-flusher-a", Labels: template.Labels, Annotations: template.Annotations},
			Spec:       template.Spec,
		}
		madeBy(pod, "shop-flusher")
		Expect(k8s.Create(ctx, pod)).To(Succeed())
		f := &flusher{pod: pod}
		f.setStatus(ctx, waitingPod("ImagePullBackOff", "no such image"))
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonFlushersDown, "cannot pull"))
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained, "nothing to drain"))
		f.end(ctx)
		gone(ctx, w)
	})

	DescribeTable("goes on although the spec cannot be brought about",
		func(ctx SpecContext, reason string, prepare func(SpecContext, *world), edit change) {
			w, f := readyWorld(ctx)
			prepare(ctx, w)
			f.say(holding(5))
			Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(5))))
			w.change(ctx, edit)
			Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, True, reason))
			Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
			Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "5 entries"))
			drains(ctx, w, f)
		},
		Entry("a Deployment that the API server refuses", v1alpha1.ReasonInvalidSpec, refuseDeployments,
			func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Image = "other:1" }),
		Entry("storage that cannot grow", v1alpha1.ReasonStorageNotExpandable, func(ctx SpecContext, w *world) {
			Expect(k8s.Create(ctx, redisClaim(w))).To(Succeed())
		}, func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.Managed.Storage.Size = resource.MustParse("64Gi") }),
	)

	It("ends when the namespace goes and no flusher is left", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(holding(2))
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(2))))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { controllerutil.AddFinalizer(c, held) })
		Expect(k8s.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.cache.Namespace}})).To(Succeed())
		Expect(k8s.Delete(ctx, w.deployment(ctx))).To(Succeed())
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		By("draining while a flusher is there")
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDraining, "2 entries"))
		Expect(w.now(ctx).Finalizers).To(ContainElement(v1alpha1.FinalizerDrain))
		f.end(ctx)
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			HaveField("Finalizers", ConsistOf(held)),
			haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained, "namespace is being deleted", "gives up")))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Finalizers = nil })
		gone(ctx, w)
	})

	It("ends when the namespace goes, also when with it went the settings of a retired queue", func(ctx SpecContext) {
		w, f := readyWorld(ctx, address("old:6379"), func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("pages", "page:"))
		})
		f.say(func(s *config.Status) { s.Queues[len(s.Queues)-1].Depth = 1 })
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(1))))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = c.Spec.Mappings[:1] })
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", ContainElement(HaveField("Retired", true))))
		By("deleting as the controller of namespaces does, kind by kind")
		Expect(k8s.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.cache.Namespace}})).To(Succeed())
		for _, object := range []client.Object{&corev1.ConfigMap{}, &corev1.Service{}, &appsv1.Deployment{}} {
			object.SetNamespace(w.cache.Namespace)
			object.SetName(w.key("-flusher").Name)
			Expect(k8s.Delete(ctx, object)).To(Succeed())
		}
		f.end(ctx)
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		gone(ctx, w)
	})

	It("names the Pods that it waits for, and waits for none of a lost node when forced", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		before := f.pod.DeepCopy()
		controllerutil.AddFinalizer(f.pod, held)
		Expect(k8s.Patch(ctx, f.pod, client.MergeFrom(before))).To(Succeed())
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained, "waiting for flusher Pods shop-flusher-a to end"))
		f.end(ctx)
		Consistently(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, True, v1alpha1.ReasonDrained, "waiting for flusher Pods shop-flusher-a to end"))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			metav1.SetMetaDataAnnotation(&c.ObjectMeta, v1alpha1.AnnotationForceDelete, "true")
		})
		gone(ctx, w)
		before = f.pod.DeepCopy()
		controllerutil.RemoveFinalizer(f.pod, held)
		Expect(k8s.Patch(ctx, f.pod, client.MergeFrom(before))).To(Succeed())
	})
})

// redisClaim is what the StatefulSet's controller would make.
func redisClaim(w *world) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.cache.Namespace, Name: "data-shop-redis-0",
			Labels: map[string]string{
				"app.kubernetes.io/managed-by": "writebehind-operator", "app.kubernetes.io/component": "redis",
				"app.kubernetes.io/instance": "shop", v1alpha1.LabelOwnerUID: string(w.cache.UID),
			},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceStorage: resource.MustParse("1Gi"),
			}},
		},
	}
}

// refuseDeployments makes the API server refuse every change of a Deployment in
// the world's namespace.
func refuseDeployments(ctx SpecContext, w *world) {
	GinkgoHelper()
	name := "no-deployments-in-" + w.cache.Namespace
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: "object.metadata.namespace != '" + w.cache.Namespace + "'"}},
		},
	}
	Expect(k8s.Create(ctx, policy)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(k8s.Delete(ctx, policy)).To(Succeed()) })
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	Expect(k8s.Create(ctx, binding)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(k8s.Delete(ctx, binding)).To(Succeed()) })
	Eventually(func() error {
		d := &appsv1.Deployment{}
		if err := k8s.Get(ctx, w.key("-flusher"), d); err != nil {
			return err
		}
		return k8s.Update(ctx, d, client.DryRunAll)
	}).Should(MatchError(ContainSubstring(name)))
}

func eventNotes(ctx SpecContext, w *world) []string {
	GinkgoHelper()
	list := &eventsv1.EventList{}
	Expect(k8s.List(ctx, list, client.InNamespace(w.cache.Namespace))).To(Succeed())
	var notes []string
	for _, e := range list.Items {
		notes = append(notes, e.Note)
	}
	Expect(notes).NotTo(ContainElement(ContainSubstring("%!")), "a note and its arguments do not fit together")
	return notes
}
