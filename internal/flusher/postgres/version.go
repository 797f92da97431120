// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// atVersion stands for the version column among the numbers of a table's columns. It
// is always the last of a statement's columns.
const atVersion = -1

// errStale says that rows of the table are newer than what was to be written.
var errStale = errors.New("the row in the table has a higher version than this write")

// column is the column of a number.
func (t *Table) column(i int) *column {
	if i == atVersion {
		return t.version
	}
	return &t.columns[i]
}

// versioned adds the version column, if there is one, to what a statement writes.
func (t *Table) versioned(columns []int) []int {
	if t.version == nil {
		return columns
	}
	return append(slices.Clip(columns), atVersion)
}

// guard lets a statement change only the rows that are not newer than the write.
func (t *Table) guard(version string) string {
	v := "t." + quote(t.version.name)
	return v + " IS NULL OR " + v + " OPERATOR(pg_catalog.<=) " + version
}

// version finds the version column, or nil where the mapping has none.
func (f *fit) version() (*attribute, error) {
	name := f.mapping.VersionColumn
	if name == "" {
		return nil, nil
	}
	a := f.find(name)
	switch {
	case a == nil:
		return nil, f.alter(fmt.Sprintf("table %s has no column %s, the mapping's versionColumn", f.mapping.Table, name),
			fmt.Sprintf("ADD COLUMN %s bigint", quote(name)))
	case a.generated || a.always:
		return nil, f.mismatch("column %s of table %s is generated, so that it cannot take versions: name another versionColumn", name, f.mapping.Table)
	case a.base != "int8":
		// A domain over bigint is as good.
		return nil, f.mismatch("column %s of table %s is of type %s: a versionColumn must be of type bigint; name another one", name, f.mapping.Table, a.shown)
	}
	return a, nil
}

// staleSQL finds the entries whose row is newer.
func (t *Table) staleSQL() string {
	return fmt.Sprintf("SELECT u.n FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.int8[])) WITH ORDINALITY AS u (k, v, n) "+
		"JOIN %s t ON t.%s = u.k::%s WHERE t.%s OPERATOR(pg_catalog.>) u.v", t.only, quote(t.key.name), t.key.cast, quote(t.version.name))
}

// staleError looks, after a batch came short, which of its rows were left alone because
// the table has newer ones. The look is one of its own, since what an error quotes may be
// a document's. It gives nil if there are none, or if nobody could look.
func (d *Database) staleError(ctx context.Context, conn *pgx.Conn, t *Table, action string, b *Batch) *Error {
	if t.version == nil || conn.IsClosed() {
		return nil
	}
	var members []int32
	for i := range b.groups {
		members = append(members, b.groups[i].members...)
	}
	keys, versions := make([]string, len(members)), make([]int64, len(members))
	for i, at := range members {
		keys[i], versions[i] = string(b.text(b.rows[at].key)), b.rows[at].version
	}
	var numbers []int64
	err := d.ask(ctx, conn, func() (err error) {
		// A query that fails is told by the rows that it returns.
		rows, _ := conn.Query(ctx, t.staleSQL(), keys, versions)
		numbers, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err != nil || len(numbers) == 0 {
		return nil //nolint:nilerr // The shortfall is told then as that of any other table.
	}
	e := &Error{Kind: entry.Row, action: action, reason: v1alpha1.ReasonStatementFailed, remedy: errStale.Error(), Err: errStale}
	for _, n := range numbers {
		e.Stale = append(e.Stale, int(members[n-1]))
	}
	return e
}
