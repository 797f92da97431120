// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// certificates are what database.postgres.tls says: whom to trust, and how to show
// oneself.
type certificates struct {
	// roots are nil for the authorities of the machine.
	roots *x509.CertPool
	own   []tls.Certificate
}

// readCertificates reads the files of the settings. held distinguishes one state of them from
// another. Its errors name the Secret, or the file if there is none.
func readCertificates(settings *config.TLS) (held string, c *certificates, err error) {
	if settings == nil {
		return "", nil, nil
	}
	c = &certificates{}
	hash := sha256.New()
	read := func(file, secret, what string) ([]byte, error) {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, unread(file, secret, err)
		}
		fmt.Fprintf(hash, "%s %d %s", what, len(data), data)
		return data, nil
	}
	if settings.CAFile != "" {
		data, err := read(settings.CAFile, settings.CASecret, "ca")
		if err != nil {
			return "", nil, err
		}
		c.roots = x509.NewCertPool()
		if !c.roots.AppendCertsFromPEM(data) {
			return "", nil, unusable(settings.CAFile, settings.CASecret, "holds no certificate in PEM form")
		}
	}
	if settings.CertFile != "" {
		cert, err := read(settings.CertFile, settings.ClientCertSecret, "certificate")
		if err != nil {
			return "", nil, err
		}
		key, err := read(settings.KeyFile, settings.ClientCertSecret, "key")
		if err != nil {
			return "", nil, err
		}
		pair, err := config.KeyPair(cert, key)
		if err != nil {
			file := settings.CertFile
			if config.OfKey(err) {
				file = settings.KeyFile
			}
			return "", nil, unusable(file, settings.ClientCertSecret, err.Error())
		}
		c.own = []tls.Certificate{pair}
	}
	return string(hash.Sum(nil)), c, nil
}

// unread says why a file of a Secret could not be read. Where no file can be opened, that is no
// fault of the Secret.
func unread(file, secret string, err error) error {
	if config.OutOfFiles(err) {
		return &Error{Kind: entry.Transient, reason: v1alpha1.ReasonConnectionFailed, remedy: config.OutOfDescriptors, Err: err}
	}
	const missing = "is missing: create it with the key that database.postgres.tls names (tls.crt and tls.key of a client's certificate); it is seen within about a minute"
	return unusable(file, secret, config.Unreadable(err, missing))
}

// unusable says what is wrong with a file of a Secret.
func unusable(file, secret, problem string) error {
	what := secret
	if what == "" {
		what = "file " + file
	}
	return &Error{Kind: entry.Transient, reason: v1alpha1.ReasonSecretMissing, remedy: what + " of PostgreSQL's TLS " + problem, Err: errors.New(problem)}
}

// apply turns TLS on for every host, whatever the URL's sslmode, and has the server's
// certificate verified: with the host's name, unless the URL asks for verify-ca.
func (s *certificates) apply(c *pgx.ConnConfig) {
	if s == nil {
		return
	}
	nameless := c.TLSConfig != nil && c.TLSConfig.InsecureSkipVerify && c.TLSConfig.VerifyPeerCertificate != nil
	var hosts []*pgconn.FallbackConfig
	seen := make(map[string]*pgconn.FallbackConfig)
	for _, f := range append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...) {
		_, address := pgconn.NetworkAddress(f.Host, f.Port)
		if before := seen[address]; before != nil {
			// Modes with and without TLS make two of one host.
			if before.TLSConfig == nil {
				before.TLSConfig = f.TLSConfig
			}
			continue
		}
		seen[address] = f
		hosts = append(hosts, f)
	}
	for _, f := range hosts {
		if network, _ := pgconn.NetworkAddress(f.Host, f.Port); network != "unix" {
			f.TLSConfig = s.config(f.TLSConfig, f.Host, nameless)
		}
	}
	c.TLSConfig, c.Fallbacks = hosts[0].TLSConfig, hosts[1:]
}

func (s *certificates) config(url *tls.Config, host string, nameless bool) *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.roots, Certificates: s.own, ServerName: host}
	if url != nil {
		t.NextProtos = url.NextProtos
		t.MinVersion, t.MaxVersion = max(t.MinVersion, url.MinVersion), url.MaxVersion
	}
	if !nameless {
		return t
	}
	if net.ParseIP(strings.Trim(host, "[]")) != nil {
		t.ServerName = ""
	}
	t.InsecureSkipVerify = true // The chain is verified below, as verify-ca has it.
	t.VerifyConnection = func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{Roots: s.roots, Intermediates: x509.NewCertPool()}
		for _, other := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(other)
		}
		_, err := state.PeerCertificates[0].Verify(options)
		return err
	}
	return t
}
