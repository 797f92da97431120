// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Chart writes the templates of the Helm chart from config/chart as kustomize
// builds it, so that the chart cannot fall behind config/: an object that is added
// there is in the chart too, and what a value of the chart does not speak of stays
// as it is. It reads the manifest from its standard input:
//
//	kustomize build config/chart | chart charts/writebehind
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// generated begins every file that is written here, and tells it from those that
// are kept by hand.
const generated = `{{- /*
Copyright 2026 The Write-Behind Operator Authors
SPDX-License-Identifier: Apache-2.0

Made from config/ by make manifests: do not edit.
*/ -}}
`

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kustomize build config/chart | chart FOLDER-OF-CHART")
		os.Exit(2)
	}
	if err := run(os.Stdin, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(manifest io.Reader, folder string) error {
	objects, err := decode(manifest)
	if err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	values, err := os.ReadFile(filepath.Join(folder, "values.yaml"))
	if err != nil {
		return err
	}
	files, err := templates(objects, values)
	if err != nil {
		return err
	}
	return write(filepath.Join(folder, "templates"), files)
}

func decode(manifest io.Reader) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(manifest, 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
	if len(objects) == 0 {
		return nil, errors.New("it holds no object")
	}
	return objects, nil
}

// templates are the chart's files by name.
func templates(objects []*unstructured.Unstructured, values []byte) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, object := range objects {
		if object.GetKind() == "Namespace" {
			// Helm needs the release's namespace before it reads a template.
			continue
		}
		text, err := template(object, values)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		name := fileOf(object.GetKind())
		if files[name] == nil {
			files[name] = []byte(generated)
		}
		files[name] = append(files[name], text...)
	}
	return files, nil
}

// fileOf gathers what a reader looks at together.
func fileOf(kind string) string {
	switch kind {
	case "CustomResourceDefinition":
		return "crd.yaml"
	case "ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding":
		return "rbac.yaml"
	default:
		return strings.ToLower(kind) + ".yaml"
	}
}

// write puts the files in place, and removes those of an earlier run that are no
// longer made.
func write(folder string, files map[string][]byte) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if files[entry.Name()] == nil && bytes.HasPrefix(text, []byte(generated)) {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil { //nolint:gosec // a source file, which everybody may read
			return err
		}
	}
	return nil
}
