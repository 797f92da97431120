// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgrestest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/test/programs"
)

// Pooler is PgBouncer in front of one database.
type Pooler struct {
	database *Database
	program  string
	dir      string
	port     int
	process  *exec.Cmd
	ended    chan struct{}
}

// Databases that every Pooler knows and cannot reach.
const (
	// PoolerMissing is a database that the server does not have.
	PoolerMissing = "missing"
	// PoolerAway is one behind a port that is closed.
	PoolerAway = "away"
	// PoolerStranger is one that the pooler enters as a role which the server does not have.
	PoolerStranger = "stranger"
)

// NewPooler starts PgBouncer in front of the database, in pool_mode statement,
// transaction or session. It ends with the test.
func (d *Database) NewPooler(t testing.TB, mode string) *Pooler {
	t.Helper()
	p := &Pooler{database: d}
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if found, err := exec.LookPath(name); err == nil {
			p.program = found
			break
		}
	}
	if p.program == "" {
		t.Fatal("PgBouncer is not installed: Debian's package pgbouncer has it")
	}
	s := d.server
	dir, err := os.MkdirTemp("", "pgbouncer") //nolint:usetesting // the pooler runs as another user, who may not enter t.TempDir
	if err == nil {
		err = s.own(dir)
	}
	if err == nil {
		p.port, err = programs.FreePort("127.0.0.1")
	}
	if err != nil {
		t.Fatal(err)
	}
	p.dir = dir
	settings := fmt.Sprintf(`[databases]
%s = host=127.0.0.1 port=%d user=%s password=%[4]s
%[5]s = host=127.0.0.1 port=%[2]d user=%[3]s password=%[4]s
%[6]s = host=127.0.0.1 port=1 user=%[3]s password=%[4]s
%[7]s = host=127.0.0.1 port=%[2]d dbname=%[1]s user=nobody_here password=%[4]s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %[8]d
unix_socket_dir =
auth_type = any
pool_mode = %[9]s
server_login_retry = 1
default_pool_size = 3
max_client_conn = 100
logfile = %[10]s
`, d.name, s.port, Superuser, s.options.Password, PoolerMissing, PoolerAway, PoolerStranger, p.port, mode, filepath.Join(dir, "log"))
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.own(file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		_ = os.RemoveAll(dir)
	})
	p.Start(t)
	return p
}

// Start starts PgBouncer, for the first time or after Kill, and waits until it answers.
func (p *Pooler) Start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(p.program, "-q", filepath.Join(p.dir, "pgbouncer.ini"))
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.database.server.uid, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("Start PgBouncer: %v", err)
	}
	p.process, p.ended = cmd, make(chan struct{})
	ended := p.ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, p.URL())
		if err == nil {
			_ = conn.Close(ctx)
			return
		}
		select {
		case <-ended:
			log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			t.Fatalf("PgBouncer ended: %s", log)
		case <-ctx.Done():
			t.Fatalf("PgBouncer does not answer: %v", err)
		case <-time.After(pollInterval):
		}
	}
}

// Kill ends PgBouncer with SIGKILL.
func (p *Pooler) Kill() {
	_ = p.process.Process.Kill()
	<-p.ended
}

// Revive starts PgBouncer if it was killed.
func (p *Pooler) Revive(t testing.TB) {
	t.Helper()
	select {
	case <-p.ended:
		p.Start(t)
	default:
	}
}

// URL is the database's URL by way of PgBouncer.
func (p *Pooler) URL() string {
	return fmt.Sprintf("postgres://anybody:anything@%s/%s?sslmode=disable", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)), p.database.name)
}
