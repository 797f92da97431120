// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/entry"
)

const (
	// controlRows is how many rows of the table are tried: one that happens to be bad
	// itself should not decide.
	controlRows = 3
	// controlColumns is how many values are left out in turn.
	controlColumns = 32
)

// errTaken ends a control, so that all of it is rolled back.
var errTaken = errors.New("taken")

// Control tries whether the table takes another row than the only one of the batch,
// which it refused: first rows that are there, each written to itself by a statement of
// the same columns, so that it meets the same triggers, policies and constraints; then
// the refused row without one of its values. Nothing of it is kept.
func (d *Database) Control(ctx context.Context, t *Table, b *Batch) entry.Trial {
	if trial := d.ControlOfRows(ctx, t, b); trial != entry.NoneTaken {
		return trial
	}
	return d.controlOfParts(ctx, t, b)
}

// ControlOfRows is the part of a control that tries rows of the table.
func (d *Database) ControlOfRows(ctx context.Context, t *Table, b *Batch) entry.Trial {
	if b.Len() != 1 {
		return entry.NoneTaken
	}
	r := &b.rows[0]
	shape := b.groups[r.group].shape
	// What a document leaves out may be why it was refused, and that is its own fault:
	// where the same columns are not enough, all of them are tried.
	shapes := [][]int{shape}
	if len(shape) < len(t.columns) {
		shapes = append(shapes, t.everyColumn())
	}
	keys, err := d.otherKeys(ctx, t, string(b.text(r.key)))
	if err != nil {
		return entry.NoneTaken
	}
	for n, columns := range shapes {
		for _, key := range keys {
			if d.tries(ctx, t, t.toItself(columns), key) {
				return []entry.Trial{entry.RowTaken, entry.PartTaken}[n]
			}
		}
	}
	return entry.NoneTaken
}

func (d *Database) controlOfParts(ctx context.Context, t *Table, b *Batch) entry.Trial {
	if b.Len() != 1 {
		return entry.NoneTaken
	}
	r := &b.rows[0]
	columns := b.groups[r.group].columns
	for n := range min(len(columns), controlColumns) {
		rest := slices.Delete(slices.Clone(columns), n, n+1)
		values := []any{string(b.text(r.key))}
		for _, i := range rest {
			if c := b.cells[r.cells+i]; c.length == isNull {
				values = append(values, nil)
			} else {
				values = append(values, string(b.text(c)))
			}
		}
		if t.version != nil {
			values = append(values, r.version)
		}
		if d.tries(ctx, t, t.single(rest), values...) {
			return entry.PartTaken
		}
	}
	return entry.NoneTaken
}

// otherKeys are a few keys of rows that are there.
func (d *Database) otherKeys(ctx context.Context, t *Table, but string) ([]string, error) {
	var keys []string
	err := d.inTransaction(ctx, "look for a row of "+t.name, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, fmt.Sprintf("SELECT o.%s::pg_catalog.text FROM %s o WHERE o.%[1]s::pg_catalog.text OPERATOR(pg_catalog.<>) $1 LIMIT %[3]d",
			quote(t.key.name), t.only, controlRows), but)
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return keys, err
}

// tries tells whether a statement writes its one row. Nothing is kept.
func (d *Database) tries(ctx context.Context, t *Table, sql string, args ...any) bool {
	err := d.inTransaction(ctx, "try a row of "+t.name, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, args...)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			// A trigger kept it out, or left it alone since nothing would change.
			return errKeptOut
		}
		if t.deferrable {
			if _, err := tx.Exec(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
				return err
			}
		}
		return errTaken
	})
	return errors.Is(err, errTaken)
}

// everyColumn are all columns that documents feed.
func (t *Table) everyColumn() []int {
	all := make([]int, len(t.columns))
	for i := range all {
		all[i] = i
	}
	return all
}

// toItself is the statement that writes one row of the table to itself.
func (t *Table) toItself(columns []int) string {
	values := []string{"o." + quote(t.key.name)}
	for _, i := range t.versioned(columns) {
		values = append(values, "o."+quote(t.column(i).name))
	}
	return t.upsert(columns, fmt.Sprintf("SELECT %s FROM %s o WHERE o.%s::pg_catalog.text OPERATOR(pg_catalog.=) $1",
		strings.Join(values, ", "), t.only, quote(t.key.name)))
}

// single is the statement that writes one row of values.
func (t *Table) single(columns []int) string {
	values := []string{"$1::pg_catalog.text::" + t.key.cast}
	for n, i := range columns {
		values = append(values, fmt.Sprintf("$%d::pg_catalog.text::%s", n+2, t.columns[i].cast))
	}
	if t.version != nil {
		values = append(values, fmt.Sprintf("$%d::pg_catalog.int8", len(columns)+2))
	}
	return t.upsert(columns, "SELECT "+strings.Join(values, ", "))
}

// upsert is a statement that writes the given columns of the rows that source gives.
func (t *Table) upsert(columns []int, source string) string {
	key := quote(t.key.name)
	names := []string{key}
	var sets []string
	for _, i := range t.versioned(columns) {
		name := quote(t.column(i).name)
		names = append(names, name)
		sets = append(sets, name+" = excluded."+name)
	}
	if len(sets) == 0 {
		sets = append(sets, key+" = excluded."+key)
	}
	return fmt.Sprintf("INSERT INTO %s AS t (%s)%s %s ON CONFLICT (%s) DO UPDATE SET %s",
		t.name, strings.Join(names, ", "), t.overriding, source, key, strings.Join(sets, ", "))
}
