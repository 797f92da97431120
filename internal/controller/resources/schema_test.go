// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/internal/flusher/config"
)

// definition reads the generated CRD.
func definition(t *testing.T) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "crd", "bases", "cache.writebehind.dev_writebehindcaches.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		t.Fatal(err)
	}
	return &crd
}

// schema is the spec's schema.
func schema(t *testing.T) apiextensionsv1.JSONSchemaProps {
	t.Helper()
	return definition(t).Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
}

// at follows a path of fields; [] steps into a list.
func at(t *testing.T, s apiextensionsv1.JSONSchemaProps, path string) apiextensionsv1.JSONSchemaProps {
	t.Helper()
	for name := range strings.SplitSeq(path, ".") {
		name, isList := strings.CutSuffix(name, "[]")
		next, ok := s.Properties[name]
		if !ok {
			t.Fatalf("the schema has no %s of %s", name, path)
		}
		if s = next; isList {
			s = *s.Items.Schema
		}
	}
	return s
}

func valid() *config.Config {
	c := config.Default()
	c.Redis.External.Addresses = []string{"redis:6379"}
	c.Database.Postgres.URLFile = "/uri"
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Table, m.KeyColumn = "products", "product:", "products", "id"
	m.Columns = []config.Column{{Field: "title", Column: "name"}}
	c.Mappings = []config.Mapping{m}
	return c
}

// TestSchemaHasTheConfigsBoundsAndDefaults holds the two descriptions of one
// setting against each other: what the API server lets through must be what the
// flusher takes, to the last value.
func TestSchemaHasTheConfigsBoundsAndDefaults(t *testing.T) {
	spec := schema(t)
	defaults := config.Default()
	mapping := config.DefaultMapping()
	for path, c := range map[string]struct {
		fallback int
		set      func(*config.Config, int)
	}{
		"flush.intervalMilliseconds":            {defaults.Flush.IntervalMilliseconds, func(c *config.Config, n int) { c.Flush.IntervalMilliseconds = n }},
		"flush.batchSize":                       {defaults.Flush.BatchSize, func(c *config.Config, n int) { c.Flush.BatchSize = n }},
		"flush.concurrency":                     {defaults.Flush.Concurrency, func(c *config.Config, n int) { c.Flush.Concurrency = n }},
		"flush.maxInFlightMebibytes":            {defaults.Flush.MaxInFlightMebibytes, func(c *config.Config, n int) { c.Flush.MaxInFlightMebibytes = n }},
		"flush.maxRetries":                      {defaults.Flush.MaxRetries, func(c *config.Config, n int) { c.Flush.MaxRetries = n }},
		"flush.circuitBreaker.failureThreshold": {defaults.Flush.CircuitBreaker.FailureThreshold, func(c *config.Config, n int) { c.Flush.CircuitBreaker.FailureThreshold = n }},
		"flush.circuitBreaker.openMilliseconds": {defaults.Flush.CircuitBreaker.OpenMilliseconds, func(c *config.Config, n int) { c.Flush.CircuitBreaker.OpenMilliseconds = n }},
		"backpressure.warningQueueDepth": {defaults.Backpressure.WarningQueueDepth, func(c *config.Config, n int) {
			// At the far end, so that the rule between the two marks says nothing.
			c.Backpressure.WarningQueueDepth, c.Backpressure.CriticalQueueDepth = n, 100000000
		}},
		"backpressure.criticalQueueDepth": {defaults.Backpressure.CriticalQueueDepth, func(c *config.Config, n int) {
			c.Backpressure.WarningQueueDepth, c.Backpressure.CriticalQueueDepth = 1, n
		}},
		"backpressure.maxQueueDepth":                {defaults.Backpressure.MaxQueueDepth, func(c *config.Config, n int) { c.Backpressure.MaxQueueDepth = n }},
		"database.postgres.maxConnections":          {defaults.Database.Postgres.MaxConnections, func(c *config.Config, n int) { c.Database.Postgres.MaxConnections = n }},
		"database.postgres.statementTimeoutSeconds": {defaults.Database.Postgres.StatementTimeoutSeconds, func(c *config.Config, n int) { c.Database.Postgres.StatementTimeoutSeconds = n }},
		"mappings[].partitions":                     {mapping.Partitions, func(c *config.Config, n int) { c.Mappings[0].Partitions = n }},
		"mappings[].timeToLiveSeconds":              {mapping.TimeToLiveSeconds, func(c *config.Config, n int) { c.Mappings[0].TimeToLiveSeconds = n }},
	} {
		t.Run(path, func(t *testing.T) {
			field := at(t, spec, path)
			if got := string(field.Default.Raw); got != fmt.Sprint(c.fallback) {
				t.Errorf("default is %s in the schema and %d in the config", got, c.fallback)
			}
			least, most := int(*field.Minimum), int(*field.Maximum)
			for value, want := range map[int]bool{least - 1: false, least: true, most: true, most + 1: false} {
				document := valid()
				c.set(document, value)
				if err := document.Validate(); (err == nil) != want {
					t.Errorf("the config's verdict on %d is %v, the schema says %t", value, err, want)
				}
			}
		})
	}
}

