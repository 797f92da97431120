// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: writebehind-manager, namespace: writebehind-system}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: manager
        image: controller
        args: [--metrics-bind-address=:8443, --leader-elect, --other]
        env: [{name: GOMEMLIMIT, value: 1MiB}]
        resources: {limits: {memory: 1Gi}}
`

const values = "replicas: 1\ngoMemoryLimit: 1MiB\nresources: {limits: {memory: 1Gi}}\n"

// What the chart would say otherwise than config/ is refused, not passed over.
func TestWhatValuesCannotTakeOverIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"nothing":               {"", "", ""},
		"other replicas":        {"replicas: 1", "replicas: 2", "replicas is 2, in values.yaml 1"},
		"other resources":       {"memory: 1Gi", "memory: 2Gi", "in values.yaml"},
		"another memory limit":  {"value: 1MiB", "value: 2MiB", "GOMEMLIMIT is 2MiB, in values.yaml goMemoryLimit is 1MiB"},
		"no memory limit":       {"env: [{name: GOMEMLIMIT, value: 1MiB}]", "env: []", "env lacks GOMEMLIMIT"},
		"a flag that is gone":   {"--leader-elect, ", "", "args lack"},
		"a volume":              {"    spec:\n", "    spec:\n      volumes: [{name: a}]\n", "volumes is not empty"},
		"a toleration":          {"    spec:\n", "    spec:\n      tolerations: [{key: a}]\n", "tolerations is given"},
		"a sidecar":             {"containers:\n", "containers:\n      - {name: sidecar}\n", "2 containers"},
		"Helm's own language":   {"--other", `"{{ .Values }}"`, "it holds {{"},
		"the namespace by name": {"--other", "--where=writebehind-system", "names writebehind-system"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.Mkdir(filepath.Join(folder, "templates"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, "values.yaml"), []byte(values), 0o600); err != nil {
				t.Fatal(err)
			}
			manifest := strings.Replace(deployment, c.from, c.to, 1)
			err := run(strings.NewReader(manifest), folder)
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("it is answered with %v, want %s", err, c.want)
			}
		})
	}
}

// A file of an object that is gone from config/ goes; one kept by hand stays.
func TestOnlyGeneratedFilesAreRemoved(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"values.yaml": values, "templates/job.yaml": generated + "---\nkind: Job\n", "templates/_names.tpl": "kept", "templates/NOTES.txt": "kept",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(strings.NewReader(deployment), folder); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(folder, "templates"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if got := strings.Join(names, " "); got != "NOTES.txt _names.tpl deployment.yaml" {
		t.Errorf("the templates are %s", got)
	}
}

func TestAnEmptyManifestIsRefused(t *testing.T) {
	if err := run(strings.NewReader(""), t.TempDir()); err == nil {
		t.Error("a chart without an object is written")
	}
}
