// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

// users are the annotations of a Pod of Redis that has users.
var users = map[string]string{v1alpha1.AnnotationRedisUsers: "true"}

// mounting is a Pod that mounts a Secret.
func mounting(secret string) corev1.PodSpec {
	return corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}}}}}
}

// TestFlushersLogInAsAUserThatRedisHas goes through an upgrade from a Redis that has the user
// default alone.
func TestFlushersLogInAsAUserThatRedisHas(t *testing.T) {
	earlier := func(s *snapshot.Snapshot) {
		s.Flushers.Deployment.Spec.Template.Spec = mounting(resources.DefaultSecretName(s.Cache))
	}
	redisPod := func(s *snapshot.Snapshot, status corev1.ConditionStatus, annotations map[string]string) {
		s.Redis.Pods = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Annotations: annotations}, Status: corev1.PodStatus{
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}},
		}}}
	}
	restarting := func(s *snapshot.Snapshot) {
		earlier(s)
		s.Redis.StatefulSet.Spec.Template.Annotations = users
	}
	for name, c := range map[string]struct {
		edit      snapshottest.Edit
		asDefault bool
	}{
		"a new resource":                       {func(s *snapshot.Snapshot) { s.Redis.StatefulSet, s.Flushers.Deployment = nil, nil }, false},
		"a new one whose flushers are to come": {func(s *snapshot.Snapshot) { restarting(s); s.Flushers.Deployment = nil }, false},
		"a Redis of before":                    {earlier, true},
		"a Redis of before, ready": {func(s *snapshot.Snapshot) {
			earlier(s)
			redisPod(s, corev1.ConditionTrue, nil)
		}, true},
		"one of before, without flushers": {func(s *snapshot.Snapshot) { earlier(s); s.Flushers.Deployment = nil }, true},
		"one that begins with users": {func(s *snapshot.Snapshot) {
			restarting(s)
			redisPod(s, corev1.ConditionFalse, users)
		}, true},
		"one that serves users": {func(s *snapshot.Snapshot) {
			restarting(s)
			redisPod(s, corev1.ConditionTrue, users)
		}, false},
		"one that serves users, and restarts": {func(s *snapshot.Snapshot) {
			restarting(s)
			s.Flushers.Deployment.Spec.Template.Spec = mounting(resources.FlusherSecretName(s.Cache))
			redisPod(s, corev1.ConditionFalse, users)
		}, false},
		"one of before that is deleted": {func(s *snapshot.Snapshot) { earlier(s); snapshottest.Deleted(s.Cache) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshottest.Ready(snapshottest.Replicated)
			c.edit(s)
			p, err := Make(s, &Site{FlusherImage: "image"})
			if err != nil {
				t.Fatal(err)
			}
			r := p.Settings.Redis.External
			want := config.SecretKey(resources.FlusherSecretName(s.Cache), resources.PasswordKey)
			if c.asDefault {
				want = config.SecretKey(resources.DefaultSecretName(s.Cache), resources.PasswordKey)
			}
			if p.AsDefault != c.asDefault || r.CredentialsSecret != want || (r.UsernameFile == "") != c.asDefault {
				t.Errorf("as default: %t, with %s and the user of %q", p.AsDefault, r.CredentialsSecret, r.UsernameFile)
			}
			if err := p.Settings.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRightsWaitForNoRestart: an application needs the rights of a mapping at once, although a
// change of Redis that takes a restart waits; and the Pod of Redis is told.
func TestRightsWaitForNoRestart(t *testing.T) {
	s := snapshottest.Ready(snapshottest.Replicated)
	s.Seen.Flushers[0].Status.Queues[0].Depth = 3
	s.Redis.StatefulSet.Spec.Template.Annotations = map[string]string{v1alpha1.AnnotationConfigHash: "of before"}
	s.Redis.Pods = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Annotations: users}}, {}}
	p, err := Make(s, &Site{FlusherImage: "image"})
	if err != nil {
		t.Fatal(err)
	}
	// Nobody need have changed the spec: an upgrade of the operator restarts Redis too.
	if p.HeldBack == nil || !strings.Contains(p.HeldBack.Message, "another release of the operator") {
		t.Fatalf("the restart of Redis does not wait, or blames the spec: %+v", p.HeldBack)
	}
	has := func(name string) bool {
		return slices.ContainsFunc(p.Objects, func(o Object) bool { return o.Kind == "ConfigMap" && o.Name == name })
	}
	if !has(resources.RedisUsersName(s.Cache)) || has(resources.RedisName(s.Cache)) {
		t.Errorf("the plan has the rights: %t, the configuration: %t", has(resources.RedisUsersName(s.Cache)), has(resources.RedisName(s.Cache)))
	}
	var told []Nudge
	for _, n := range p.Nudges(s) {
		if n.Mark == p.UsersHash {
			told = append(told, n)
		}
	}
	if len(told) != 1 || told[0].Pod != &s.Redis.Pods[0] {
		t.Errorf("%d Pods of Redis are told of the rights, want the one that has users", len(told))
	}
}
