// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// referenceSQL tells of a foreign key, by the table that has it and its name, whether that
// table is the mapping's, whether the one that it refers to is, and the columns that it
// refers to. A partition counts as its table.
const referenceSQL = `
SELECT coalesce(pg_catalog.bool_or(k.conrelid = ANY (o.own)), false), coalesce(pg_catalog.bool_or(k.confrelid = ANY (o.own)), false),
  coalesce(min((SELECT pg_catalog.string_agg(a.attname::pg_catalog.text, ', ' ORDER BY u.place) FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u (number, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number)), '')
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN (SELECT pg_catalog.array_agg(x.oid) || ARRAY(SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(min(x.oid)) p)
  FROM pg_catalog.pg_class x JOIN pg_catalog.pg_namespace xn ON xn.oid = x.relnamespace
  WHERE xn.nspname = $4::pg_catalog.text AND x.relname = $5::pg_catalog.text) o (own)
WHERE k.contype = 'f' AND n.nspname = $1::pg_catalog.text AND c.relname = $2::pg_catalog.text AND k.conname = $3::pg_catalog.text`

// reference is what referenceSQL tells of a foreign key. It is the same for every row.
type reference struct {
	refers, referred bool
	columns          string
}

// ofReference says whether an SQLSTATE is a foreign key's: from 18 on one that is RESTRICT
// has its own.
func ofReference(sqlstate string) bool {
	return sqlstate == "23503" || sqlstate == "23001"
}

// referred corrects the words for a row that others refer to, and for what it sets off in
// other tables. PostgreSQL names the same table and the same constraint as for a row that
// refers to none, and may say so at the end of the transaction only.
func (d *Database) referred(ctx context.Context, conn *pgx.Conn, t *Table, b *Batch, e *Error) {
	var pgErr *pgconn.PgError
	if !ofReference(e.SQLSTATE) || !e.AtRows || conn.IsClosed() || !errors.As(e.Err, &pgErr) || pgErr.ConstraintName == "" {
		return
	}
	k, ok := t.references.of(strings.Join([]string{pgErr.SchemaName, pgErr.TableName, pgErr.ConstraintName}, "\x00"), d.learnedAge, func() (k reference, err error) {
		err = d.ask(ctx, conn, func() error {
			return conn.QueryRow(ctx, referenceSQL, pgErr.SchemaName, pgErr.TableName, pgErr.ConstraintName, t.schema, t.relation).Scan(&k.refers, &k.referred, &k.columns)
		})
		return k, err
	})
	if !ok {
		return
	}
	refers, referred := k.refers, k.referred
	if refers && referred {
		// Key (id)=(1) is still referenced, or Key (parent)=(1) is not present.
		names, _, _ := strings.Cut(pgErr.Detail, ")=(")
		_, names, _ = strings.Cut(names, "(")
		refers, referred = names != k.columns, names == k.columns
	}
	switch {
	case referred:
		e.remedy = "rows of the named table refer to the row, which " + b.fate()
	case !refers:
		e.remedy = "rows of the named table would refer to no row, after what the row triggers there"
	}
}

// fate is what is to become of a row of the batch that others refer to.
func (b *Batch) fate() string {
	var fates []string
	for i := range b.groups {
		if g := &b.groups[i]; len(g.members) > 0 && !slices.Contains(fates, g.kind.fate()) {
			fates = append(fates, g.kind.fate())
		}
	}
	return "is to " + strings.Join(fates, ", or to ")
}
