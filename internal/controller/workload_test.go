// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

var _ = Describe("The flushers' place", func() {
	It("rolls the flushers when it changes, and leaves Redis alone", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		set := &appsv1.StatefulSet{}
		Expect(k8s.Get(ctx, w.key("-redis"), set)).To(Succeed())
		before := w.deployment(ctx)
		spec := func() corev1.PodSpec { return w.deployment(ctx).Spec.Template.Spec }
		Expect(spec().TopologySpreadConstraints).To(ConsistOf(SatisfyAll(
			HaveField("TopologyKey", corev1.LabelHostname), HaveField("WhenUnsatisfiable", corev1.ScheduleAnyway))))

		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.NodeSelector = map[string]v1alpha1.LabelValue{"pool": "data"}
			c.Spec.Flusher.Tolerations = []corev1.Toleration{{Key: "pool", Operator: corev1.TolerationOpExists}}
			c.Spec.Flusher.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
					Weight: 1, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: corev1.LabelTopologyZone, LabelSelector: &metav1.LabelSelector{}},
				}},
			}}
			c.Spec.Flusher.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{spread(corev1.LabelTopologyZone, corev1.DoNotSchedule)}
			c.Spec.Flusher.PriorityClassName = "high"
		})
		Eventually(spec).Should(SatisfyAll(
			HaveField("NodeSelector", Equal(map[string]string{"pool": "data"})),
			HaveField("Tolerations", ConsistOf(HaveField("Key", "pool"))),
			HaveField("Affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution", HaveLen(1)),
			HaveField("TopologySpreadConstraints", ConsistOf(SatisfyAll(
				HaveField("TopologyKey", corev1.LabelTopologyZone),
				HaveField("LabelSelector.MatchLabels", HaveKeyWithValue(v1alpha1.LabelOwnerUID, string(w.cache.UID)))))),
			HaveField("PriorityClassName", "high"),
		))
		w.settle()
		sent := writes.of(w.cache.Namespace)
		w.touch(ctx)
		Consistently(func() []string { return writes.of(w.cache.Namespace) }).Should(Equal(sent), "what the API server made of it is no drift")

		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher = v1alpha1.Flusher{Replicas: new(int32(1))} })
		Eventually(spec).Should(Equal(before.Spec.Template.Spec), "all is as it was")
		generation := set.Generation
		Expect(k8s.Get(ctx, w.key("-redis"), set)).To(Succeed())
		Expect(set.Generation).To(Equal(generation))
	})

	It("that cannot be is told with the field, and keeps no setting from the flushers", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Flusher.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 101}},
			}}
			c.Spec.Flush.BatchSize = 7
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec, "nodeAffinity", "weight"))
		settings, err := w.settings(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(settings.Flush.BatchSize).To(Equal(7))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Affinity = nil })
		Eventually(w.poll(ctx)).Should(beReady())
	})
})

var _ = Describe("The flushers' disruption budget", func() {
	It("takes one at a time, whatever their number, and is put right", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		budget := &policyv1.PodDisruptionBudget{}
		spec := func() (policyv1.PodDisruptionBudgetSpec, error) {
			err := k8s.Get(ctx, w.key("-flusher"), budget)
			return budget.Spec, err
		}
		asMade := SatisfyAll(
			HaveField("MaxUnavailable", HaveValue(Equal(intstr.FromInt32(1)))),
			HaveField("MinAvailable", BeNil()),
			HaveField("UnhealthyPodEvictionPolicy", HaveValue(Equal(policyv1.AlwaysAllow))),
			HaveField("Selector.MatchLabels", Equal(w.deployment(ctx).Spec.Selector.MatchLabels)),
		)
		Eventually(spec).Should(asMade)
		By("changing it by hand")
		budget.Spec.MaxUnavailable = new(intstr.FromInt32(0))
		Expect(k8s.Update(ctx, budget)).To(Succeed())
		Eventually(spec).Should(asMade)
		By("taking its label away")
		delete(budget.Labels, v1alpha1.LabelOwnerUID)
		Expect(k8s.Update(ctx, budget)).To(Succeed())
		Eventually(func() (map[string]string, error) {
			_, err := spec()
			return budget.Labels, err
		}).Should(HaveKeyWithValue(v1alpha1.LabelOwnerUID, string(w.cache.UID)))
		By("deleting it")
		Expect(k8s.Delete(ctx, budget)).To(Succeed())
		Eventually(spec).Should(asMade)
		Expect(w.objects(ctx)).NotTo(HaveKey("*v1.PodDisruptionBudget shop-redis"), "it would block every drain")
	})
})

