// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

// A warning is told where a person looks, and turns no condition.
func TestWarningsAreToldAndNothingFails(t *testing.T) {
	both := []string{config.WarningUnencrypted, config.WarningAdministrator}
	managed := func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}}
	}
	external := func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Redis = v1alpha1.Redis{External: &v1alpha1.ExternalRedis{Mode: v1alpha1.RedisModeStandalone, Addresses: []string{"redis:6379"}}}
	}
	for name, c := range map[string]struct {
		edit            func(*v1alpha1.WriteBehindCache)
		warnings        config.Warnings
		redis, database []string
	}{
		"none":             {external, config.Warnings{}, nil, nil},
		"both of both":     {external, config.Warnings{Redis: both, Database: both}, []string{"redis.external.tls", "may administrate"}, []string{"database.postgres.tls", "superuser"}},
		"a managed Redis":  {managed, config.Warnings{Redis: both}, []string{"redis.managed.tls"}, nil},
		"of the role":      {external, config.Warnings{Database: both[1:]}, nil, []string{"superuser"}},
		"of a later kind":  {external, config.Warnings{Redis: []string{"Later: run this"}}, nil, nil},
		"of the data only": {external, config.Warnings{Database: both[:1]}, nil, []string{"verify-full"}},
	} {
		s := snapshottest.Ready(c.edit)
		snapshottest.Says(func(d *config.Status) { d.Warnings = c.warnings })(s)
		// Another flusher has found nothing yet.
		snapshottest.AddFlusher(s, "b").Warnings = config.Warnings{}
		status := reach(t, s, Progress{}).Status
		for kind, want := range map[string][]string{v1alpha1.ConditionRedisReady: c.redis, v1alpha1.ConditionDatabaseReady: c.database, v1alpha1.ConditionReady: nil} {
			got := meta.FindStatusCondition(status.Conditions, kind)
			if got == nil || got.Status != metav1.ConditionTrue || got.Reason != v1alpha1.ReasonAsExpected {
				t.Errorf("%s: %s is %+v", name, kind, got)
				continue
			}
			if parts := strings.Split(got.Message, "; "); len(parts) != 1+len(want) {
				t.Errorf("%s: %s says %q, want %q", name, kind, got.Message, want)
			}
			for _, text := range want {
				if !strings.Contains(got.Message, text) {
					t.Errorf("%s: %s says %q, want %q", name, kind, got.Message, text)
				}
			}
		}
	}
}
