// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/client-go/util/cert"

	"github.com/writebehind/operator/test/programs"
)

// page is an answer to who wants to read the metrics.
type page struct {
	code     int
	protocol string
	text     string
}

// scrape reads the metrics, with a token if one is given.
func (p *operator) scrape(t *testing.T, scheme, token string, config *tls.Config) (page, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+p.metrics+"/metrics", nil)
	programs.Must(t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: programs.Usual.Limit}).Do(request)
	if err != nil {
		return page{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return page{response.StatusCode, response.Proto, string(body)}, err
}

// priorities is the length of the controller's queue, by priority.
var priorities = regexp.MustCompile(`workqueue_depth\{[^}]*name="writebehindcache"[^}]*priority="-?[0-9]`)

// alerted are the metrics that the alerts on the operator compare, with their labels.
func alerted(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "prometheus", "operator_alerts.yaml"))
	programs.Must(t, err)
	found := regexp.MustCompile(`\b(?:writebehind|controller_runtime)_[a-z_]+(?:\{[^}]*)?`).FindAllString(string(text), -1)
	if len(found) < 3 {
		t.Fatalf("the alerts compare %v", found)
	}
	return found
}

// The metrics are served by HTTPS, with the certificate that is given, and to those
// only who may read them.
func TestMetricsAreForThoseWhoMayReadThem(t *testing.T) {
	o := installOperators(t)
	o.account(t, "prometheus", "writebehind-metrics-reader")
	o.account(t, "somebody", "")
	o.account(t, "viewer", "writebehind-writebehindcache-viewer-role")
	folder := t.TempDir()
	certificate, key, err := cert.GenerateSelfSignedCertKey("metrics.test", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	programs.Must(t, err)
	programs.Must(t, os.WriteFile(filepath.Join(folder, "tls.crt"), certificate, 0o600))
	programs.Must(t, os.WriteFile(filepath.Join(folder, "tls.key"), key, 0o600))
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	config := &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}

	p := o.run(t, "writebehind-controller-manager", "--metrics-cert-path="+folder)
	p.ready(t)
	// A queue is counted once something was in it.
	sample := samples(t)[0].object
	sample.SetNamespace(o.namespace(t))
	o.applyResource(t, sample)
	reader := o.token(t, "prometheus")
	programs.Usual.Eventually(t, "the metrics tell of the controller", func() error {
		got, err := p.scrape(t, "https", reader, config)
		switch {
		case err != nil:
			return err
		case got.code != http.StatusOK:
			return fmt.Errorf("%d: %s", got.code, got.text)
		case got.protocol != "HTTP/1.1":
			t.Errorf("they are served by %s although nobody asked for it", got.protocol)
		}
		if !strings.Contains(got.text, `controller_runtime_max_concurrent_reconciles{controller="writebehindcache"}`) || !priorities.MatchString(got.text) {
			return errors.New("there is no controller, or no queue with priorities, among them")
		}
		for _, series := range alerted(t) {
			if !strings.Contains(got.text, "\n"+series) {
				return fmt.Errorf("there is no %s among them, which an alert compares", series)
			}
		}
		return nil
	})
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"without a token":     {"", http.StatusUnauthorized},
		"with a wrong token":  {"wrong", http.StatusInternalServerError}, // what the cluster's error becomes
		"without the right":   {o.token(t, "somebody"), http.StatusForbidden},
		"with other rights":   {o.token(t, "viewer"), http.StatusForbidden},
		"the operator itself": {o.token(t, "writebehind-controller-manager"), http.StatusForbidden},
	} {
		got, err := p.scrape(t, "https", c.token, config)
		programs.Must(t, err)
		if got.code != c.want || strings.Contains(got.text, "workqueue") || strings.Contains(got.text, "controller_runtime") {
			t.Errorf("%s: %d, want %d", name, got.code, c.want)
		}
	}
	if got, err := p.scrape(t, "https", reader, config); err != nil || got.code != http.StatusOK {
		t.Errorf("to who may read them they are refused after all: %d, %v", got.code, err)
	}
	if got, err := p.scrape(t, "http", reader, config); err == nil && (got.code == http.StatusOK || strings.Contains(got.text, "controller_runtime")) {
		t.Errorf("metrics go over the network in clear: %d %.200s", got.code, got.text)
	}
	if _, err := p.scrape(t, "https", reader, &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}); err == nil {
		t.Error("the certificate is not the one that was given")
	}

	unsigned := o.run(t, "writebehind-controller-manager", "--leader-elect=false")
	unsigned.ready(t)
	programs.Usual.Eventually(t, "the metrics are served with a certificate of the operator's own", func() error {
		got, err := unsigned.scrape(t, "https", reader, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it signs its own certificate
		if err == nil && got.code != http.StatusOK {
			err = fmt.Errorf("%d: %s", got.code, got.text)
		}
		return err
	})
	stop(t, p.Process)
}
