// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("Settings in force", func() {
	edit := func(ctx SpecContext, w *world, old, replacement string) {
		GinkgoHelper()
		configMap := &corev1.ConfigMap{}
		Eventually(func() error {
			if err := k8s.Get(ctx, w.key("-flusher"), configMap); err != nil {
				return err
			}
			text := configMap.Data[resources.ConfigFile]
			Expect(text).To(ContainSubstring(old))
			configMap.Data[resources.ConfigFile] = strings.Replace(text, old, replacement, 1)
			return k8s.Update(ctx, configMap)
		}).Should(Succeed())
	}
	deep := func(name string, depth int64) func(*config.Status) {
		return func(s *config.Status) {
			for i := range s.Queues {
				if s.Queues[i].Name == name {
					s.Queues[i].Depth = depth
				}
			}
		}
	}
	configMapOf := func(w *world) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.cache.Namespace, Name: w.cache.Name + "-flusher"}}
	}
	// retiredWorld has a mapping orders that was taken out and is not empty.
	retiredWorld := func(ctx SpecContext) (*world, *flusher) {
		GinkgoHelper()
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("orders", "order:"))
		})
		f.say(deep("orders", 5000))
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(5000))))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = c.Spec.Mappings[:1] })
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", ContainElement(HaveField("Retired", true))))
		return w, f
	}

	It("are put back when the partitions of a mapping were edited by hand", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(deep("products", 7))
		edit(ctx, w, "partitions: 16", "partitions: 8")
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", HaveExactElements(
			SatisfyAll(HaveField("Partitions", 16), HaveField("Retired", false)))))
		Consistently(w.poll(ctx)).Should(haveNoCondition(v1alpha1.ConditionStalled))
	})

	It("are put back when the address of Redis was edited by hand", func(ctx SpecContext) {
		w, f := readyWorld(ctx, address("right:6379"))
		f.say(deep("products", 7))
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(7))))
		edit(ctx, w, "right:6379", "wrong:6379")
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Redis.External.Addresses", []string{"right:6379"}))
		Consistently(w.poll(ctx)).Should(haveNoCondition(v1alpha1.ConditionStalled))
	})

	It("of a retired mapping outlive the ConfigMap, and a note in it that was edited", func(ctx SpecContext) {
		w, _ := retiredWorld(ctx)
		Expect(k8s.Delete(ctx, configMapOf(w))).To(Succeed())
		carried := SatisfyAll(HaveLen(2), ContainElement(SatisfyAll(HaveField("Name", "orders"), HaveField("Retired", true), HaveField("Table", "public.orders"))))
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", carried))
		Consistently(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", carried))

		By("editing the ConfigMap with its note")
		configMap := configMapOf(w)
		Eventually(func() error {
			if err := k8s.Get(ctx, w.key("-flusher"), configMap); err != nil {
				return err
			}
			configMap.Annotations[v1alpha1.AnnotationInForce] = "none"
			configMap.Data[resources.ConfigFile] = ""
			return k8s.Update(ctx, configMap)
		}).Should(Succeed())
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Mappings", carried))
		Expect(w.now(ctx).Status.Mappings).To(ContainElement(HaveField("Name", "orders")))
	})

	It("that nothing tells any more stop the operator, and drop nothing", func(ctx SpecContext) {
		w, _ := retiredWorld(ctx)
		By("losing both records")
		Eventually(w.poll(ctx)).Should(HaveField("Status.Mappings", ContainElement(HaveField("Name", "orders"))))
		w.forget(ctx)
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueNotEmpty, "queue orders", "spec.mappings"),
			HaveField("Status.Mappings", ContainElement(SatisfyAll(
				HaveField("Name", "orders"), HaveField("QueueDepth", HaveValue(BeEquivalentTo(5000)))))),
		))
		Consistently(w.poll(ctx)).Should(HaveField("Status.Mappings", ContainElement(HaveField("Name", "orders"))))

		By("saying of an annotation that gives nothing up that it does not")
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			metav1.SetMetaDataAnnotation(&c.ObjectMeta, v1alpha1.AnnotationForceDelete, "")
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueNotEmpty, `is "", which does nothing`))

		By("not removing Redis either when the resource is deleted")
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDraining, "queue orders"))
		Consistently(func() map[string]client.Object { return w.objects(ctx) }).Should(HaveKey("*v1.StatefulSet shop-redis"))

		By("putting the mapping back")
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Mappings = append(c.Spec.Mappings, mapping("orders", "order:"))
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDraining, "queue orders holds 5000 entries"))
	})

	It("of a Redis that is held make its Deployment again", func(ctx SpecContext) {
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis = external("old:6379")
			c.Spec.Redis.External.CredentialsSecretRef = &v1alpha1.CredentialsSecretRef{Name: "old-redis"}
		})
		f.say(deep("products", 3))
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(3))))
		before := w.deployment(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis = external("new:6379")
			c.Spec.Redis.External.CredentialsSecretRef = &v1alpha1.CredentialsSecretRef{Name: "new-redis"}
		})
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonQueueNotEmpty, "old:6379"),
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
			haveCondition(v1alpha1.ConditionSettingsApplied, metav1.ConditionFalse, v1alpha1.ReasonQueueNotEmpty),
		))
		Expect(k8s.Delete(ctx, before)).To(Succeed())
		Eventually(func() map[string]any {
			found := map[string]any{}
			for name, object := range w.objects(ctx) {
				found[name] = object.GetUID()
			}
			return found
		}).Should(HaveKeyWithValue("*v1.Deployment shop-flusher", Not(Equal(before.UID))))
		again := w.deployment(ctx).Spec.Template
		// A Deployment that was deleted says no more since when its Secret is named.
		Expect(again.Spec.Containers[0].Env).To(ConsistOf(HaveField("Name", config.URLRevisionVariable)))
		again.Spec.Containers[0].Env = before.Spec.Template.Spec.Containers[0].Env
		Expect(again).To(Equal(before.Spec.Template))

		By("letting go when the queue is empty")
		f.say(nil)
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Redis.External.Addresses", []string{"new:6379"}))
		Eventually(func() string { return w.deployment(ctx).Spec.Template.String() }).Should(ContainSubstring("new-redis"))
	})
})

// forget takes away both records of the settings in force, while another's
// Deployment keeps the operator from writing one again from the other.
func (w *world) forget(ctx SpecContext) {
	GinkgoHelper()
	w.giveDeployment(ctx, "another")
	for _, object := range []client.Object{&corev1.Service{}, &corev1.ConfigMap{}} {
		Expect(k8s.Get(ctx, w.key("-flusher"), object)).To(Succeed())
		before := object.DeepCopyObject().(client.Object)
		object.SetAnnotations(nil)
		Expect(k8s.Patch(ctx, object, client.MergeFrom(before))).To(Succeed())
	}
	w.giveDeployment(ctx, string(w.cache.UID))
}

// giveDeployment gives the flushers' Deployment to the owner; as long as it is
// not the resource, the operator writes no object.
func (w *world) giveDeployment(ctx SpecContext, owner string) {
	GinkgoHelper()
	d := w.deployment(ctx)
	before := d.DeepCopy()
	d.Labels[v1alpha1.LabelOwnerUID] = owner
	Expect(k8s.Patch(ctx, d, client.MergeFrom(before))).To(Succeed())
	if owner != string(w.cache.UID) {
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonObjectConflict, "Deployment"))
	}
}
