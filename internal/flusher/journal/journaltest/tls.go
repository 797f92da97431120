// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journaltest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/writebehind/operator/internal/flusher/certtest"
)

// TLSFiles are the PEM files a client of a TLS server needs.
type TLSFiles struct {
	// CA signed the server's certificate.
	CA string
	// ClientCert and ClientKey are a certificate that the server accepts.
	ClientCert string
	ClientKey  string

	serverCert, serverKey string
	pool                  *x509.CertPool
	client                tls.Certificate
}

// writeTLSFiles makes a throwaway certificate authority, a certificate for a
// server at host and localhost, and one for a client.
func writeTLSFiles(dir, host string) (*TLSFiles, error) {
	f, err := issueFiles(dir, host)
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	return f, nil
}

func issueFiles(dir, host string) (*TLSFiles, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ca, err := certtest.New(dir)
	if err != nil {
		return nil, err
	}
	f := &TLSFiles{CA: ca.File, pool: ca.Pool()}
	if f.serverCert, f.serverKey, err = ca.Issue("localhost", "127.0.0.1", "::1", host); err != nil {
		return nil, err
	}
	if f.ClientCert, f.ClientKey, err = ca.Issue("client"); err != nil {
		return nil, err
	}
	f.client, err = tls.LoadX509KeyPair(f.ClientCert, f.ClientKey)
	return f, err
}

// config makes the client's side of the TLS configuration.
func (f *TLSFiles) config() *tls.Config {
	return &tls.Config{RootCAs: f.pool, Certificates: []tls.Certificate{f.client}, MinVersion: tls.VersionTLS12}
}
