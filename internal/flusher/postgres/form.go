// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// The form of a table is what a batch relies on: which table the name stands for, and
// the version of each of its columns in the catalogue. PostgreSQL gives a column's row
// there another xmin whenever its name, type, length, default or anything else of it
// changes, so that the form need not read what these are. A difference that means
// nothing, as after a GRANT on a column, has the table read once more.

// formOf is the expression for the columns' part of the form of the table with an oid.
func formOf(oid string) string {
	return "ARRAY(SELECT a.xmin FROM pg_catalog.pg_attribute a WHERE a.attrelid = " + oid + " AND a.attnum > 0 ORDER BY a.attnum)"
}

// formSQL gives the form of a table by its name, without an error when the role may not
// see it.
var formSQL = `SELECT pg_catalog.concat(c.oid, ` + formOf("c.oid") + `) FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1::pg_catalog.text AND c.relname = $2::pg_catalog.text`

// readForm is empty for a table that is not there.
func readForm(ctx context.Context, q querier, schema, name string) (string, error) {
	var form string
	err := q.QueryRow(ctx, formSQL, schema, name).Scan(&form)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return form, err
}

// askForm reads the form of a table in a transaction of its own.
func (d *Database) askForm(ctx context.Context, conn *pgx.Conn, t *Table) (form string, err error) {
	err = d.ask(ctx, conn, func() error {
		form, err = readForm(ctx, conn, t.schema, t.relation)
		return err
	})
	return form, err
}

// Current reports whether the table still is what it was when it was read. What cannot
// become a row of it may be one of what it is by now.
func (d *Database) Current(ctx context.Context, t *Table) (bool, error) {
	const action = "check whether the table was altered"
	ctx, cancel := d.bound(ctx)
	defer cancel()
	conn, err := d.acquire(ctx, action)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	form, err := d.askForm(ctx, conn.Conn(), t)
	if err != nil {
		return false, failure(action, err, stageNone)
	}
	return form == t.form, nil
}

// outdated reports whether the statements of a batch were not accepted, or not planned,
// because the table was altered before they could lock it.
func (d *Database) outdated(ctx context.Context, conn *pgx.Conn, t *Table, r *reply, err error) bool {
	var pgErr *pgconn.PgError
	if r.moved || conn.IsClosed() || !errors.As(err, &pgErr) {
		return false
	}
	if kind := classificationOf(pgErr, r.stage()).kind; kind != entry.Mapping && kind != entry.Row {
		return false
	}
	form, err := d.askForm(ctx, conn, t)
	return err == nil && form != t.form
}

// hiddenSQL reports whether the role may not name the tables of a schema.
const hiddenSQL = `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = $1::pg_catalog.text AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE'))`

// hidden is the error of a batch whose table lies in a schema that the role may not use,
// or nil. PostgreSQL says so of the ledger's statement, which looks the table's name up
// before the others are read, and does not say which schema it means.
func (d *Database) hidden(ctx context.Context, conn *pgx.Conn, t *Table, action string, r *reply, err error) *Error {
	var pgErr *pgconn.PgError
	if lacks := errors.As(err, &pgErr) && pgErr.Code == "42501"; !lacks || r.step() != stepLedger || conn.IsClosed() {
		return nil
	}
	var hidden bool
	asked := d.ask(ctx, conn, func() error { return conn.QueryRow(ctx, hiddenSQL, t.schema).Scan(&hidden) })
	if asked != nil || !hidden {
		return nil //nolint:nilerr // What PostgreSQL said is told as it stands then.
	}
	e := failure(action, err, preparing)
	e.remedy = "the role may not use schema " + t.schema + " of the table: GRANT USAGE ON SCHEMA " + quote(t.schema)
	return e
}
