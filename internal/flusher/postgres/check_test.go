// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// failing holds a check against what it must say, and against telling secrets.
func failing(t *testing.T, c config.Check, reason string, says ...string) {
	t.Helper()
	if c.OK || c.Reason != reason {
		t.Errorf("Check = %+v; want %s", c, reason)
	}
	for _, words := range says {
		if !strings.Contains(c.Message, words) {
			t.Errorf("Message = %q; want %q in it", c.Message, words)
		}
	}
	for _, secret := range []string{"postgres:postgres", "s3cret", "p@ss", "p%40ss", "://post"} {
		if strings.Contains(c.Message, secret) {
			t.Errorf("Message = %q, which tells a secret", c.Message)
		}
	}
}

func TestCheckMakesTheLedgerOnce(t *testing.T) {
	t.Parallel()
	server, d := open(t, "")
	for range 3 {
		ready(t, d)
	}
	if got := server.Value(t, "SELECT to_regclass('writebehind.ledger') IS NOT NULL"); got != "t" {
		t.Error("The ledger was not made")
	}
}

func TestCheckMakesALedgerThatVanished(t *testing.T) {
	t.Parallel()
	server, d, o := openItems(t)
	o.write(t, "1", `{"a":"x"}`)
	server.Exec(t, "DROP SCHEMA writebehind CASCADE")
	if e := o.refuse(t, "1", `{"a":"y"}`); e.Kind != entry.Transient {
		t.Errorf("Write without a ledger = %v; want a transient error", e)
	}
	ready(t, d)
	if outcome, err := d.Write(t.Context(), o.table, o.next(1), o.table.NewBatch()); outcome != entry.Fenced {
		t.Errorf("Write = %v, %v; want Fenced", outcome, err)
	}
}

func TestManyFlushersMakeTheLedgerAtOnce(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	start := make(chan struct{})
	var group sync.WaitGroup
	for range 8 {
		d := openURL(t, server.URL())
		// The connection is there before, so that all of them begin together.
		conn, err := d.acquire(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		conn.Release()
		group.Go(func() {
			<-start
			if c := d.Check(t.Context()); !c.OK {
				t.Errorf("Check = %+v", c)
			}
		})
	}
	close(start)
	group.Wait()
}

func TestCheckOfTheURL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct {
		settings Settings
		reason   string
		says     string
	}{
		"a Secret's key that is missing": {
			Settings{URLFile: filepath.Join(dir, "uri"), URLSecret: "Secret shop-db, key uri"},
			v1alpha1.ReasonSecretMissing, "Secret shop-db is missing or has no key uri: kubectl create secret generic shop-db --from-literal=uri='postgres://user:password@host:5432/database'; it is seen within about a minute; where the Secret exists: kubectl patch secret shop-db -p '{\"stringData\":{\"uri\":\"postgres://user:password@host:5432/database\"}}'",
		},
		"a file that is missing": {
			Settings{URLFile: filepath.Join(dir, "none")},
			v1alpha1.ReasonSecretMissing, "none is missing: create it",
		},
		"a file that is empty": {
			Settings{URLFile: write("empty", " \n")},
			v1alpha1.ReasonSecretMissing, "empty is empty: put the connection URL in",
		},
		"a directory": {Settings{URLFile: dir}, v1alpha1.ReasonSecretMissing, "cannot be read"},
		"a URL that is none": {
			Settings{URLFile: write("bad", "postgres://u:s3cret@host:port/db"), URLSecret: "Secret shop-db, key uri"},
			v1alpha1.ReasonInvalidURL, "connection URL in Secret shop-db, key uri cannot be parsed: give postgres://",
		},
		"words": {Settings{URLFile: write("words", "s3cret words")}, v1alpha1.ReasonInvalidURL, "cannot be parsed"},
		"a source of another name": {
			Settings{URLFile: filepath.Join(dir, "none"), URLSecret: "the vault"},
			v1alpha1.ReasonSecretMissing, "the vault is missing: create it, with the connection URL in it",
		},
		"no host": {
			Settings{URLFile: write("nohost", "postgres://u:s3cret@:1/db"), URLSecret: "Secret shop-db, key uri"},
			v1alpha1.ReasonConnectionFailed, "the URL in Secret shop-db, key uri names no host, so this machine is tried",
		},
		"no host in words": {
			Settings{URLFile: write("nohostword", "user=u password=s3cret port=1 dbname=hostess")},
			v1alpha1.ReasonConnectionFailed, "names no host",
		},
		"a host that does not exist": {
			Settings{URLFile: write("host", "postgres://u:s3cret@host.invalid/db")},
			v1alpha1.ReasonConnectionFailed, "host.invalid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Open(test.settings)
			defer d.Close()
			failing(t, d.Check(t.Context()), test.reason, test.says)
			if _, err := d.Acquire(t.Context(), "j", "q", 0); err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Acquire = %v; want an error without a secret", err)
			}
		})
	}
}

