// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

// forbidden is what no user of the network may, of a managed Redis of either capture.
var forbidden = []string{
	"FUNCTION DELETE writebehind", "FUNCTION FLUSH", "FUNCTION RESTORE x", "FUNCTION KILL", "CONFIG SET maxmemory 1", "CONFIG REWRITE",
	"ACL SETUSER evil on nopass", "ACL LIST", "ACL LOAD", "ACL DELUSER application", "FLUSHALL", "FLUSHDB", "SHUTDOWN NOSAVE",
	"REPLICAOF 127.0.0.1 1", "MONITOR", "SAVE", "BGREWRITEAOF", "MODULE LIST", "SWAPDB 0 1", "CLIENT KILL TYPE normal",
	"KEYS *", "FAILOVER ABORT", "CLUSTER RESET", "LATENCY RESET",
}

// mapped is a resource with a managed Redis and mappings of JSON to the table products.
func mapped(capture v1alpha1.Capture, names ...string) *v1alpha1.WriteBehindCache {
	cache := managedCache(func(*v1alpha1.ManagedRedis) {})
	cache.Spec.Capture = capture
	for _, name := range names {
		cache.Spec.Mappings = append(cache.Spec.Mappings, v1alpha1.Mapping{Name: name + "s", KeyPrefix: name + ":", Table: "public." + name + "s", KeyColumn: "id"})
	}
	return cache
}

// refused has Redis refuse each command for want of a right.
func refused(t *testing.T, who string, client *redis.Client, commands ...string) {
	t.Helper()
	for _, command := range commands {
		var words []any
		for word := range strings.FieldsSeq(command) {
			words = append(words, word)
		}
		if err := client.Do(t.Context(), words...).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
			t.Errorf("%s: %s answers %v, want NOPERM", who, command, err)
		}
	}
}

// TestTheUsersOfAManagedRedis has a flusher and an application work as their users of a Redis
// that the operator's Pod runs, and tries what neither may.
func TestTheUsersOfAManagedRedis(t *testing.T) {
	for _, capture := range []v1alpha1.Capture{v1alpha1.CaptureFunctions, v1alpha1.CaptureReplication} {
		t.Run(string(capture), func(t *testing.T) {
			cache := mapped(capture, "product")
			m := newManagedRedis(t, cache)
			m.start()
			db := postgrestest.New(t)
			db.Exec(t, productsTable)
			c := config.Default()
			c.ListenAddress, c.Capture = "127.0.0.1:0", string(capture)
			c.Redis.External, c.Database.Postgres.URLFile = m.settings(cache, ""), db.URLFile(t)
			c.Flush.IntervalMilliseconds = 50
			mapping := config.DefaultMapping()
			mapping.Name, mapping.KeyPrefix, mapping.Table, mapping.KeyColumn = "products", "product:", "public.products", "id"
			c.Mappings = []config.Mapping{mapping}
			file := filepath.Join(t.TempDir(), "config.yaml")
			servers.Put(t, file, c)
			s := &stack{t: t, db: db, config: c, file: file}
			flusher := s.start()

			app, ctx := m.as(resources.RedisApplication, managedPassword), t.Context()
			write := func(id int) error {
				key := fmt.Sprintf("product:%d", id)
				if capture == v1alpha1.CaptureReplication {
					return app.Set(ctx, key, `{"name":"lamp"}`, 0).Err()
				}
				return app.FCall(ctx, "wb_set", []string{key}, "products", `{"name":"lamp"}`).Err()
			}
			flusher.Eventually(t, programs.Usual, "the flusher is ready as its user", func() error {
				if code, body := s.get(flusher, "/readyz"); code != http.StatusOK {
					return fmt.Errorf("readyz answers %d: %s", code, body)
				}
				return nil
			})
			m.must(write(1))
			flusher.Eventually(t, programs.Usual, "what the application wrote is a row", func() error {
				if rows := db.Value(t, "SELECT count(*) FROM products"); rows != "1" {
					return fmt.Errorf("rows: %s", rows)
				}
				return nil
			})
			if status := s.status(flusher); !status.Durability.Persistence.OK || !status.Durability.Eviction.OK {
				t.Errorf("the flusher cannot tell what Redis keeps: %+v", status.Durability)
			}

			refused(t, "application", app, forbidden...)
			refused(t, "application", app, "FUNCTION LOAD x", "CONFIG GET *", "GET order:1", "SET order:1 1", "HGETALL wb:{orders}:queue",
				"SET wb:witness:x 1", "PSYNC ? -1", "CLIENT LIST")
			own := m.as(resources.RedisFlusher, managedPassword)
			refused(t, "flusher", own, forbidden...)
			if capture == v1alpha1.CaptureReplication {
				refused(t, "flusher", own, "SET product:1 x", "DEL product:1", "FUNCTION LOAD x", "FCALL x 0")
			} else {
				refused(t, "flusher", own, "PSYNC ? -1", "CONFIG GET *")
			}
			for _, client := range []*redis.Client{m.as("", ""), m.as("", managedPassword), m.as("default", managedPassword), m.as("local", managedPassword)} {
				if err := client.Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") && !strings.Contains(err.Error(), "NOAUTH") {
					t.Errorf("somebody else logs in: %v", err)
				}
			}
			m.must(write(2))
		})
	}
}

