// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// The kinds are installed for the whole API server, so nothing else may run.
var _ = Describe("Monitoring", Serial, func() {
	It("follows the kinds of the Prometheus Operator as they come and go", func(ctx SpecContext) {
		By("having neither kind")
		w, _ := readyWorld(ctx)
		Consistently(w.poll(ctx)).Should(beReady())
		Expect(monitoringWrites(w)).To(BeEmpty())

		By("installing one kind, and then the other")
		installKind(ctx, "servicemonitor.yaml")
		Eventually(w.monitoring(ctx, resources.KindServiceMonitor)).Should(haveBeenMadeFor(w))
		installKind(ctx, "prometheusrule.yaml")
		Eventually(w.monitoring(ctx, resources.KindPrometheusRule)).Should(And(haveBeenMadeFor(w), mention(`>= 1000"`), mention(`namespace=\"`+w.cache.Namespace)))

		By("leaving them alone while nothing changes, also when they are looked at")
		w.settle()
		before := writes.of(w.cache.Namespace)
		Consistently(func() []string { return writes.of(w.cache.Namespace) }).Should(Equal(before))

		By("changing the marks")
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Backpressure.WarningQueueDepth = 777 })
		Eventually(w.monitoring(ctx, resources.KindPrometheusRule)).Should(And(mention(`>= 777"`), Not(mention(`>= 1000"`))))

		By("naming the labels that a Prometheus selects by")
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Monitoring.Labels = map[string]v1alpha1.LabelValue{"release": "stack", resources.LabelManagedBy: "nobody"}
		})
		for _, kind := range []string{resources.KindServiceMonitor, resources.KindPrometheusRule} {
			Eventually(w.monitoring(ctx, kind)).Should(And(haveBeenMadeFor(w), WithTransform((*unstructured.Unstructured).GetLabels, HaveKeyWithValue("release", "stack"))))
		}

		By("deleting and changing them by hand")
		Expect(k8s.Delete(ctx, w.monitored(resources.KindServiceMonitor))).To(Succeed())
		Eventually(w.monitoring(ctx, resources.KindServiceMonitor)).Should(haveBeenMadeFor(w))
		rule, err := w.monitoring(ctx, resources.KindPrometheusRule)()
		Expect(err).NotTo(HaveOccurred())
		changed := rule.DeepCopy()
		Expect(unstructured.SetNestedSlice(rule.Object, []any{}, "spec", "groups")).To(Succeed())
		rule.SetAnnotations(map[string]string{"somebody": "else"})
		Expect(k8s.Patch(ctx, rule, client.MergeFrom(changed))).To(Succeed())
		Eventually(w.monitoring(ctx, resources.KindPrometheusRule)).Should(And(mention(`>= 777"`), mention("somebody")))

		By("switching one off and on")
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Monitoring.ServiceMonitor = new(false) })
		Eventually(w.gone(ctx, resources.KindServiceMonitor)).Should(BeTrue())
		Consistently(w.monitoring(ctx, resources.KindPrometheusRule)).Should(haveBeenMadeFor(w))
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Monitoring.ServiceMonitor = new(true) })
		Eventually(w.monitoring(ctx, resources.KindServiceMonitor)).Should(haveBeenMadeFor(w))

		By("removing a kind and installing it again")
		Eventually(w.poll(ctx)).Should(beReady())
		removeKind(ctx, "prometheusrule.yaml")
		Consistently(func() *v1alpha1.WriteBehindCache { return w.now(ctx) }).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsExpected),
			haveNoCondition(v1alpha1.ConditionStalled), haveNoCondition(v1alpha1.ConditionReconciling)))
		installKind(ctx, "prometheusrule.yaml")
		Eventually(w.monitoring(ctx, resources.KindPrometheusRule)).Should(haveBeenMadeFor(w))
	})

	It("leaves objects of others alone, and data flows all the same", func(ctx SpecContext) {
		installKind(ctx, "servicemonitor.yaml")
		installKind(ctx, "prometheusrule.yaml")
		cache := minimal(newNamespace(ctx))
		w := &world{cache: cache}
		DeferCleanup(func(ctx SpecContext) { w.discard(ctx) })
		foreign := w.monitored(resources.KindServiceMonitor)
		foreign.Object["spec"] = map[string]any{"selector": map[string]any{}, "endpoints": []any{map[string]any{"port": "mine"}}}
		Eventually(func() error { return k8s.Create(ctx, foreign) }).Should(Succeed())
		Expect(k8s.Create(ctx, cache)).To(Succeed())
		Eventually(w.monitoring(ctx, resources.KindPrometheusRule)).Should(haveBeenMadeFor(w))
		w.rollOut(ctx)
		w.startFlusher(ctx, "a")
		Eventually(w.poll(ctx)).Should(beReady())
		// Several looks, some while it is wanted and some while it is not.
		untouched := WithTransform((*unstructured.Unstructured).GetResourceVersion, Equal(foreign.GetResourceVersion()))
		Consistently(w.monitoring(ctx, resources.KindServiceMonitor)).Should(untouched)
		told := "Warning ObjectConflict: ServiceMonitor shop-flusher belongs to somebody else and is not changed"
		Eventually(func() []string { return eventsOf(ctx, w) }).Should(ContainElement(told), "once, however often it is seen")
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Monitoring.ServiceMonitor = new(false) })
		Consistently(w.monitoring(ctx, resources.KindServiceMonitor)).Should(untouched)
		Eventually(w.poll(ctx)).Should(beReady())
	})

	It("that the API server refuses is told, and data flows all the same", func(ctx SpecContext) {
		// Another version of the kind, which wants a field that is not known here.
		definition := kindFile("servicemonitor.yaml")
		versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
		Expect(err).NotTo(HaveOccurred())
		Expect(unstructured.SetNestedStringSlice(versions[0].(map[string]any), []string{"selector", "endpoints", "jobLabel"},
			"schema", "openAPIV3Schema", "properties", "spec", "required")).To(Succeed())
		Expect(unstructured.SetNestedSlice(definition.Object, versions, "spec", "versions")).To(Succeed())
		Expect(k8s.Create(ctx, definition)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { removeKind(ctx, "servicemonitor.yaml") })
		w, _ := readyWorld(ctx)
		Eventually(func() []string { return eventsOf(ctx, w) }).Should(ContainElement(And(
			ContainSubstring("ServiceMonitor shop-flusher could not be applied"), ContainSubstring("spec.jobLabel"))))
		Consistently(w.poll(ctx)).Should(beReady())
		Expect(eventsOf(ctx, w)).NotTo(ContainElement(MatchRegexp(`could not be applied.* times\)`)), "once, however often it is tried")

		By("mending it")
		known := kindFile("servicemonitor.yaml")
		Eventually(func() error {
			if err := k8s.Get(ctx, client.ObjectKeyFromObject(definition), definition); err != nil {
				return err
			}
			known.SetResourceVersion(definition.GetResourceVersion())
			return k8s.Update(ctx, known)
		}).Should(Succeed())
		w.change(ctx, monitoringLabel("a.key/x", "x"))
		Eventually(w.monitoring(ctx, resources.KindServiceMonitor)).Should(haveBeenMadeFor(w))
	})
})

