// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// oneWord waits for the reason and then looks for the time of many probes and of many
// attempts to flush: it wants one check all the time.
func (r *running) oneWord(reason string, of func(config.Status) config.Check) config.Check {
	r.t.Helper()
	seen := map[config.Check]int{}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	began, lasts := time.Now(), time.Time{}
	for lasts.IsZero() || time.Since(lasts) < 3*time.Second {
		<-ticker.C
		// What is there before the fault, and before the first look, is no word of it.
		if check := of(r.Status()); !check.OK && check.Reason != "" {
			seen[check]++
			if check.Reason == reason && lasts.IsZero() {
				lasts = time.Now()
			}
		} else if !lasts.IsZero() {
			seen[check]++
		}
		if lasts.IsZero() && time.Since(began) > programs.Usual.Limit {
			r.t.Fatalf("not %s within %v: %+v", reason, programs.Usual.Limit, r.Status())
		}
	}
	if len(seen) != 1 {
		r.t.Errorf("one fault has %d words: %+v", len(seen), seen)
	}
	for check := range seen {
		return check
	}
	return config.Check{}
}

func quick(c *config.Config) { c.Flush.IntervalMilliseconds = 100 }

// TestAFaultOfRedisThatLastsHasOneWord has entries wait, and more than one worker fail.
func TestAFaultOfRedisThatLastsHasOneWord(t *testing.T) {
	t.Parallel()
	file := secretFiles(t)
	do := func(words ...any) func(*running, *redis.Client) {
		return func(r *running, admin *redis.Client) {
			if err := admin.Do(r.t.Context(), words...).Err(); err != nil {
				r.t.Fatalf("%v: %v", words, err)
			}
		}
	}
	flusher := func(c *config.Config) {
		c.Redis.External.UsernameFile, c.Redis.External.PasswordFile = file("username", "flusher"), file("password", "secret")
	}
	for name, c := range map[string]struct {
		edit    func(*config.Config)
		options []journaltest.Option
		breaks  func(*running, *redis.Client)
		reason  string
	}{
		"a replica":                {breaks: do("REPLICAOF", "127.0.0.1", "1"), reason: cachev1alpha1.ReasonReadOnlyReplica},
		"a replica from the start": {options: []journaltest.Option{journaltest.Config("replicaof 127.0.0.1 1")}, reason: cachev1alpha1.ReasonReadOnlyReplica},
		"a replica that tells nothing": {
			options: []journaltest.Option{journaltest.Config("replica-serve-stale-data no")},
			breaks:  do("REPLICAOF", "127.0.0.1", "1"), reason: cachev1alpha1.ReasonReadOnlyReplica,
		},
		"a cluster":        {options: []journaltest.Option{journaltest.Config("cluster-enabled yes")}, reason: cachev1alpha1.ReasonClusterMode},
		"a Sentinel":       {options: []journaltest.Option{journaltest.Sentinel()}, reason: cachev1alpha1.ReasonClusterMode},
		"a wrong password": {edit: func(c *config.Config) { c.Redis.External.PasswordFile = file("wrong", "wrong") }, options: []journaltest.Option{journaltest.Password("right")}, reason: cachev1alpha1.ReasonAuthenticationFailed},
		"no password":      {options: []journaltest.Option{journaltest.Password("right")}, reason: cachev1alpha1.ReasonAuthenticationFailed},
		"no Secret":        {edit: func(c *config.Config) { c.Redis.External.PasswordFile = "/nowhere/password" }, reason: cachev1alpha1.ReasonSecretMissing},
		"no right to call": {breaks: do("ACL", "SETUSER", "default", "-fcall"), reason: cachev1alpha1.ReasonPrivilegeMissing},
		"no right to a key that only claims need": {
			edit: flusher, options: []journaltest.Option{journaltest.User("flusher on >secret ~wb:* +@all")}, reason: cachev1alpha1.ReasonPrivilegeMissing,
		},
		"no right to commands that the probe does not run": {breaks: do("ACL", "SETUSER", "default", "-lrange", "-hmget", "-hgetall", "-hincrby", "-llen"), reason: cachev1alpha1.ReasonPrivilegeMissing},
		"no memory from the start":                         {options: []journaltest.Option{journaltest.MaxMemory("1", "noeviction")}, reason: cachev1alpha1.ReasonOutOfMemory},
		"too few replicas":                                 {breaks: do("CONFIG", "SET", "min-replicas-to-write", "1"), reason: cachev1alpha1.ReasonPersistenceFailing},
		"a snapshot that fails": {
			options: []journaltest.Option{journaltest.Config("enable-protected-configs yes", "save 3600 1")},
			breaks: func(r *running, admin *redis.Client) {
				do("CONFIG", "SET", "dir", "/proc")(r, admin)
				do("BGSAVE")(r, admin)
			},
			reason: cachev1alpha1.ReasonPersistenceFailing,
		},
		"an append-only file that cannot be written": {
			breaks: func(r *running, admin *redis.Client) {
				// The file of the first seconds is one that is always full.
				dir := filepath.Join(r.server.Dir(), "appendonlydir")
				if err := os.MkdirAll(dir, 0o755); err != nil {
					r.t.Fatal(err)
				}
				if err := os.Symlink("/dev/full", filepath.Join(dir, "temp-appendonly.aof.incr")); err != nil {
					r.t.Fatal(err)
				}
				do("CONFIG", "SET", "rdb-key-save-delay", "10000000")(r, admin)
				do("CONFIG", "SET", "appendonly", "yes")(r, admin)
			},
			reason: cachev1alpha1.ReasonPersistenceFailing,
		},
		"a library that lacks what is called": {
			breaks: func(r *running, admin *redis.Client) {
				code := fmt.Sprintf("#!lua name=writebehind\nlocal function answer() return 'x' end\n"+
					"redis.register_function{function_name='wb_engine_library',callback=function() return %d end,flags={'no-writes'}}", journal.LibraryVersion+1)
				for _, function := range []string{"probe", "open", "beat", "begin", "claim", "poll"} {
					code += "\nredis.register_function{function_name='wb_engine_" + function + "',callback=answer,flags={'no-writes'}}"
				}
				do("FUNCTION", "LOAD", "REPLACE", code)(r, admin)
			},
			reason: cachev1alpha1.ReasonLibraryMismatch,
		},
		"busy": {breaks: func(r *running, admin *redis.Client) {
			go admin.Eval(context.WithoutCancel(r.t.Context()), "while true do end", nil)
		}, options: []journaltest.Option{journaltest.Config("busy-reply-threshold 50")}, reason: cachev1alpha1.ReasonConnectionFailed},
		"gone":           {breaks: func(r *running, _ *redis.Client) { r.server.MustKill(r.t) }, reason: cachev1alpha1.ReasonConnectionFailed},
		"it hangs":       {breaks: func(r *running, _ *redis.Client) { r.server.Pause() }, reason: cachev1alpha1.ReasonConnectionFailed},
		"never there":    {edit: func(c *config.Config) { c.Redis.External.Addresses = []string{"127.0.0.1:1"} }, reason: cachev1alpha1.ReasonConnectionFailed},
		"no such host":   {edit: func(c *config.Config) { c.Redis.External.Addresses = []string{"redis.invalid:6379"} }, reason: cachev1alpha1.ReasonConnectionFailed},
		"TLS only":       {options: []journaltest.Option{journaltest.TLS()}, reason: cachev1alpha1.ReasonConnectionFailed},
		"TLS to a plain": {edit: func(c *config.Config) { c.Redis.External.TLS = &config.TLS{} }, reason: cachev1alpha1.ReasonConnectionFailed},
		"no connection left": {
			breaks: func(r *running, admin *redis.Client) {
				do("CONFIG", "SET", "maxclients", "1")(r, admin)
				do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")(r, admin)
			},
			reason: cachev1alpha1.ReasonConnectionFailed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, products, func(settings *config.Config) {
				quick(settings)
				if c.edit != nil {
					c.edit(settings)
				}
			}, c.options...)
			if c.breaks != nil {
				r.becomes("an empty queue", "", mappingOf)
				r.becomes("Redis", "", redisOf)
				admin := r.server.Client(t)
				r.fill()
				c.breaks(r, admin)
			} else if strings.Contains(name, "only claims") {
				r.becomes("an empty queue", "", mappingOf)
				r.fill()
			}
			check := r.oneWord(c.reason, redisOf)
			if check.Reason == cachev1alpha1.ReasonPrivilegeMissing && !strings.Contains(check.Message, "ACL SETUSER") {
				t.Errorf("%q says nothing to type", check.Message)
			}
		})
	}
}

