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

// Wanted is a row as Redis would have it.
type Wanted struct {
	// RowKey and Member find the row. Entry says what is to be in it; without one only the row
	// is looked up.
	RowKey, Member string
	Entry          *entry.Entry
}

// Compared is a row beside what Redis would have in it.
type Compared struct {
	// Found says that the row is there, Unfit why what Redis has can be no row.
	Found bool
	Unfit *entry.Unfit
	// Columns are those that a value of the mapping may feed, and Version what the version
	// column has, if the mapping has one.
	Columns []ComparedColumn
	Version *int64
	// appends says that a row that is there is never changed.
	appends bool
}

// ComparedColumn is one column of it. Redis and Row are nil for NULL, and where the texts were
// not asked for.
type ComparedColumn struct {
	Name       string
	Redis, Row *string
	// Given says that Redis says what is to be in the column, Same that the row has it.
	Given, Same bool
}

// Differing are the names of the columns that are not as Redis has them.
func (c *Compared) Differing() (names []string) {
	if !c.Found || c.appends {
		return nil
	}
	for i := range c.Columns {
		if c.Columns[i].Given && !c.Columns[i].Same {
			names = append(names, c.Columns[i].Name)
		}
	}
	return names
}

// Same says that the row is there and is what Redis has.
func (c *Compared) Same() bool { return c.Found && c.Unfit == nil && len(c.Differing()) == 0 }

// Compare holds rows against what Redis has, and changes nothing: a value is cast to the type of
// its column, and compared by what PostgreSQL calls equal there. With texts both sides come with
// the answer. A value that can be no row is told as Unfit, one that the column's type refuses
// among others.
func (d *Database) Compare(ctx context.Context, t *Table, all []Wanted, texts bool) ([]Compared, error) {
	found := make([]Compared, len(all))
	shapes := make(map[string][]int)
	var order []string
	given := make([]givenRow, len(all))
	for i := range all {
		given[i] = t.givenOf(&all[i])
		found[i].Unfit, found[i].appends = given[i].unfit, t.appends
		if given[i].noRow {
			continue
		}
		shape := fmt.Sprint(given[i].columns, given[i].reset)
		if shapes[shape] == nil {
			order = append(order, shape)
		}
		shapes[shape] = append(shapes[shape], i)
	}
	for _, shape := range order {
		if err := d.compareAlike(ctx, t, all, given, found, shapes[shape], texts); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// givenRow is what Redis gives for one row, in the order of columns.
type givenRow struct {
	unfit *entry.Unfit
	// noRow says that no row can have the key.
	noRow bool
	// columns are those that are named, values their texts, and reset those that take their
	// default.
	columns []int
	values  []*string
	reset   []int
}

// givenOf takes a value apart as a batch does that writes it.
func (t *Table) givenOf(w *Wanted) givenRow {
	var g givenRow
	_, err := t.key.check(w.RowKey)
	if err == nil && t.member != nil {
		_, err = t.member.check(w.Member)
	}
	if unfit, ok := errors.AsType[*entry.Unfit](err); ok {
		g.unfit, g.noRow = unfit, true
		return g
	}
	if w.Entry == nil {
		return g
	}
	if g.unfit = w.Entry.Unfit; g.unfit != nil {
		return g
	}
	b := t.NewBatch()
	err = b.Add(w.RowKey, w.Entry)
	if unfit, ok := errors.AsType[*entry.Unfit](err); ok {
		g.unfit = unfit
		return g
	}
	r := &b.rows[len(b.rows)-1]
	if r.cells == noCells {
		return g
	}
	for i, c := range b.cells[r.cells : r.cells+len(t.columns)] {
		switch c.length {
		case isAbsent:
		case isDefault:
			g.reset = append(g.reset, i)
		case isNull:
			g.columns, g.values = append(g.columns, i), append(g.values, nil)
		default:
			text := string(b.text(c))
			g.columns, g.values = append(g.columns, i), append(g.values, &text)
		}
	}
	return g
}

// compareAlike asks about rows that name the same columns. Where the type of a column refuses a
// value they are asked about one by one, and that row is told as unfit.
func (d *Database) compareAlike(ctx context.Context, t *Table, all []Wanted, given []givenRow, found []Compared, which []int, texts bool) error {
	err := d.compareOnce(ctx, t, all, given, found, which, texts)
	fault, ok := errors.AsType[*Error](err)
	if !ok || !refusesValue(fault.SQLSTATE) {
		return err
	}
	if len(which) > 1 {
		for _, i := range which {
			if err := d.compareAlike(ctx, t, all, given, found, []int{i}, texts); err != nil {
				return err
			}
		}
		return nil
	}
	i := which[0]
	found[i].Unfit = &entry.Unfit{SQLSTATE: fault.SQLSTATE, Column: fault.Column, Message: fault.Detail()}
	// The row itself can be looked up all the same.
	given[i] = givenRow{unfit: found[i].Unfit}
	return d.compareOnce(ctx, t, all, given, found, which, texts)
}

// refusesValue tells whether a statement that only reads fails with the state for a value's sake:
// it cannot be read as the column's type (class 22), or breaks the check of a domain (class 23).
func refusesValue(state string) bool {
	return strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23") || state == stateLimit
}

func (d *Database) compareOnce(ctx context.Context, t *Table, all []Wanted, given []givenRow, found []Compared, which []int, texts bool) error {
	shape := &given[which[0]]
	arguments := make([]any, 0, len(idAliases)+len(shape.columns))
	keys, members := make([]string, len(which)), make([]string, len(which))
	values := make([][]*string, len(shape.columns))
	for n, i := range which {
		keys[n], members[n] = all[i].RowKey, all[i].Member
		for c := range shape.columns {
			values[c] = append(values[c], given[i].values[c])
		}
	}
	arguments = append(arguments, keys)
	if t.member != nil {
		arguments = append(arguments, members)
	}
	for _, column := range values {
		arguments = append(arguments, column)
	}
	action := "compare rows of table " + t.shown
	return d.inTransaction(ctx, action, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, t.compareSQL(shape, texts), arguments...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var n int64
			var there bool
			var version *int64
			var same []bool
			var redis, row []*string
			if err := rows.Scan(&n, &there, &version, &same, &redis, &row); err != nil {
				return err
			}
			c := &found[which[n-1]]
			c.Found, c.Version, c.Columns = there, version, t.comparedColumns(shape, there, same, redis, row)
		}
		return rows.Err()
	})
}

