// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
)

// everything has each field of the spec that is the operator's own, with values
// beside which each field can take either of its limits. Redis is one of two.
const everything = `
redis: {}
database: {postgres: {urlSecretRef: {name: a, key: a}, maxConnections: 1, statementTimeoutSeconds: 1, ledgerSchema: a,
  tls: {caSecretRef: {name: a, key: a}, clientCertSecretRef: {name: a}}}}
mappings:
- {name: a, keyPrefix: "a:", table: a, keyColumn: id, versionColumn: v, mode: Latest, encoding: JSON, partitions: 1, timeToLiveSeconds: 1, onDelete: Delete,
   columns: [{field: a, column: b}]}
flush: {intervalMilliseconds: 10, batchSize: 1, concurrency: 1, maxInFlightMebibytes: 8, maxRetries: 1, circuitBreaker: {failureThreshold: 1, openMilliseconds: 100}}
backpressure: {maxQueueDepth: 1, warningQueueDepth: 1, criticalQueueDepth: 100000000, whenFull: Reject}
flusher:
  replicas: 1
  image: a
  resources: {limits: {cpu: 2}, requests: {cpu: 1}}
  nodeSelector: {a: a}
  tolerations: [{operator: Exists}]
  affinity: {}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]
  priorityClassName: a
  terminationGracePeriodSeconds: 10
networkPolicy: {clients: [{podSelector: {}}], egress: [{to: [{podSelector: {}}], ports: [{protocol: TCP, port: 1, endPort: 65535}]}]}
deletionPolicy: Drain
drainTimeoutSeconds: 1
monitoring: {labels: {a: a}}
`

const (
	managedRedis = `
managed: {image: a, storage: {size: 1Gi, storageClassName: a}, maxMemory: 16Mi, appendFsync: Always,
  tls: {secretRef: {name: a}},
  nodeSelector: {a: a}, tolerations: [{operator: Exists}], affinity: {}, priorityClassName: a, imagePullSecrets: [{name: a}],
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule}],
  resources: {limits: {memory: 1Gi}, requests: {memory: 1Gi}}}
`
	externalRedis = `
external: {addresses: ["a:1"], mode: Sentinel, masterName: a, credentialsSecretRef: {name: a, usernameKey: a, passwordKey: a},
  sentinelCredentialsSecretRef: {name: a, usernameKey: a, passwordKey: a},
  tls: {caSecretRef: {name: a, key: a}, clientCertSecretRef: {name: a}}}
`
)

// kubernetesOwn are the fields whose types are those of a Pod or of a
// NetworkPolicy. The walk ends below them: what they hold is judged by the API
// server when the object is applied, and told in the condition Stalled.
var kubernetesOwn = []string{
	"spec.flusher.affinity", "spec.flusher.tolerations[]", "spec.flusher.topologySpreadConstraints[]",
	"spec.redis.managed.affinity", "spec.redis.managed.tolerations[]", "spec.redis.managed.topologySpreadConstraints[]",
	"spec.networkPolicy.clients[]", "spec.networkPolicy.egress[].to[]",
}

// longText makes texts of a length where letters alone would not do.
var longText = map[string]func(length int) string{
	"spec.mappings[].table":           func(n int) string { return strings.Repeat("t", 63) + "." + strings.Repeat("t", n-64) },
	"spec.redis.external.addresses[]": func(n int) string { return strings.Repeat("a", n-2) + ":1" },
}

// quantityPattern is what controller-gen gives to every amount.
const quantityPattern = `^(\+|-)?(([0-9]+`

// crd is the schema of the CRD.
func crd() apiextensionsv1.JSONSchemaProps {
	GinkgoHelper()
	return *definition().Spec.Versions[0].Schema.OpenAPIV3Schema
}

// definition reads the CRD that controller-gen wrote.
func definition() *apiextensionsv1.CustomResourceDefinition {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "bases", "cache.writebehind.dev_writebehindcaches.yaml"))
	Expect(err).NotTo(HaveOccurred())
	definition := &apiextensionsv1.CustomResourceDefinition{}
	Expect(yaml.UnmarshalStrict(text, definition)).To(Succeed())
	return definition
}

// walk visits a schema and all under it that ends says it may. A list's items are
// [] in the path, and a map's values {}.
func walk(path string, s *apiextensionsv1.JSONSchemaProps, ends []string, visit func(string, *apiextensionsv1.JSONSchemaProps)) {
	visit(path, s)
	if slices.Contains(ends, path) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		field := s.Properties[name]
		walk(path+"."+name, &field, ends, visit)
	}
	if s.Items != nil {
		walk(path+"[]", s.Items.Schema, ends, visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		walk(path+"{}", s.AdditionalProperties.Schema, ends, visit)
	}
}

