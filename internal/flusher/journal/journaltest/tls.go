// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journaltest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificateLife is far longer than any test and far shorter than forever.
const certificateLife = 24 * time.Hour

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
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f := &TLSFiles{
		CA:         filepath.Join(dir, "ca.crt"),
		ClientCert: filepath.Join(dir, "client.crt"),
		ClientKey:  filepath.Join(dir, "client.key"),
		serverCert: filepath.Join(dir, "server.crt"),
		serverKey:  filepath.Join(dir, "server.key"),
		pool:       x509.NewCertPool(),
	}
	ca, err := newIssuer(f.CA)
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	f.pool.AddCert(ca.certificate)
	server := template("redis-server", x509.ExtKeyUsageServerAuth)
	server.DNSNames = []string{"localhost"}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if ip := net.ParseIP(host); ip != nil {
		server.IPAddresses = append(server.IPAddresses, ip)
	} else {
		server.DNSNames = append(server.DNSNames, host)
	}
	if err := ca.issue(server, f.serverCert, f.serverKey); err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	if err := ca.issue(template("client", x509.ExtKeyUsageClientAuth), f.ClientCert, f.ClientKey); err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	if f.client, err = tls.LoadX509KeyPair(f.ClientCert, f.ClientKey); err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	return f, nil
}

// config makes the client's side of the TLS configuration.
func (f *TLSFiles) config() *tls.Config {
	return &tls.Config{RootCAs: f.pool, Certificates: []tls.Certificate{f.client}, MinVersion: tls.VersionTLS12}
}

type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newIssuer(file string) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template("throwaway authority")
	t.IsCA = true
	t.BasicConstraintsValid = true
	t.KeyUsage |= x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &issuer{certificate: certificate, key: key}, writePEM(file, "CERTIFICATE", der)
}

func (i *issuer) issue(t *x509.Certificate, certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, i.certificate, &key.PublicKey, i.key)
	if err != nil {
		return err
	}
	if err := writePEM(certFile, "CERTIFICATE", der); err != nil {
		return err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(keyFile, "PRIVATE KEY", encoded)
}

// template begins an hour ago, so that a clock that is set back a little does
// not matter.
func template(name string, usages ...x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  usages,
	}
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
