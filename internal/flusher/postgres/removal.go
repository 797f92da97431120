// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// removal is the kind of a row that is to go.
type removal struct{}

func (removal) add(b *Batch, rowKey string, _ *entry.Entry) error { return b.Delete(rowKey) }

func (removal) statement(t *Table, _ *group, _ bool) string { return t.deletes }

// look is one of its own, since a trigger may write the row anew.
func (removal) look(t *Table) string { return t.looks }

func (removal) fate() string { return "be deleted" }

// Delete adds the deletion of a row. An error is a *entry.Unfit, and then nothing
// was added.
func (b *Batch) Delete(rowKey string) error {
	number, err := b.table.key.check(rowKey)
	if err != nil {
		return err
	}
	b.add(row{number: number, cells: noCells, group: removed}, rowKey)
	return nil
}

// remove is the statement that deletes rows.
func (t *Table) remove() string {
	var guard string
	if t.version != nil {
		guard = " AND (" + t.guard("u.c0::"+t.version.cast) + ")"
	}
	return fmt.Sprintf("DELETE FROM %s t USING %s WHERE %s AND %s%s",
		t.only, rows{t: t, named: t.versioned(nil)}.from(""), t.found("t", "u", false), t.mine, guard)
}

// gone is the statement that looks whether the deleted rows are gone, in a snapshot
// of its own. The part that changes nothing is what makes PostgreSQL take that only
// when the statement is run, and not when it is bound.
func (t *Table) gone(ledger string) string {
	source := fmt.Sprintf("%s JOIN %s t ON %s", rows{t: t, named: t.versioned(nil)}.from("WITH ORDINALITY"), t.only, t.found("t", "u", false))
	return fmt.Sprintf("WITH s AS (UPDATE %s SET flush = flush WHERE false)\nSELECT CASE WHEN %s IS NOT TRUE THEN 0 ELSE %s END", ledger, t.mine, firstKept(source))
}
