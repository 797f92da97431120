// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgrestest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// shared is the server of this test binary.
var shared struct {
	sync.Once
	server *Server
	err    error
	names  atomic.Int64
}

// Database is a fresh database of one test.
type Database struct {
	server *Server
	name   string
	pool   *pgxpool.Pool
}

// New gives the test a database of its own on the server that all tests of the
// binary share. It is dropped when the test ends; the server ends with the
// process.
func New(t testing.TB) *Database {
	t.Helper()
	shared.Do(func() {
		shared.server, shared.err = Start(context.Background(), Options{})
	})
	if shared.err != nil {
		t.Fatalf("Start PostgreSQL: %v", shared.err)
	}
	return shared.server.NewDatabase(t)
}

// NewServer gives the test a server of its own, which it may stop, kill and
// start again. It ends with the test.
func NewServer(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(context.Background(), o)
	if err != nil {
		t.Fatalf("Start PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("Stop PostgreSQL: %v", err)
		}
	})
	return s
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// NewDatabase gives the test a database of its own on this server. It is
// dropped when the test ends, if the server still runs then.
func (s *Server) NewDatabase(t testing.TB) *Database {
	t.Helper()
	ctx := context.Background()
	name := notInNames.ReplaceAllString(strings.ToLower(t.Name()), "_")
	name = fmt.Sprintf("t%d_%.40s", shared.names.Add(1), name)
	quoted := pgx.Identifier{name}.Sanitize()
	if err := s.admin(ctx, "CREATE DATABASE "+quoted); err != nil {
		t.Fatalf("Create database: %v", err)
	}
	config, err := pgxpool.ParseConfig(s.SocketURL(name) + "&pool_max_conns=20&default_query_exec_mode=exec")
	if err != nil {
		t.Fatalf("Parse the URL: %v", err)
	}
	// The server may have been restarted since the last query.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	t.Cleanup(func() {
		pool.Close()
		_ = s.admin(ctx, "DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)")
	})
	return &Database{server: s, name: name, pool: pool}
}

func (s *Server) admin(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.SocketURL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// Server is the server that the database is on.
func (d *Database) Server() *Server { return d.server }

// Name is the database's name.
func (d *Database) Name() string { return d.name }

// Pool holds connections of the superuser.
func (d *Database) Pool() *pgxpool.Pool { return d.pool }

// URL is the superuser's URL of the database over TCP, with its password.
func (d *Database) URL() string { return d.server.URL(d.name) }

// URLFile writes the URL to a file and gives its path.
func (d *Database) URLFile(t testing.TB) string {
	t.Helper()
	return WriteURL(t, d.URL())
}

// WriteURL writes any URL to a file named uri and gives its path.
func WriteURL(t testing.TB, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "uri")
	if err := os.WriteFile(path, []byte(url+"\n"), 0o600); err != nil {
		t.Fatalf("Write the URL: %v", err)
	}
	return path
}

// NewRole makes a role that may log in, with no other right than those of
// everybody, and gives its name and its URL of the database. It is dropped when
// the test ends.
func (d *Database) NewRole(t testing.TB) (name, url string) {
	t.Helper()
	name = fmt.Sprintf("role_%d", shared.names.Add(1))
	const password = "p@ss/word:?#"
	kept, err := verifier(password)
	if err != nil {
		t.Fatal(err)
	}
	d.Exec(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, kept))
	t.Cleanup(func() {
		ctx := context.Background()
		if conn, err := pgx.Connect(ctx, d.server.SocketURL(d.name)); err == nil {
			defer conn.Close(ctx)
			_, _ = conn.Exec(ctx, "DROP OWNED BY "+name+" CASCADE")
			_, _ = conn.Exec(ctx, "DROP ROLE "+name)
		}
	})
	return name, d.server.UserURL(name, password, d.name)
}

// Exec runs a statement as superuser; without arguments there may be several.
func (d *Database) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	var err error
	if len(args) == 0 {
		err = d.script(sql)
	} else {
		_, err = d.pool.Exec(context.Background(), sql, args...)
	}
	if err != nil {
		t.Fatalf("Exec %s: %v", sql, err)
	}
}

func (d *Database) script(sql string) error {
	conn, err := d.pool.Acquire(context.Background())
	if err != nil {
		return err
	}
	defer conn.Release()
	_, err = conn.Conn().PgConn().Exec(context.Background(), sql).ReadAll()
	return err
}

// Rows gives the rows of a query as text, "NULL" for null.
func (d *Database) Rows(t testing.TB, sql string, args ...any) [][]string {
	t.Helper()
	rows, err := d.pool.Query(context.Background(), sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	if err != nil {
		t.Fatalf("Query %s: %v", sql, err)
	}
	defer rows.Close()
	var all [][]string
	for rows.Next() {
		var row []string
		for _, value := range rows.RawValues() {
			if value == nil {
				row = append(row, "NULL")
			} else {
				row = append(row, string(value))
			}
		}
		all = append(all, row)
	}
	if rows.Err() != nil {
		t.Fatalf("Query %s: %v", sql, rows.Err())
	}
	return all
}

// Value gives the one value of a query as text, "NULL" for null and "" when
// there is no row.
func (d *Database) Value(t testing.TB, sql string, args ...any) string {
	t.Helper()
	rows := d.Rows(t, sql, args...)
	if len(rows) == 0 {
		return ""
	}
	return rows[0][0]
}

// Column gives the first column of a query as text.
func (d *Database) Column(t testing.TB, sql string, args ...any) []string {
	t.Helper()
	var values []string
	for _, row := range d.Rows(t, sql, args...) {
		values = append(values, row[0])
	}
	return values
}
