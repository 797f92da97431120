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
	keys, err := d.otherKeys(ctx, t, b.idsOf(0))
	if err != nil {
		return entry.NoneTaken
	}
	for n, columns := range shapes {
		for _, key := range keys {
			if d.tries(ctx, t, t.toItself(columns), key...) {
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
		var values []any
		for _, id := range b.idsOf(0) {
			values = append(values, id)
		}
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

// otherKeys are what finds a few rows that are there.
func (d *Database) otherKeys(ctx context.Context, t *Table, but []string) ([][]any, error) {
	texts := t.eachID(", ", func(k *key, _ string) string { return "o." + quote(k.name) + "::pg_catalog.text" })
	others := t.eachID(" OR ", func(k *key, alias string) string {
		return fmt.Sprintf("o.%s::pg_catalog.text OPERATOR(pg_catalog.<>) $%d", quote(k.name), 1+slices.Index(idAliases, alias))
	})
	var arguments []any
	for _, id := range but {
		arguments = append(arguments, id)
	}
	var keys [][]any
	err := d.inTransaction(ctx, "look for a row of "+t.name, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, fmt.Sprintf("SELECT %s FROM %s o WHERE %s LIMIT %d", texts, t.only, others, controlRows), arguments...)
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
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

// neverID is an id that no entry of a stream has.
const neverID = "0-0"

// toItself is the statement that writes one row of the table to itself. One that never
// changes is written beside itself, by an id that there is not.
func (t *Table) toItself(columns []int) string {
	var values []string
	for n, k := range t.ids {
		if n > 0 && t.appends {
			values = append(values, "'"+neverID+"'")
		} else {
			values = append(values, "o."+quote(k.name))
		}
	}
	for _, i := range t.versioned(columns) {
		values = append(values, "o."+quote(t.column(i).name))
	}
	found := t.eachID(" AND ", func(k *key, alias string) string {
		return fmt.Sprintf("o.%s::pg_catalog.text OPERATOR(pg_catalog.=) $%d", quote(k.name), 1+slices.Index(idAliases, alias))
	})
	return t.upsert(columns, fmt.Sprintf("SELECT %s FROM %s o WHERE %s", strings.Join(values, ", "), t.only, found))
}

// single is the statement that writes one row of values.
func (t *Table) single(columns []int) string {
	var values []string
	add := func(cast string) {
		values = append(values, fmt.Sprintf("$%d::pg_catalog.text::%s", len(values)+1, cast))
	}
	for _, k := range t.ids {
		add(k.cast)
	}
	for _, i := range columns {
		add(t.columns[i].cast)
	}
	if t.version != nil {
		values = append(values, fmt.Sprintf("$%d::pg_catalog.int8", len(values)+1))
	}
	return t.upsert(columns, "SELECT "+strings.Join(values, ", "))
}

// upsert is a statement that writes the given columns of the rows that source gives.
func (t *Table) upsert(columns []int, source string) string {
	names := []string{t.idNames()}
	var sets []string
	for _, i := range t.versioned(columns) {
		name := quote(t.column(i).name)
		names = append(names, name)
		sets = append(sets, name+" = excluded."+name)
	}
	if len(sets) == 0 {
		key := quote(t.key.name)
		sets = append(sets, key+" = excluded."+key)
	}
	insert := fmt.Sprintf("INSERT INTO %s AS t (%s)%s %s", t.name, strings.Join(names, ", "), t.overriding, source)
	if t.appends {
		return insert
	}
	return fmt.Sprintf("%s ON CONFLICT (%s) DO UPDATE SET %s", insert, t.idNames(), strings.Join(sets, ", "))
}
