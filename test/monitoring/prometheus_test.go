// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/test/programs"
)

// patience is how long a condition may take.
var patience = programs.Patience{Limit: 90 * time.Second, Interval: 100 * time.Millisecond}

// server is a Prometheus that scrapes one flusher every second, under the labels
// that the Prometheus Operator would set.
type server struct {
	t       *testing.T
	address string
}

const (
	namespace = "shop-eu"
	job       = "shop-flusher"
)

func startPrometheus(t *testing.T, flusher string, rules resources.RuleFile) *server {
	t.Helper()
	program := requireProgram(t, "prometheus")
	folder := t.TempDir()
	for name, content := range map[string]any{
		"rules.yaml": rules,
		"prometheus.yaml": map[string]any{
			"global":     map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s"},
			"rule_files": []string{filepath.Join(folder, "rules.yaml")},
			"scrape_configs": []any{map[string]any{
				"job_name":       job,
				"static_configs": []any{map[string]any{"targets": []string{flusher}, "labels": map[string]string{"namespace": namespace}}},
			}},
		},
	} {
		text, err := yaml.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{t: t, address: programs.FreeAddress(t)}
	running := programs.Run(t, exec.Command(program, "--config.file="+filepath.Join(folder, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(folder, "data"),
		"--web.listen-address="+s.address, "--log.level=warn"))
	running.Eventually(t, patience, "Prometheus is ready", func() error {
		status, body, err := s.get("/-/ready", nil)
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("it answers %d %s: %w", status, body, errors.Join(err))
		}
		return nil
	})
	return s
}

func (s *server) get(path string, query url.Values) (int, []byte, error) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.address+path+"?"+query.Encode(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// sample is one series at one moment.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

// number is the sample's value as Prometheus writes it.
func (s *sample) number() string { return fmt.Sprint(s.Value[1]) }

// query asks for an expression. An error is one of the expression; the test fails
// where it does not even parse.
func (s *server) query(expression string) ([]sample, error) {
	s.t.Helper()
	status, body, err := s.get("/api/v1/query", url.Values{"query": {expression}})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error     string
		ErrorType string
		Data      struct {
			ResultType string
			Result     []sample
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%d %s: %w", status, body, err)
	}
	if answer.ErrorType == "bad_data" {
		s.t.Fatalf("Prometheus does not take %s: %s", expression, answer.Error)
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return answer.Data.Result, nil
}

// numbers asks for an expression until it has a series with a number.
func (s *server) numbers(expression string) []sample {
	s.t.Helper()
	var found []sample
	patience.Eventually(s.t, "series of "+expression, func() error {
		all, err := s.query(expression)
		if err != nil {
			return err
		}
		found = nil
		for i := range all {
			if !strings.Contains(all[i].number(), "NaN") {
				found = append(found, all[i])
			}
		}
		if len(found) == 0 {
			return fmt.Errorf("there are %d series, and none has a number", len(all))
		}
		return nil
	})
	return found
}

// active are the alerts that are pending or firing, by name, with their texts.
func (s *server) active() map[string]map[string]string {
	s.t.Helper()
	_, body, err := s.get("/api/v1/alerts", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	var answer struct {
		Data struct {
			Alerts []struct{ Labels, Annotations map[string]string }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		s.t.Fatal(err)
	}
	alerts := map[string]map[string]string{}
	for _, alert := range answer.Data.Alerts {
		alerts[alert.Labels["alertname"]] = alert.Annotations
	}
	return alerts
}
