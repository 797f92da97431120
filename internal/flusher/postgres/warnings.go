// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"crypto/tls"
	"net"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Warnings are what the last look at the server found that a person should know, in words of
// package config.
func (d *Database) Warnings() []string {
	if found := d.warned.Load(); found != nil {
		return *found
	}
	return nil
}

// warn keeps what a look has found of a connection and its role. The flusher's own end of the
// connection counts: behind a pooler pg_stat_ssl would tell of the way between the pooler and
// its server.
func (d *Database) warn(conn net.Conn, superuser bool) {
	var found []string
	if !encrypted(conn) && !withinMachine(conn.RemoteAddr()) {
		found = append(found, config.WarningUnencrypted)
	}
	if superuser {
		found = append(found, config.WarningAdministrator)
	}
	d.warned.Store(&found)
}

// withinMachine tells whether an address is that of a socket, or of this machine.
func withinMachine(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

func encrypted(conn net.Conn) bool {
	_, secured := conn.(*tls.Conn)
	return secured
}
