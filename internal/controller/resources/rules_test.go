// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources_test

import (
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// compiled is the schema of the CRD with its rules, which take a second to compile, made once.
var compiled struct {
	schema *structuralschema.Structural
	rules  *cel.Validator
}

func compile(t *testing.T) {
	t.Helper()
	if compiled.rules != nil {
		return
	}
	crd := definition(t)
	var schema apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &schema, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := structuralschema.NewStructural(&schema)
	if err != nil {
		t.Fatal(err)
	}
	compiled.schema, compiled.rules = structural, cel.NewValidator(structural, true, celconfig.PerCallLimit)
}

// refusals is what the rules of the CRD say of a change from one resource to another; without
// an earlier one of a new resource. No server is asked.
func refusals(t *testing.T, earlier, resource string) string {
	t.Helper()
	compile(t)
	object := func(text string) any {
		if text == "" {
			return nil
		}
		document, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var o map[string]any
		// The API server decodes whole numbers as such.
		if err := json.Unmarshal(document, &o); err != nil {
			t.Fatal(err)
		}
		defaulting.Default(o, compiled.schema)
		return o
	}
	errs, _ := compiled.rules.Validate(t.Context(), field.NewPath(""), compiled.schema, object(resource), object(earlier), celconfig.RuntimeCELCostBudget)
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return strings.Join(all, "\n")
}

const captured = `
metadata: {name: shop}
spec:
  capture: Replication
  redis: {managed: {}}
  database: {postgres: {urlSecretRef: {name: db}}}
  mappings:
  - {name: products, keyPrefix: "product:", table: public.products, keyColumn: id}
  - {name: sessions, keyPrefix: "session:", encoding: Hash, table: public.sessions, keyColumn: id}
  - {name: views, keyPrefix: "views:", encoding: Number, table: public.views, keyColumn: page, valueColumn: hits}
  - {name: scores, keyPrefix: "board:", encoding: SortedSet, table: public.scores, keyColumn: board, memberColumn: player, scoreColumn: score}
  - {name: events, keyPrefix: "events:", mode: Append, encoding: Stream, table: public.events, keyColumn: source, idColumn: id}
`

// TestRulesOfCapture tries what the schema says of capture and of the encodings.
func TestRulesOfCapture(t *testing.T) {
	const resources = "managed: {maxMemory: 256Mi, resources: {limits: {memory: %}}}"
	for name, c := range map[string]struct {
		old, new string
		// says is what the refusal has; without it there is none.
		says string
	}{
		"as the contract has it":            {"capture", "capture", ""},
		"Functions with Hash":               {"capture: Replication", "capture: Functions", "with capture Functions a mapping has mode Latest and encoding JSON: mode Append and the encodings Hash, Number, SortedSet and Stream come later there"},
		"nothing given, with Hash":          {"capture: Replication", "", "come later there"},
		"a version":                         {"keyColumn: id}", "keyColumn: id, versionColumn: v}", "versionColumn is not allowed with capture Replication"},
		"a time to live":                    {"keyColumn: id}", "keyColumn: id, timeToLiveSeconds: 0}", "timeToLiveSeconds is not allowed with capture Replication"},
		"the default time to live":          {"keyColumn: id}", "keyColumn: id, timeToLiveSeconds: 3600}", ""},
		"writes that are accepted":          {"capture:", "backpressure: {whenFull: Accept}\n  capture:", "whenFull is not allowed with capture Replication"},
		"Append of hashes":                  {"encoding: Hash", "encoding: Hash, mode: Append", "mode Append goes with encoding Stream"},
		"Latest of a stream":                {"mode: Append, ", "", "mode Append goes with encoding Stream"},
		"a number without a column":         {", valueColumn: hits", "", "valueColumn, which takes the number, is required with encoding Number and not allowed with any other"},
		"a value of a hash":                 {"encoding: Hash", "encoding: Hash, valueColumn: v", "valueColumn, which takes the number"},
		"a set without members":             {"memberColumn: player, ", "", "memberColumn, which takes the member, is required"},
		"a set without scores":              {", scoreColumn: score", "", "scoreColumn, which takes the score, is required"},
		"a stream without ids":              {", idColumn: id", "", "idColumn, which takes the id of an entry, is required"},
		"the number is the key":             {"valueColumn: hits", "valueColumn: page", "must not be the keyColumn"},
		"the score is the member":           {"scoreColumn: score", "scoreColumn: player", "scoreColumn must not be the memberColumn"},
		"columns of a number":               {"valueColumn: hits", "valueColumn: hits, columns: [{field: a, column: b}]", "columns are not allowed with encoding Number or SortedSet"},
		"a field feeds the id":              {"idColumn: id", "idColumn: id, columns: [{field: a, column: id}]", "columns must not name the idColumn"},
		"a whole hash":                      {"encoding: Hash", `encoding: Hash, columns: [{field: "$", column: b}]`, "is allowed with encoding JSON alone"},
		"fields of a hash":                  {"encoding: Hash", "encoding: Hash, columns: [{field: a, column: b}]", ""},
		"a backlog":                         {"managed: {}", "managed: {replication: {backlog: 1Gi}}", ""},
		"hardly a backlog":                  {"managed: {}", "managed: {replication: {backlog: 1Ki}}", "backlog must be an amount from 1Mi to 1Ti"},
		"a limit without the backlog":       {"managed: {}", strings.ReplaceAll(resources, "%", "383Mi"), "must not be below maxMemory and twice replication.backlog (64Mi unless given)"},
		"a limit that has room":             {"managed: {}", strings.ReplaceAll(resources, "%", "384Mi"), ""},
		"a limit without the given backlog": {"managed: {}", strings.ReplaceAll(strings.ReplaceAll(resources, "%", "384Mi"), "{maxMemory", "{replication: {backlog: 65Mi}, maxMemory"), "must not be below maxMemory"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(captured, c.old) {
				t.Fatalf("the resource has no %q", c.old)
			}
			said := refusals(t, "", strings.Replace(captured, c.old, c.new, 1))
			if c.says == "" && said != "" || !strings.Contains(said, c.says) {
				t.Errorf("the rules say %q, want %q", said, c.says)
			}
		})
	}
	plain := strings.ReplaceAll(captured[:strings.Index(captured, "  - {name: sessions")], "managed: {}", "managed: {replication: {}}")
	if said := refusals(t, "", strings.ReplaceAll(plain, "Replication", "Functions")); !strings.Contains(said, "redis.managed.replication is for capture Replication alone") {
		t.Errorf("a backlog with Functions: the rules say %q", said)
	}
	plain = strings.ReplaceAll(plain, "replication: {}", "")
	for _, other := range []string{"Functions", ""} {
		changed := strings.Replace(plain, "capture: Replication", "capture: "+other, 1)
		if other == "" {
			changed = strings.Replace(plain, "capture: Replication", "", 1)
		}
		for _, pair := range [][2]string{{plain, changed}, {changed, plain}} {
			if said := refusals(t, pair[0], pair[1]); !strings.Contains(said, "capture cannot change") {
				t.Errorf("from Replication to %q or back: the rules say %q", other, said)
			}
		}
	}
}