func TestCheckOfTheConnection(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*url.URL)) string {
		changed := *u
		change(&changed)
		return changed.String()
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	_, noLogin := server.NewRole(t)
	name, _, _ := strings.Cut(strings.TrimPrefix(noLogin, "postgres://"), ":")
	server.Exec(t, "ALTER ROLE "+name+" NOLOGIN")
	for name, test := range map[string]struct {
		url    string
		reason string
		says   []string
	}{
		"a wrong password": {
			with(func(u *url.URL) { u.User = url.UserPassword("postgres", "s3cret") }),
			v1alpha1.ReasonAuthenticationFailed,
			[]string{"28P01", "correct the URL in Secret shop-db, key uri"},
		},
		"no password": {with(func(u *url.URL) { u.User = url.User("postgres") }), v1alpha1.ReasonAuthenticationFailed, nil},
		"a user that does not exist": {
			with(func(u *url.URL) { u.User = url.UserPassword("nobody", "s3cret") }),
			v1alpha1.ReasonAuthenticationFailed, nil,
		},
		"a role that may not log in": {noLogin, v1alpha1.ReasonAuthenticationFailed, []string{"28000"}},
		"a database that does not exist": {
			with(func(u *url.URL) { u.Path = "/none" }),
			v1alpha1.ReasonInvalidURL,
			[]string{"3D000", "does not exist", "correct the URL"},
		},
		"a port where nothing listens": {
			with(func(u *url.URL) { u.Host = closed.Addr().String() }),
			v1alpha1.ReasonConnectionFailed,
			[]string{closed.Addr().String(), "connection refused"},
		},
		"a server that does not answer": {
			with(func(u *url.URL) { u.Host = silent.Addr().String(); u.RawQuery += "&connect_timeout=1" }),
			v1alpha1.ReasonConnectionFailed,
			[]string{"no answer in time"},
		},
		"a server without TLS": {with(func(u *url.URL) { u.RawQuery = "sslmode=require" }), v1alpha1.ReasonConnectionFailed, nil},
		"a session that is read-only": {
			with(func(u *url.URL) { u.RawQuery += "&default_transaction_read_only=on" }),
			v1alpha1.ReasonReadOnly,
			[]string{"read-only"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openURL(t, test.url, func(s *Settings) { s.URLSecret = "Secret shop-db, key uri" })
			failing(t, d.Check(t.Context()), test.reason, test.says...)
			_, err := d.Table(t.Context(), mapping("items"))
			if err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Table = %v; want an error without a secret", err)
			}
		})
	}
}

