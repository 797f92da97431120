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
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// record is a table of the flusher's own, in the schema of the ledger.
type record struct {
	// what is what a message calls it, and what it would have to be.
	what, kind string
	// name is that within the schema, table the whole one, quoted for SQL.
	name, table string
	create      string
	// columns are those that it must have, each with the catalogue's name of its type, and
	// key those of its primary key.
	columns [][2]string
	key     []string
	// rights are those that the flusher needs.
	rights []string
}

// typed reads columns from a list of their names and types.
func typed(list string) (columns [][2]string) {
	for item := range strings.SplitSeq(list, ", ") {
		name, of, _ := strings.Cut(item, " ")
		columns = append(columns, [2]string{name, of})
	}
	return columns
}

// recordState is what the catalogue says about a record.
type recordState struct {
	role                string
	schema, table, fits bool
	mayCreateSchema     bool
	mayUse, mayCreate   bool
	mayWork             bool
	otherKind           bool
}

const recordStateSQL = `
SELECT current_user, n.oid IS NOT NULL, c.oid IS NOT NULL,
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
  coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false),
  coalesce(pg_catalog.has_schema_privilege(n.oid, 'CREATE'), false),
  (SELECT coalesce(pg_catalog.bool_and(pg_catalog.has_table_privilege(c.oid, r)), false) FROM pg_catalog.unnest($6::pg_catalog.text[]) r),
  coalesce(c.relkind <> 'r', false),
  (SELECT count(*) = pg_catalog.cardinality($3::pg_catalog.text[]) FROM pg_catalog.pg_attribute a
    JOIN ROWS FROM (pg_catalog.unnest($3::pg_catalog.text[]), pg_catalog.unnest($4::pg_catalog.text[])) w (name, type) ON w.name = a.attname::pg_catalog.text
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typname::pg_catalog.text = w.type
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  AND EXISTS (SELECT FROM pg_catalog.pg_index i
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = pg_catalog.cardinality($5::pg_catalog.text[])
      AND (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attname::pg_catalog.text COLLATE "C")
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid
          AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:pg_catalog.cardinality($5::pg_catalog.text[]) - 1])) = $5::pg_catalog.text[])
FROM (SELECT) one
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1::pg_catalog.text
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $2::pg_catalog.text`

// state asks the catalogue about the record.
func (r *record) state(ctx context.Context, conn *pgx.Conn, schema string) (s recordState, err error) {
	var names, types []string
	for _, c := range r.columns {
		names, types = append(names, c[0]), append(types, c[1])
	}
	err = conn.QueryRow(ctx, recordStateSQL, schema, r.name, names, types, slices.Sorted(slices.Values(r.key)), r.rights).Scan(
		&s.role, &s.schema, &s.table, &s.mayCreateSchema, &s.mayUse, &s.mayCreate, &s.mayWork, &s.otherKind, &s.fits)
	return s, err
}

// ensureRecords makes what is missing of the flusher's own tables and says what a person
// must do when one cannot be made or used.
func (d *Database) ensureRecords(ctx context.Context, conn *pgx.Conn) error {
	for i := range d.records {
		if err := d.ensureRecord(ctx, conn, &d.records[i]); err != nil {
			return err
		}
	}
	return nil
}

// ensureRecord makes the record when it is missing. Several flushers may do so at once.
func (d *Database) ensureRecord(ctx context.Context, conn *pgx.Conn, r *record) error {
	var err error
	for range recordAttempts {
		var s recordState
		err = inspect(ctx, conn, d.inspectTimeout(), func() (err error) {
			s, err = r.state(ctx, conn, d.settings.LedgerSchema)
			return err
		})
		if err != nil {
			return err
		}
		var statement string
		switch {
		case s.table:
			return d.judgeRecord(r, s)
		case !s.schema && !s.mayCreateSchema, s.schema && !(s.mayUse && s.mayCreate):
			return d.recordPrivilege(r, s)
		case !s.schema:
			statement = "CREATE SCHEMA IF NOT EXISTS " + d.ledger.schema
		default:
			statement = r.create
		}
		err = inspect(ctx, conn, d.inspectTimeout(), func() error {
			_, err := conn.Exec(ctx, statement)
			return err
		})
		if err != nil && !madeByAnother(err) {
			return err
		}
	}
	if err == nil {
		err = fmt.Errorf("%s vanishes as soon as it is made", r.what)
	}
	return err
}

// madeByAnother says whether a CREATE failed only because the same thing was
// made at the same moment: IF NOT EXISTS looks before the unique indexes of the
// catalogue do.
func madeByAnother(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	switch pgErr.Code {
	case "42P06", "42P07", "42710", "23505", "XX000":
		return true
	}
	return false
}

func (d *Database) judgeRecord(r *record, s recordState) error {
	switch {
	case !s.mayUse || !s.mayWork:
		return d.recordPrivilege(r, s)
	case s.otherKind || !s.fits:
		return &entry.Misfit{
			Reason: v1alpha1.ReasonSchemaMismatch,
			Message: fmt.Sprintf("%s is not %s: set another ledgerSchema or, if nothing else needs it, run as an administrator: ALTER TABLE %s RENAME TO %s_before;",
				r.table, r.kind, r.table, r.name),
		}
	}
	return nil
}

// recordPrivilege gives the SQL that an administrator must run.
func (d *Database) recordPrivilege(r *record, s recordState) error {
	role := pgx.Identifier{s.role}.Sanitize()
	var statements []string
	if !s.schema {
		statements = append(statements, "CREATE SCHEMA "+d.ledger.schema)
	}
	rights := "USAGE, CREATE"
	if s.table {
		rights = "USAGE"
	}
	statements = append(statements, fmt.Sprintf("GRANT %s ON SCHEMA %s TO %s", rights, d.ledger.schema, role))
	if s.table {
		statements = append(statements, fmt.Sprintf("GRANT %s ON TABLE %s TO %s", strings.Join(r.rights, ", "), r.table, role))
	}
	return &entry.Misfit{
		Reason: v1alpha1.ReasonPrivilegeMissing,
		Message: fmt.Sprintf("role %s may not make or use %s: run as an administrator: %s;",
			role, r.what, strings.Join(statements, "; ")),
	}
}

const unloggedRecordsSQL = `
SELECT coalesce((SELECT pg_catalog.array_agg(c.relname::pg_catalog.text ORDER BY c.relname) FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1::pg_catalog.text AND c.relname::pg_catalog.text = ANY ($2::pg_catalog.text[])
    AND c.relkind = 'r' AND c.relpersistence = 'u'), '{}')`

// unloggedRecords is the verdict on those records, by name, that are unlogged.
func (d *Database) unloggedRecords(names []string) config.Check {
	var whats, tables []string
	for _, r := range d.records {
		if slices.Contains(names, r.name) {
			whats, tables = append(whats, r.what+" "+r.table), append(tables, r.table)
		}
	}
	if len(tables) == 0 {
		return config.Check{OK: true}
	}
	if len(whats) == 1 {
		return unlogged(whats[0]+" is", tables...)
	}
	return unlogged(strings.Join(whats[:len(whats)-1], ", ")+" and "+whats[len(whats)-1]+" are", tables...)
}
