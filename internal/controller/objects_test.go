// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

var _ = Describe("Objects", func() {
	It("are made for a managed Redis, labelled and without ownerReferences", func(ctx SpecContext) {
		w := newWorld(ctx)
		uid := string(w.cache.UID)
		secret, flusherSecret := "shop-redis-application-"+uid[:8], "shop-redis-flusher-"+uid[:8]
		Eventually(func() map[string]client.Object { return w.objects(ctx) }).Should(SatisfyAll(
			HaveKey("*v1.Deployment shop-flusher"), HaveKey("*v1.Service shop-flusher"), HaveKey("*v1.ConfigMap shop-flusher"),
			HaveKey("*v1.StatefulSet shop-redis"), HaveKey("*v1.Service shop-redis"), HaveKey("*v1.ConfigMap shop-redis"),
			HaveKey("*v1.NetworkPolicy shop-flusher"), HaveKey("*v1.NetworkPolicy shop-redis"), HaveKey("*v1.PodDisruptionBudget shop-flusher"),
			HaveKey("*v1.Secret "+secret), HaveKey("*v1.Secret "+flusherSecret), HaveKey("*v1.ConfigMap shop-redis-users"), HaveLen(12),
		))
		for name, object := range w.objects(ctx) {
			Expect(object.GetOwnerReferences()).To(BeEmpty(), name)
			Expect(object.GetLabels()).To(HaveKeyWithValue(resources.LabelManagedBy, resources.ManagedBy), name)
		}
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			HaveField("Status.Redis", Equal(&v1alpha1.RedisStatus{
				Address: "shop-redis." + w.cache.Namespace + ".svc:6379", SecretName: secret,
			})),
			HaveField("Status.Selector", ContainSubstring(v1alpha1.LabelOwnerUID+"="+uid)),
			HaveField("Finalizers", ConsistOf(v1alpha1.FinalizerDrain)),
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonFlushersDown),
			haveCondition(v1alpha1.ConditionRedisReady, metav1.ConditionUnknown, v1alpha1.ReasonFlushersDown),
			haveCondition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing),
		))
		Expect(w.deployment(ctx).Spec.Template.Spec.Containers[0].Image).To(Equal(flusherImage))

		By("keeping each password to its Secret")
		for secret, user := range map[string]string{secret: "application", flusherSecret: "flusher"} {
			found := &corev1.Secret{}
			Expect(k8s.Get(ctx, client.ObjectKey{Namespace: w.cache.Namespace, Name: secret}, found)).To(Succeed())
			Expect(string(found.Data[resources.UsernameKey])).To(Equal(user))
			password := string(found.Data[resources.PasswordKey])
			Expect(len(password)).To(BeNumerically(">=", 32))
			for name, object := range w.objects(ctx) {
				if name != "*v1.Secret "+secret {
					Expect(fmt.Sprintf("%+v", object)).NotTo(ContainSubstring(password), name)
				}
			}
			Expect(fmt.Sprintf("%+v", w.now(ctx))).NotTo(ContainSubstring(password))
		}

		By("changing the applications' rights with the mappings, and nothing that restarts Redis")
		set := &appsv1.StatefulSet{}
		Expect(k8s.Get(ctx, w.key("-redis"), set)).To(Succeed())
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			order := c.Spec.Mappings[0].DeepCopy()
			order.Name, order.KeyPrefix = "orders", "order:"
			c.Spec.Mappings = append(c.Spec.Mappings, *order)
		})
		Eventually(func() (map[string]string, error) {
			users := &corev1.ConfigMap{}
			err := k8s.Get(ctx, w.key("-redis-users"), users)
			return users.Data, err
		}).Should(HaveKeyWithValue("users", ContainSubstring("~order:* ~wb:{orders}:* ~wb:{orders:*}:*")))
		generation := set.Generation
		Expect(k8s.Get(ctx, w.key("-redis"), set)).To(Succeed())
		Expect(set.Generation).To(Equal(generation))
	})

	It("are fewer for an external Redis", func(ctx SpecContext) {
		w := newWorld(ctx, address("redis.elsewhere:6379"))
		Eventually(func() map[string]client.Object { return w.objects(ctx) }).Should(SatisfyAll(
			HaveKey("*v1.Deployment shop-flusher"), HaveKey("*v1.Service shop-flusher"), HaveKey("*v1.ConfigMap shop-flusher"),
			HaveKey("*v1.NetworkPolicy shop-flusher"), HaveKey("*v1.PodDisruptionBudget shop-flusher"), HaveLen(5),
		))
		Expect(w.now(ctx).Status.Redis).To(BeNil())
		settings, err := w.settings(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(settings.Redis.External.Addresses).To(Equal([]string{"redis.elsewhere:6379"}))
		Expect(settings.Owner).To(Equal(string(w.cache.UID)))
		Expect(settings.Revision).To(Equal(w.now(ctx).Generation))
	})

	It("are written once, and never again while nothing changes", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		Eventually(func() map[string]string {
			before := w.versions(ctx)
			// A touch of an annotation makes the operator pass once more.
			w.touch(ctx)
			return difference(before, w.versions(ctx))
		}).Should(HaveLen(1), "only the touched resource itself has changed")
		w.settle()
		before := w.versions(ctx)
		sent := writes.of(w.cache.Namespace)
		Consistently(func() map[string]string { return difference(before, w.versions(ctx)) }).Should(BeEmpty())
		Expect(writes.of(w.cache.Namespace)).To(Equal(sent), "requests that change something")
	})

	It("are put right when changed by hand, and keep what others added", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		d := w.deployment(ctx)
		d.Spec.Replicas = new(int32(5))
		d.Spec.Template.Spec.Containers[0].Command = []string{"/bin/true"}
		d.Annotations = map[string]string{"somebody": "else"}
		Expect(k8s.Update(ctx, d)).To(Succeed())
		Eventually(func() *appsv1.Deployment { return w.deployment(ctx) }).Should(SatisfyAll(
			HaveField("Spec.Replicas", HaveValue(BeEquivalentTo(1))),
			HaveField("Spec.Template.Spec.Containers", ConsistOf(HaveField("Command", ContainElement("/flusher")))),
			HaveField("Annotations", HaveKeyWithValue("somebody", "else")),
		))

		By("changing a ConfigMap, a Service and the StatefulSet")
		for _, name := range []string{"-flusher", "-redis"} {
			configMap := &corev1.ConfigMap{}
			Expect(k8s.Get(ctx, w.key(name), configMap)).To(Succeed())
			want := configMap.DeepCopy().Data
			for key := range configMap.Data {
				configMap.Data[key] = "# nothing"
			}
			Expect(k8s.Update(ctx, configMap)).To(Succeed())
			Eventually(func() map[string]string {
				Expect(k8s.Get(ctx, w.key(name), configMap)).To(Succeed())
				return configMap.Data
			}).Should(Equal(want))
		}
		service := &corev1.Service{}
		Expect(k8s.Get(ctx, w.key("-redis"), service)).To(Succeed())
		service.Spec.Selector = map[string]string{"app": "another"}
		Expect(k8s.Update(ctx, service)).To(Succeed())
		Eventually(func() map[string]string {
			Expect(k8s.Get(ctx, w.key("-redis"), service)).To(Succeed())
			return service.Spec.Selector
		}).Should(HaveKeyWithValue(v1alpha1.LabelOwnerUID, string(w.cache.UID)))
		set := &appsv1.StatefulSet{}
		Expect(k8s.Get(ctx, w.key("-redis"), set)).To(Succeed())
		set.Spec.Template.Spec.Containers[0].Image = "malicious"
		Expect(k8s.Update(ctx, set)).To(Succeed())
		Eventually(func() string {
			Expect(k8s.Get(ctx, w.key("-redis"), set)).To(Succeed())
			return set.Spec.Template.Spec.Containers[0].Image
		}).Should(Equal("redis:7.2"))

		By("deleting them")
		Expect(k8s.Delete(ctx, w.deployment(ctx))).To(Succeed())
		Expect(k8s.Delete(ctx, service)).To(Succeed())
		Eventually(func() map[string]client.Object { return w.objects(ctx) }).Should(SatisfyAll(
			HaveKey("*v1.Deployment shop-flusher"), HaveKey("*v1.Service shop-redis")))
	})

	It("follow what is taken out of the spec", func(ctx SpecContext) {
		w := newWorld(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Resources = v1alpha1.Resources{Limits: memory("1Gi"), Requests: memory("1Gi")}
		})
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Resources.Limits = nil })
		Eventually(func() corev1.ResourceRequirements {
			return w.deployment(ctx).Spec.Template.Spec.Containers[0].Resources
		}).Should(SatisfyAll(HaveField("Limits", BeEmpty()), HaveField("Requests", HaveLen(1))))
	})

	It("of others are left alone, and named", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		foreign := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-redis"},
			Data:       map[string]string{"mine": "not yours"},
		}
		Expect(k8s.Create(ctx, foreign)).To(Succeed())
		cache := minimal(namespace)
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		w := &world{cache: cache}
		DeferCleanup(func(ctx SpecContext) { w.discard(ctx) })
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonObjectConflict, "ConfigMap shop-redis"),
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonObjectConflict),
			haveNoCondition(v1alpha1.ConditionReconciling),
		))
		Consistently(func() string {
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(foreign), foreign)).To(Succeed())
			return foreign.Data["mine"] + foreign.Labels[v1alpha1.LabelOwnerUID]
		}).Should(Equal("not yours"))
		Expect(w.objects(ctx)).To(BeEmpty())

		By("deleting the resource, which never had a queue")
		Expect(k8s.Delete(ctx, cache)).To(Succeed())
		Eventually(func() error { return k8s.Get(ctx, w.key(""), &v1alpha1.WriteBehindCache{}) }).Should(MatchError(ContainSubstring("not found")))
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(foreign), foreign)).To(Succeed())
	})

	It("of an earlier resource of the same name are not adopted", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		claim := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "data-shop-redis-0", Labels: map[string]string{
				resources.LabelManagedBy: resources.ManagedBy, v1alpha1.LabelOwnerUID: "another",
			}},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceStorage: memory("1Gi")[corev1.ResourceMemory],
				}},
			},
		}
		Expect(k8s.Create(ctx, claim)).To(Succeed())
		cache := minimal(namespace)
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		w := &world{cache: cache}
		DeferCleanup(func(ctx SpecContext) { w.discard(ctx) })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonObjectConflict, "PersistentVolumeClaim data-shop-redis-0"))
	})

	It("follow the scale subresource", func(ctx SpecContext) {
		w := newWorld(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Replicas = new(int32(3)) })
		Eventually(func() int32 { return *w.deployment(ctx).Spec.Replicas }).Should(BeEquivalentTo(3))
		w.rollOut(ctx)
		Eventually(w.poll(ctx)).Should(HaveField("Status.Replicas", BeEquivalentTo(3)))
	})

	It("take a role that may create and delete Secrets, and nothing else", func() {
		verbs := map[string]bool{}
		for _, rule := range clusterRole().Rules {
			for _, resource := range rule.Resources {
				if resource != "secrets" && resource != "*" {
					continue
				}
				for _, verb := range rule.Verbs {
					verbs[verb] = true
				}
			}
		}
		Expect(verbs).To(Equal(map[string]bool{"create": true, "delete": true}))
	})
})

// settle waits until the operator has sent nothing for a while: a pass that acted
// on an old copy is made again, and its request refused, shortly after a change.
func (w *world) settle() {
	GinkgoHelper()
	last, since := -1, time.Now()
	Eventually(func() time.Duration {
		if now := len(writes.of(w.cache.Namespace)); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since)
	}).Should(BeNumerically(">", time.Second))
}

// touch makes the operator pass once more.
func (w *world) touch(ctx SpecContext) {
	GinkgoHelper()
	w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
		metav1.SetMetaDataAnnotation(&c.ObjectMeta, "cache.writebehind.dev/test-touched", c.ResourceVersion)
	})
}

func difference(before, after map[string]string) map[string]string {
	changed := map[string]string{}
	for name, version := range after {
		if before[name] != version {
			changed[name] = version
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			changed[name] = "gone"
		}
	}
	return changed
}
