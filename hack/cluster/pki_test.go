// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func parsePair(t *testing.T, pair keyPair) *x509.Certificate {
	t.Helper()
	parsed, err := tls.X509KeyPair(pair.certificate, pair.key)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Leaf
}

func TestServerCertificate(t *testing.T) {
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.server("kube-apiserver", []string{"kubernetes"}, netip.MustParseAddr("10.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	for _, name := range []string{"kubernetes", "10.0.0.1"} {
		if _, err := parsePair(t, pair).Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if _, err := parsePair(t, pair).Verify(x509.VerifyOptions{Roots: roots, DNSName: "example.com"}); err == nil {
		t.Error("the certificate holds for a name that was not asked for")
	}
}

func TestClientCertificateNamesUserAndGroups(t *testing.T) {
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.client("system:node:local", "system:nodes")
	if err != nil {
		t.Fatal(err)
	}
	certificate := parsePair(t, pair)
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	if _, err := certificate.Verify(x509.VerifyOptions{
		Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		t.Error(err)
	}
	if s := certificate.Subject; s.CommonName != "system:node:local" || !slices.Equal(s.Organization, []string{"system:nodes"}) {
		t.Errorf("the certificate is for %s", s)
	}
	if certificate.IsCA {
		t.Error("a client may sign certificates")
	}
}

func TestCredentialsAreForTheirOwnerAlone(t *testing.T) {
	c := testCluster(t)
	if err := c.writeCredentials(); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(c.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		info, err := entry.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil || files < 15 {
		t.Errorf("%d files, %v", files, err)
	}
	content, err := os.ReadFile(c.kubeconfig())
	if err != nil || !strings.Contains(string(content), "server: https://10.214.128.2:6443\n") {
		t.Errorf("kubeconfig: %v\n%s", err, content)
	}
	// The API server takes the service accounts' key in the older of the two forms alone.
	key, err := os.ReadFile(c.path("pki", "service-account.key"))
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(key); block == nil || block.Type != "EC PRIVATE KEY" {
		t.Errorf("the service accounts' key is %.40q", key)
	}
	if _, err := c.api(); err != nil {
		t.Errorf("client from the written credentials: %v", err)
	}
}