func (t *Table) comparedColumns(shape *givenRow, there bool, same []bool, redis, row []*string) []ComparedColumn {
	columns := make([]ComparedColumn, len(t.columns))
	for i := range t.columns {
		columns[i].Name = t.columns[i].name
		if len(row) > i && there {
			columns[i].Row = row[i]
		}
	}
	for n, i := range slices.Concat(shape.columns, shape.reset) {
		c := &columns[i]
		c.Given, c.Same = true, there && same[n]
		if n < len(redis) {
			c.Redis = redis[n]
		}
	}
	return columns
}

// compareSQL asks about rows whose values name the same columns: the number of the row, whether it
// is there, its version, which columns are the same, and the texts of both sides. What the default of
// a column comes to is not known, so that one which has a default counts as the same.
func (t *Table) compareSQL(shape *givenRow, texts bool) string {
	var same, redis, row []string
	for n, i := range shape.columns {
		c := &t.columns[i]
		value, whole := fmt.Sprintf("u.c%d::%s", n, c.shown), fmt.Sprintf("u.c%d::%s", n, c.cast)
		condition := c.same("x."+quote(c.name), value)
		if c.cuts() {
			// A batch assigns, which refuses what is too long but for spaces at its end.
			condition += fmt.Sprintf(" AND pg_catalog.rtrim((%s)::pg_catalog.text) IS NOT DISTINCT FROM pg_catalog.rtrim((%s)::pg_catalog.text)", whole, value)
			value = whole
		}
		same = append(same, "("+condition+")")
		redis = append(redis, "("+value+")::pg_catalog.text")
	}
	for _, i := range shape.reset {
		c := &t.columns[i]
		if c.defaulted {
			same = append(same, "true")
		} else {
			same = append(same, "x."+quote(c.name)+" IS NULL")
		}
	}
	for i := range t.columns {
		row = append(row, "x."+quote(t.columns[i].name)+"::pg_catalog.text")
	}
	if !texts {
		redis, row = nil, nil
	}
	version := "NULL::pg_catalog.int8"
	if t.version != nil {
		version = "x." + quote(t.version.name) + "::pg_catalog.int8"
	}
	arrays, names := make([]string, 0, len(t.ids)+len(shape.columns)), make([]string, 0, len(t.ids)+len(shape.columns)+1)
	array := func(name string) {
		arrays = append(arrays, unnest(len(arrays)+1))
		names = append(names, name)
	}
	for n := range t.ids {
		array(idAliases[n])
	}
	for n := range shape.columns {
		array(fmt.Sprintf("c%d", n))
	}
	return fmt.Sprintf(`SELECT u.n, x.%s IS NOT NULL, %s, ARRAY[%s]::pg_catalog.bool[], ARRAY[%s]::pg_catalog.text[], ARRAY[%s]::pg_catalog.text[]
FROM ROWS FROM (%s) WITH ORDINALITY AS u (%s, n) LEFT JOIN %s x ON %s ORDER BY u.n`,
		quote(t.key.name), version, strings.Join(same, ", "), strings.Join(redis, ", "), strings.Join(row, ", "),
		strings.Join(arrays, ", "), strings.Join(names, ", "), t.only, t.found("x", "u", false))
}

