// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// said holds a check against its reason, empty for OK, and against what its
// message must name.
func said(t *testing.T, check config.Check, reason string, texts ...string) {
	t.Helper()
	if check.OK != (reason == "") || check.Reason != reason {
		t.Errorf("the check is %+v, want reason %q", check, reason)
	}
	for _, text := range texts {
		if !strings.Contains(check.Message, text) {
			t.Errorf("the message %q does not name %q", check.Message, text)
		}
	}
}

func setConfig(t *testing.T, rdb *redis.Client, name, value string) {
	t.Helper()
	if err := rdb.ConfigSet(t.Context(), name, value).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestPersistenceFollowsARunningServer(t *testing.T) {
	server := journaltest.New(t, journaltest.Config("save 900 1"))
	rdb := server.Client(t)
	j := journal.New(rdb)
	for range 2 {
		persistence, _ := j.Durability(t.Context())
		said(t, persistence, cachev1alpha1.ReasonAppendOnlyOff, "aof_enabled is 0", "RDB snapshots alone", "CONFIG SET appendonly yes")
		setConfig(t, rdb, "appendonly", "yes")
		persistence, _ = j.Durability(t.Context())
		said(t, persistence, "")
		setConfig(t, rdb, "appendonly", "no")
	}
}

func TestEvictionIsSafeUnlessItTakesAllKeys(t *testing.T) {
	rdb := journaltest.New(t, journaltest.AppendOnly("everysec")).Client(t)
	j := journal.New(rdb)
	for _, limit := range []string{"0", "104857600"} {
		setConfig(t, rdb, "maxmemory", limit)
		for _, policy := range []string{
			"noeviction", "allkeys-lru", "volatile-lru", "allkeys-lfu", "volatile-lfu", "allkeys-random", "volatile-random", "volatile-ttl",
		} {
			setConfig(t, rdb, "maxmemory-policy", policy)
			persistence, eviction := j.Durability(t.Context())
			said(t, persistence, "")
			if strings.HasPrefix(policy, "allkeys") {
				said(t, eviction, cachev1alpha1.ReasonEvictionUnsafe, "maxmemory-policy", policy, limit, "volatile-lru", "noeviction")
			} else {
				said(t, eviction, "")
			}
		}
	}
}

func TestDurabilityIsUnknownWhereInfoIsForbidden(t *testing.T) {
	server := journaltest.New(t, journaltest.AppendOnly("always"), journaltest.User("shut on >secret ~* +@all -info"),
		journaltest.User("open on >secret ~* +@all -config"))
	for _, check := range both(journal.New(server.ClientAs(t, "shut", "secret")).Durability(t.Context())) {
		said(t, check, cachev1alpha1.ReasonPrivilegeMissing, "not known", "may not run INFO", "ACL SETUSER shut +info")
		if check.Endangers() {
			t.Errorf("%+v is told as a danger", check)
		}
	}
	for _, check := range both(journal.New(server.ClientAs(t, "open", "secret")).Durability(t.Context())) {
		said(t, check, "")
	}
	server.MustKill(t)
	for _, check := range both(journal.New(server.Client(t)).Durability(t.Context())) {
		said(t, check, cachev1alpha1.ReasonConnectionFailed)
	}
}

func both(a, b config.Check) []config.Check { return []config.Check{a, b} }