// TestAManagedRedisTakesRightsAndPasswordsWithoutARestart: no connection ends either, since an
// application must not notice that somebody adds a mapping.
func TestAManagedRedisTakesRightsAndPasswordsWithoutARestart(t *testing.T) {
	const next = "another \"pass' w\u00f6rd\\"
	m := newManagedRedis(t, mapped(v1alpha1.CaptureReplication, "product"))
	redisServer := m.start()
	ctx, app := t.Context(), m.as(resources.RedisApplication, managedPassword)
	id, err := app.ClientID(ctx).Result()
	m.must(err)
	refused(t, "application", app, "SET order:1 x")
	m.giveRights(mapped(v1alpha1.CaptureReplication, "product", "order"))
	m.must(m.probe(m.ready))
	m.must(app.Set(ctx, "order:1", "x", 0).Err())
	m.giveRights(mapped(v1alpha1.CaptureReplication, "product"))
	m.must(m.probe(m.ready))
	refused(t, "application", app, "SET order:1 x")

	m.put("/etc/redis-auth/application/password", next+"\r\n")
	m.must(m.probe(m.ready))
	m.must(m.as(resources.RedisApplication, next).Ping(ctx).Err())
	if err := m.as(resources.RedisApplication, managedPassword).Ping(ctx).Err(); err == nil {
		t.Error("the password before is still taken")
	}
	if now, err := app.ClientID(ctx).Result(); err != nil || now != id {
		t.Errorf("the application's connection has become %d, %v, of %d", now, err, id)
	}
	acl, err := os.ReadFile(m.path("/run/redis/users.acl"))
	m.must(err)
	if strings.Contains(string(acl), "another") || strings.Contains(string(acl), managedPassword) {
		t.Errorf("a password stands in the aclfile:\n%s", acl)
	}

	// An empty password, or no file, changes nothing while Redis runs, and keeps it from a start.
	for _, spoil := range []func(){
		func() { m.put("/etc/redis-auth/application/password", "\n") },
		func() { m.must(os.Remove(m.path("/etc/redis-auth/application/password"))) },
	} {
		spoil()
		m.must(m.probe(m.ready))
		m.must(m.as(resources.RedisApplication, next).Ping(ctx).Err())
	}
	if code := redisServer.Stop(t, programs.Usual.Limit); code != 0 {
		t.Errorf("Redis ends with %d", code)
	}
	if code, said := m.exits(); code != 2 || !strings.Contains(said, "the key password of the Secret for user application is missing or empty") {
		t.Errorf("without a password Redis ends with %d: %s", code, said)
	}

	// What was patched while Redis was away is in force after its start.
	m.put("/etc/redis-auth/application/password", "third")
	m.start()
	m.must(m.probe(m.live))
	m.must(m.as(resources.RedisApplication, "third").Ping(ctx).Err())
}