// everythingAt is a resource with everything, and with the Redis that has the path.
func everythingAt(namespace, path string) *unstructured.Unstructured {
	GinkgoHelper()
	parse := func(text string) (fields map[string]any) {
		Expect(yaml.Unmarshal([]byte(text), &fields)).To(Succeed())
		return fields
	}
	spec := parse(everything)
	spec["redis"] = parse(managedRedis)
	if strings.HasPrefix(path, "spec.redis.external") {
		spec["redis"] = parse(externalRedis)
	}
	switch {
	case path == "spec.capture", strings.HasPrefix(path, "spec.redis.managed.replication"):
		encode(map[string]any{"spec": spec}, "JSON")
		if path != "spec.capture" {
			spec["redis"].(map[string]any)["managed"].(map[string]any)["replication"] = map[string]any{"backlog": "1Mi"}
		}
	case ownColumns[path] != "":
		encode(map[string]any{"spec": spec}, ownColumns[path])
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("WriteBehindCache"))
	object.SetNamespace(namespace)
	object.SetName("shop")
	return object
}

// ownColumns are the fields that one encoding alone has.
var ownColumns = map[string]string{
	"spec.mappings[].valueColumn": "Number", "spec.mappings[].memberColumn": "SortedSet",
	"spec.mappings[].scoreColumn": "SortedSet", "spec.mappings[].idColumn": "Stream",
}

// encode gives the first mapping what goes with a mode or an encoding. Another word is left
// as it is.
func encode(object map[string]any, word string) {
	spec := object["spec"].(map[string]any)
	m := spec["mappings"].([]any)[0].(map[string]any)
	columns := map[string]any{}
	switch word {
	case "Number":
		columns["valueColumn"] = "n"
	case "SortedSet":
		columns["memberColumn"], columns["scoreColumn"] = "m", "s"
	case "Stream", "Append":
		columns["idColumn"] = "i"
		m["mode"], m["encoding"] = "Append", "Stream"
	case "JSON", "Hash":
	default:
		return
	}
	spec["capture"] = "Replication"
	for _, name := range []string{"versionColumn", "timeToLiveSeconds"} {
		delete(m, name)
	}
	if word == "Number" || word == "SortedSet" {
		delete(m, "columns")
	}
	if word != "Append" {
		m["encoding"] = word
	}
	maps.Copy(m, columns)
}

// set puts the value at the path, or takes away what is there if it is nil. In a
// list it goes to the first item, in a map to the key a. It returns the path in
// the API server's words.
func set(object map[string]any, path string, value any) (shown string) {
	GinkgoHelper()
	steps := strings.Split(strings.NewReplacer("[]", ".[]", "{}", ".{}").Replace(path), ".")
	var at any = object
	var put func(any)
	for _, step := range steps {
		switch step {
		case "[]":
			list, _ := at.([]any)
			Expect(list).NotTo(BeEmpty(), "the base lacks an item at %s", path)
			at, put = list[0], func(v any) { list[0] = v }
			shown += "[0]"
		case "{}":
			object, key := at.(map[string]any), slices.Sorted(maps.Keys(at.(map[string]any)))[0]
			at, put = object[key], func(v any) { object[key] = v }
			shown += "." + key
		default:
			object, ok := at.(map[string]any)
			Expect(ok).To(BeTrue(), "the base lacks %s", path)
			at, put = object[step], func(v any) {
				if v == nil {
					delete(object, step)
				} else {
					object[step] = v
				}
			}
			shown += "." + step
		}
	}
	Expect(at).NotTo(BeNil(), "the base lacks %s", path)
	put(value)
	return strings.TrimPrefix(shown, ".")
}

// items are n of them, which differ in the first of the list's keys.
func items(path string, s *apiextensionsv1.JSONSchemaProps, from any, n int) []any {
	GinkgoHelper()
	list := []any{}
	for i := range n {
		item := runtime.DeepCopyJSONValue(from.([]any)[0])
		if len(s.XListMapKeys) > 0 {
			item.(map[string]any)[s.XListMapKeys[0]] = fmt.Sprintf("a%d", i)
		}
		switch path {
		case "spec.mappings":
			item.(map[string]any)["keyPrefix"] = fmt.Sprintf("%03d:", i)
		case "spec.redis.external.addresses":
			item = fmt.Sprintf("a%d:1", i)
		}
		list = append(list, item)
	}
	return list
}

// limit is a bound of the schema: a value that keeps it, one that does not, and
// what the API server says of that, behind the field.
type limit struct {
	kept, broken any
	message      string
}

