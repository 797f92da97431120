// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	yamlv2 "go.yaml.in/yaml/v2"
	yamlv3 "go.yaml.in/yaml/v3"
)

// decode lays a document over c, in which the defaults are. The document is held
// against the shape of Config first, field by field and by exact name. The strict
// decoding of sigs.k8s.io/yaml does not serve: it takes a null, another case, an empty
// file, a second document and `yes` for a text silently, and where it refuses it names
// types of Go, and neither the value nor which of the mappings it is.
func decode(data []byte, c *Config) error {
	written, err := readDocument(data)
	if err != nil {
		return err
	}
	fields, err := conform("", written, reflect.TypeFor[Config]())
	if err != nil {
		return err
	}
	checked, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	document := struct {
		*Config
		Mappings []json.RawMessage `json:"mappings"`
	}{Config: c}
	if err := json.Unmarshal(checked, &document); err != nil {
		return err
	}
	for _, raw := range document.Mappings {
		m := DefaultMapping()
		if err := json.Unmarshal(raw, &m); err != nil {
			return err
		}
		if len(m.Columns) == 0 {
			// An empty list means what no list means.
			m.Columns = nil
		}
		c.Mappings = append(c.Mappings, m)
	}
	return nil
}

// readDocument reads the one YAML or JSON document that data holds.
func readDocument(data []byte) (any, error) {
	decoder := yamlv2.NewDecoder(bytes.NewReader(data))
	decoder.SetStrict(true)
	var document, more any
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return nil, oneLine(err)
	}
	if document == nil {
		return nil, errors.New("the file is empty; redis, database and mappings are required")
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds a second YAML document: give one alone, without a line --- after it")
	}
	return withLetters(document, data), nil
}

// letter is a y or an n that stands bare in a file. YAML 1.1 takes it for true or false,
// and people for the name of a column.
type letter struct {
	text  string
	value bool
}

// withLetters puts letters into a document that was read from data.
func withLetters(document any, data []byte) any {
	var root yamlv3.Node
	if err := yamlv3.Unmarshal(data, &root); err != nil || len(root.Content) != 1 {
		return document
	}
	return lettersOf(document, root.Content[0])
}

func lettersOf(value any, node *yamlv3.Node) any {
	switch written := value.(type) {
	case bool:
		if node.Kind == yamlv3.ScalarNode && len(node.Value) == 1 {
			return letter{node.Value, written}
		}
	case map[any]any:
		for i := 0; node.Kind == yamlv3.MappingNode && i+1 < len(node.Content); i += 2 {
			if inner, ok := written[node.Content[i].Value]; ok {
				written[node.Content[i].Value] = lettersOf(inner, node.Content[i+1])
			}
		}
	case []any:
		for i := 0; node.Kind == yamlv3.SequenceNode && i < min(len(written), len(node.Content)); i++ {
			written[i] = lettersOf(written[i], node.Content[i])
		}
	}
	return value
}

// oneLine puts the YAML parser's findings on one line.
func oneLine(err error) error {
	text := strings.Replace(err.Error(), "yaml: unmarshal errors:\n", "yaml: ", 1)
	return errors.New(strings.Join(strings.Fields(text), " "))
}

// conform checks that value, as the YAML parser gives it, has the shape of t, and
// returns it in a form that JSON can hold. The field is "" for the whole document.
func conform(field string, value any, t reflect.Type) (any, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch written := value.(type) {
	case map[any]any:
		if t.Kind() == reflect.Struct {
			return conformFields(field, written, t)
		}
	case []any:
		if t.Kind() == reflect.Slice {
			return conformItems(field, written, t.Elem())
		}
	case string:
		if t.Kind() == reflect.String {
			return written, nil
		}
	case bool:
		if t.Kind() == reflect.Bool {
			return written, nil
		}
	case letter:
		if t.Kind() == reflect.String {
			return written.text, nil
		}
		return conform(field, written.value, t)
	case int:
		if t.Kind() == reflect.Int || t.Kind() == reflect.Int64 {
			return written, nil
		}
	case nil:
		return nil, fmt.Errorf("%s: null is not allowed: give %s, or leave the field out", field, shape(t))
	}
	if field == "" {
		return nil, fmt.Errorf("the file holds %s: give the fields redis, database and mappings", describe(value))
	}
	return nil, fmt.Errorf("%s: %s is not allowed: give %s", field, describe(value), shape(t))
}

func conformFields(field string, written map[any]any, t reflect.Type) (any, error) {
	known, order := fieldsOf(t)
	names := make([]string, 0, len(written))
	values := make(map[string]any, len(written))
	for key, value := range written {
		// A key that is no text is no field's name; it is shown as it is.
		name := fmt.Sprint(key)
		names = append(names, name)
		values[name] = value
	}
	slices.Sort(names)
	checked := make(map[string]any, len(names))
	for _, name := range names {
		at := name
		if field != "" {
			at = field + "." + name
		}
		kind, ok := known[name]
		if !ok {
			return nil, unknownField(at, name, order)
		}
		var err error
		if checked[name], err = conform(at, values[name], kind); err != nil {
			return nil, err
		}
	}
	return checked, nil
}

func conformItems(field string, written []any, t reflect.Type) (any, error) {
	checked := make([]any, len(written))
	for i, item := range written {
		var err error
		if checked[i], err = conform(fmt.Sprintf("%s[%d]", field, i), item, t); err != nil {
			return nil, err
		}
	}
	return checked, nil
}

// fieldsOf gives the fields of a struct by the names that a file calls them, and
// these names in the struct's order.
func fieldsOf(t reflect.Type) (known map[string]reflect.Type, order []string) {
	known = make(map[string]reflect.Type, t.NumField())
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		known[name] = f.Type
		order = append(order, name)
	}
	return known, order
}

func unknownField(at, name string, known []string) error {
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return fmt.Errorf("%s: %q is an unknown field: write %s", brief(at), brief(name), k)
		}
	}
	return fmt.Errorf("%s: %q is an unknown field: give one of %s", brief(at), brief(name), strings.Join(known, ", "))
}

// shape says what a field takes.
func shape(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		_, fields := fieldsOf(t)
		return "the fields " + strings.Join(fields, ", ")
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "text, in quotes if it looks like something else"
	case reflect.Bool:
		return "true or false"
	default:
		return "a whole number"
	}
}

// describe shows a value of the wrong shape. What has parts is not repeated.
func describe(value any) string {
	switch written := value.(type) {
	case map[any]any:
		return "an object"
	case []any:
		return "a list"
	default:
		return fmt.Sprintf("%q", brief(fmt.Sprint(written)))
	}
}

// briefLength is as much of a strange text as an error repeats: a line that a
// person can still read.
const briefLength = 80

func brief(text string) string {
	if strings.Contains(text, "://") {
		text = withoutSecrets(text)
	}
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > briefLength {
		return string(runes[:briefLength]) + "..."
	}
	return text
}

// withoutSecrets is what a message may quote of a URL, or of a host with a user before it:
// the host and the port. User and password stand before the last @; after the port there
// may be parameters, of which one may be a password.
func withoutSecrets(url string) string {
	_, host, ok := strings.Cut(url, "://")
	if !ok {
		host = url
	}
	host = host[strings.LastIndex(host, "@")+1:]
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	return "…" + host
}
