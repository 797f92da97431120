// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
)

// The record is what an API server wrote for this very intent.
const serviceRecord = `{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:protocol":{},"f:name":{}}},"f:selector":{}}}`

func serviceIntent() *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service("shop", "ns").
		WithLabels(map[string]string{"app": "shop"}).
		WithSpec(corev1ac.ServiceSpec().
			WithSelector(map[string]string{"app": "shop"}).
			WithPorts(corev1ac.ServicePort().WithName("http").WithPort(80).WithProtocol(corev1.ProtocolTCP)))
}

func liveService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "shop", Labels: map[string]string{"app": "shop"},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: "us", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(serviceRecord),
			}},
		},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "shop"}, ClusterIP: "10.0.0.1", Type: corev1.ServiceTypeClusterIP,
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
}

func TestDiffers(t *testing.T) {
	record := func(text string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.ManagedFields[0].FieldsV1.SetRawString(text) }
	}
	for name, c := range map[string]struct {
		live   func(*corev1.Service)
		intent func(*corev1ac.ServiceApplyConfiguration)
		want   bool
	}{
		"nothing":                {want: false},
		"a default":              {live: func(s *corev1.Service) { s.Spec.SessionAffinity = "None" }, want: false},
		"an addition of another": {live: func(s *corev1.Service) { s.Labels["theirs"] = "1" }, want: false},
		"another port of another": {live: func(s *corev1.Service) {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: 81, Protocol: "TCP"})
		}, want: false},
		"a value changed":                {live: func(s *corev1.Service) { s.Labels["app"] = "other" }, want: true},
		"a value removed":                {live: func(s *corev1.Service) { s.Labels = nil }, want: true},
		"a value in a list changed":      {live: func(s *corev1.Service) { s.Spec.Ports[0].Name = "x" }, want: true},
		"an item removed":                {live: func(s *corev1.Service) { s.Spec.Ports = nil }, want: true},
		"an atomic map changed":          {live: func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "x"} }, want: true},
		"never applied by us":            {live: func(s *corev1.Service) { s.ManagedFields = nil }, want: true},
		"a field that another took over": {live: record(`{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:protocol":{},"f:name":{}}},"f:selector":{}}}`), want: true},
		"a field that we gave up":        {live: record(`{"f:metadata":{"f:labels":{"f:app":{},"f:old":{}}},"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:protocol":{},"f:name":{}}},"f:selector":{}}}`), want: true},
		"a new field":                    {intent: func(s *corev1ac.ServiceApplyConfiguration) { s.WithAnnotations(map[string]string{"new": "1"}) }, want: true},
		"a new item": {intent: func(s *corev1ac.ServiceApplyConfiguration) {
			s.Spec.WithPorts(corev1ac.ServicePort().WithPort(9).WithProtocol("TCP"))
		}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			live, intent := liveService(), serviceIntent()
			if c.live != nil {
				c.live(live)
			}
			if c.intent != nil {
				c.intent(intent)
			}
			got, err := differs(intent, live, "us")
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("differs is %t, want %t", got, c.want)
			}
		})
	}
}

func TestDiffersReportsABrokenRecord(t *testing.T) {
	live := liveService()
	live.ManagedFields[0].FieldsV1.SetRawString("{")
	if _, err := differs(serviceIntent(), live, "us"); err == nil {
		t.Error("no error")
	}
}

func FuzzDrifted(f *testing.F) {
	f.Add(serviceRecord)
	f.Add(`{"f:spec":{"f:ports":{"k:x":{}}}}`)
	f.Fuzz(func(_ *testing.T, record string) {
		live := liveService()
		live.ManagedFields[0].FieldsV1.SetRawString(record)
		// Whatever the record, the answer is a verdict or an error.
		differ, err := differs(serviceIntent(), live, "us")
		_ = fmt.Sprint(differ, err)
	})
}
