// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"fmt"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// upsert is the kind of what a document says of its row.
type upsert struct{}

// add copies the document into memory that the next one takes over, since the scanner reads
// bytes. What becomes of the row is in the arena by then.
func (upsert) add(b *Batch, rowKey string, e *entry.Entry) error {
	b.document = append(b.document[:0], e.Value...)
	return b.set(rowKey, b.document, way{kind: upsert{}, whole: e.Whole, equal: e.Compare})
}

func (upsert) statement(t *Table, g *group, comparing bool) string {
	return t.write(rows{t: t, named: t.versioned(g.columns), reset: g.reset, equal: g.equal}, comparing || g.equal)
}

func (upsert) look(*Table) string { return "" }

func (upsert) fate() string { return "get another value in a column that they refer to" }

// Set adds the row of a document. An error is a *entry.Unfit, and then nothing was
// added. Of several entries with one key the last one counts.
func (b *Batch) Set(rowKey string, document []byte) error {
	return b.set(rowKey, document, plainly)
}

// way is what differs between entries that name the same columns.
type way struct {
	kind kind
	// whole says that columns which are not named take their default, equal that a row
	// which is as it is to be is left alone.
	whole, equal bool
}

// plainly is the way of a document.
var plainly = way{kind: upsert{}}

func (b *Batch) set(rowKey string, value []byte, w way) error {
	number, err := b.table.key.check(rowKey)
	if err != nil {
		return err
	}
	arena, cells, unknown, names := len(b.arena), len(b.cells), b.unknown, len(b.names)
	for range b.table.columns {
		b.cells = append(b.cells, cell{length: isAbsent})
	}
	named, err := b.decode(b.cells[cells:], value)
	if err != nil {
		b.arena, b.cells, b.unknown = b.arena[:arena], b.cells[:cells], unknown
		b.names = b.names[:names]
		return err
	}
	switch {
	case named > 0:
		b.fed++
	case b.unknown > unknown:
		b.strange++
	}
	if w.whole {
		b.table.resetAbsent(b.cells[cells:])
	}
	r := row{number: number, cells: cells, group: everyColumn}
	if named < len(b.table.columns) || w != plainly || b.table.texts {
		r.group = b.group(b.cells[cells:], w)
	}
	b.add(r, rowKey)
	return nil
}

// What a group's mask says of a column, in two bits, and of the group, in its first byte.
const (
	maskGiven, maskDefault = 1, 2
	maskEqual, maskAppend  = 1, 2
)

// group finds the group of a row that does not plainly name every column.
func (b *Batch) group(cells []cell, w way) int32 {
	var flags byte
	if w.equal {
		flags |= maskEqual
	}
	if w.kind == (appending{}) {
		flags |= maskAppend
	}
	b.scratch = append(b.scratch[:0], flags)
	for i := range cells {
		if i%4 == 0 {
			b.scratch = append(b.scratch, 0)
		}
		last := &b.scratch[len(b.scratch)-1]
		switch cells[i].length {
		case isAbsent:
		case isDefault:
			*last |= maskDefault << (i % 4 * 2)
		default:
			*last |= maskGiven << (i % 4 * 2)
		}
	}
	for i := otherColumns; i < len(b.groups); i++ {
		if bytes.Equal(b.groups[i].mask, b.scratch) {
			return int32(i)
		}
	}
	g := group{kind: w.kind, equal: w.equal, mask: bytes.Clone(b.scratch)}
	for i := range cells {
		switch cells[i].length {
		case isAbsent:
		case isDefault:
			g.reset = append(g.reset, i)
		default:
			g.columns = append(g.columns, i)
		}
	}
	g.shape = g.columns
	b.groups = append(b.groups, g)
	return int32(len(b.groups) - 1)
}