// limitsOf are those that a machine can read from the schema of one field.
func limitsOf(path string, s *apiextensionsv1.JSONSchemaProps, base any) (limits []limit) {
	text := func(n int64) string {
		if long := longText[path]; long != nil && n > 64 {
			return long(int(n))
		}
		return strings.Repeat("a", int(n))
	}
	add := func(kept, broken any, format string, args ...any) {
		limits = append(limits, limit{kept, broken, fmt.Sprintf(format, args...)})
	}
	if s.Minimum != nil {
		add(int64(*s.Minimum), int64(*s.Minimum)-1, "should be greater than or equal to %.0f", *s.Minimum)
	}
	if s.Maximum != nil {
		add(int64(*s.Maximum), int64(*s.Maximum)+1, "should be less than or equal to %.0f", *s.Maximum)
	}
	if s.MinLength != nil {
		add(text(*s.MinLength), text(*s.MinLength-1), "should be at least %d chars long", *s.MinLength)
	}
	if s.MaxLength != nil {
		add(text(*s.MaxLength), text(*s.MaxLength+1), "Too long: may not be more than %d bytes", *s.MaxLength)
	}
	if s.MinItems != nil {
		add(items(path, s, base, int(*s.MinItems)), items(path, s, base, int(*s.MinItems)-1), "should have at least %d items", *s.MinItems)
	}
	if s.MaxItems != nil {
		add(items(path, s, base, int(*s.MaxItems)), items(path, s, base, int(*s.MaxItems)+1), "Too many: %d: must have at most %d item", *s.MaxItems+1, *s.MaxItems)
	}
	if s.MaxProperties != nil {
		many := func(n int64) map[string]any {
			object := map[string]any{}
			for i := range n {
				object[fmt.Sprintf("a%d", i)] = "1"
			}
			return object
		}
		add(many(*s.MaxProperties), many(*s.MaxProperties+1), "Too many: %d: must have at most %d items", *s.MaxProperties+1, *s.MaxProperties)
	}
	if len(s.XListMapKeys) > 0 {
		one := items(path, s, base, 1)
		add(one, append(slices.Clone(one), one[0]), "Duplicate value: {\"%s\":", slices.Sorted(slices.Values(s.XListMapKeys))[0])
	}
	var words []string
	for _, word := range s.Enum {
		words = append(words, string(word.Raw))
	}
	for _, word := range words {
		add(strings.Trim(word, `"`), "Nonsense", `Unsupported value: "Nonsense": supported values: %s`, strings.Join(words, ", "))
	}
	return limits
}