func TestASessionThatTurnsReadOnly(t *testing.T) {
	t.Parallel()
	s := postgrestest.NewServer(t, postgrestest.Options{})
	server := s.NewDatabase(t)
	server.Exec(t, itemSchema)
	d := openURL(t, server.URL())
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"x"}`)
	switchReadOnly := func(value string) {
		server.Exec(t, "ALTER SYSTEM SET default_transaction_read_only = "+value)
		server.Exec(t, "SELECT pg_reload_conf()")
		// The setting arrives in a session with its next message at the latest
		// after the server has told all of them.
		for server.Value(t, "SELECT setting FROM pg_file_settings WHERE name = 'default_transaction_read_only' AND applied") != value {
			continue
		}
	}
	switchReadOnly("on")
	for d.check(t.Context()) == nil {
		d.committed.Store(0)
	}
	failing(t, d.Check(t.Context()), v1alpha1.ReasonReadOnly)
	if e := o.refuse(t, "1", `{"a":"y"}`); e.Kind != entry.Transient || e.Reason() != v1alpha1.ReasonReadOnly || e.Unsettled {
		t.Errorf("Write = %v; want a settled transient error for ReadOnly", e)
	}
	switchReadOnly("off")
	for d.check(t.Context()) != nil {
		continue
	}
	o.write(t, "1", `{"a":"z"}`)
}

func TestCheckOfAStandby(t *testing.T) {
	t.Parallel()
	primary := postgrestest.NewServer(t, postgrestest.Options{})
	database := primary.NewDatabase(t)
	standby, err := primary.StartStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := standby.Stop(); err != nil {
			t.Error(err)
		}
	}()
	failing(t, openURL(t, standby.URL(database.Name())).Check(t.Context()), v1alpha1.ReasonReadOnly, "primary")
	both := strings.Replace(standby.URL(database.Name()), fmt.Sprintf("127.0.0.1:%d", standby.Port()),
		fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", standby.Port(), primary.Port()), 1)
	ready(t, openURL(t, both))
}

func TestCheckOfTheLedger(t *testing.T) {
	t.Parallel()
	const good = `CREATE SCHEMA writebehind; CREATE TABLE writebehind.ledger (journal text, queue text, partition integer, epoch bigint, flush bigint,
  position bigint, updated_at timestamptz, PRIMARY KEY (journal, queue, partition)); `
	for name, test := range map[string]struct {
		schema string
		reason string
		says   []string
	}{
		"no schema, and none may be made": {
			"", v1alpha1.ReasonPrivilegeMissing,
			[]string{`CREATE SCHEMA "writebehind"; GRANT USAGE, CREATE ON SCHEMA "writebehind" TO ROLE;`},
		},
		"a schema in which nothing may be made": {
			"CREATE SCHEMA writebehind", v1alpha1.ReasonPrivilegeMissing,
			[]string{`: GRANT USAGE, CREATE ON SCHEMA "writebehind" TO ROLE;`},
		},
		"a ledger that may not be used": {
			good, v1alpha1.ReasonPrivilegeMissing,
			[]string{`GRANT USAGE ON SCHEMA "writebehind" TO ROLE; GRANT SELECT, INSERT, UPDATE ON TABLE "writebehind"."ledger" TO ROLE;`},
		},
		"a schema in which a ledger may be made":   {"CREATE SCHEMA writebehind; GRANT USAGE, CREATE ON SCHEMA writebehind TO ROLE", "", nil},
		"a ledger that may be used":                {good + "GRANT USAGE ON SCHEMA writebehind TO ROLE; GRANT SELECT, INSERT, UPDATE ON writebehind.ledger TO ROLE", "", nil},
		"a database in which a schema may be made": {"GRANT CREATE ON DATABASE DATABASE TO ROLE", "", nil},
		"a table of another kind": {
			"CREATE SCHEMA writebehind; CREATE TABLE writebehind.ledger (account text); GRANT ALL ON SCHEMA writebehind TO ROLE; GRANT ALL ON writebehind.ledger TO ROLE",
			v1alpha1.ReasonSchemaMismatch,
			[]string{"is not a flusher's ledger", "ledgerSchema"},
		},
		"a ledger without its key": {
			good + "ALTER TABLE writebehind.ledger DROP CONSTRAINT ledger_pkey; GRANT ALL ON SCHEMA writebehind TO ROLE; GRANT ALL ON writebehind.ledger TO ROLE",
			v1alpha1.ReasonSchemaMismatch,
			[]string{"is not a flusher's ledger"},
		},
		"a view": {
			"CREATE SCHEMA writebehind; CREATE VIEW writebehind.ledger AS SELECT 1 AS x; GRANT ALL ON SCHEMA writebehind TO ROLE; GRANT ALL ON writebehind.ledger TO ROLE",
			v1alpha1.ReasonSchemaMismatch, nil,
		},
		"a ledger that is not logged": {
			good + "ALTER TABLE writebehind.ledger SET UNLOGGED; GRANT ALL ON SCHEMA writebehind TO ROLE; GRANT ALL ON writebehind.ledger TO ROLE",
			"", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := postgrestest.New(t)
			role, url := server.NewRole(t)
			fill := strings.NewReplacer("ON DATABASE DATABASE", "ON DATABASE "+server.Name(), "ROLE", role).Replace
			server.Exec(t, fill(test.schema))
			d := openURL(t, url)
			if test.reason == "" {
				ready(t, d)
				return
			}
			for i, words := range test.says {
				test.says[i] = strings.ReplaceAll(words, "ROLE", `"`+role+`"`)
			}
			failing(t, d.Check(t.Context()), test.reason, test.says...)
		})
	}
}

func TestARotatedURLTakesEffect(t *testing.T) {
	t.Parallel()
	server, _ := open(t, itemSchema)
	role, roleURL := server.NewRole(t)
	server.Exec(t, "ALTER ROLE "+role+" SUPERUSER")
	file := server.URLFile(t)
	d := Open(Settings{URLFile: file, MaxConnections: 2, StatementTimeout: testTimeout})
	defer d.Close()
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"x"}`)
	put := func(url string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(url), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("")
	failing(t, d.Check(t.Context()), v1alpha1.ReasonSecretMissing)
	put(roleURL)
	ready(t, d)
	for server.Value(t, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'writebehind-flusher' AND usename = 'postgres' AND datname = current_database()") != "0" {
		continue
	}
	o.write(t, "1", `{"a":"y"}`)
	equal(t, server, "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'writebehind-flusher' AND datname = current_database()", role)
	put(strings.Replace(roleURL, "p%40ss", "wrong", 1))
	failing(t, d.Check(t.Context()), v1alpha1.ReasonAuthenticationFailed)
	put(roleURL)
	ready(t, d)
}