// kindFile reads one of the minimal definitions.
func kindFile(name string) *unstructured.Unstructured {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	Expect(err).NotTo(HaveOccurred())
	definition := &unstructured.Unstructured{}
	Expect(yaml.Unmarshal(text, &definition.Object)).To(Succeed())
	return definition
}

// installKind installs a kind of the Prometheus Operator until the test ends.
func installKind(ctx context.Context, name string) {
	GinkgoHelper()
	Expect(k8s.Create(ctx, kindFile(name))).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { removeKind(ctx, name) })
}

func removeKind(ctx context.Context, name string) {
	GinkgoHelper()
	definition := kindFile(name)
	Expect(client.IgnoreNotFound(k8s.Delete(ctx, definition))).To(Succeed())
	Eventually(func() bool {
		return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(definition), definition))
	}).Should(BeTrue())
}

// monitored is the name and kind of an object of the Prometheus Operator.
func (w *world) monitored(kind string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(resources.MonitoringVersion.WithKind(kind))
	object.SetNamespace(w.cache.Namespace)
	object.SetName(w.cache.Name + "-flusher")
	return object
}

// monitoring reads it; it is made for Eventually.
func (w *world) monitoring(ctx context.Context, kind string) func() (*unstructured.Unstructured, error) {
	return func() (*unstructured.Unstructured, error) {
		object := w.monitored(kind)
		return object, k8s.Get(ctx, client.ObjectKeyFromObject(object), object)
	}
}

func (w *world) gone(ctx context.Context, kind string) func() bool {
	return func() bool {
		_, err := w.monitoring(ctx, kind)()
		return apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
	}
}

// haveBeenMadeFor matches an object with the resource's labels, which goes with it.
func haveBeenMadeFor(w *world) OmegaMatcher {
	return And(
		WithTransform((*unstructured.Unstructured).GetLabels, And(
			HaveKeyWithValue(v1alpha1.LabelOwnerUID, string(w.cache.UID)), HaveKeyWithValue(resources.LabelManagedBy, resources.ManagedBy))),
		WithTransform((*unstructured.Unstructured).GetOwnerReferences, ConsistOf(metav1.OwnerReference{
			APIVersion: "cache.writebehind.dev/v1alpha1", Kind: "WriteBehindCache", Name: w.cache.Name, UID: w.cache.UID,
		})))
}

// mention matches an object whose JSON has the text.
func mention(text string) OmegaMatcher {
	return WithTransform(func(object *unstructured.Unstructured) (string, error) {
		json, err := object.MarshalJSON()
		return strings.ReplaceAll(string(json), `\u003e`, ">"), err
	}, ContainSubstring(text))
}

func monitoringWrites(w *world) []string {
	return slices.DeleteFunc(writes.of(w.cache.Namespace), func(request string) bool {
		return !strings.Contains(request, "servicemonitors") && !strings.Contains(request, "prometheusrules")
	})
}
