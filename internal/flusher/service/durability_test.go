// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/internal/flusher/service"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

// running is a flusher with a Redis and a database of its own.
type running struct {
	*flusher.Flusher
	t      *testing.T
	server *journaltest.Server
	db     *postgrestest.Database
}

// run starts a flusher that looks often, until the test ends.
func run(t *testing.T, schema string, edit func(*config.Config), options ...journaltest.Option) *running {
	t.Helper()
	p := servers.Start(t, schema, options...)
	r, c := &running{t: t, server: p.Redis, db: p.Database}, p.Config
	if edit != nil {
		edit(c)
	}
	r.Flusher = service.New(c, flusher.Options{ProbeInterval: 50 * time.Millisecond, Grace: time.Millisecond})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// secretFiles writes what a Secret would bring, each key into a file of that name.
func secretFiles(t testing.TB) func(name, text string) (path string) {
	t.Helper()
	dir := t.TempDir()
	return func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// becomes waits until a check of the status has the reason, empty for OK.
func (r *running) becomes(what, reason string, of func(config.Status) config.Check) (check config.Check) {
	r.t.Helper()
	programs.Usual.Eventually(r.t, what, func() error {
		if check = of(r.Status()); check.Reason != reason || check.OK != (reason == "") {
			return fmt.Errorf("the check is %+v, want reason %q", check, reason)
		}
		return nil
	})
	return check
}

func persistence(s config.Status) config.Check { return s.Durability.Persistence }
func eviction(s config.Status) config.Check    { return s.Durability.Eviction }
func ledger(s config.Status) config.Check      { return s.Durability.Ledger }
func table(s config.Status) config.Check       { return s.Queues[0].Durable }

const products = "CREATE TABLE products (id bigint PRIMARY KEY, name text)"

func TestTheStatusFollowsWhatRedisIsToldAtRunTime(t *testing.T) {
	t.Parallel()
	r := run(t, products, nil, journaltest.AppendOnly("everysec"))
	rdb := r.server.Client(t)
	tell := func(name, value string) {
		t.Helper()
		if err := rdb.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		r.becomes("an append-only file", "", persistence)
		r.becomes("the policy noeviction", "", eviction)
		tell("maxmemory-policy", "allkeys-lfu")
		r.becomes("the policy allkeys-lfu", cachev1alpha1.ReasonEvictionUnsafe, eviction)
		tell("appendonly", "no")
		r.becomes("no append-only file", cachev1alpha1.ReasonAppendOnlyOff, persistence)
		tell("appendonly", "yes")
		tell("maxmemory-policy", "noeviction")
	}
	r.becomes("the table", "", mappingOf)
	if check := r.Ready(); !check.OK {
		t.Errorf("Durability has a say in readiness: %+v", check)
	}
}

func TestADangerStaysToldWhileNobodyCanLook(t *testing.T) {
	t.Parallel()
	r := run(t, products, nil, journaltest.Config("maxmemory-policy volatile-lru"))
	r.becomes("no append-only file", cachev1alpha1.ReasonAppendOnlyOff, persistence)
	r.becomes("a safe policy", "", eviction)
	r.server.MustKill(t)
	r.becomes("a safe policy that nobody can look at", cachev1alpha1.ReasonConnectionFailed, eviction)
	if check := persistence(r.Status()); check.Reason != cachev1alpha1.ReasonAppendOnlyOff {
		t.Errorf("that Redis does not persist is forgotten while it is away: %+v", check)
	}
	r.server.MustRestart(t)
	r.becomes("a safe policy again", "", eviction)
	if err := r.server.Client(t).ConfigSet(t.Context(), "appendonly", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	r.becomes("an append-only file", "", persistence)
}

func TestTheStatusFollowsUnloggedTables(t *testing.T) {
	t.Parallel()
	r := run(t, "CREATE UNLOGGED TABLE products (id bigint PRIMARY KEY, name text)", nil)
	r.becomes("an unlogged table", cachev1alpha1.ReasonTableUnlogged, table)
	r.becomes("a ledger of its own making", "", ledger)
	r.db.Exec(t, "ALTER TABLE writebehind.ledger SET UNLOGGED; ALTER TABLE products SET LOGGED")
	r.becomes("an unlogged ledger", cachev1alpha1.ReasonTableUnlogged, ledger)
	r.becomes("a table that is logged now", "", table)
	r.becomes("the table", "", mappingOf)
	if check := r.Ready(); !check.OK {
		t.Errorf("Durability has a say in readiness: %+v", check)
	}
	r.db.Exec(t, "ALTER TABLE writebehind.ledger SET LOGGED; ALTER TABLE products SET UNLOGGED")
	r.becomes("a ledger that is logged again", "", ledger)
	r.becomes("a table that is unlogged again", cachev1alpha1.ReasonTableUnlogged, table)
	r.db.Exec(t, "DROP TABLE products")
	r.becomes("a table that is gone", cachev1alpha1.ReasonSchemaMismatch, table)
}

func TestAUserWithoutInfoLeavesDurabilityUnknown(t *testing.T) {
	t.Parallel()
	file := secretFiles(t)
	r := run(t, products, func(c *config.Config) {
		c.Redis.External.UsernameFile, c.Redis.External.PasswordFile = file("user", "flusher"), file("password", "secret")
	}, journaltest.AppendOnly("always"), journaltest.User("flusher on >secret ~* +@all -info"))
	r.becomes("persistence", cachev1alpha1.ReasonPrivilegeMissing, persistence)
	r.becomes("eviction", cachev1alpha1.ReasonPrivilegeMissing, eviction)
	if err := r.server.Client(t).Do(t.Context(), "ACL", "SETUSER", "flusher", "+info").Err(); err != nil {
		t.Fatal(err)
	}
	r.becomes("persistence", "", persistence)
	r.becomes("eviction", "", eviction)
}
