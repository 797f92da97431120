// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

var _ = Describe("Ownership", func() {
	const earlier = "11111111-2222-3333-4444-555555555555"
	claimOf := func(namespace, owner string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: "data-shop-redis-0",
				Labels: map[string]string{
					resources.LabelManagedBy: resources.ManagedBy, resources.LabelComponent: resources.ComponentRedis,
					resources.LabelInstance: "shop", v1alpha1.LabelOwnerUID: owner,
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

	It("label is put back where it was taken away by hand", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		Expect(k8s.Create(ctx, claimOf(w.cache.Namespace, string(w.cache.UID)))).To(Succeed())
		w.settle()
		for _, taken := range [][]string{{v1alpha1.LabelOwnerUID}, {v1alpha1.LabelOwnerUID, resources.LabelManagedBy}} {
			for name, object := range map[string]client.Object{
				"shop-flusher": &corev1.ConfigMap{}, "shop-redis": &corev1.Service{}, "data-shop-redis-0": &corev1.PersistentVolumeClaim{},
			} {
				key := client.ObjectKey{Namespace: w.cache.Namespace, Name: name}
				Expect(k8s.Get(ctx, key, object)).To(Succeed())
				before := object.DeepCopyObject().(client.Object)
				labels := object.GetLabels()
				for _, label := range taken {
					delete(labels, label)
				}
				object.SetLabels(labels)
				Expect(k8s.Patch(ctx, object, client.MergeFrom(before))).To(Succeed())
				Eventually(func() (map[string]string, error) {
					err := k8s.Get(ctx, key, object)
					return object.GetLabels(), err
				}).Should(SatisfyAll(
					HaveKeyWithValue(v1alpha1.LabelOwnerUID, string(w.cache.UID)),
					HaveKeyWithValue(resources.LabelManagedBy, resources.ManagedBy)), name)
			}
		}
		Eventually(w.poll(ctx)).Should(beReady())
	})

	It("of an object without a label is not taken from its name alone", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		By("making the name free, while another's Deployment keeps the operator from taking it")
		w.giveDeployment(ctx, "another")
		Expect(k8s.Delete(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.cache.Namespace, Name: "shop-redis"}})).To(Succeed())
		Expect(k8s.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.cache.Namespace, Name: "shop-redis"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}},
		})).To(Succeed())
		w.giveDeployment(ctx, string(w.cache.UID))
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonObjectConflict, "Service shop-redis"))
	})

	It("of an earlier life that is ending is waited for, shortly", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		claim := claimOf(namespace, earlier)
		claim.Finalizers = []string{"kubernetes.io/pvc-protection"}
		Expect(k8s.Create(ctx, claim)).To(Succeed())
		Expect(k8s.Delete(ctx, claim)).To(Succeed())
		cache := minimal(namespace)
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		w := &world{cache: cache}
		DeferCleanup(func(ctx SpecContext) { w.discard(ctx) })
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "data-shop-redis-0", "to be deleted"),
			haveNoCondition(v1alpha1.ConditionStalled),
		))
		removeProtection(ctx, w)
		Eventually(func() error { return k8s.Get(ctx, w.key("-redis"), &appsv1.StatefulSet{}) }).Should(Succeed())
	})

	It("of a retained Redis is told with the way to adopt it", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		Expect(k8s.Create(ctx, claimOf(namespace, earlier))).To(Succeed())
		cache := minimal(namespace)
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		w := &world{cache: cache}
		DeferCleanup(func(ctx SpecContext) { w.discard(ctx) })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonObjectConflict,
			"PersistentVolumeClaim data-shop-redis-0 of an earlier WriteBehindCache shop exists", "retained", "spec.redis.external", `"shop-redis.`+namespace+`.svc:6379"`, "{name: shop-redis-flusher-11111111, usernameKey: username}"))
	})

	It("of Redis that is retained in the middle of draining goes over open", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		f.say(func(s *config.Status) { s.Queues[0].Depth = 9 })
		Eventually(w.poll(ctx)).Should(HaveField("Status.QueueDepth", HaveValue(BeEquivalentTo(9))))
		Expect(k8s.Delete(ctx, w.cache)).To(Succeed())
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDraining, "9 entries"))
		f.say(func(s *config.Status) { s.Queues[0].Depth, s.Queues[0].State = 9, config.StatePaused })
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDraining, "queue products to be open"))
		Eventually(func() (*config.Config, error) { return w.settings(ctx) }).Should(HaveField("Draining", false))
		Consistently(func() map[string]client.Object { return w.objects(ctx) }).Should(HaveKey("*v1.Deployment shop-flusher"))
		f.say(func(s *config.Status) { s.Queues[0].Depth = 9 })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonRetained))
		f.end(ctx)
	})

	It("is exercised no more often than somebody else can stand", func(ctx SpecContext) {
		w, f := readyWorld(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100u")}
		})
		w.settle()
		sent := len(writes.of(w.cache.Namespace))
		for i := range 5 {
			f.say(func(s *config.Status) { s.Queues[0].Flushed = int64(i) })
			Eventually(w.poll(ctx)).Should(HaveField("Status.FlushedTotal", HaveValue(BeEquivalentTo(i))))
		}
		Expect(writes.of(w.cache.Namespace)[sent:]).NotTo(ContainElement(ContainSubstring("deployments")))

		By("fighting with another controller over a field")
		d := w.deployment(ctx)
		fight := 0
		change := func() error {
			if err := k8s.Get(ctx, client.ObjectKeyFromObject(d), d); err != nil {
				return err
			}
			if *d.Spec.Replicas != 7 {
				d.Spec.Replicas = new(int32(7))
				if k8s.Update(ctx, d) == nil {
					fight++
				}
			}
			return nil
		}
		applies := func() (n int) {
			for _, request := range writes.of(w.cache.Namespace)[sent:] {
				if strings.HasSuffix(request, "deployments/shop-flusher") {
					n++
				}
			}
			return n
		}
		Eventually(func() (int, error) { return applies(), change() }).Should(BeNumerically(">=", 2))
		Consistently(change).WithTimeout(2 * quiet).Should(Succeed())
		Expect(applies()).To(BeNumerically("<=", 6), "after %d changes by the other", fight)
	})
})
