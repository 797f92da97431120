// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/internal/controller/resources"
)

// differs reports whether applying intent would change live. It compares the intent
// with the values that are there and with the API server's own record of what this
// field manager owns. So it finds a value that others changed, a field that the intent
// no longer has, and a field that others took over; it ignores defaults and additions
// of others.
func differs(intent runtime.ApplyConfiguration, live client.Object, owner string) (bool, error) {
	owned, err := ownedFields(live, owner)
	if err != nil || owned == nil {
		return true, err
	}
	want, err := intentFields(intent)
	if err != nil {
		return false, err
	}
	have, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return false, fmt.Errorf("convert live object: %w", err)
	}
	if configMap, is := live.(*corev1.ConfigMap); is {
		compareDigests(want, have, configMap.Data)
	}
	return drifted(owned, want, have), nil
}

// compareDigests puts digests in place of a ConfigMap's values: the cache has only those.
func compareDigests(want, have map[string]any, live map[string]string) {
	texts, _ := want["data"].(map[string]any)
	digests := map[string]any{}
	for name, text := range texts {
		texts[name] = resources.Hash(fmt.Sprint(text))
		if digest, ok := digestOf(live, name); ok {
			digests[name] = digest
		}
	}
	have["data"] = digests
}

// ownedFields is the record of what owner has applied to live, nil when there is
// none.
func ownedFields(live client.Object, owner string) (map[string]any, error) {
	for _, entry := range live.GetManagedFields() {
		if entry.Manager != owner || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		owned := map[string]any{}
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &owned); err != nil {
			return nil, fmt.Errorf("decode managed fields: %w", err)
		}
		return owned, nil
	}
	return nil, nil
}

// intentFields is the intent without what identifies the object, which nobody
// owns.
func intentFields(intent runtime.ApplyConfiguration) (map[string]any, error) {
	data, err := json.Marshal(intent)
	if err != nil {
		return nil, fmt.Errorf("encode intent: %w", err)
	}
	want := map[string]any{}
	if err := json.Unmarshal(data, &want); err != nil {
		return nil, fmt.Errorf("decode intent: %w", err)
	}
	delete(want, "apiVersion")
	delete(want, "kind")
	if metadata, ok := want["metadata"].(map[string]any); ok {
		delete(metadata, "name")
		delete(metadata, "namespace")
		delete(metadata, "uid")
		if len(metadata) == 0 {
			delete(want, "metadata")
		}
	}
	return want, nil
}

// Prefixes of the managed-fields format: a field by name, a list item by its
// keys.
const (
	fieldPrefix = "f:"
	keyPrefix   = "k:"
)

func drifted(owned map[string]any, want, have any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		return !ok || driftedMap(owned, want, have)
	case []any:
		have, ok := have.([]any)
		return !ok || driftedList(owned, want, have)
	default:
		return !reflect.DeepEqual(want, have)
	}
}

func driftedMap(owned, want, have map[string]any) bool {
	if len(owned) == 0 { // applied as one value
		return !covers(want, have)
	}
	for name, value := range want {
		under, ok := owned[fieldPrefix+name].(map[string]any)
		if !ok || drifted(under, value, have[name]) {
			return true
		}
	}
	for path := range owned {
		name, isField := strings.CutPrefix(path, fieldPrefix)
		if _, wanted := want[name]; isField && !wanted {
			return true
		}
	}
	return false
}

func driftedList(owned map[string]any, want, have []any) bool {
	items := 0
	for path, under := range owned {
		text, isItem := strings.CutPrefix(path, keyPrefix)
		if !isItem {
			continue
		}
		items++
		keys := map[string]any{}
		if json.Unmarshal([]byte(text), &keys) != nil {
			return true
		}
		under, _ := under.(map[string]any)
		wanted, there := find(want, keys), find(have, keys)
		if wanted == nil || there == nil || drifted(under, wanted, there) {
			return true
		}
	}
	if items == 0 { // applied as one value
		return !covers(want, have)
	}
	return items != len(want)
}

func find(list []any, keys map[string]any) any {
	for _, item := range list {
		if covers(keys, item) {
			return item
		}
	}
	return nil
}

// covers reports whether have holds all of want; it may hold defaults besides.
func covers(want, have any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			return false
		}
		for name, value := range want {
			if !covers(value, have[name]) {
				return false
			}
		}
		return true
	case []any:
		have, ok := have.([]any)
		if !ok || len(have) != len(want) {
			return false
		}
		for i := range want {
			if !covers(want[i], have[i]) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(want, have)
	}
}
