// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// elsewhere is a connection as if it led to another machine.
type elsewhere struct {
	net.Conn
	address net.Addr
}

func (e elsewhere) RemoteAddr() net.Addr { return e.address }

func TestAWayInClearIsTold(t *testing.T) {
	t.Parallel()
	authority := postgrestest.NewAuthority(t)
	server := postgrestest.NewTLSServer(t, authority, "127.0.0.1").NewDatabase(t)
	in := func(mode string) net.Conn {
		t.Helper()
		d := openURL(t, strings.TrimSuffix(server.URL(), "?sslmode=disable")+"?sslmode="+mode)
		if check := d.Check(t.Context()); !check.OK {
			t.Fatalf("sslmode %s: %+v", mode, check)
		}
		if told := d.Warnings(); !slices.Equal(told, []string{config.WarningAdministrator}) {
			t.Errorf("sslmode %s: within the machine it warns of %v", mode, told)
		}
		return d.prober.conn.PgConn().Conn()
	}
	clear, secured := in("disable"), in("require")
	far := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 5432}
	for name, c := range map[string]struct {
		conn net.Conn
		told bool
	}{
		"in clear":                 {elsewhere{clear, far}, true},
		"by TLS":                   {secured, false},
		"in clear, by loopback":    {clear, false},
		"in clear, by IPv6's":      {elsewhere{clear, &net.TCPAddr{IP: net.IPv6loopback}}, false},
		"in clear, through a file": {elsewhere{clear, &net.UnixAddr{Name: "/tmp/.s.PGSQL.5432"}}, false},
	} {
		var d Database
		d.warn(c.conn, false)
		if told := d.Warnings(); slices.Contains(told, config.WarningUnencrypted) != c.told || len(told) > 1 {
			t.Errorf("%s: it warns of %v", name, told)
		}
	}
	// What tells is that the connection is TLS, not where it leads.
	if encrypted(secured) != true || encrypted(clear) != false {
		t.Error("a connection by TLS is taken for one in clear, or the other way round")
	}
}

// TestAPlainRoleIsNotTold, and a superuser is, also one that others have made it since.
func TestAPlainRoleIsNotTold(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	role, url := db.NewRole(t)
	db.Exec(t, "GRANT CREATE ON DATABASE "+db.Name()+" TO "+role)
	look := func(want ...string) {
		t.Helper()
		d := openURL(t, url)
		if check := d.Check(t.Context()); !check.OK {
			t.Fatalf("%+v", check)
		}
		if told := d.Warnings(); !slices.Equal(told, want) {
			t.Errorf("it warns of %v, want %v", told, want)
		}
	}
	look()
	db.Exec(t, "ALTER ROLE "+role+" SUPERUSER")
	look(config.WarningAdministrator)
}
