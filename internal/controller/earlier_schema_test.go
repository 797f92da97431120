// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

var _ = Describe("A resource of an earlier schema", func() {
	It("that let a port have a name is still read, and takes whatever leaves the port alone", func(ctx SpecContext) {
		By("storing it in a group that has the earlier schema")
		group := schema.GroupVersion{Group: "earlier.example", Version: v1alpha1.GroupVersion.Version}
		scheme := runtime.NewScheme()
		scheme.AddKnownTypes(group, &v1alpha1.WriteBehindCache{}, &v1alpha1.WriteBehindCacheList{})
		metav1.AddToGroupVersion(scheme, group)
		Expect(apiextensionsv1.AddToScheme(scheme)).To(Succeed())
		Expect(autoscalingv1.AddToScheme(scheme)).To(Succeed())
		present := definition()
		present.Name, present.Spec.Group = present.Spec.Names.Plural+"."+group.Group, group.Group
		earlier := present.DeepCopy()
		walk("", earlier.Spec.Versions[0].Schema.OpenAPIV3Schema, nil, func(path string, s *apiextensionsv1.JSONSchemaProps) {
			if path == ".spec.networkPolicy.egress[].ports[]" {
				s.XValidations = nil
				s.Properties["port"] = apiextensionsv1.JSONSchemaProps{XIntOrString: true}
			}
		})
		_, err := envtest.InstallCRDs(administrator, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{earlier}})
		Expect(err).NotTo(HaveOccurred())
		server, err := client.New(administrator, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(server.Delete(ctx, present)).To(Succeed()) })
		cache := minimal(newNamespace(ctx))
		cache.Finalizers = []string{v1alpha1.FinalizerDrain}
		portsTo(v1alpha1.EgressPort{Port: &v1alpha1.PortNumber{IntOrString: intstr.FromString("postgres")}})(cache)
		another := cache.DeepCopy()
		another.Name = "another"
		Expect(server.Create(ctx, cache)).To(Succeed())

		By("giving it the present one")
		Expect(server.Get(ctx, client.ObjectKeyFromObject(present), earlier)).To(Succeed())
		earlier.Spec.Versions = present.Spec.Versions
		Expect(server.Update(ctx, earlier)).To(Succeed())
		Eventually(func() error { return server.Create(ctx, another, client.DryRunAll) }).Should(MatchError(ContainSubstring("spec.networkPolicy.egress[0].ports[0].port")))

		By("reading and changing it as the operator and a person do")
		var list v1alpha1.WriteBehindCacheList
		Expect(server.List(ctx, &list)).To(Succeed())
		Expect(list.Items).To(HaveLen(1))
		policy, err := resources.FlusherNetworkPolicy(&list.Items[0], &resources.Admitted{})
		Expect(err).NotTo(HaveOccurred())
		Expect(policy.Spec.Egress).To(ContainElement(HaveField("Ports", ConsistOf(HaveField("Port", HaveValue(Equal(intstr.FromString("postgres"))))))))
		patch := func(text string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(text)) }
		Expect(server.Status().Patch(ctx, cache, patch(`{"status":{"observedGeneration":1,"replicas":1}}`))).To(Succeed())
		scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 3}}
		Expect(server.SubResource("scale").Update(ctx, cache, client.WithSubResourceBody(scale))).To(Succeed())
		Expect(server.Patch(ctx, cache, patch(`{"spec":{"flush":{"batchSize":7}}}`))).To(Succeed())
		Expect(server.Patch(ctx, cache, patch(`{"metadata":{"finalizers":null}}`))).To(Succeed())
	})
})
