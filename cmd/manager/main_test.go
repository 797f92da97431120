// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestOwnImage(t *testing.T) {
	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "operator"},
			Spec: corev1.PodSpec{Containers: []corev1.Container{
				{Name: "sidecar", Image: "sidecar:1"}, {Name: name, Image: "operator:2"},
			}},
		}
	}
	for name, c := range map[string]struct {
		pod       *corev1.Pod
		podName   string
		want      string
		wantNoWay bool
	}{
		"the container's image":  {pod("manager"), "operator", "operator:2", false},
		"another container name": {pod("other"), "operator", "", true},
		"no environment":         {pod("manager"), "", "", true},
		"no such Pod":            {pod("manager"), "another", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("POD_NAME", c.podName)
			t.Setenv("POD_NAMESPACE", "system")
			got, err := ownImage(t.Context(), fake.NewClientBuilder().WithObjects(c.pod).Build())
			if got != c.want || (err == nil) != (c.want != "") || errors.Is(err, errNoImage) != c.wantNoWay {
				t.Errorf("image is %q, error %v", got, err)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	o := defaultOptions()
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	o.bind(flags)
	if err := flags.Parse([]string{"--metrics-bind-address=:8443", "--leader-elect", "--flusher-image=a:1"}); err != nil {
		t.Fatal(err)
	}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	m := o.manager(scheme)
	if !m.LeaderElection || !m.LeaderElectionReleaseOnCancel || m.Metrics.BindAddress != ":8443" || o.flusherImage != "a:1" {
		t.Errorf("options are %+v", m)
	}
	if m.Metrics.FilterProvider == nil || !m.Metrics.SecureServing || len(m.Metrics.TLSOpts) != 1 {
		t.Error("the metrics are open to everybody, or to HTTP/2")
	}
}
