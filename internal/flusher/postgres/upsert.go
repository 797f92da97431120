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
	return b.Set(rowKey, b.document)
}

func (upsert) statement(t *Table, columns []int, comparing bool) string {
	return t.write(columns, comparing)
}

func (upsert) look(*Table) string { return "" }

func (upsert) fate() string { return "get another value in a column that they refer to" }

// Set adds the row of a document. An error is a *entry.Unfit, and then nothing was
// added. Of several entries with one key the last one counts.
func (b *Batch) Set(rowKey string, document []byte) error {
	number, err := b.table.key.check(rowKey)
	if err != nil {
		return err
	}
	arena, cells, unknown, names := len(b.arena), len(b.cells), b.unknown, len(b.names)
	for range b.table.columns {
		b.cells = append(b.cells, cell{length: isAbsent})
	}
	named, err := b.decode(b.cells[cells:], document)
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
	r := row{number: number, cells: cells, group: everyColumn}
	if named < len(b.table.columns) {
		r.group = b.group(b.cells[cells:])
	}
	b.add(r, rowKey)
	return nil
}

// group finds the group of a row that does not name every column.
func (b *Batch) group(cells []cell) int32 {
	b.scratch = b.scratch[:0]
	for i := range cells {
		if i%8 == 0 {
			b.scratch = append(b.scratch, 0)
		}
		if cells[i].length != isAbsent {
			b.scratch[i/8] |= 1 << (i % 8)
		}
	}
	for i := otherColumns; i < len(b.groups); i++ {
		if bytes.Equal(b.groups[i].mask, b.scratch) {
			return int32(i)
		}
	}
	g := group{kind: upsert{}, mask: bytes.Clone(b.scratch)}
	for i := range cells {
		if cells[i].length != isAbsent {
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
func (t *Table) write(named []int, comparing bool) string {
	r := rows{t: t, named: t.versioned(named)}
	switch {
	case len(r.named) == 0:
		return r.present()
	case len(named) < len(t.columns):
		return r.updateOrInsert(comparing)
	}
	return r.upsert(comparing)
}

// upsert is the statement for documents that name every column.
func (r rows) upsert(comparing bool) string {
	t := r.t
	with := fmt.Sprintf("w AS (INSERT INTO %s AS t (%s)%s SELECT %s FROM %s WHERE %s %s RETURNING t.%s AS k)",
		t.name, r.names(), t.overriding, r.values(""), r.from(""), t.mine, r.onConflict(), quote(t.key.name))
	return r.counted(with, "(SELECT pg_catalog.count(*) FROM w)", comparing, "w")
}

// updateOrInsert is the statement for documents that do not name every column:
// PostgreSQL checks what must not be null before it looks for a conflict, so rows
// that are there are updated, and only the others inserted. The sub-select of those
// is not merged into its surroundings, so that only rows which were not updated are
// looked for in the table once more.
func (r rows) updateOrInsert(comparing bool) string {
	t := r.t
	key := quote(t.key.name)
	var guard string
	if t.version != nil {
		guard = " AND (" + t.guard(fmt.Sprintf("v.c%d", len(r.named)-1)) + ")"
	}
	with := fmt.Sprintf(`v AS MATERIALIZED (SELECT %s FROM %s WHERE %s),
w AS (UPDATE %s t SET %s FROM v WHERE t.%s = v.k%s RETURNING t.%s AS k),
i AS (INSERT INTO %s AS t (%s)%s SELECT %s FROM (SELECT * FROM v WHERE NOT EXISTS (SELECT FROM w WHERE w.k = v.k) OFFSET 0) r
  WHERE (SELECT true FROM %s x WHERE x.%s = r.k) IS NULL %s RETURNING t.%s AS k)`,
		r.values(" AS ?"), r.from(""), t.mine,
		t.only, r.sets(func(n int, _ *column) string { return fmt.Sprintf("v.c%d", n) }), key, guard, key,
		t.name, r.names(), t.overriding, r.list("r.k", func(n int, _ *column) string { return fmt.Sprintf("r.c%d", n) }),
		t.only, key, r.onConflict(), key)
	return r.counted(with, "(SELECT pg_catalog.count(*) FROM w) OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM i)", comparing, "w", "i")
}

// present is the statement for documents that name no column: it makes the rows that
// are missing and changes nothing.
func (r rows) present() string {
	t := r.t
	key := quote(t.key.name)
	with := fmt.Sprintf(`v AS MATERIALIZED (SELECT %s FROM %s WHERE %s),
i AS (INSERT INTO %s AS t (%s)%s SELECT v.k FROM v WHERE (SELECT true FROM %s x WHERE x.%s = v.k) IS NULL %s RETURNING t.%s AS k)`,
		r.values(" AS ?"), r.from(""), t.mine, t.name, r.names(), t.overriding, t.only, key, r.onConflict(), key)
	return r.counted(with, "(SELECT pg_catalog.count(*) FROM i)", true, "i")
}

// onConflict is what an INSERT does with a row that is there.
func (r rows) onConflict() string {
	action := "DO NOTHING"
	if len(r.named) > 0 {
		action = "DO UPDATE SET " + r.sets(func(_ int, c *column) string { return "excluded." + quote(c.name) })
		if r.t.version != nil {
			action += " WHERE " + r.t.guard("excluded."+quote(r.t.version.name))
		}
	}
	return fmt.Sprintf("ON CONFLICT (%s) %s", quote(r.t.key.name), action)
}