// cuts says that a cast to the type cuts what is too long.
func (c *column) cuts() bool {
	switch c.cast {
	case `pg_catalog."varchar"`, "pg_catalog.bpchar", "pg_catalog._varchar", "pg_catalog._bpchar":
		return true
	}
	return false
}

// Keys lists rows in the order of their keys, and members where a key has several: those behind
// the key and the member given, at most so many. first says that there is none before.
func (d *Database) Keys(ctx context.Context, t *Table, first bool, after [2]string, most int) (found [][2]string, err error) {
	ids := t.eachID(", ", func(k *key, _ string) string { return "x." + quote(k.name) })
	texts := t.eachID(", ", func(k *key, _ string) string { return "x." + quote(k.name) + "::pg_catalog.text" })
	if t.member == nil {
		texts += ", ''"
	}
	where, arguments := "true", []any{most}
	if !first {
		var behind []string
		for n, k := range t.ids {
			behind = append(behind, fmt.Sprintf("$%d::pg_catalog.text::%s", n+2, k.cast))
			arguments = append(arguments, after[n])
		}
		where = fmt.Sprintf("(%s) > (%s)", ids, strings.Join(behind, ", "))
	}
	sql := fmt.Sprintf("SELECT %s FROM %s x WHERE %s ORDER BY %s LIMIT $1::pg_catalog.int8", texts, t.only, where, ids)
	err = d.inTransaction(ctx, "list rows of table "+t.shown, func(ctx context.Context, tx pgx.Tx) error {
		found = found[:0]
		rows, err := tx.Query(ctx, sql, arguments...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var one [2]string
			if err := rows.Scan(&one[0], &one[1]); err != nil {
				return err
			}
			found = append(found, one)
		}
		return rows.Err()
	})
	return found, err
}

// Members lists the members of one key that have rows, at most so many.
func (d *Database) Members(ctx context.Context, t *Table, rowKey string, most int) (members []string, err error) {
	sql := fmt.Sprintf("SELECT x.%s::pg_catalog.text FROM %s x WHERE x.%s = $1::pg_catalog.text::%s ORDER BY 1 LIMIT $2::pg_catalog.int8",
		quote(t.member.name), t.only, quote(t.key.name), t.key.cast)
	err = d.inTransaction(ctx, "list rows of table "+t.shown, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, rowKey, most)
		if err != nil {
			return err
		}
		members, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return members, err
}

// Refuses says that no row of the table can have the key.
func (t *Table) Refuses(rowKey string) bool {
	_, err := t.key.check(rowKey)
	return err != nil
}
