// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

func TestDocumentsThatFeedNoColumnAreTheMappingsFault(t *testing.T) {
	t.Parallel()
	server, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, unit_price numeric, name text)")
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	for name, columns := range map[string][]config.Column{
		"every column": nil,
		"listed":       {{Field: "Name", Column: "name"}},
	} {
		o.table = readTable(t, d, mapping("items", columns...))
		e := o.refuse(t, "1", `{"unitPrice":1,"id":1}`, "2", `{"itemName":"x"}`, "3", "")
		if e.Kind != entry.Mapping || e.Reason() != v1alpha1.ReasonSchemaMismatch || e.Unsettled {
			t.Errorf("%s: Write = %v %s %v; want the mapping's fault", name, e.Kind, e.Reason(), e)
		}
		fed := "own names: unit_price, name;"
		if columns != nil {
			fed = "mapping's columns: Name;"
		}
		for _, says := range []string{"table items", "the documents name itemName, unitPrice;", fed} {
			if !strings.Contains(e.Message(), says) {
				t.Errorf("%s: the message is %q; want %q in it", name, e.Message(), says)
			}
		}
	}
	// A name that no column can have is not kept.
	o.table = readTable(t, d, mapping("items"))
	if e := o.refuse(t, "1", `{"`+strings.Repeat("x", 64)+`":1}`); e.Kind != entry.Mapping || !strings.Contains(e.Message(), "only fields of more than 63 bytes") {
		t.Errorf("a long name: Write = %v %v", e.Kind, e)
	}
	equal(t, server, "SELECT count(*) FROM items", "0")

	// What has no field says nothing, and neither does the key's own, or a deletion.
	o.table = readTable(t, d, mapping("items"))
	o.write(t, "4", `{}`, "5", `{"id":5}`, "6", "")
	// One that feeds a column shows that the mapping fits.
	o.write(t, "7", `{"name":"x"}`, "8", `{"unitPrice":1}`)
	o.write(t, "9", `{"unitPrice":1}`)
	equal(t, server, "SELECT id, name FROM items ORDER BY id", "4|NULL", "5|NULL", "7|x", "8|NULL", "9|NULL")
}

func TestATableOfNothingButItsKeyTakesAnyDocument(t *testing.T) {
	t.Parallel()
	server, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, twice bigint GENERATED ALWAYS AS (id * 2) STORED)")
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"anything":1}`)
	equal(t, server, "SELECT id FROM items", "1")
}