func TestSchemaHasTheConfigsWords(t *testing.T) {
	spec := schema(t)
	defaults := config.Default()
	mapping := config.DefaultMapping()
	for path, c := range map[string]struct {
		fallback string
		set      func(*config.Config, string)
	}{
		"redis.external.mode": {defaults.Redis.External.Mode, func(c *config.Config, v string) {
			if c.Redis.External.Mode = v; v == config.ModeSentinel {
				c.Redis.External.MasterName = "m"
			}
		}},
		"backpressure.whenFull":          {defaults.Backpressure.WhenFull, func(c *config.Config, v string) { c.Backpressure.WhenFull = v }},
		"database.postgres.ledgerSchema": {defaults.Database.Postgres.LedgerSchema, nil},
		"capture":                        {defaults.Capture, func(c *config.Config, v string) { c.Capture = v }},
		"mappings[].mode": {mapping.Mode, func(c *config.Config, v string) {
			if v == config.ModeAppend {
				encode(c, config.EncodingStream)
			}
			c.Mappings[0].Mode = v
		}},
		"mappings[].encoding": {mapping.Encoding, encode},
		"mappings[].onDelete": {mapping.OnDelete, func(c *config.Config, v string) { c.Mappings[0].OnDelete = v }},
	} {
		t.Run(path, func(t *testing.T) {
			field := at(t, spec, path)
			if got := string(field.Default.Raw); got != fmt.Sprintf("%q", c.fallback) {
				t.Errorf("default is %s in the schema and %q in the config", got, c.fallback)
			}
			for _, word := range field.Enum {
				document := valid()
				c.set(document, strings.Trim(string(word.Raw), `"`))
				if err := document.Validate(); err != nil {
					t.Errorf("the config does not take %s: %v", word.Raw, err)
				}
			}
		})
	}
}

// encode gives the mapping an encoding, with the columns that go with it.
func encode(c *config.Config, encoding string) {
	m := &c.Mappings[0]
	m.Encoding = encoding
	if encoding != config.EncodingJSON {
		c.Capture = config.CaptureReplication
	}
	switch encoding {
	case config.EncodingNumber:
		m.ValueColumn, m.Columns = "n", nil
	case config.EncodingSortedSet:
		m.MemberColumn, m.ScoreColumn, m.Columns = "m", "s", nil
	case config.EncodingStream:
		m.IDColumn, m.Mode = "i", config.ModeAppend
	}
}

func TestSchemaHasTheConfigsLengths(t *testing.T) {
	spec := schema(t)
	for path, set := range map[string]func(*config.Config, string){
		"mappings[].name":                func(c *config.Config, v string) { c.Mappings[0].Name = v },
		"mappings[].keyPrefix":           func(c *config.Config, v string) { c.Mappings[0].KeyPrefix = v },
		"mappings[].keyColumn":           func(c *config.Config, v string) { c.Mappings[0].KeyColumn = v },
		"mappings[].columns[].field":     func(c *config.Config, v string) { c.Mappings[0].Columns[0].Field = v },
		"mappings[].columns[].column":    func(c *config.Config, v string) { c.Mappings[0].Columns[0].Column = v },
		"database.postgres.ledgerSchema": func(c *config.Config, v string) { c.Database.Postgres.LedgerSchema = v },
	} {
		t.Run(path, func(t *testing.T) {
			field := at(t, spec, path)
			for length, want := range map[int64]bool{0: false, *field.MinLength: true, *field.MaxLength: true, *field.MaxLength + 1: false} {
				document := valid()
				set(document, strings.Repeat("a", int(length)))
				if err := document.Validate(); (err == nil) != want {
					t.Errorf("the config's verdict on %d bytes is %v, the schema says %t", length, err, want)
				}
			}
		})
	}
	if most := *at(t, spec, "mappings[]").Properties["columns"].MaxItems; most != 200 {
		t.Errorf("at most %d columns in the schema, 200 in the config", most)
	}
	if mappings := spec.Properties["mappings"]; *mappings.MinItems != 1 || *mappings.MaxItems != 32 {
		t.Errorf("%d to %d mappings in the schema, 1 to 32 in the config", *mappings.MinItems, *mappings.MaxItems)
	}
}

// kubernetesOwn are the fields whose types and words are those of a pod or of a
// NetworkPolicy.
var kubernetesOwn = []string{
	"spec.flusher.affinity", "spec.flusher.tolerations", "spec.flusher.topologySpreadConstraints",
	"spec.redis.managed.affinity", "spec.redis.managed.tolerations", "spec.redis.managed.topologySpreadConstraints",
	"spec.networkPolicy.clients", "spec.networkPolicy.egress[].to",
}

// TestEveryFieldIsDocumented keeps kubectl explain useful.
func TestEveryFieldIsDocumented(t *testing.T) {
	var walk func(path string, s apiextensionsv1.JSONSchemaProps)
	walk = func(path string, s apiextensionsv1.JSONSchemaProps) {
		for name, field := range s.Properties {
			at := path + "." + name
			if slices.Contains(kubernetesOwn, at) { // only the field itself is ours
				if !strings.HasPrefix(field.Description, name) || field.Type == "array" && field.MaxItems == nil {
					t.Errorf("%s: not documented, or a list without a bound", at)
				}
				continue
			}
			if !strings.HasPrefix(field.Description, name) {
				t.Errorf("%s: the description %q does not begin with the field's name", at, field.Description)
			}
			if !strings.HasSuffix(field.Description, ".") {
				t.Errorf("%s: the description does not end with a period", at)
			}
			if field.Type == "string" && field.MaxLength == nil && len(field.Enum) == 0 && field.Format == "" {
				t.Errorf("%s: a string without a bound", at)
			}
			if field.Type == "array" && field.MaxItems == nil {
				t.Errorf("%s: a list without a bound", at)
			}
			walk(at, field)
			if field.Items != nil {
				walk(at+"[]", *field.Items.Schema)
			}
		}
	}
	walk("spec", schema(t))
}
