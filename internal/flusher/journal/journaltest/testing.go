// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journaltest

import (
	"context"
	"io"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Option changes what kind of server New starts.
type Option func(*Options)

// Config adds lines to redis.conf, which win over everything else.
func Config(lines ...string) Option {
	return func(o *Options) { o.Config = append(o.Config, lines...) }
}

// AppendOnly turns the append-only file on; fsync is always, everysec or no.
func AppendOnly(fsync string) Option {
	return Config("appendonly yes", "appendfsync "+fsync)
}

// MaxMemory bounds the server's memory, as redis.conf writes it ("20mb"), with
// the eviction policy given, such as noeviction or volatile-lru.
func MaxMemory(size, policy string) Option {
	return Config("maxmemory "+size, "maxmemory-policy "+policy)
}

// Password sets the default user's password.
func Password(password string) Option {
	return func(o *Options) { o.Password = password }
}

// User adds an ACL user, as redis.conf writes one without the word "user":
// "app on >secret ~product:* +@all".
func User(definition string) Option {
	return func(o *Options) { o.Users = append(o.Users, definition) }
}

// TLS makes the server speak TLS only; see Server.TLS for a client's files.
func TLS() Option {
	return func(o *Options) { o.TLS = true }
}

// RequireClientCertificate makes the server speak TLS only, and only with
// clients that show a certificate.
func RequireClientCertificate() Option {
	return func(o *Options) { o.TLS, o.RequireClientCertificate = true, true }
}

// Sentinel starts a Sentinel, which holds no data.
func Sentinel() Option {
	return func(o *Options) { o.Sentinel = true }
}

// Log also writes the server's log to w.
func Log(w io.Writer) Option {
	return func(o *Options) { o.Log = w }
}

// New starts a server that ends with the test. A server that cannot be started
// fails the test: nothing is skipped. When the test has failed, the end of the
// server's log is printed.
func New(t testing.TB, options ...Option) *Server {
	t.Helper()
	var o Options
	for _, option := range options {
		option(&o)
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatalf("journaltest: %v", err)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Logf("The log of redis-server %s ends:\n%s", s.Addr(), s.log.last(20))
		}
	})
	return s
}

// Client connects as the default user, until the test ends.
func (s *Server) Client(t testing.TB) *redis.Client {
	t.Helper()
	return s.ClientWith(t, s.Options())
}

// ClientAs connects as an ACL user, until the test ends.
func (s *Server) ClientAs(t testing.TB, user, password string) *redis.Client {
	t.Helper()
	options := s.Options()
	options.Username, options.Password = user, password
	return s.ClientWith(t, options)
}

// ClientWith connects with options made from Server.Options, until the test
// ends.
func (s *Server) ClientWith(t testing.TB, options *redis.Options) *redis.Client {
	t.Helper()
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// MustRestart restarts the server or fails the test.
func (s *Server) MustRestart(t testing.TB) {
	t.Helper()
	if err := s.Restart(context.WithoutCancel(t.Context())); err != nil {
		t.Fatalf("journaltest: %v", err)
	}
}

// MustKill kills the server or fails the test.
func (s *Server) MustKill(t testing.TB) {
	t.Helper()
	if err := s.Kill(); err != nil {
		t.Fatalf("journaltest: %v", err)
	}
}
