// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgrestest

import (
	"os"
	"testing"

	"github.com/writebehind/operator/internal/flusher/certtest"
)

// Authority is a throwaway certificate authority.
type Authority struct{ *certtest.Authority }

// NewAuthority makes an authority whose files are gone with the test.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	dir, err := os.MkdirTemp("", "ca") //nolint:usetesting // the server runs as another user, who may not enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ca, err := certtest.New(dir)
	if err != nil {
		t.Fatalf("Make an authority: %v", err)
	}
	return &Authority{ca}
}

// Issue makes a certificate for the name, which is a server's host, its address, or
// the user of a client, and gives the files.
func (a *Authority) Issue(t testing.TB, name string) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile, err := a.Authority.Issue(name)
	if err != nil {
		t.Fatalf("Issue a certificate: %v", err)
	}
	return certFile, keyFile
}

// NewTLSServer gives the test a server of its own that has a certificate of the
// authority for the host, and takes one of a client. Without rules it takes
// connections with TLS and without.
func NewTLSServer(t testing.TB, a *Authority, host string, rules ...string) *Server {
	t.Helper()
	cert, key := a.Issue(t, host)
	s := &Server{}
	uid, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	s.uid = uid
	if err := s.own(key); err != nil {
		t.Fatal(err)
	}
	return NewServer(t, Options{AccessRules: rules, Settings: map[string]string{
		"ssl": "on", "ssl_cert_file": cert, "ssl_key_file": key, "ssl_ca_file": a.File,
	}})
}
