// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// certificateLife is longer than any cluster of this kind lives: its folder is temporary.
const certificateLife = 365 * 24 * time.Hour

// authority signs every certificate of one cluster.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// keyPair is a certificate and its key, both PEM.
type keyPair struct {
	certificate, key []byte
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := newCertificate("writebehind-local-cluster")
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key, pem: encodePEM("CERTIFICATE", der)}, nil
}

func newCertificate(name string, groups ...string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    now.Add(-time.Minute), // clocks read in another order than they were set
		NotAfter:     now.Add(certificateLife),
	}, nil
}

// client issues a certificate that the API server takes as the user and its groups.
func (a *authority) client(user string, groups ...string) (keyPair, error) {
	template, err := newCertificate(user, groups...)
	if err != nil {
		return keyPair{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(template)
}

// server issues a certificate for a server that is reached by any of the names and addresses.
func (a *authority) server(name string, names []string, addresses ...netip.Addr) (keyPair, error) {
	template, err := newCertificate(name)
	if err != nil {
		return keyPair{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = names
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	return a.sign(template)
}

func (a *authority) sign(template *x509.Certificate) (keyPair, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return keyPair{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return keyPair{}, fmt.Errorf("sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return keyPair{certificate: encodePEM("CERTIFICATE", der), key: keyPEM}, nil
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	// The API server reads the service accounts' key in this form, and not as PKCS 8.
	der, err := x509.MarshalECPrivateKey(key)
	return key, encodePEM("EC PRIVATE KEY", der), err
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// writeCredentials makes the cluster's certificates and one kubeconfig for each component that calls the
// API server.
func (c *cluster) writeCredentials() error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	files := map[string][]byte{"pki/ca.crt": ca.pem}
	if _, files["pki/service-account.key"], err = newKey(); err != nil {
		return err
	}
	addPair := func(name string, pair keyPair, err error) error {
		files["pki/"+name+".crt"], files["pki/"+name+".key"] = pair.certificate, pair.key
		return err
	}
	pair, err := ca.server("kube-apiserver",
		[]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"},
		c.network.node, c.network.api, netip.MustParseAddr("127.0.0.1"))
	if err := addPair("apiserver", pair, err); err != nil {
		return err
	}
	pair, err = ca.server("kubelet", []string{nodeName}, c.network.node)
	if err := addPair("kubelet", pair, err); err != nil {
		return err
	}
	pair, err = ca.client("kube-apiserver-kubelet-client", "system:masters")
	if err := addPair("apiserver-kubelet", pair, err); err != nil {
		return err
	}
	pair, err = ca.client("front-proxy-client")
	if err := addPair("front-proxy", pair, err); err != nil {
		return err
	}
	for _, user := range []struct {
		file, name string
		groups     []string
	}{
		{"kubeconfig", "writebehind-admin", []string{"system:masters"}},
		{"controller-manager.kubeconfig", "system:kube-controller-manager", nil},
		{"scheduler.kubeconfig", "system:kube-scheduler", nil},
		{"kubelet.kubeconfig", "system:node:" + nodeName, []string{"system:nodes"}},
		{"kube-proxy.kubeconfig", "system:kube-proxy", nil},
		{"coredns.kubeconfig", "system:coredns", nil},
	} {
		pair, err := ca.client(user.name, user.groups...)
		if err != nil {
			return err
		}
		if user.file == "kubeconfig" {
			_ = addPair("admin", pair, nil)
		}
		files[user.file] = kubeconfig("https://"+c.apiServer(), user.name, ca.pem, pair)
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(c.path(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

var kubeconfigTemplate = template.Must(template.New("kubeconfig").Parse(`apiVersion: v1
kind: Config
clusters:
- name: writebehind
  cluster:
    server: {{.Server}}
    certificate-authority-data: {{.Authority}}
users:
- name: {{.User}}
  user:
    client-certificate-data: {{.Certificate}}
    client-key-data: {{.Key}}
contexts:
- name: writebehind
  context:
    cluster: writebehind
    user: {{.User}}
current-context: writebehind
`))

func kubeconfig(server, user string, authority []byte, pair keyPair) []byte {
	var text strings.Builder
	encode := base64.StdEncoding.EncodeToString
	// The template is constant and a strings.Builder takes every write: there is no error to return.
	_ = kubeconfigTemplate.Execute(&text, struct{ Server, User, Authority, Certificate, Key string }{
		server, user, encode(authority), encode(pair.certificate), encode(pair.key),
	})
	return []byte(text.String())
}
