// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	authority, another := postgrestest.NewAuthority(t), postgrestest.NewAuthority(t)
	address := postgrestest.NewTLSServer(t, authority, "127.0.0.1", "hostnossl all all all reject", "hostssl all certain all cert", "hostssl all all all scram-sha-256").NewDatabase(t)
	named := postgrestest.NewTLSServer(t, authority, "localhost").NewDatabase(t)
	plain := postgrestest.New(t)
	cert, key := authority.Issue(t, "certain")
	strange, strangeKey := another.Issue(t, "certain")
	address.Exec(t, "CREATE ROLE certain LOGIN SUPERUSER")
	with := func(db *postgrestest.Database, more string) string {
		return strings.TrimSuffix(db.URL(), "?sslmode=disable") + more
	}
	certain := strings.Replace(with(address, ""), "postgres:postgres@", "certain@", 1)
	ca := func(file string) *config.TLS {
		return &config.TLS{CAFile: file, CASecret: "Secret shop-ca, key ca.crt"}
	}
	client := func(cert, key string) *config.TLS {
		return &config.TLS{CAFile: authority.File, CertFile: cert, KeyFile: key, ClientCertSecret: "Secret shop-client"}
	}
	locked := filepath.Join(t.TempDir(), "locked.key")
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("of no use without its passphrase")})
	if err := os.WriteFile(locked, encrypted, 0o600); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(t.TempDir(), "gone")
	for name, test := range map[string]struct {
		url    string
		tls    *config.TLS
		reason string // empty where rows get through
		says   string
	}{
		"required":                        {with(address, "?sslmode=require"), nil, "", ""},
		"preferred":                       {with(address, ""), nil, "", ""},
		"verify-full by the URL":          {with(address, "?sslmode=verify-full&sslrootcert="+authority.File), nil, "", ""},
		"verify-full, an unknown one":     {with(address, "?sslmode=verify-full"), nil, v1alpha1.ReasonConnectionFailed, "unknown authority: name its certificate by database.postgres.tls.caSecretRef, or by sslrootcert in the URL (in a config file: tls.caFile)"},
		"verify-full, another authority":  {with(address, "?sslmode=verify-full&sslrootcert="+another.File), nil, v1alpha1.ReasonConnectionFailed, "unknown authority"},
		"verify-full, another name":       {with(named, "?sslmode=verify-full&sslrootcert="+authority.File), nil, v1alpha1.ReasonConnectionFailed, "for another host (localhost): give one of its names"},
		"verify-ca, another name":         {with(named, "?sslmode=verify-ca&sslrootcert="+authority.File), nil, "", ""},
		"the settings' authority":         {with(address, ""), ca(authority.File), "", ""},
		"the settings win over disable":   {with(address, "?sslmode=disable"), ca(authority.File), "", ""},
		"the settings win over require":   {with(named, "?sslmode=require"), ca(authority.File), v1alpha1.ReasonConnectionFailed, "for another host"},
		"the settings, and verify-ca":     {with(named, "?sslmode=verify-ca"), ca(authority.File), "", ""},
		"another authority of verify-ca":  {with(named, "?sslmode=verify-ca"), ca(another.File), v1alpha1.ReasonConnectionFailed, "unknown authority: set database.postgres.tls.caSecretRef to the right one (in a config file: tls.caFile)"},
		"another authority":               {with(address, ""), ca(another.File), v1alpha1.ReasonConnectionFailed, "unknown authority: set database.postgres.tls.caSecretRef to the right one (in a config file: tls.caFile)"},
		"an authority's file that is not": {with(address, ""), ca(gone), v1alpha1.ReasonSecretMissing, "Secret shop-ca, key ca.crt of PostgreSQL's TLS is missing"},
		"an authority's file of no use":   {with(address, ""), ca(key), v1alpha1.ReasonSecretMissing, "holds no certificate"},
		"several hosts":                   {strings.Replace(with(address, "?sslmode=verify-ca"), "127.0.0.1", "127.0.0.1:1,127.0.0.1", 1), ca(authority.File), "", ""},
		"no TLS, required":                {with(plain, "?sslmode=require"), nil, v1alpha1.ReasonConnectionFailed, "the server has no TLS, which sslmode in the URL demands"},
		"no TLS, by the settings":         {with(plain, ""), ca(authority.File), v1alpha1.ReasonConnectionFailed, "the server has no TLS, which database.postgres.tls demands"},
		"TLS alone, disabled":             {with(address, "?sslmode=disable"), nil, v1alpha1.ReasonAuthenticationFailed, "the connection was not encrypted, which a line hostssl of it demands: give sslmode=require"},
		"a client's certificate":          {certain, client(cert, key), "", ""},
		"a client's, by the URL":          {certain + "?sslmode=verify-full&sslrootcert=" + authority.File + "&sslcert=" + cert + "&sslkey=" + key, nil, "", ""},
		"no client's certificate":         {certain + "?sslmode=require", nil, v1alpha1.ReasonAuthenticationFailed, "give one in database.postgres.tls.clientCertSecretRef (in a config file: certFile and keyFile)"},
		"a client's of another authority": {certain, client(strange, strangeKey), v1alpha1.ReasonConnectionFailed, "rejected the TLS handshake"},
		"a client's that is gone":         {certain, client(gone, gone), v1alpha1.ReasonSecretMissing, "Secret shop-client of PostgreSQL's TLS is missing"},
		"a client's encrypted key":        {certain, client(cert, locked), v1alpha1.ReasonSecretMissing, "Secret shop-client of PostgreSQL's TLS holds a private key that is encrypted"},
		"an encrypted key, by the URL":    {certain + "?sslmode=require&sslcert=" + cert + "&sslkey=" + locked, nil, v1alpha1.ReasonInvalidURL, "if it is encrypted (BEGIN ENCRYPTED PRIVATE KEY)"},
		"a directory for an authority":    {with(address, ""), ca(filepath.Dir(authority.File)), v1alpha1.ReasonSecretMissing, "of PostgreSQL's TLS is a directory: name the file in it"},
		"a client's that is no pair":      {certain, client(cert, strangeKey), v1alpha1.ReasonSecretMissing, "holds no pair of certificate and key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openURL(t, test.url, func(s *Settings) { s.TLS = test.tls; s.URLSecret = "Secret shop-db, key uri" })
			check := d.Check(t.Context())
			if test.reason != "" {
				failing(t, check, test.reason, test.says)
				if _, err := d.Acquire(t.Context(), "j", "q", 0); err == nil {
					t.Error("a partition is taken")
				}
				return
			}
			if !check.OK {
				t.Fatalf("Check = %s: %s", check.Reason, check.Message)
			}
			if _, err := d.Acquire(t.Context(), name, "q", 0); err != nil {
				t.Fatal(err)
			}
			var encrypted bool
			if err := d.pool.QueryRow(t.Context(), "SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()").Scan(&encrypted); err != nil || !encrypted {
				t.Errorf("the connection is encrypted: %v, %v", encrypted, err)
			}
		})
	}
}

// Connections that are open go on with the certificates that they were made with, so a
// change is proved by new ones.
func TestChangedCertificatesAreProved(t *testing.T) {
	t.Parallel()
	authority, another := postgrestest.NewAuthority(t), postgrestest.NewAuthority(t)
	server := postgrestest.NewTLSServer(t, authority, "127.0.0.1").NewDatabase(t)
	file := filepath.Join(t.TempDir(), "ca.crt")
	put := func(from string) {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(file, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(authority.File)
	d := openURL(t, server.URL(), func(s *Settings) { s.TLS = &config.TLS{CAFile: file} })
	ready(t, d)
	put(another.File)
	failing(t, d.Check(t.Context()), v1alpha1.ReasonConnectionFailed, "unknown authority")
	put(authority.File)
	ready(t, d)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	failing(t, d.Check(t.Context()), v1alpha1.ReasonSecretMissing, "file "+file+" of PostgreSQL's TLS is missing")
}