// ends makes the flusher connect again.
const ends = "; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'writebehind-flusher'"

// TestAFaultOfPostgreSQLThatLastsHasOneWord looks at the server's check and at the mapping's.
func TestAFaultOfPostgreSQLThatLastsHasOneWord(t *testing.T) {
	t.Parallel()
	databaseOf := func(s config.Status) config.Check { return s.Database }
	sql := func(text string) func(*running) { return func(r *running) { r.db.Exec(r.t, text) } }
	// The URL with something else in it; the edit runs when the file is there.
	with := func(change func(u *url.URL)) func(*config.Config) {
		return func(c *config.Config) {
			text, err := os.ReadFile(c.Database.Postgres.URLFile)
			if err != nil {
				t.Error(err)
				return
			}
			u, err := url.Parse(strings.TrimSpace(string(text)))
			if err != nil {
				t.Error(err)
				return
			}
			change(u)
			if err := os.WriteFile(c.Database.Postgres.URLFile, []byte(u.String()), 0o600); err != nil {
				t.Error(err)
			}
		}
	}
	for name, c := range map[string]struct {
		edit   func(*config.Config)
		breaks func(*running)
		of     func(config.Status) config.Check
		reason string
	}{
		"read-only": {
			breaks: func(r *running) {
				r.db.Exec(r.t, "ALTER DATABASE "+r.db.Name()+" SET default_transaction_read_only = on"+ends)
			},
			of: databaseOf, reason: cachev1alpha1.ReasonReadOnly,
		},
		"a table that is gone":  {breaks: sql("DROP TABLE products"), of: mappingOf, reason: cachev1alpha1.ReasonSchemaMismatch},
		"a table with a rule":   {breaks: sql("CREATE RULE twice AS ON INSERT TO products DO ALSO NOTIFY written"), of: mappingOf, reason: cachev1alpha1.ReasonSchemaMismatch},
		"a key that is none":    {breaks: sql("ALTER TABLE products DROP CONSTRAINT products_pkey"), of: mappingOf, reason: cachev1alpha1.ReasonSchemaMismatch},
		"a ledger that is gone": {breaks: sql("DROP SCHEMA writebehind CASCADE; CREATE SCHEMA writebehind; CREATE TABLE writebehind.ledger (a int)"), of: databaseOf, reason: cachev1alpha1.ReasonSchemaMismatch},
		"every batch fails":     {breaks: sql("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no'' USING ERRCODE = ''53200''; END'; CREATE TRIGGER no BEFORE UPDATE ON writebehind.ledger FOR EACH ROW WHEN (NEW.epoch = OLD.epoch AND NEW.flush > OLD.flush) EXECUTE FUNCTION no()"), of: databaseOf, reason: cachev1alpha1.ReasonCircuitOpen},
		"no such database":      {edit: with(func(u *url.URL) { u.Path = "/nowhere" }), of: databaseOf, reason: cachev1alpha1.ReasonInvalidURL},
		"a wrong password":      {edit: with(func(u *url.URL) { u.User = url.UserPassword("postgres", "wrong") }), of: databaseOf, reason: cachev1alpha1.ReasonAuthenticationFailed},
		"no Secret":             {edit: func(c *config.Config) { c.Database.Postgres.URLFile = "/nowhere/uri" }, of: databaseOf, reason: cachev1alpha1.ReasonSecretMissing},
		"nobody there":          {edit: with(func(u *url.URL) { u.Host = "127.0.0.1:1" }), of: databaseOf, reason: cachev1alpha1.ReasonConnectionFailed},
		"no such host":          {edit: with(func(u *url.URL) { u.Host = "db.invalid:5432" }), of: databaseOf, reason: cachev1alpha1.ReasonConnectionFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, products, func(settings *config.Config) {
				quick(settings)
				settings.Flush.CircuitBreaker.FailureThreshold, settings.Flush.CircuitBreaker.OpenMilliseconds = 1, 1000
				if c.edit != nil {
					c.edit(settings)
				}
			})
			if c.breaks != nil {
				r.becomes("an empty queue", "", mappingOf)
				r.becomes("PostgreSQL", "", databaseOf)
				c.breaks(r)
				r.fill()
			}
			r.oneWord(c.reason, c.of)
		})
	}
}