var _ = Describe("NetworkPolicies", func() {
	of := func(ctx SpecContext, w *world, suffix string) func() (networkingv1.NetworkPolicySpec, error) {
		return func() (networkingv1.NetworkPolicySpec, error) {
			policy := &networkingv1.NetworkPolicy{}
			err := k8s.Get(ctx, w.key(suffix), policy)
			return policy.Spec, err
		}
	}

	It("let in who the spec names, and are put right", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		Expect(of(ctx, w, "-flusher")()).To(HaveField("PolicyTypes", ConsistOf(networkingv1.PolicyTypeIngress)))
		Expect(of(ctx, w, "-redis")()).To(SatisfyAll(
			HaveField("PolicyTypes", ConsistOf(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)),
			HaveField("Egress", BeEmpty()),
			HaveField("Ingress", ConsistOf(HaveField("From", ContainElement(networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}})))),
		))
		web := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.NetworkPolicy.Clients = []networkingv1.NetworkPolicyPeer{web}
			c.Spec.NetworkPolicy.Egress = []v1alpha1.EgressRule{{Ports: []v1alpha1.EgressPort{{Port: port(5432)}}}}
		})
		narrow := HaveField("Ingress", ConsistOf(HaveField("From", ConsistOf(web, HaveField("PodSelector.MatchLabels",
			HaveKeyWithValue(resources.LabelComponent, resources.ComponentFlusher))))))
		Eventually(of(ctx, w, "-redis")).Should(narrow)
		Eventually(of(ctx, w, "-flusher")).Should(SatisfyAll(
			HaveField("PolicyTypes", HaveLen(2)), HaveField("Egress", HaveLen(3)), // DNS, Redis, and the spec's
		))
		By("changing one by hand")
		policy := &networkingv1.NetworkPolicy{}
		Expect(k8s.Get(ctx, w.key("-redis"), policy)).To(Succeed())
		policy.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
		Expect(k8s.Update(ctx, policy)).To(Succeed())
		Eventually(of(ctx, w, "-redis")).Should(narrow)
		w.settle()
		sent := writes.of(w.cache.Namespace)
		w.touch(ctx)
		Consistently(func() []string { return writes.of(w.cache.Namespace) }).Should(Equal(sent), "what the API server made of it is no drift")
	})

	It("go when they are switched off, and come back", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		Expect(w.objects(ctx)).To(SatisfyAll(HaveKey("*v1.NetworkPolicy shop-flusher"), HaveKey("*v1.NetworkPolicy shop-redis")))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.NetworkPolicy.Enabled = new(false) })
		Eventually(func() []string { return policies(ctx, w) }).Should(BeEmpty())
		Eventually(w.poll(ctx)).Should(beReady())

		By("taking the name while it is free, as an earlier resource that retained its Redis has it")
		theirs := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{
			Namespace: w.cache.Namespace, Name: "shop-redis",
			Labels: map[string]string{resources.LabelManagedBy: resources.ManagedBy, v1alpha1.LabelOwnerUID: "another"},
		}}
		Expect(k8s.Create(ctx, theirs)).To(Succeed())
		w.touch(ctx)
		Consistently(w.poll(ctx)).Should(beReady())
		Expect(policies(ctx, w)).To(ConsistOf("shop-redis"))

		By("switching them on again")
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.NetworkPolicy.Enabled = new(true) })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonObjectConflict, "NetworkPolicy shop-redis"))
		Consistently(of(ctx, w, "-redis")).Should(HaveField("Ingress", BeEmpty()))
		Expect(k8s.Delete(ctx, theirs)).To(Succeed())
		w.touch(ctx)
		Eventually(func() []string { return policies(ctx, w) }).Should(ConsistOf("shop-flusher", "shop-redis"))
	})

	It("that cannot be are told with the field, and keep nothing from the flushers", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.NetworkPolicy.Egress = []v1alpha1.EgressRule{{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "db"}}}}}
			c.Spec.Flusher.PriorityClassName = "high"
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec, "spec.networkPolicy.egress[0].to[0].ipBlock.cidr"))
		Expect(w.deployment(ctx).Spec.Template.Spec.PriorityClassName).To(Equal("high"))
	})

	It("that cannot be do not keep a note of new settings from the flushers", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.NetworkPolicy.Egress = []v1alpha1.EgressRule{{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/99"}}}}}
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec))
		Eventually(func(g Gomega) {
			settings := &corev1.ConfigMap{}
			g.Expect(k8s.Get(ctx, w.key("-flusher"), settings)).To(Succeed())
			g.Expect(f.note(ctx)).To(HavePrefix(resources.Hash(settings.Data[resources.ConfigFile])))
		}).Should(Succeed())
	})
})

