// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// A block of YAML is a resource or a part of one, or a flusher's config file. A field that
// is misspelt, or a value that the config does not take, is found here. What the API server
// takes package install finds out.
func TestEveryYAMLBlockIsAccepted(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	// Unlike others this decoder tells upper case from lower case.
	strict := serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme, scheme, serializer.SerializerOptions{Yaml: true, Strict: true})
	kind := v1alpha1.GroupVersion.WithKind("WriteBehindCache")
	resources, configs := 0, 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "yaml" {
				continue
			}
			var err error
			switch text := b.text(); {
			case strings.Contains(text, "kind: WriteBehindCache") || strings.HasPrefix(text, "spec:"):
				resources++
				_, _, err = strict.Decode([]byte(text), &kind, nil)
			case strings.Contains(text, "urlFile:"):
				configs++
				_, err = config.Parse([]byte(text))
			default:
				t.Errorf("%s has a block that is neither a resource nor a config:\n%s", p.path, text)
			}
			if err != nil {
				t.Errorf("%s: %v, in\n%s", p.path, err, b.text())
			}
		}
	}
	if resources < 3 || configs < 1 {
		t.Errorf("only %d resources and %d configs were found", resources, configs)
	}
}
