// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

// What is wrong with the certificate of a managed Redis is told with the Secret's name, and
// with what nobody else would do.
func TestTheCertificateOfAManagedRedis(t *testing.T) {
	managed := func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}} }
	tls := func(c *v1alpha1.WriteBehindCache) {
		managed(c)
		c.Spec.Redis.Managed.TLS = &v1alpha1.ManagedTLS{SecretRef: v1alpha1.SecretRef{Name: "shop-tls"}}
	}
	fails := func(reason, message string) snapshottest.Edit {
		return snapshottest.Says(func(d *config.Status) { d.Redis = failing(reason, message) })
	}
	for name, c := range map[string]struct {
		cache  func(*v1alpha1.WriteBehindCache)
		edits  []snapshottest.Edit
		reason string
		has    []string
		lacks  string
	}{
		"a key that is missing": {
			tls,
			[]snapshottest.Edit{fails(v1alpha1.ReasonConnectionFailed, "refused"), func(s *snapshot.Snapshot) {
				s.Redis.Pods = []corev1.Pod{{
					ObjectMeta: metav1.ObjectMeta{Name: "shop-redis-0"},
					Status:     crashed(config.ExitUnusable, "Secret shop-tls, key tls.key, is missing or empty: create it\n"),
				}}
			}},
			v1alpha1.ReasonSecretMissing,
			[]string{"Pod shop-redis-0 cannot use its settings, and says: Secret shop-tls, key tls.key, is missing"},
			"password",
		},
		"authorities that are missing": {
			tls,
			[]snapshottest.Edit{fails(v1alpha1.ReasonSecretMissing, "Secret shop-tls, key ca.crt is missing: create it")},
			v1alpha1.ReasonSecretMissing,
			[]string{"Secret shop-tls, key ca.crt is missing"},
			"creates Secret",
		},
		"a certificate of another host": {
			tls,
			[]snapshottest.Edit{fails(v1alpha1.ReasonConnectionFailed, "Redis presented a certificate for another host")},
			v1alpha1.ReasonConnectionFailed,
			[]string{"the certificate in Secret shop-tls has to name the host of shop-redis."},
			"password",
		},
		"a password that is missing": {
			managed,
			[]snapshottest.Edit{func(s *snapshot.Snapshot) {
				fails(v1alpha1.ReasonSecretMissing, config.SecretKey(resources.FlusherSecretName(s.Cache), "password")+" is missing")(s)
			}},
			v1alpha1.ReasonSecretMissing,
			[]string{"the operator creates Secret"},
			"certificate",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshottest.Ready(c.cache)
			for _, edit := range c.edits {
				edit(s)
			}
			got := meta.FindStatusCondition(reach(t, s, Progress{}).Status.Conditions, v1alpha1.ConditionRedisReady)
			if got.Reason != c.reason || strings.Contains(got.Message, c.lacks) {
				t.Errorf("RedisReady is %s: %s, want %s and nothing of %q", got.Reason, got.Message, c.reason, c.lacks)
			}
			for _, want := range c.has {
				if !strings.Contains(got.Message, want) {
					t.Errorf("RedisReady says %q, want %q", got.Message, want)
				}
			}
		})
	}

	s := snapshottest.Ready(tls)
	redis := &v1alpha1.RedisStatus{Address: "shop-redis:6379", SecretName: "x"}
	if got := reach(t, s, Progress{Redis: redis}).Status.Redis.TLSSecretName; got != "shop-tls" {
		t.Errorf("an application is told of Secret %q, want shop-tls", got)
	}
}
