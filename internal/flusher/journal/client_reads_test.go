// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/api/writebehind"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// TestGetReadsOnWhereRedisRefusesWrites: a value is a value, a miss tells that it has no
// token, and nothing is changed.
func TestGetReadsOnWhereRedisRefusesWrites(t *testing.T) {
	t.Parallel()
	const secret = "secret"
	patience := programs.Patience{Limit: time.Minute, Interval: 20 * time.Millisecond}
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
			patience.Eventually(t, "the replica follows", func() error {
				return errors.Join(replica.Get(t.Context(), "product:1").Err(), replica.FCallRO(t.Context(), "wb_stats", nil, queue).Err())
			})
			return replica
		}, says: "READONLY"},
		"a snapshot that failed": {
			options: []journaltest.Option{journaltest.Config("enable-protected-configs yes", "save 3600 1")},
			refuse: func(t *testing.T, server *journaltest.Server, admin *redis.Client) *redis.Client {
				t.Helper()
				set("dir", "/proc")(t, server, admin)
				_ = admin.BgSave(t.Context()).Err()
				patience.Eventually(t, "the snapshot fails", func() error {
					if info := admin.Info(t.Context(), "persistence").Val(); !strings.Contains(info, "rdb_last_bgsave_status:err") {
						return errors.New(info)
					}
					return nil
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
			f := open(t, server)
			admin, ctx := f.rdb, t.Context()
			f.check(writebehind.NewQueue(admin, queue).Set(ctx, "product:1", `{"n":1}`))
			q := writebehind.NewQueue(test.refuse(t, server, admin), queue)
			before := dump(t, admin)
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
			if after := dump(t, admin); !maps.Equal(before, after) {
				t.Errorf("the keys were %v and are %v", before, after)
			}
		})
	}
}
