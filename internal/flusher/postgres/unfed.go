// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// unfed refuses a batch of documents that have fields, none of which any column takes: the
// documents may have unitPrice, and the table unit_price. Otherwise rows of nothing but the
// key would be written, and the values would count as flushed and be lost. It is the
// mapping's fault until one of its documents has fed a column. From then on such a document
// just leaves the row's columns alone.
func (d *Database) unfed(t *Table, b *Batch) error {
	if b.fed > 0 || b.strange == 0 || len(t.columns) == 0 {
		return nil
	}
	if _, ok := d.fed.Load(t.mapping); ok {
		return nil
	}
	names := slices.Clone(b.names)
	slices.Sort(names)
	example := "a field"
	if len(names) > 0 {
		example = names[0]
	} else {
		// Names that are longer than any column's are not kept.
		names = []string{fmt.Sprintf("only fields of more than %d bytes", longestName)}
	}
	fed := make([]string, 0, len(t.fields))
	for i := range t.fields {
		if len(t.fields[i].columns) > 0 {
			fed = append(fed, t.fields[i].name)
		}
	}
	kind := "the fields that feed columns are those of the columns' own names"
	if t.listed {
		kind = "the fields that feed columns are those of the mapping's columns"
	}
	return &Error{
		Kind: entry.Mapping, reason: v1alpha1.ReasonSchemaMismatch,
		remedy: fmt.Sprintf("no field of any document feeds a column of table %s, so that rows of nothing but the key would be written: "+
			"the documents name %s; %s: %s; upper and lower case count: map them in the mapping's columns, as {field: %s, column: %s}, or let the documents name other fields",
			t.shown, list(names), kind, list(fed), example, t.columns[0].name),
	}
}

// feeds records that a document of the mapping has fed a column.
func (d *Database) feeds(t *Table, b *Batch) {
	if b.fed == 0 {
		return
	}
	if _, ok := d.fed.Load(t.mapping); !ok {
		d.fed.Store(t.mapping, true)
	}
}

// mostListed bounds what a message repeats of names.
const mostListed = 20

// list names a few things in a sentence.
func list(names []string) string {
	if more := len(names) - mostListed; more > 0 {
		return strings.Join(names[:mostListed], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}