// TestTheUserDefaultEndsWithItsSecret: a Redis from before there were users goes on serving the
// applications of that time, until a person deletes the Secret.
func TestTheUserDefaultEndsWithItsSecret(t *testing.T) {
	m := newManagedRedis(t, mapped(v1alpha1.CaptureFunctions, "product"))
	secret := m.path("/etc/redis-auth/default/password")
	m.put("/etc/redis-auth/default/password", "earlier")
	m.start()
	ctx, earlier := t.Context(), m.as("", "earlier")
	m.must(earlier.ConfigSet(ctx, "maxmemory", "64mb").Err())
	m.must(m.as(resources.RedisApplication, managedPassword).Ping(ctx).Err())
	m.must(os.Remove(secret))
	m.must(m.probe(m.ready))
	refused(t, "default", earlier, "CONFIG SET maxmemory 64mb", "GET product:1")
	if err := m.as("", "earlier").Ping(ctx).Err(); err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS") {
		t.Errorf("default logs in without its Secret: %v", err)
	}
}

// TestAManagedRedisKeepsTransactionsOverARestart: what was written by a function, a script or
// MULTI lies in the append-only file as a transaction, which Redis applies with the rights of the
// user default.
func TestAManagedRedisKeepsTransactionsOverARestart(t *testing.T) {
	m := newManagedRedis(t, mapped(v1alpha1.CaptureReplication, "product"))
	redisServer := m.start()
	ctx, app := t.Context(), m.as(resources.RedisApplication, managedPassword)
	m.must(app.Set(ctx, "product:1", "alone", 0).Err())
	_, err := app.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "product:2", "together", 0)
		p.Set(ctx, "product:3", "together", 0)
		return nil
	})
	m.must(err)
	const script = "for _, key in ipairs(KEYS) do redis.call('SET', key, 'scripted') end"
	if err := app.Eval(ctx, script, []string{"product:4", "product:5"}).Err(); err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	if code := redisServer.Stop(t, programs.Usual.Limit); code != 0 {
		t.Errorf("Redis ends with %d", code)
	}
	m.start()
	kept, err := m.as(resources.RedisApplication, managedPassword).MGet(ctx, "product:1", "product:2", "product:3", "product:4", "product:5").Result()
	m.must(err)
	if want := []any{"alone", "together", "together", "scripted", "scripted"}; !slices.Equal(kept, want) {
		t.Errorf("after a restart the keys are %q, want %q", kept, want)
	}
	rights, err := m.local().Do(ctx, "ACL", "LIST").StringSlice()
	m.must(err)
	for _, user := range rights {
		if strings.HasPrefix(user, "user default ") && (!strings.Contains(user, " off ") || !strings.HasSuffix(user, " -@all")) {
			t.Errorf("once Redis is ready there is %q", user)
		}
	}
}

// TestAnAdministratorInThePod does what docs/security.md has a person do.
func TestAnAdministratorInThePod(t *testing.T) {
	m := newManagedRedis(t, mapped(v1alpha1.CaptureFunctions, "product"))
	m.start()
	page, err := os.ReadFile("../../docs/security.md")
	m.must(err)
	_, command, ok := strings.Cut(string(page), "kubectl exec shop-redis-0 -- sh -c '")
	command, _, _ = strings.Cut(command, "'\n")
	if !ok || !strings.Contains(command, "ask ") {
		t.Fatalf("docs/security.md has no command for an administrator: %q", command)
	}
	said, err := m.exec(t.Context(), []string{"/bin/sh", "-c", m.inRoot([]string{command})[0]}).CombinedOutput()
	if err != nil || strings.Contains(string(said), "ERR") || !strings.Contains(string(said), "OK") {
		t.Errorf("%s says %s, %v", command, said, err)
	}
}