var _ = Describe("The schema", func() {
	It("keeps each of its limits, and names field and limit", func(ctx SpecContext) {
		namespace, tried := newNamespace(ctx), 0
		spec := crd().Properties["spec"]
		create := func(path string, value any) (string, error) {
			object := everythingAt(namespace, path)
			shown := set(object.Object, path, value)
			if value == string(v1alpha1.RedisModeStandalone) {
				// One server has no Sentinels.
				set(object.Object, "spec.redis.external.masterName", nil)
				set(object.Object, "spec.redis.external.sentinelCredentialsSecretRef", nil)
			}
			if word, ok := value.(string); ok && (path == "spec.mappings[].mode" || path == "spec.mappings[].encoding") {
				encode(object.Object, word)
			}
			return shown, k8s.Create(ctx, object, client.DryRunAll)
		}
		walk("spec", &spec, kubernetesOwn, func(path string, s *apiextensionsv1.JSONSchemaProps) {
			if slices.Contains(kubernetesOwn, path) {
				return
			}
			base := valueAt(everythingAt(namespace, path).Object, path)
			for _, l := range limitsOf(path, s, base) {
				_, err := create(path, l.kept)
				Expect(err).NotTo(HaveOccurred(), "%s at the limit that says %q", path, l.message)
				shown, err := create(path, l.broken)
				Expect(err).To(MatchError(SatisfyAll(ContainSubstring(shown), ContainSubstring(l.message))), path)
				tried++
			}
			for _, name := range s.Required {
				shown, err := create(path+"."+name, nil)
				Expect(err).To(MatchError(ContainSubstring(shown + ": Required value")))
				tried++
			}
		})
		Expect(tried).To(BeNumerically(">", 100))
		GinkgoWriter.Printf("%d limits\n", tried)
	})

	It("has no rule that is not tried, refused and taken, and no message that a person cannot act on", func() {
		definition := crd()
		found := map[int]bool{}
		visit := func(path string, s *apiextensionsv1.JSONSchemaProps) {
			if s.Pattern != "" && !strings.HasPrefix(s.Pattern, quantityPattern) {
				Fail(fmt.Sprintf("%s has the pattern %s, which nobody can read: make it a rule with a message", path, s.Pattern))
			}
			for _, v := range s.XValidations {
				at := slices.IndexFunc(rules, func(r rule) bool { return r.field == path && r.says == v.Message })
				Expect(at).To(BeNumerically(">=", 0), "nothing tries the rule of %s that says %q", path, v.Message)
				r := rules[at]
				// A field of one word cannot change yet: the API server looks at the word first.
				if len(s.Enum) != 1 {
					Expect(r.refuses).NotTo(BeEmpty(), "nothing breaks the rule of %s that says %q", path, v.Message)
				}
				Expect(r.takes).NotTo(BeEmpty(), "nothing keeps the rule of %s that says %q", path, v.Message)
				if strings.Contains(v.Rule, "oldSelf") {
					for _, t := range slices.Concat(r.refuses, r.takes) {
						Expect(t.before).NotTo(BeNil(), "%s: %s is no change", path, t.what)
					}
				}
				found[at] = true
			}
		}
		root := definition
		root.Properties = nil
		visit("", &root)
		spec := definition.Properties["spec"]
		walk("spec", &spec, nil, visit)
		for i := range rules {
			Expect(found).To(HaveKey(i), "%s has no rule that says %q, or it is here twice", rules[i].field, rules[i].says)
		}
		GinkgoWriter.Printf("%d rules\n", len(rules))
	})

	// A resource that the API server takes and that the operator's types cannot hold
	// would end its list of all resources, everybody's.
	It("takes nothing that the operator cannot read", func(ctx SpecContext) {
		namespace, tried, taken := newNamespace(ctx), 0, 0
		spec := crd().Properties["spec"]
		walk("spec", &spec, nil, func(path string, s *apiextensionsv1.JSONSchemaProps) {
			var values []any
			switch {
			case s.XIntOrString:
				values = []any{int64(-1 << 62), int64(1 << 40), "1e1.5", "1e99999", "1e-99999", "-0", "5.", ".5", "99999999999999999999Ei"}
			case s.Type == "integer":
				values = []any{int64(-1 << 62), int64(-1 << 31), int64(1 << 31), int64(1 << 40), 1e19}
			case s.Format == "date-time":
				values = []any{"2026-01-01t00:00:00z", "2026-01-01T00:00:00+99:99"}
			}
			for _, value := range values {
				object := everythingAt(namespace, path)
				fields, _ := object.Object["spec"].(map[string]any)
				grow(fields, &spec, strings.TrimPrefix(path, "spec."), value)
				tried++
				if k8s.Create(ctx, object, client.DryRunAll) != nil {
					continue
				}
				taken++
				text, err := json.Marshal(object.Object)
				Expect(err).NotTo(HaveOccurred())
				Expect(json.Unmarshal(text, &v1alpha1.WriteBehindCache{})).To(Succeed(), "%s: %v", path, value)
			}
		})
		Expect(taken).To(BeNumerically(">", 20), "the walk reaches what it tries")
		GinkgoWriter.Printf("%d values, %d of them taken\n", tried, taken)
	})
})

// valueAt is what the object has at the path.
func valueAt(object map[string]any, path string) any {
	var at any = object
	for step := range strings.SplitSeq(strings.NewReplacer("[]", ".[]", "{}", ".{}").Replace(path), ".") {
		switch inner := at.(type) {
		case []any:
			at = inner[0]
		case map[string]any:
			if step == "{}" {
				step = slices.Sorted(maps.Keys(inner))[0]
			}
			at = inner[step]
		default:
			return nil
		}
	}
	return at
}

// grow puts the value at the path, with what is required on the way.
func grow(object map[string]any, s *apiextensionsv1.JSONSchemaProps, path string, value any) {
	step, rest, _ := strings.Cut(path, ".")
	name, inner := strings.TrimRight(step, "[]{}"), s.Properties[strings.TrimRight(step, "[]{}")]
	next := func(s *apiextensionsv1.JSONSchemaProps, have any) any {
		if rest == "" {
			return value
		}
		within, ok := have.(map[string]any)
		if !ok {
			within, _ = least(s).(map[string]any)
		}
		grow(within, s, rest, value)
		return within
	}
	switch {
	case strings.HasSuffix(step, "[]"):
		list, _ := object[name].([]any)
		if len(list) == 0 {
			list = []any{nil}
		}
		list[0] = next(inner.Items.Schema, list[0])
		object[name] = list
	case strings.HasSuffix(step, "{}"):
		object[name] = map[string]any{"cpu": next(inner.AdditionalProperties.Schema, nil)}
	default:
		object[name] = next(&inner, object[name])
	}
}

// least is the least that a schema takes.
func least(s *apiextensionsv1.JSONSchemaProps) any {
	switch s.Type {
	case "object":
		object := map[string]any{}
		for _, name := range s.Required {
			field := s.Properties[name]
			object[name] = least(&field)
		}
		return object
	case "array":
		return []any{least(s.Items.Schema)}
	case "integer":
		return int64(1)
	case "boolean":
		return true
	default:
		return "a"
	}
}