// TestAMissingPrivilegeThatLastsHasOneWord takes a right away from a role that has all it
// needs. What the catalogue does not tell beforehand only a batch finds out.
func TestAMissingPrivilegeThatLastsHasOneWord(t *testing.T) {
	t.Parallel()
	databaseOf := func(s config.Status) config.Check { return s.Database }
	listed := func(c *config.Config) { c.Mappings[0].Columns = []config.Column{{Field: "name", Column: "name"}} }
	const (
		drawn    = "CREATE SEQUENCE s; GRANT USAGE ON SEQUENCE s TO ROLE; ALTER TABLE products ADD n bigint NOT NULL DEFAULT nextval('s')"
		function = "CREATE FUNCTION f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'; "
		typed    = "CREATE SCHEMA types; GRANT USAGE ON SCHEMA types TO ROLE; CREATE TYPE types.mood AS ENUM ('x'); ALTER TABLE products ALTER name TYPE types.mood USING NULL"
	)
	for name, c := range map[string]struct {
		edit          func(*config.Config)
		schema, takes string
		of            func(config.Status) config.Check
		says          string
	}{
		"all on the table":             {takes: "REVOKE ALL ON products FROM ROLE", says: "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE"},
		"to update":                    {takes: "REVOKE UPDATE ON products FROM ROLE", says: "GRANT UPDATE ON TABLE"},
		"to delete":                    {takes: "REVOKE DELETE ON products FROM ROLE", says: "GRANT DELETE ON TABLE"},
		"to a column":                  {takes: "REVOKE ALL ON products FROM ROLE; GRANT SELECT, DELETE ON products TO ROLE; GRANT INSERT (id), UPDATE (id) ON products TO ROLE", says: "GRANT INSERT, UPDATE ON TABLE"},
		"to read a column":             {takes: "REVOKE SELECT ON products FROM ROLE; GRANT SELECT (id) ON products TO ROLE", says: "GRANT SELECT ON TABLE"},
		"to the schema":                {takes: "REVOKE ALL ON SCHEMA public FROM PUBLIC", says: "GRANT USAGE ON SCHEMA"},
		"by row-level security":        {takes: "ALTER TABLE products ENABLE ROW LEVEL SECURITY", says: "CREATE POLICY"},
		"to a sequence":                {edit: listed, schema: drawn, takes: "REVOKE ALL ON SEQUENCE s FROM ROLE", says: "GRANT USAGE ON SEQUENCE"},
		"to a sequence, told late":     {schema: drawn, takes: "REVOKE ALL ON SEQUENCE s FROM ROLE", says: "a privilege is missing"},
		"to a default's function":      {schema: function + "ALTER TABLE products ADD d text DEFAULT f('x')", takes: "REVOKE ALL ON FUNCTION f FROM PUBLIC", says: "a privilege is missing"},
		"to a check's function":        {schema: function + "ALTER TABLE products ADD CHECK (f(name) <> '')", takes: "REVOKE ALL ON FUNCTION f FROM PUBLIC", says: "a privilege is missing"},
		"to a type's schema":           {edit: listed, schema: typed, takes: "REVOKE ALL ON SCHEMA types FROM ROLE", says: "GRANT USAGE ON SCHEMA"},
		"to a type's schema, late":     {schema: typed, takes: "REVOKE ALL ON SCHEMA types FROM ROLE", says: "privilege"},
		"all on the ledger":            {takes: "REVOKE ALL ON writebehind.ledger FROM ROLE", of: databaseOf, says: "GRANT SELECT, INSERT, UPDATE ON TABLE"},
		"to update the ledger":         {takes: "REVOKE UPDATE ON writebehind.ledger FROM ROLE", of: databaseOf, says: "GRANT SELECT, INSERT, UPDATE ON TABLE"},
		"to the ledger's schema":       {takes: "REVOKE ALL ON SCHEMA writebehind FROM ROLE", of: databaseOf, says: "GRANT USAGE ON SCHEMA"},
		"to connect":                   {takes: "REVOKE CONNECT ON DATABASE @ FROM PUBLIC" + ends, of: databaseOf, says: "GRANT CONNECT ON DATABASE"},
		"to the schema from the start": {schema: "REVOKE ALL ON SCHEMA public FROM PUBLIC", says: "GRANT USAGE ON SCHEMA"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "uri")
			r := run(t, products, func(settings *config.Config) {
				// What is not flushed for three intervals is told, until the reason is known.
				settings.Flush.IntervalMilliseconds = 1000
				settings.Database.Postgres.URLFile = file
				if c.edit != nil {
					c.edit(settings)
				}
			})
			role, text := r.db.NewRole(t)
			sql := func(text string) {
				if text != "" {
					r.db.Exec(t, strings.NewReplacer("ROLE", role, "@", r.db.Name()).Replace(text))
				}
			}
			sql("GRANT ALL ON products TO ROLE; CREATE SCHEMA writebehind; GRANT ALL ON SCHEMA writebehind TO ROLE")
			sql(c.schema)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			r.becomes("PostgreSQL", "", databaseOf)
			if c.takes != "" {
				r.becomes("an empty queue", "", mappingOf)
				sql(c.takes)
			}
			r.fill()
			of := c.of
			if of == nil {
				of = mappingOf
			}
			if check := r.oneWord(cachev1alpha1.ReasonPrivilegeMissing, of); !strings.Contains(check.Message, c.says) {
				t.Errorf("the message %q does not have %q", check.Message, c.says)
			}
		})
	}
}

// fill makes entries wait in every partition.
func (r *running) fill() {
	r.t.Helper()
	for n := range 40 {
		r.set(fmt.Sprintf("product:%d", n), `{"name":"x"}`)
	}
}
