// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// relation is what the catalogue says about a table.
type relation struct {
	oid                    uint32
	kind                   string
	role                   string
	mayUse, mayDelete      bool
	deferrable, suppresses bool
	// primaryKey is the quoted name of the constraint. partitionedBy is the partition key of
	// a partitioned table, and byColumn the number of its column if it has only one.
	primaryKey, partitionedBy string
	// keyOfSeveral are the columns of the primary key, if it has several.
	keyOfSeveral []string
	byColumn     int16
	// completes means that a trigger may fill in what an INSERT leaves out.
	completes                 bool
	schemaExists, tableExists bool
	// unlogged are the quoted names of the tables and partitions that are UNLOGGED, so that
	// a crash empties them: at most mostUnlogged names. unloggedCount counts all of them.
	unlogged      []string
	unloggedCount int
	// rules are the quoted names of the rules that make PostgreSQL reject an upsert: every
	// rule for UPDATE, even a disabled one, and a rule for INSERT that does something.
	rules []string
	// child is a table that inherits from an ordinary one.
	child string
	// otherCase is a table of the schema whose name differs only in case, if no table has
	// the name itself.
	otherCase string
}

// partitioned is the kind of a table that has partitions.
const partitioned = "p"

// mostUnlogged is how many unlogged partitions one message can name.
const mostUnlogged = 3

// attribute is what the catalogue says about a column.
type attribute struct {
	name string
	// cast is the full name of the type under any domain, without a length:
	// assigning to the column applies the length and the domain's checks, and unlike
	// a cast does not cut what is too long.
	cast string
	// shown is the type as a person writes it.
	shown string
	// base is the type under any domain, by its name in pg_catalog, and empty
	// when it is not one of PostgreSQL's own.
	base   string
	length int32
	// equality means that values can be compared by what PostgreSQL itself calls equal,
	// the other types only by their binary form.
	equality bool
	array    bool
	// element is the type of an array's elements under any domain, as base has it.
	element string
	// bytes means that the type is or has bytea within, and record what the fields of a
	// composite, or of an array's, are.
	bytes         bool
	record        []int32
	generated     bool
	always        bool
	deterministic bool
	unique        bool
	// deferrable are the quoted names of the unique constraints of this one column
	// that an upsert stumbles over, whatever other index there is.
	deferrable []string
	// number is the column's own in its table.
	number int16
	// typeSchema is the schema of the type under any domain, and mayUseType
	// says whether the role may name it there.
	typeSchema string
	mayUseType bool
	// required means that an INSERT without the column fails, and sequences are the
	// quoted names of those that its default may not draw from; of a default that
	// calls functions of their own it is not known what they may do.
	required  bool
	sequences []string
	maySelect bool
	mayInsert bool
	mayUpdate bool
	// defaulted says that a row which does not name the column gets something else than
	// NULL.
	defaulted bool
}