var _ = Describe("A HorizontalPodAutoscaler", func() {
	It("finds the flushers by the scale subresource, and has the last word on their number", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		hpa := &autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.cache.Namespace, Name: "shop"},
			Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
					APIVersion: v1alpha1.GroupVersion.String(), Kind: "WriteBehindCache", Name: w.cache.Name,
				},
				MinReplicas: new(int32(1)), MaxReplicas: 4,
				Metrics: []autoscalingv2.MetricSpec{{
					Type: autoscalingv2.ResourceMetricSourceType,
					Resource: &autoscalingv2.ResourceMetricSource{
						Name:   corev1.ResourceCPU,
						Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(80))},
					},
				}},
			},
		}
		Expect(k8s.Create(ctx, hpa)).To(Succeed())

		By("doing what its controller does: read the scale, list the Pods of its selector, write the scale")
		scale := &autoscalingv1.Scale{}
		Expect(k8s.SubResource("scale").Get(ctx, w.now(ctx), scale)).To(Succeed())
		Expect(scale.Spec.Replicas).To(BeEquivalentTo(1))
		Expect(scale.Status.Replicas).To(BeEquivalentTo(1))
		selector, err := labels.Parse(scale.Status.Selector)
		Expect(err).NotTo(HaveOccurred())
		template := w.deployment(ctx).Spec.Template
		Expect(selector.Matches(labels.Set(template.Labels))).To(BeTrue(), "the selector %q finds the Pods of the template", selector)
		redis := &appsv1.StatefulSet{}
		Expect(k8s.Get(ctx, w.key("-redis"), redis)).To(Succeed())
		Expect(selector.Matches(labels.Set(redis.Spec.Template.Labels))).To(BeFalse(), "Redis is no flusher")
		var pods corev1.PodList
		Expect(k8s.List(ctx, &pods, client.InNamespace(w.cache.Namespace), client.MatchingLabelsSelector{Selector: selector})).To(Succeed())
		Expect(pods.Items).To(ConsistOf(HaveField("Name", f.pod.Name)))
		Expect(template.Spec.Containers).To(HaveEach(HaveField("Resources.Requests", HaveKey(corev1.ResourceCPU))), "utilization is of the request")

		for _, wanted := range []int32{3, 2} {
			scale.Spec.Replicas = wanted
			scale.ResourceVersion = "" // as kubectl scale, without a precondition
			Expect(k8s.SubResource("scale").Update(ctx, w.now(ctx), client.WithSubResourceBody(scale))).To(Succeed())
			Eventually(func() int32 { return *w.deployment(ctx).Spec.Replicas }).Should(Equal(wanted))
			w.rollOut(ctx)
			Eventually(func() (int32, error) {
				err := k8s.SubResource("scale").Get(ctx, w.now(ctx), scale)
				return scale.Status.Replicas, err
			}).Should(Equal(wanted))
			w.settle()
			sent := len(writes.of(w.cache.Namespace))
			w.touch(ctx)
			Consistently(func() int32 { return *w.now(ctx).Spec.Flusher.Replicas }).Should(Equal(wanted))
			Expect(writes.of(w.cache.Namespace)[sent:]).NotTo(ContainElement(HaveSuffix("/shop-flusher")), "nobody fights over the number")
		}
	})
})

// policies names the NetworkPolicies of the namespace, whoever made them.
func policies(ctx SpecContext, w *world) []string {
	GinkgoHelper()
	var list networkingv1.NetworkPolicyList
	Expect(k8s.List(ctx, &list, client.InNamespace(w.cache.Namespace))).To(Succeed())
	var names []string
	for i := range list.Items {
		if name := list.Items[i].Name; strings.HasPrefix(name, "shop-") {
			names = append(names, name)
		}
	}
	return names
}
