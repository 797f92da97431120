// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/test/programs"
)

// Each resource that the documents show is taken by a real API server. Of a part of one
// the rest is that of the README.
func TestEveryResourceInTheDocsIsAccepted(t *testing.T) {
	c := installedCluster(t)
	files, err := filepath.Glob(root("docs", "*.md"))
	programs.Must(t, err)
	block := regexp.MustCompile("(?ms)^```yaml\n((?:apiVersion: cache|spec:).*?)^```$")
	var whole map[string]any
	accepted := 0
	for _, file := range append([]string{root("README.md")}, files...) {
		text, err := os.ReadFile(file)
		programs.Must(t, err)
		for _, match := range block.FindAllStringSubmatch(string(text), -1) {
			shown := map[string]any{}
			programs.Must(t, yaml.UnmarshalStrict([]byte(match[1]), &shown))
			if whole == nil {
				whole = shown
			}
			object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
			maps.Copy(object.Object, whole)
			object = object.DeepCopy()
			spec, isPart := shown["spec"].(map[string]any), shown["kind"] == nil
			if isPart {
				maps.Copy(object.Object["spec"].(map[string]any), spec)
			} else {
				object.Object = shown
			}
			object.SetNamespace(c.namespace(t))
			c.applyResource(t, object)
			accepted++
		}
	}
	if accepted < 3 {
		t.Errorf("only %d were found", accepted)
	}
}
