// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgrestest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		t.Run(fmt.Sprint("same name ", i%2), func(t *testing.T) {
			t.Parallel()
			d := New(t)
			d.Exec(t, "CREATE TABLE t (x integer, y text); INSERT INTO t VALUES (1, NULL)")
			d.Exec(t, "INSERT INTO t VALUES ($1, $2)", 2, "b")
			if rows := d.Rows(t, "SELECT x, y FROM t ORDER BY x"); fmt.Sprint(rows) != "[[1 NULL] [2 b]]" {
				t.Errorf("Rows = %v", rows)
			}
			if got := d.Value(t, "SELECT x FROM t WHERE x = 9"); got != "" {
				t.Errorf("Value of no row = %q", got)
			}
		})
	}
}

func TestPasswordsCountOverTCP(t *testing.T) {
	t.Parallel()
	d := New(t)
	role, url := d.NewRole(t)
	for _, kept := range d.Column(t, "SELECT rolpassword FROM pg_authid WHERE rolname IN ($1, $2)", Superuser, role) {
		if !strings.HasPrefix(kept, "SCRAM-SHA-256$1:") {
			t.Errorf("a client has to hash a password as often as %s says", kept)
		}
	}
	for name, test := range map[string]struct {
		url  string
		user string
	}{
		"the superuser":       {d.URL(), Superuser},
		"a role":              {url, role},
		"over the socket":     {d.Server().SocketURL(d.Name()), Superuser},
		"a password is wrong": {d.Server().UserURL(Superuser, "wrong", d.Name()), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := pgx.Connect(t.Context(), test.url)
			if err != nil {
				if test.user != "" {
					t.Fatal(err)
				}
				return
			}
			defer conn.Close(context.Background())
			var user string
			if err := conn.QueryRow(t.Context(), "SELECT current_user").Scan(&user); err != nil || user != test.user {
				t.Errorf("The user is %q, %v; want %q", user, err, test.user)
			}
		})
	}
}

func TestACrashLosesNothingThatCommitted(t *testing.T) {
	t.Parallel()
	s := NewServer(t, Options{Settings: map[string]string{"application_name": "it's"}})
	d := s.NewDatabase(t)
	d.Exec(t, "CREATE TABLE t (x integer)")
	for i, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGQUIT, syscall.SIGINT} {
		d.Exec(t, "INSERT INTO t VALUES ($1)", i)
		s.Kill(sig)
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.Column(t, "SELECT x FROM t ORDER BY x"); fmt.Sprint(got) != "[0 1 2]" {
		t.Errorf("The table holds %v", got)
	}
	if got := d.Value(t, "SHOW fsync"); got != "off" {
		t.Errorf("fsync is %s", got)
	}
}

func TestAGivenDirectoryStays(t *testing.T) {
	t.Parallel()
	//nolint:usetesting // A test's own directory lies below one that only its user may enter.
	dir, err := os.MkdirTemp("", "pgkeep")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	o := Options{Dir: dir, Password: "s3cret", Durable: true, AccessRules: []string{"host all postgres 127.0.0.1/32 trust"}}
	for round := range 2 {
		s, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), s.UserURL(Superuser, "any, by the rule above", "postgres"))
		if err != nil {
			t.Fatal(err)
		}
		sql := "CREATE TABLE kept (x integer)"
		if round == 1 {
			sql = "DROP TABLE kept"
		}
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Error(err)
		}
		conn.Close(t.Context())
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Settings: map[string]string{"shared_buffers": "nonsense"}})
	if err == nil {
		t.Fatal("It started", s.Stop())
	}
	if !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("Start = %v; want what the server said", err)
	}
}

const helper = "POSTGRESTEST_HELPER"

// TestMain is also the process that TestAServerEndsWithItsProcess kills.
func TestMain(m *testing.M) {
	if os.Getenv(helper) == "" {
		os.Exit(m.Run())
	}
	s, err := Start(context.Background(), Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("directory", s.Dir())
	select {}
}

func TestAServerEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helper+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	lines := bufio.NewScanner(out)
	for lines.Scan() && dir == "" {
		_, dir, _ = strings.Cut(lines.Text(), "directory ")
		if dir != "" {
			break
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(data), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("The server is not running: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("The server's directory is still there")
		}
	}
	if alive(pid) {
		t.Error("The server is still running")
	}
}

// alive tells a running process from none, and from one that has ended and
// that nobody has asked for.
func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(state, "Z")
}
