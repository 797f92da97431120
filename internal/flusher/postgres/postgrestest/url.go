// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgrestest

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// URL is the superuser's URL of a database over TCP.
func (s *Server) URL(database string) string {
	return s.UserURL(Superuser, s.options.Password, database)
}

// UserURL is a user's URL of a database over TCP.
func (s *Server) UserURL(name, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(name, password),
		Host: net.JoinHostPort(s.host(), strconv.Itoa(s.port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// SocketURL is the superuser's URL of a database over the Unix socket, which
// needs no password.
func (s *Server) SocketURL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(Superuser), Path: "/" + database,
		RawQuery: url.Values{"host": {s.dir}, "port": {strconv.Itoa(s.port)}}.Encode(),
	}
	return u.String()
}

// host is an address that the server listens on.
func (s *Server) host() string {
	first, _, _ := strings.Cut(s.options.ListenAddresses, ",")
	switch first = strings.TrimSpace(first); first {
	case "*", "0.0.0.0", "localhost", "":
		return "127.0.0.1"
	case "::":
		return "::1"
	}
	return first
}