// write is the statement that writes rows which name the given columns. It fails
// when a row was neither written nor left alone because this is not its batch: the
// transaction must not commit then. A comparing statement holds the rows that it did
// not write against what is there, and fails only for one that differs.
func (t *Table) write(r rows, comparing bool) string {
	switch {
	case len(r.named)+len(r.reset) == 0:
		return r.present()
	case len(r.named)+len(r.reset) < len(t.versioned(t.everyColumn())):
		return r.updateOrInsert(comparing)
	}
	return r.upsert(comparing)
}

// upsert is the statement for documents that name every column.
func (r rows) upsert(comparing bool) string {
	t := r.t
	with := fmt.Sprintf("w AS (INSERT INTO %s AS t (%s)%s SELECT %s FROM %s WHERE %s %s %s)",
		t.name, r.names(), t.overriding, r.values(""), r.from(""), t.mine, r.onConflict(), t.returning())
	return r.counted(with, "(SELECT pg_catalog.count(*) FROM w)", comparing, "w")
}

// updateOrInsert is the statement for documents that do not name every column:
// PostgreSQL checks what must not be null before it looks for a conflict, so rows
// that are there are updated, and only the others inserted. The sub-select of those
// is not merged into its surroundings, so that only rows which were not updated are
// looked for in the table once more.
func (r rows) updateOrInsert(comparing bool) string {
	t := r.t
	value := func(n int, _ *column) string { return fmt.Sprintf("v.c%d", n) }
	var guard string
	if t.version != nil {
		guard = " AND (" + t.guard(fmt.Sprintf("v.c%d", len(r.named)-1)) + ")"
	}
	if r.equal {
		guard += " AND (" + r.differs(value) + ")"
	}
	with := fmt.Sprintf(`v AS MATERIALIZED (SELECT %s FROM %s WHERE %s),
w AS (UPDATE %s t SET %s FROM v WHERE %s%s %s),
i AS (INSERT INTO %s AS t (%s)%s SELECT %s FROM (SELECT * FROM v WHERE NOT EXISTS (SELECT FROM w WHERE %s) OFFSET 0) r
  WHERE (SELECT true FROM %s x WHERE %s) IS NULL %s %s)`,
		r.values(" AS ?"), r.from(""), t.mine,
		t.only, r.sets(value), t.found("t", "v", true), guard, t.returning(),
		t.name, r.names(), t.overriding,
		r.list(func(_ *key, alias string) string { return "r." + alias }, func(n int, _ *column) string { return fmt.Sprintf("r.c%d", n) }),
		t.eachID(" AND ", func(_ *key, alias string) string { return "w." + alias + " = v." + alias }),
		t.only, t.found("x", "r", true), r.onConflict(), t.returning())
	return r.counted(with, "(SELECT pg_catalog.count(*) FROM w) OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM i)", comparing, "w", "i")
}

// present is the statement for documents that name no column: it makes the rows that
// are missing and changes nothing.
func (r rows) present() string {
	t := r.t
	with := fmt.Sprintf(`v AS MATERIALIZED (SELECT %s FROM %s WHERE %s),
i AS (INSERT INTO %s AS t (%s)%s SELECT %s FROM v WHERE (SELECT true FROM %s x WHERE %s) IS NULL %s %s)`,
		r.values(" AS ?"), r.from(""), t.mine, t.name, r.names(), t.overriding,
		t.eachID(", ", func(_ *key, alias string) string { return "v." + alias }), t.only, t.found("x", "v", true), r.onConflict(), t.returning())
	return r.counted(with, "(SELECT pg_catalog.count(*) FROM i)", true, "i")
}

// onConflict is what an INSERT does with a row that is there.
func (r rows) onConflict() string {
	action := "DO NOTHING"
	if len(r.named)+len(r.reset) > 0 {
		value := func(_ int, c *column) string { return "excluded." + quote(c.name) }
		action = "DO UPDATE SET " + r.sets(value)
		switch {
		case r.t.version != nil:
			action += " WHERE " + r.t.guard("excluded."+quote(r.t.version.name))
		case r.equal:
			action += " WHERE " + r.differs(value)
		}
	}
	return fmt.Sprintf("ON CONFLICT (%s) %s", r.t.idNames(), action)
}
