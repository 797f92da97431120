// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// apiClient makes the few calls that this program needs. client-go would do more, and take longer to
// compile than everything else here together.
type apiClient struct {
	http   *http.Client
	server string
}

// api is a client with the administrator's rights.
func (c *cluster) api() (*apiClient, error) {
	certificate, err := tls.LoadX509KeyPair(c.path("pki", "admin.crt"), c.path("pki", "admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(c.path("pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("no certificate in %s", c.path("pki", "ca.crt"))
	}
	return &apiClient{
		server: "https://" + c.apiServer(),
		http: &http.Client{
			Timeout: 15 * time.Second,
			Transport: &http.Transport{
				// The server is an address of this machine: no proxy is on the way.
				Proxy:           nil,
				TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots},
			},
		},
	}, nil
}

var errNotFound = errors.New("not found")

// do calls the API server with JSON; in and out may be nil.
func (a *apiClient) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		content, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(content)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.server+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := a.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s %s: %w", method, path, errNotFound)
	case response.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, lastLines(content, 3))
	case out == nil:
		return nil
	}
	return json.Unmarshal(content, out)
}

// apply applies a manifest with the cluster's own kubectl.
func (c *cluster) apply(ctx context.Context, manifest []byte) error {
	cmd := exec.CommandContext(ctx, c.binary("kubectl"), "--kubeconfig", c.kubeconfig(),
		"--cache-dir", c.path("kubectl-cache"), "apply", "--server-side", "-f", "-")
	cmd.Stdin = bytes.NewReader(manifest)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apply a manifest: %w: %s", err, lastLines(output, 5))
	}
	return nil
}
