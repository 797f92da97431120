// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
)

// table is what a page's tables say of each name in their first column: the other cells
// of its row. A first cell may hold several names, each as code.
func (p *document) table() map[string][]string {
	rows := map[string][]string{}
	for line := range strings.Lines(p.prose) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if !strings.HasPrefix(line, "| `") || len(cells) < 2 {
			continue
		}
		for _, name := range span.FindAllStringSubmatch(cells[0], -1) {
			rows[name[1]] = cells[1:]
		}
	}
	return rows
}

// field is one of the resource, by its path.
type field struct{ path, fallback string }

// fieldsOf walks the types of the resource. It stops at those of Kubernetes, and at what
// its own schema makes a plain value of.
func fieldsOf(path string, t reflect.Type, schema map[string]any) []field {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Slice && t.Elem().PkgPath() == reflect.TypeFor[v1alpha1.Mapping]().PkgPath() {
		items, _ := schema["items"].(map[string]any)
		return fieldsOf(path+"[]", t.Elem(), items)
	}
	properties, _ := schema["properties"].(map[string]any)
	if t.Kind() != reflect.Struct || t.PkgPath() != reflect.TypeFor[v1alpha1.Mapping]().PkgPath() || properties == nil {
		f := field{path: path}
		if value, ok := schema["default"]; ok {
			f.fallback = fmt.Sprint(value)
		}
		return []field{f}
	}
	var all []field
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if options == "inline" {
			all = append(all, fieldsOf(path, f.Type, schema)...)
			continue
		}
		below, _ := properties[name].(map[string]any)
		all = append(all, fieldsOf(strings.TrimPrefix(path+"."+name, "."), f.Type, below)...)
	}
	return all
}

