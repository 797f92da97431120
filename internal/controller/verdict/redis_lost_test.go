// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

// A Redis that a lost node keeps from ending is named with what helps, and with what must not be
// done; one that is only ending is not.
func TestARedisOnALostNode(t *testing.T) {
	const taint = "kubectl taint nodes node-7 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
	for name, c := range map[string]struct {
		since time.Duration
		edit  func(*snapshot.Snapshot, *corev1.Pod)
		told  bool
		again time.Duration
	}{
		"long after its grace period":    {time.Minute, nil, true, 0},
		"just then":                      {30 * time.Second, nil, true, 0},
		"a little before":                {29 * time.Second, nil, false, time.Second},
		"within its grace period":        {-time.Minute, nil, false, 90 * time.Second},
		"of another StatefulSet":         {time.Minute, func(_ *snapshot.Snapshot, p *corev1.Pod) { p.OwnerReferences[0].UID = "another" }, false, 0},
		"of nobody":                      {time.Minute, func(_ *snapshot.Snapshot, p *corev1.Pod) { p.OwnerReferences = nil }, false, 0},
		"without a node":                 {time.Minute, func(_ *snapshot.Snapshot, p *corev1.Pod) { p.Spec.NodeName = "" }, false, 0},
		"of a name that it has not":      {time.Minute, func(_ *snapshot.Snapshot, p *corev1.Pod) { p.Name = "shop-redis-evil" }, false, 0},
		"that has ended":                 {time.Minute, func(_ *snapshot.Snapshot, p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, false, 0},
		"whose StatefulSet is not there": {time.Minute, func(s *snapshot.Snapshot, _ *corev1.Pod) { s.Redis.StatefulSet = nil }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}} })
			s.Redis.StatefulSet.UID, s.Redis.LostAfter = "set", 30*time.Second
			pod := corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Name: "shop-redis-0", DeletionTimestamp: new(metav1.NewTime(s.Now.Add(-c.since))),
					OwnerReferences: []metav1.OwnerReference{{Kind: "StatefulSet", UID: "set", Controller: new(true)}},
				},
				Spec: corev1.PodSpec{NodeName: "node-7"},
			}
			if c.edit != nil {
				c.edit(s, &pod)
			}
			s.Redis.Terminating = []corev1.Pod{pod}
			snapshottest.Says(func(d *config.Status) {
				d.Redis = failing(v1alpha1.ReasonConnectionFailed, "it did not answer in time")
			})(s)
			v := reach(t, s, Progress{})
			for _, kind := range []string{v1alpha1.ConditionRedisReady, v1alpha1.ConditionReconciling} {
				got := shown(&v.Status, kind)
				if strings.Contains(got, taint) != c.told || strings.Contains(got, "two Redis could then run on one volume") != c.told {
					t.Errorf("%s is %s, want the taint: %t", kind, got, c.told)
				}
			}
			if v.Result.RequeueAfter != c.again {
				t.Errorf("another pass is due after %s, want %s", v.Result.RequeueAfter, c.again)
			}
		})
	}
}