const relationSQL = `
SELECT current_user, n.oid IS NOT NULL, c.oid IS NOT NULL, coalesce(c.oid, 0), coalesce(c.relkind::pg_catalog.text, ''),
  coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false),
  coalesce(pg_catalog.has_table_privilege(c.oid, 'DELETE'), false),
  EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.condeferrable),
  g.suppresses, g.completes,
  coalesce((SELECT pg_catalog.quote_ident(k.conname) FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p'), ''),
  ARRAY(SELECT ka.attname::pg_catalog.text FROM pg_catalog.pg_constraint k CROSS JOIN LATERAL pg_catalog.unnest(k.conkey) WITH ORDINALITY o (number, place)
    JOIN pg_catalog.pg_attribute ka ON ka.attrelid = c.oid AND ka.attnum = o.number
    WHERE k.conrelid = c.oid AND k.contype = 'p' AND pg_catalog.cardinality(k.conkey) > 1 ORDER BY o.place),
  coalesce(pg_catalog.pg_get_partkeydef(c.oid), ''),
  coalesce((SELECT b.partattrs[0] FROM pg_catalog.pg_partitioned_table b WHERE b.partrelid = c.oid AND b.partnatts = 1), 0),
  u.names, u.count,
  ARRAY(SELECT pg_catalog.quote_ident(w.rulename) FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid AND (w.ev_type = '2'
    OR w.ev_type = '3' AND w.ev_enabled IN ('O', 'A') AND (w.is_instead OR pg_catalog.pg_get_ruledef(w.oid) !~ ' DO NOTHING;$'))
    ORDER BY w.rulename),
  CASE c.relkind WHEN 'r' THEN coalesce((SELECT min(h.inhrelid::pg_catalog.regclass::pg_catalog.text) FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid), '') ELSE '' END,
  CASE WHEN c.oid IS NULL THEN coalesce((SELECT min(o.relname::pg_catalog.text) FROM pg_catalog.pg_class o
    WHERE o.relnamespace = n.oid AND o.relkind IN ('r', 'p') AND pg_catalog.lower(o.relname::pg_catalog.text) = pg_catalog.lower($2::pg_catalog.text)), '') ELSE '' END
FROM (SELECT) one
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1::pg_catalog.text
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $2::pg_catalog.text
  AND c.relkind NOT IN ('i', 'I', 'S', 't', 'c')
CROSS JOIN LATERAL (
  SELECT coalesce(pg_catalog.bool_or(g.tgfoid = 'pg_catalog.suppress_redundant_updates_trigger'::pg_catalog.regproc), false) AS suppresses,
    coalesce(pg_catalog.bool_or(g.tgtype & 7 = 7 AND g.tgenabled <> 'R'), false) AS completes
  FROM pg_catalog.pg_trigger g
  WHERE g.tgenabled <> 'D' AND (g.tgrelid = c.oid OR g.tgrelid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(c.oid) p))) g
CROSS JOIN LATERAL (
  SELECT coalesce((pg_catalog.array_agg(q.name ORDER BY q.name COLLATE "C"))[1:$3::pg_catalog.int4], '{}') AS names, count(*)
  FROM (
    SELECT pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.relname) AS name
    FROM pg_catalog.pg_class p JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
    WHERE p.relkind = 'r' AND p.relpersistence = 'u'
      AND (p.oid = c.oid OR p.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree(c.oid) t WHERE t.isleaf))) q) u`

var attributesSQL = `
SELECT a.attname::pg_catalog.text,
  pg_catalog.quote_ident(bn.nspname) || '.' || pg_catalog.quote_ident(b.typname),
  pg_catalog.format_type(a.atttypid, a.atttypmod),
  CASE WHEN b.typnamespace = 'pg_catalog'::pg_catalog.regnamespace THEN b.typname::pg_catalog.text ELSE '' END,
  CASE WHEN b.typname = 'varchar' AND coalesce(m.typmod, -1) >= 4 THEN m.typmod - 4 ELSE 0 END,
  b.typtype = 'e' OR b.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND EXISTS (SELECT FROM pg_catalog.pg_opclass o
    WHERE o.opcmethod = 403 AND o.opcdefault AND (o.opcintype = b.oid OR b.typname = 'varchar' AND o.opcintype = 'pg_catalog.text'::pg_catalog.regtype)),
  b.typcategory = 'A' AND b.typelem <> 0,
  coalesce(e.name, ''), ` + bytesSQL + `,
  a.attgenerated <> '', a.attidentity = 'a',
  coalesce(l.collisdeterministic, true),
  EXISTS (SELECT FROM pg_catalog.pg_index i LEFT JOIN pg_catalog.pg_collation il ON il.oid = i.indcollation[0]
    WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indisready
      AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
      AND coalesce(il.collisdeterministic, true)),
  ARRAY(SELECT pg_catalog.quote_ident(k.conname) FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_index i ON i.indexrelid = k.conindid
    WHERE k.conrelid = a.attrelid AND i.indisunique AND NOT i.indimmediate AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
    ORDER BY k.conname),
  a.attnum, bn.nspname::pg_catalog.text, pg_catalog.has_schema_privilege(bn.oid, 'USAGE'),
  (a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL,
  ARRAY(SELECT pg_catalog.quote_ident(qn.nspname) || '.' || pg_catalog.quote_ident(q.relname)
    FROM pg_catalog.pg_attrdef f
    JOIN pg_catalog.pg_depend y ON y.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND y.objid = f.oid
      AND y.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    JOIN pg_catalog.pg_class q ON q.oid = y.refobjid
    JOIN pg_catalog.pg_namespace qn ON qn.oid = q.relnamespace
    WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend z WHERE z.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND z.objid = f.oid
        AND z.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass)
      AND CASE WHEN q.relkind = 'S' THEN NOT pg_catalog.has_sequence_privilege(q.oid, 'USAGE, UPDATE') ELSE false END),
  pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
  pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'INSERT'),
  pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'UPDATE'),
  a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
CROSS JOIN LATERAL (
  WITH RECURSIVE under (oid, typmod, base, kind) AS (
    SELECT t.oid, CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END, t.typbasetype, t.typtype
    UNION ALL
    SELECT p.oid, CASE p.typtype WHEN 'd' THEN p.typtypmod ELSE under.typmod END, p.typbasetype, p.typtype
    FROM under JOIN pg_catalog.pg_type p ON p.oid = under.base WHERE under.kind = 'd')
  SELECT under.oid, under.typmod FROM under WHERE under.kind <> 'd') m
JOIN pg_catalog.pg_type b ON b.oid = m.oid
JOIN pg_catalog.pg_namespace bn ON bn.oid = b.typnamespace
LEFT JOIN LATERAL (
  WITH RECURSIVE under (name, space, base, kind) AS (
    SELECT p.typname, p.typnamespace, p.typbasetype, p.typtype FROM pg_catalog.pg_type p WHERE p.oid = b.typelem AND b.typcategory = 'A'
    UNION ALL
    SELECT p.typname, p.typnamespace, p.typbasetype, p.typtype FROM under JOIN pg_catalog.pg_type p ON p.oid = under.base WHERE under.kind = 'd')
  SELECT under.name::pg_catalog.text FROM under
  WHERE under.kind <> 'd' AND under.space = 'pg_catalog'::pg_catalog.regnamespace) e (name) ON true
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum`

