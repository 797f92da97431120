// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// clearing is the kind of all rows of a key that are to go, but for some.
type clearing struct{}

// stay is a member whose row stays, of the row of the batch that clears its key.
type stay struct {
	row    int32
	member cell
}

// add reads the list of the members that stay.
func (clearing) add(b *Batch, rowKey string, e *entry.Entry) error {
	number, err := b.table.key.check(rowKey)
	if err != nil {
		return err
	}
	arena, stays := len(b.arena), len(b.stays)
	if err := b.stay([]byte(e.Value)); err != nil {
		b.arena, b.stays = b.arena[:arena], b.stays[:stays]
		return err
	}
	b.add(row{number: number, cells: noCells, group: cleared}, rowKey)
	return nil
}

// stay reads a JSON array of texts, of which those that can be members are rows.
func (b *Batch) stay(list []byte) error {
	s := scanner{data: list}
	if s.next() == 0 {
		return nil
	}
	all, err := s.value(0)
	if err != nil || all.kind != jsonArray || s.next() != 0 {
		return &entry.Unfit{SQLSTATE: stateInvalidText, Message: "the members that stay are no JSON array"}
	}
	s = scanner{data: all.text, pos: 1}
	for s.next() != ']' {
		v, _ := s.value(0)
		if v.kind != jsonString {
			return &entry.Unfit{SQLSTATE: stateInvalidText, Message: "a member that stays is no text"}
		}
		// A text that can be no member has no row.
		if text := string(v.value()); b.table.checks(text) {
			b.stays = append(b.stays, stay{int32(len(b.rows)), b.keep(text)})
		}
		if s.next() == ',' {
			s.pos++
		}
	}
	return nil
}

func (clearing) statement(t *Table, _ *group, _ bool) string { return t.clears }

func (clearing) look(t *Table) string { return t.clearLooks }

func (clearing) fate() string { return "be deleted" }

// goes is the condition that the row t is one of those that go: of a key u, and not among
// those that stay.
func (t *Table) goes() string {
	return fmt.Sprintf("t.%s = u.k::%s AND NOT EXISTS (SELECT FROM ROWS FROM (%s, %s) AS s (k, m) WHERE %s)",
		quote(t.key.name), t.key.cast, unnest(firstArray+1), unnest(firstArray+2), t.found("t", "s", false))
}

// clear is the statement that deletes the rows of keys.
func (t *Table) clear() string {
	return fmt.Sprintf("DELETE FROM %s t USING ROWS FROM (%s) AS u (k) WHERE %s AND %s", t.only, unnest(firstArray), t.goes(), t.mine)
}

// cleared is the statement that looks whether they are gone, as gone does. A row that this
// very transaction wrote is one that came after.
func (t *Table) cleared(ledger string) string {
	source := fmt.Sprintf("ROWS FROM (%s) WITH ORDINALITY AS u (k, n) JOIN %s t ON t.xmin <> pg_catalog.pg_current_xact_id()::pg_catalog.xid AND %s",
		unnest(firstArray), t.only, t.goes())
	return fmt.Sprintf("WITH s AS (UPDATE %s SET flush = flush WHERE false)\nSELECT CASE WHEN %s IS NOT TRUE THEN 0 ELSE %s END", ledger, t.mine, firstKept(source))
}
