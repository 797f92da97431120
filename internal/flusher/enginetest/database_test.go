// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/entry"
)

func TestTheDatabaseInMemoryConforms(t *testing.T) {
	const items = "items"
	enginetest.DatabaseConforms(t, func(t *testing.T) enginetest.DatabaseUnderTest {
		d := enginetest.NewDatabase(items)
		d.Rule(items, func(_ string, document []byte) *entry.Fault {
			if strings.Contains(string(document), enginetest.Refused) {
				return enginetest.RefuseRow()
			}
			return nil
		})
		m := config.DefaultMapping()
		m.Name, m.KeyPrefix, m.Table, m.KeyColumn = "products", "product:", items, "id"
		return enginetest.DatabaseUnderTest{
			Database: d, Mapping: m, Alter: func() { d.Alter(items) },
			Names: func() map[string]string {
				names := make(map[string]string)
				for key, document := range d.Rows(items) {
					var row struct{ Name string }
					if err := json.Unmarshal([]byte(document), &row); err != nil {
						t.Fatal(err)
					}
					names[key] = row.Name
				}
				return names
			},
		}
	})
}