// Table reads the table of a mapping from the catalogue and checks that the
// mapping fits it. What does not fit is a *MappingError; what keeps the
// catalogue from being read is an *Error. The result never changes: read it
// again after the table may have been altered. It takes 3 s at most, and no
// connection that batches need.
func (d *Database) Table(ctx context.Context, m config.Mapping) (*Table, error) {
	action := fmt.Sprintf("read table %s of mapping %s", m.Table, m.Name)
	err := d.follow(0)
	var t *Table
	if err == nil {
		err = d.probe(ctx, func(ctx context.Context, conn *pgx.Conn) error {
			return inspect(ctx, conn, d.inspectTimeout(), func() (err error) {
				t, err = d.readTable(ctx, conn, m)
				return err
			})
		})
	}
	if err == nil {
		return t, nil
	}
	if mapping, ok := errors.AsType[*entry.Misfit](err); ok {
		return nil, mapping
	}
	return nil, failure(action, err, stageNone)
}

func (d *Database) readTable(ctx context.Context, conn *pgx.Conn, m config.Mapping) (*Table, error) {
	f, err := readFit(ctx, conn, m)
	if err != nil {
		return nil, err
	}
	key, version, columns, err := f.check()
	if err != nil {
		return nil, err
	}
	return newTable(f, key, version, columns, d.ledger), nil
}

// readFit reads everything from the catalogue that the fit depends on.
func readFit(ctx context.Context, conn *pgx.Conn, m config.Mapping) (*fit, error) {
	schema, name := config.SplitTable(m.Table)
	f := &fit{mapping: m, schema: schema, table: name, name: pgx.Identifier{schema, name}.Sanitize()}
	r := &f.relation
	// The form comes first: if the table is altered while it is read, it is another one.
	var err error
	if f.form, err = readForm(ctx, conn, schema, name); err != nil {
		return nil, err
	}
	err = conn.QueryRow(ctx, relationSQL, schema, name, mostUnlogged).Scan(&r.role, &r.schemaExists, &r.tableExists,
		&r.oid, &r.kind, &r.mayUse, &r.mayDelete, &r.deferrable, &r.suppresses, &r.completes,
		&r.primaryKey, &r.keyOfSeveral, &r.partitionedBy, &r.byColumn, &r.unlogged, &r.unloggedCount, &r.rules, &r.child, &r.otherCase)
	if err != nil {
		return nil, err
	}
	if f.anonymous, err = readAnonymous(ctx, conn, r.oid); err != nil {
		return nil, err
	}
	if f.policies, err = readPolicies(ctx, conn, r.oid); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, attributesSQL, r.oid)
	if err != nil {
		return nil, err
	}
	f.attributes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (attribute, error) {
		var a attribute
		err := row.Scan(&a.name, &a.cast, &a.shown, &a.base, &a.length, &a.equality, &a.array, &a.element, &a.bytes, &a.record, &a.generated, &a.always,
			&a.deterministic, &a.unique, &a.deferrable, &a.number, &a.typeSchema, &a.mayUseType, &a.required, &a.sequences,
			&a.maySelect, &a.mayInsert, &a.mayUpdate, &a.defaulted)
		return a, err
	})
	if err != nil {
		return nil, err
	}
	return f, f.readTogether(ctx, conn)
}
