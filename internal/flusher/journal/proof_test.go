// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

func TestWhatIsProvedIsNotProvedAgainUntilItChanges(t *testing.T) {
	t.Parallel()
	server := journaltest.New(t, journaltest.TLS(), journaltest.Password("right"))
	client := server.Client(t)
	made := func() string {
		t.Helper()
		info, err := client.InfoMap(t.Context(), "stats").Result()
		if err != nil {
			t.Fatal(err)
		}
		return info["Stats"]["total_connections_received"]
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	authority, err := os.ReadFile(server.TLS().CA)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(journaltest.New(t, journaltest.TLS()).TLS().CA)
	if err != nil {
		t.Fatal(err)
	}
	settings := config.RedisExternal{
		Addresses: []string{server.Addr()}, PasswordFile: file("password", "right"),
		TLS: &config.TLS{CAFile: file("ca.crt", string(authority))},
	}
	proof := journal.NewProof(settings)
	for _, step := range []struct {
		name, text, reason string
		connects           bool
	}{
		{"password", "right", "", true},
		{"password", "wrong", "AuthenticationFailed", true},
		{"password", "", "SecretMissing", false},
		{"password", "right", "", false},
		{"ca.crt", string(other), "ConnectionFailed", true},
		{"ca.crt", "no certificate", "SecretMissing", false},
		{"ca.crt", string(authority), "", false},
		{"ca.crt", string(authority) + "\n" + string(other), "", true},
	} {
		file(step.name, step.text)
		before := made()
		err := proof.Check(t.Context())
		if step.reason != "" {
			if err == nil || journal.Explain(err).Reason != step.reason {
				t.Errorf("%s %.9q: %v, want %s", step.name, step.text, err, step.reason)
			}
			continue
		}
		proved := made()
		if err != nil || (proved != before) != step.connects {
			t.Errorf("%s %.9q: %v, with %s connections after %s", step.name, step.text, err, proved, before)
		}
		if err := proof.Check(t.Context()); err != nil || made() != proved {
			t.Errorf("%s %.9q is proved again: %v, with %s connections after %s", step.name, step.text, err, made(), proved)
		}
	}
}
