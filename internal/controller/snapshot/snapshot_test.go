// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

func TestOwns(t *testing.T) {
	s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) { c.CreationTimestamp = metav1.NewTime(snapshottest.Now) })
	s.Redis.StatefulSet = &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(snapshottest.Now.Add(time.Minute))}}
	made := func(label, manager string, after time.Duration) metav1.ObjectMeta {
		o := metav1.ObjectMeta{
			CreationTimestamp: metav1.NewTime(snapshottest.Now.Add(after)),
			ManagedFields:     []metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationApply}},
		}
		if label != "" {
			o.Labels = map[string]string{v1alpha1.LabelOwnerUID: label}
		}
		return o
	}
	mine, operator := string(s.Cache.UID), string(resources.FieldOwner)
	for name, c := range map[string]struct {
		object client.Object
		want   bool
	}{
		"labelled":                            {&corev1.Service{ObjectMeta: made(mine, "kubectl", -time.Hour)}, true},
		"labelled for another":                {&corev1.Service{ObjectMeta: made("other", operator, 0)}, false},
		"without the label, and applied":      {&corev1.Service{ObjectMeta: made("", operator, time.Second)}, true},
		"without the label, and older":        {&corev1.Service{ObjectMeta: made("", operator, -time.Second)}, false},
		"without the label, of somebody else": {&corev1.Service{ObjectMeta: made("", "kubectl", time.Second)}, false},
		"a volume of the StatefulSet":         {&corev1.PersistentVolumeClaim{ObjectMeta: made("", "kubectl", time.Minute)}, true},
		"a volume of before":                  {&corev1.PersistentVolumeClaim{ObjectMeta: made("", "kubectl", time.Second)}, false},
	} {
		if got := s.Owns(c.object); got != c.want {
			t.Errorf("%s: owned is %t", name, got)
		}
	}
	s.Redis.StatefulSet = nil
	if s.Owns(&corev1.PersistentVolumeClaim{ObjectMeta: made("", "kubectl", time.Minute)}) {
		t.Error("a volume is owned without a StatefulSet")
	}
}

func TestEverStarted(t *testing.T) {
	never := func(s *snapshot.Snapshot) { s.Flushers.Started, s.Flushers.Deployment.Status.ReadyReplicas = false, 0 }
	for name, c := range map[string]struct {
		edits []snapshottest.Edit
		want  bool
	}{
		"a Pod runs":       {nil, true},
		"nothing ran":      {[]snapshottest.Edit{never}, false},
		"a Deployment was": {[]snapshottest.Edit{never, func(s *snapshot.Snapshot) { s.Flushers.Deployment.Status.AvailableReplicas = 1 }}, true},
		"it was recorded": {[]snapshottest.Edit{never, func(s *snapshot.Snapshot) {
			s.Flushers.ConfigMap.Annotations = map[string]string{v1alpha1.AnnotationStarted: "true"}
		}}, true},
		"there are no objects": {[]snapshottest.Edit{func(s *snapshot.Snapshot) { s.Flushers = snapshot.Flushers{} }}, false},
	} {
		s := snapshottest.Ready(nil)
		for _, edit := range c.edits {
			edit(s)
		}
		if got := s.EverStarted(); got != c.want {
			t.Errorf("%s: started is %t", name, got)
		}
	}
}

func TestTheNewestReportOnAQueueCounts(t *testing.T) {
	s := snapshottest.Ready(nil)
	later := snapshottest.AddFlusher(s, "b")
	later.ObservedTime, later.Queues[0].Depth = snapshottest.Now.Add(time.Second), 2
	if q := s.Queue("products", s.Settled); q == nil || q.Depth != 2 {
		t.Errorf("the newest report is %+v", q)
	}
	later.Owner = "another resource"
	if q := s.Queue("products", s.Settled); q == nil || q.Depth != 0 {
		t.Errorf("without another resource's flusher it is %+v", q)
	}
	snapshottest.Says(func(d *config.Status) { d.Redis.OK = false })(s)
	if q := s.Queue("products", s.Settled); q != nil {
		t.Errorf("of a Redis that nobody can reach it is %+v", q)
	}
}