// schemaOf is the part of the CRD's schema below spec or status.
func schemaOf(t *testing.T, part string) map[string]any {
	t.Helper()
	text := read(t, "config", "crd", "bases", "cache.writebehind.dev_writebehindcaches.yaml")
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct {
						Properties map[string]map[string]any `json:"properties"`
					} `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(text), &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties[part]
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The page of the resource has each field with its default, and no other.
func TestEveryFieldIsDocumentedWithItsDefault(t *testing.T) {
	told := pages(t)["docs/resource.md"].table()
	fields := fieldsOf("", reflect.TypeFor[v1alpha1.WriteBehindCacheSpec](), schemaOf(t, "spec"))
	if len(fields) < 50 {
		t.Fatalf("only %d fields were found", len(fields))
	}
	known := map[string]bool{}
	for _, f := range fields {
		for part := f.path; part != "."; part = strings.TrimSuffix(part, filepath.Ext(part)) {
			known[part] = true
			if !strings.Contains(part, ".") {
				break
			}
		}
		cells, ok := told[f.path]
		switch {
		case !ok:
			t.Errorf("docs/resource.md does not tell of %s", f.path)
		case f.fallback != "" && cells[0] != f.fallback:
			t.Errorf("docs/resource.md says that %s is by default %q, but it is %q", f.path, cells[0], f.fallback)
		}
	}
	for _, f := range fieldsOf("status", reflect.TypeFor[v1alpha1.WriteBehindCacheStatus](), schemaOf(t, "status")) {
		// What is remembered for the count of losses is told as a whole.
		path := regexp.MustCompile(`^(status\.dataLoss)\..*`).ReplaceAllString(f.path, "$1")
		known[path] = true
		if _, ok := told[path]; !ok {
			t.Errorf("docs/resource.md does not tell of %s", path)
		}
	}
	for name := range told {
		if !strings.Contains(name, "/") && !known[name] {
			t.Errorf("docs/resource.md tells of the field %s, which is not there", name)
		}
	}
}

// names are what a pattern's first group finds in files of the project.
func names(t *testing.T, pattern string, globs ...string) []string {
	t.Helper()
	found := map[string]bool{}
	for _, glob := range globs {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(glob)))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", glob, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file) //nolint:gosec // of this project
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
				found[match[1]] = true
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s finds nothing in %s", pattern, strings.Join(globs, ", "))
	}
	return slices.Sorted(maps.Keys(found))
}

// in are what a pattern finds in all pages, and those pages.
func in(all map[string]*document, pattern string) map[string]string {
	found := map[string]string{}
	for _, p := range all {
		text := p.prose
		for _, b := range p.blocks {
			text += b.text()
		}
		for _, name := range regexp.MustCompile(pattern).FindAllString(text, -1) {
			found[name] = p.path
		}
	}
	return found
}

// same fails unless the table of a page has each of the names, and the pages no other
// that a pattern finds.
func same(t *testing.T, what, page, pattern string, there []string) {
	t.Helper()
	all := pages(t)
	here := in(map[string]*document{page: all[page]}, pattern)
	for _, name := range there {
		if here[name] == "" {
			t.Errorf("%s does not tell of the %s %s", page, what, name)
		}
	}
	for name, path := range in(all, pattern) {
		if !slices.Contains(there, name) {
			t.Errorf("%s tells of the %s %s, which is not there", path, what, name)
		}
	}
}

const library = "internal/flusher/journal/library/*.lua"

func TestEveryCaptureFunctionIsDocumented(t *testing.T) {
	functions := slices.DeleteFunc(names(t, `register\('(wb_\w+)'`, library), func(name string) bool {
		return strings.HasPrefix(name, "wb_engine_")
	})
	same(t, "function", "docs/capture-functions.md", `\bwb_[a-z]+\b`, functions)
}

// A code that the flushers do not know themselves is one for applications.
func TestEveryErrorOfTheCaptureFunctionsIsDocumented(t *testing.T) {
	flushers := names(t, `"(WB[A-Z]+)\b`, "internal/flusher/journal/*.go")
	told := pages(t)["docs/capture-functions.md"].table()
	codes := names(t, `fail\('(WB[A-Z]+)'`, library)
	for _, code := range codes {
		if told[code] == nil && !slices.Contains(flushers, code) {
			t.Errorf("docs/capture-functions.md does not tell of the error %s", code)
		}
	}
	for name, path := range in(pages(t), `\bWB[A-Z]+\b`) {
		if !slices.Contains(codes, name) {
			t.Errorf("%s tells of the error %s, which is not there", path, name)
		}
	}
	// The client gives each of its errors a code, and the page says which.
	pairs := names(t, `("WB[A-Z]+": Err\w+)`, "api/writebehind/*.go")
	for _, pair := range pairs {
		code, name, _ := strings.Cut(strings.Trim(pair, `"`), `": `)
		if told[code] == nil || told[code][0] != "`"+name+"`" {
			t.Errorf("docs/capture-functions.md does not say that %s is %s in Go: %q", code, name, told[code])
		}
	}
	// Of which page an error is, the file says.
	const named = `\bErr[A-Z]\w+\b`
	var all []string
	for page, file := range map[string]string{"docs/capture-functions.md": "writebehind.go", "docs/capture-replication.md": "flushed.go"} {
		here := in(map[string]*document{page: pages(t)[page]}, named)
		for _, name := range names(t, `(?m)^\t(Err\w+) += `, "api/writebehind/"+file) {
			if all = append(all, name); here[name] == "" {
				t.Errorf("%s does not tell of the error of the client %s", page, name)
			}
		}
	}
	for name, path := range in(pages(t), named) {
		if !slices.Contains(all, name) {
			t.Errorf("%s tells of the error of the client %s, which is not there", path, name)
		}
	}
}

func TestEveryMetricIsDocumented(t *testing.T) {
	metrics := names(t, `\b(?:gauge|counter|histogram)\("([a-z_]+)"`, "internal/flusher/*.go")
	for i, name := range metrics {
		metrics[i] = "writebehind_" + name
	}
	same(t, "metric", "docs/monitoring.md", `\bwritebehind_[a-z_]+\b`, metrics)
}

func TestEveryAlertIsDocumented(t *testing.T) {
	alerts := names(t, `alert: (\w+)`, "config/prometheus/alerts.yaml", "internal/controller/resources/testdata/prometheusrule.yaml")
	same(t, "alert", "docs/monitoring.md", `\bWriteBehind(?:[A-BD-Z]|C[b-z]{3}[^h])\w+`, alerts)
}

func TestEveryCauseOfADeadLetterIsDocumented(t *testing.T) {
	text := pages(t)["docs/operations.md"].prose
	for _, cause := range names(t, `Cause\w+ = "(\w+)"`, "internal/flusher/entry/*.go") {
		if !strings.Contains(text, "\n| "+cause+" | ") {
			t.Errorf("docs/operations.md does not tell of the cause %s", cause)
		}
	}
}

// The keys of the journal are part of the rights that an application is given.
func TestEveryKeyOfTheJournalIsDocumented(t *testing.T) {
	same(t, "key", "docs/architecture.md", `wb:\{Q(?::p)?\}:[a-z]+`, names(t, `(wb:\{Q(?::p)?\}:[a-z]+)`, library, "internal/flusher/journal/*.go"))
}