// The URL names another database, and a connection to that one is made before
// anybody has looked: those to the old one must not be used again.
func TestARotatedURLLeavesTheOldDatabaseAlone(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(*testing.T, *Database){
		"after a new connection": func(*testing.T, *Database) {},
		"after a check": func(t *testing.T, d *Database) {
			t.Helper()
			ready(t, d)
		},
		"after a second": func(t *testing.T, d *Database) {
			t.Helper()
			d.urlAge = 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := postgrestest.New(t), postgrestest.New(t)
			before.Exec(t, itemSchema)
			after.Exec(t, itemSchema)
			file := postgrestest.WriteURL(t, before.URL())
			d := Open(Settings{URLFile: file, MaxConnections: 3, StatementTimeout: testTimeout})
			t.Cleanup(d.Close)
			d.urlAge = time.Hour
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			o.write(t, "1", `{"a":"x"}`)
			var busy []*pgxpool.Conn
			for range 2 {
				conn, err := d.acquire(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				busy = append(busy, conn)
			}
			if err := os.WriteFile(file, []byte(after.URL()), 0o600); err != nil {
				t.Fatal(err)
			}
			if name == "after a new connection" {
				fresh, err := d.acquire(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				fresh.Release()
			}
			for _, conn := range busy {
				conn.Release()
			}
			look(t, d)
			// All connections at once, so that none is left out.
			for range 3 {
				conn, err := d.acquire(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Release()
				if got := conn.Conn().Config().Database; got != after.Name() {
					t.Errorf("A connection to database %s was lent; want %s", got, after.Name())
				}
			}
		})
	}
}

func TestARotatedURLThatCannotBeUsedStopsWriting(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	server.Exec(t, itemSchema)
	file := server.URLFile(t)
	d := Open(Settings{URLFile: file, MaxConnections: 2, StatementTimeout: testTimeout})
	defer d.Close()
	d.urlAge = 0
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"x"}`)
	if err := os.WriteFile(file, []byte("postgres://u:s3cret@host:port/db"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e := o.refuse(t, "1", `{"a":"y"}`); e.Kind != entry.Transient || e.Reason() != v1alpha1.ReasonInvalidURL {
		t.Errorf("Write = %v; want a transient error for InvalidURL", e)
	}
	failing(t, d.Check(t.Context()), v1alpha1.ReasonInvalidURL)
}

func TestACommitStandsForACheck(t *testing.T) {
	t.Parallel()
	_, d, o := openItems(t)
	o.write(t, "1", `{"a":"x"}`)
	ago := func(d *Database, age time.Duration) { d.committed.Store(time.Now().Add(-age).UnixNano()) }
	if ago(d, commitProves/1000); !d.proven() {
		t.Error("A commit of this moment proves nothing")
	}
	if ago(d, commitProves); d.proven() {
		t.Error("An old commit proves something")
	}
	ago(d, 0)
	if d.verified.Store(false); d.proven() {
		t.Error("A commit proves something after trouble")
	}
}

// busy takes every connection of the pool.
func busy(t *testing.T, d *Database) {
	t.Helper()
	for range d.settings.MaxConnections {
		conn, err := d.acquire(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Release)
	}
}

func TestBusyConnectionsDoNotKeepFromLooking(t *testing.T) {
	t.Parallel()
	_, d := open(t, itemSchema)
	busy(t, d)
	ready(t, d)
	readTable(t, d, mapping("items"))
}

func TestAServerThatHangsIsReportedSoon(t *testing.T) {
	t.Parallel()
	if longestProbe > 3*time.Second {
		t.Errorf("A look takes up to %v; want at most 3 s", longestProbe)
	}
	server, _ := open(t, itemSchema)
	for name, there := range map[string]bool{"over a connection that is there": true, "over a new one": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, url := newProxy(t, server)
			d := openURL(t, url)
			if there {
				ready(t, d)
			}
			d.probeTimeout = 50 * time.Millisecond
			p.allow(0)
			start := time.Now()
			failing(t, d.Check(t.Context()), v1alpha1.ReasonConnectionFailed, "no answer in time")
			var e *Error
			if _, err := d.Table(t.Context(), mapping("items")); !errors.As(err, &e) || e.Kind != entry.Transient || e.Reason() != v1alpha1.ReasonConnectionFailed {
				t.Errorf("Table = %v; want a transient error for ConnectionFailed", err)
			}
			if took := time.Since(start); took > testTimeout/2 {
				t.Errorf("They took %v", took)
			}
			// It answers again, and nothing that hung is in the way.
			p.allow(-1)
			d.probeTimeout = testTimeout
			ready(t, d)
			readTable(t, d, mapping("items"))
		})
	}
}

func TestALostConnectionIsNoTrouble(t *testing.T) {
	t.Parallel()
	server, d := open(t, itemSchema)
	for range 2 {
		ready(t, d)
		server.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'writebehind-flusher' AND datname = current_database()")
		// A server before 14 does not wait for the end itself.
		for server.Value(t, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'writebehind-flusher' AND datname = current_database()") != "0" {
			continue
		}
	}
	readTable(t, d, mapping("items"))
}

// A server that answers every question may still write nothing.
func TestCheckDoesNotHideThatNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	server, d, o := openItems(t)
	server.Exec(t, `CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER disk_full BEFORE INSERT OR UPDATE ON writebehind.ledger FOR EACH ROW EXECUTE FUNCTION disk_full()`)
	if e := o.refuse(t, "1", `{"a":"x"}`); e.Kind != entry.Transient || e.SQLSTATE != "53100" {
		t.Errorf("Write = %v; want a transient error, SQLSTATE 53100", e)
	}
	failing(t, d.Check(t.Context()), v1alpha1.ReasonStatementFailed, "disk is full", "53100")
	d.verified.Store(true)
	if _, err := d.Acquire(t.Context(), "j1", "products", 0); err == nil {
		t.Error("Acquire gives no error")
	}
	for range 2 {
		failing(t, d.Check(t.Context()), v1alpha1.ReasonStatementFailed, "disk is full", "53100")
	}
	server.Exec(t, "ALTER TABLE writebehind.ledger DISABLE TRIGGER disk_full")
	ready(t, d)
	equal(t, server, "SELECT journal, queue, partition FROM writebehind.ledger", "j1|products|0")

	server.Exec(t, "ALTER TABLE writebehind.ledger ENABLE TRIGGER disk_full")
	ready(t, d)
	busy(t, d)
	failing(t, d.Check(t.Context()), v1alpha1.ReasonStatementFailed, "disk is full", "53100")
}

func TestOpenAndCloseNeedNoServer(t *testing.T) {
	t.Parallel()
	d := Open(Settings{})
	failing(t, d.Check(t.Context()), v1alpha1.ReasonSecretMissing)
	d.Close()
}