// TestRulesOfTheVolume tries what the schema says of the volume of a managed Redis and its
// memory. What is there already stays as it is, and may be changed in everything else.
func TestRulesOfTheVolume(t *testing.T) {
	resource := func(memory, size, more string) string {
		return strings.Replace(captured, "managed: {}", "managed: {maxMemory: "+memory+", storage: {size: "+size+"}}", 1) + more
	}
	const (
		small = "spec.redis.managed.storage.size: Invalid value"
		large = "spec.redis.managed.maxMemory: Invalid value"
		seen  = "status: {replicas: 1}"
	)
	for name, c := range map[string]struct{ earlier, resource, says string }{
		"the defaults":                           {"", captured, ""},
		"four times":                             {"", resource("1Gi", "4Gi", ""), ""},
		"a byte less":                            {"", resource("1Gi", "4294967295", ""), small},
		"twice":                                  {"", resource("512Mi", "1Gi", ""), small},
		"a size that has an exponent":            {"", resource("512Mi", `"1e9"`, ""), ""},
		"a size of an exa":                       {"", resource("1Gi", "1E", ""), ""},
		"a resource of before":                   {resource("1Gi", "2Gi", seen), resource("1Gi", "2Gi", seen), ""},
		"a resource of before that grows a bit":  {resource("1Gi", "2Gi", seen), resource("1Gi", "3Gi", seen), ""},
		"a resource of before with less memory":  {resource("1Gi", "2Gi", seen), resource("900Mi", "2Gi", seen), ""},
		"more memory":                            {resource("1Gi", "4Gi", seen), resource("1025Mi", "4Gi", seen), large},
		"more memory and a volume that grows":    {resource("1Gi", "4Gi", seen), resource("2Gi", "8Gi", seen), ""},
		"a resource of before with more of both": {resource("1Gi", "2Gi", seen), resource("2Gi", "4Gi", seen), large},
	} {
		t.Run(name, func(t *testing.T) {
			var about []string
			for line := range strings.Lines(refusals(t, c.earlier, c.resource)) {
				if strings.Contains(line, "times maxMemory") || strings.Contains(line, "maxMemory may grow") {
					about = append(about, line)
				}
			}
			said := strings.Join(about, "")
			if c.says == "" && said != "" || !strings.Contains(said, c.says) {
				t.Errorf("the rules say %q, want %q", said, c.says)
			}
		})
	}
}
