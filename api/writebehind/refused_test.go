// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package writebehind_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/api/writebehind"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// TestGetReadsOnWhereRedisRefusesWrites: a value is a value, a miss tells that it has no
// token, and nothing is changed.
func TestGetReadsOnWhereRedisRefusesWrites(t *testing.T) {
	t.Parallel()
	const secret = "secret"
	set := func(name, value string) func(*testing.T, *journaltest.Server, *redis.Client) *redis.Client {
		return func(t *testing.T, _ *journaltest.Server, admin *redis.Client) *redis.Client {
			t.Helper()
			if err := admin.ConfigSet(t.Context(), name, value).Err(); err != nil {
				t.Fatal(err)
			}
			return admin
		}
	}
	user := func(t *testing.T, server *journaltest.Server, _ *redis.Client) *redis.Client {
		t.Helper()
		return server.ClientAs(t, "reader", secret)
	}
	as := func(rights string) journaltest.Option { return journaltest.User("reader on >" + secret + " " + rights) }
	for name, test := range map[string]struct {
		options []journaltest.Option
		refuse  func(*testing.T, *journaltest.Server, *redis.Client) *redis.Client
		// says is what a miss says; without it a token is given all the same.
		says string
	}{
		"a replica": {refuse: func(t *testing.T, server *journaltest.Server, _ *redis.Client) *redis.Client {
			t.Helper()
			replica := journaltest.New(t, journaltest.Config(fmt.Sprintf("replicaof 127.0.0.1 %d", server.Port()))).Client(t)
			await(t, "the replica follows", func() bool {
				return replica.Get(t.Context(), "product:1").Err() == nil && replica.FCallRO(t.Context(), "wb_stats", nil, "products").Err() == nil
			})
			return replica
		}, says: "READONLY"},
		"a snapshot that failed": {
			options: []journaltest.Option{journaltest.Config("enable-protected-configs yes", "save 3600 1")},
			refuse: func(t *testing.T, server *journaltest.Server, admin *redis.Client) *redis.Client {
				t.Helper()
				set("dir", "/proc")(t, server, admin)
				_ = admin.BgSave(t.Context()).Err()
				await(t, "the snapshot fails", func() bool {
					return strings.Contains(admin.Info(t.Context(), "persistence").Val(), "rdb_last_bgsave_status:err")
				})
				return admin
			}, says: "MISCONF",
		},
		"too few replicas":              {refuse: set("min-replicas-to-write", "1"), says: "NOREPLICAS"},
		"a full memory":                 {refuse: set("maxmemory", "1")},
		"a user who may only read":      {options: []journaltest.Option{as("%R~* +@read +@scripting")}, refuse: user, says: "NOPERM"},
		"a user without a right within": {options: []journaltest.Option{as("~* +@all -zadd -zremrangebyscore -zremrangebyrank")}, refuse: user, says: "script"},
		"a user without the journal":    {options: []journaltest.Option{as("~product:* +@all")}, refuse: user, says: "script"},
		"a user without functions":      {options: []journaltest.Option{as("~* +get")}, refuse: user, says: "NOPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := journaltest.New(t, test.options...)
			admin := server.Client(t)
			ctx := t.Context()
			j := journal.New(admin)
			m := config.DefaultMapping()
			m.Name, m.KeyPrefix = "products", "product:"
			s := config.QueueSettings{Owner: "test", Revision: 1, Mapping: m, MaxDepth: 2, WhenFull: config.WhenFullReject, State: config.StateOpen}
			_, err := j.EnsureLibrary(ctx)
			if err == nil {
				_, err = j.Open(ctx, s, "journal", false)
			}
			if err == nil {
				_, err = writebehind.NewQueue(admin, "products").Set(ctx, "product:1", `{"n":1}`)
			}
			if err != nil {
				t.Fatal(err)
			}
			q := writebehind.NewQueue(test.refuse(t, server, admin), "products")
			before := admin.Keys(ctx, "*").Val()
			if value, token, err := q.Get(ctx, "product:1"); value != `{"n":1}` || token != "" || err != nil {
				t.Errorf("Get of a key that is there answers %q, %q, %v", value, token, err)
			}
			_, token, err := q.Get(ctx, "product:9")
			if test.says == "" {
				if token == "" || err != nil {
					t.Errorf("Get of a miss answers %q, %v", token, err)
				}
				return
			}
			if !errors.Is(err, writebehind.ErrNoToken) || !strings.Contains(err.Error(), test.says) || token != "" {
				t.Errorf("Get of a miss answers %q, %v; want no token, and %s", token, err, test.says)
			}
			if after := admin.Keys(ctx, "*").Val(); !maps.Equal(names(before), names(after)) {
				t.Errorf("the keys were %v and are %v", before, after)
			}
		})
	}
}

func names(keys []string) map[string]bool {
	all := make(map[string]bool)
	for _, key := range keys {
		all[key] = true
	}
	return all
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); !done(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute: " + what)
		}
	}
}
