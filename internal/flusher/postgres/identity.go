// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// anonymous is a table, or a partition, of which a publication publishes updates or
// deletions though its replica identity does not do for that: PostgreSQL refuses them all.
type anonymous struct {
	// table, publication and root are quoted names; root is what the publication
	// publishes the table as, a partitioned table or the table itself.
	table, publication, root string
	// whole means that the replica identity is the whole row, nothing that there is none.
	whole, nothing bool
	// lacking are the columns of the row filter that the identity lacks, uncovered those of
	// the identity that the column list lacks, hidden those of the identity that are
	// generated and not published.
	lacking, uncovered, hidden []string
	// columns and filter are the publication's column list and row filter, if any.
	columns []string
	filter  string
	// index is one that can tell a row if the columns nullable must not be null.
	index    string
	primary  bool
	nullable []string
	// mayBeWhole means that the whole row would do for all publications.
	mayBeWhole bool
}

// The first version whose publications can be of schemas, and have column lists and row
// filters, and the first whose publications say what they do with generated columns.
const (
	withSchemas   = 15
	withGenerated = 18
)

// anonymousSQL asks what PostgreSQL itself looks at before it updates or deletes rows. A
// row filter names columns by their numbers in the table that it was given for.
const anonymousSQL = `
WITH l AS (
  SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name, c.relreplident = 'f' AS whole,
    ARRAY(SELECT a.attname FROM pg_catalog.pg_index x JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY ((x.indkey::pg_catalog.int2[])[0:x.indnkeyatts - 1])
      WHERE x.indrelid = c.oid AND x.indisvalid AND x.indimmediate
        AND CASE c.relreplident WHEN 'd' THEN x.indisprimary WHEN 'i' THEN x.indisreplident ELSE false END) AS identity
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence = 'p'
    AND (c.oid = $1::pg_catalog.oid OR c.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid) t WHERE t.isleaf))),
s AS (
  SELECT l.oid, l.name, l.whole, l.identity, p.pubname, m.root, r.columns AS numbers, r.filter,
    ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = m.root AND a.attnum = ANY (r.columns) ORDER BY a.attnum) AS columns,
    ARRAY(SELECT DISTINCT a.attname FROM pg_catalog.regexp_matches(r.filter::pg_catalog.text, ':varattno ([0-9]+)', 'g') v (parts)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = m.root AND a.attnum = v.parts[1]::pg_catalog.int2) AS filtered,
    ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = l.oid AND NOT a.attisdropped AND ({hidden}) ORDER BY a.attnum) AS generated
  FROM l JOIN pg_catalog.pg_publication p ON p.pubupdate OR p.pubdelete
  CROSS JOIN LATERAL (
    SELECT CASE WHEN p.pubviaroot THEN (pg_catalog.array_agg(c.oid ORDER BY q.place DESC))[1] ELSE l.oid END
    FROM (SELECT l.oid, 0 UNION ALL SELECT a.relid, a.place FROM pg_catalog.pg_partition_ancestors(l.oid) WITH ORDINALITY a (relid, place) WHERE a.place > 1) q (oid, place)
    JOIN pg_catalog.pg_class c ON c.oid = q.oid
    WHERE p.puballtables OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid) OR {schemas}
    HAVING count(*) > 0) m (root)
  LEFT JOIN LATERAL (SELECT {restricted} FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = m.root) r (columns, filter) ON true),
f AS (
  SELECT s.*, NOT s.whole AND pg_catalog.cardinality(s.identity) = 0 AS nothing,
    CASE WHEN s.whole THEN '{}' ELSE ARRAY(SELECT pg_catalog.quote_ident(c) FROM pg_catalog.unnest(s.filtered) c WHERE c <> ALL (s.identity) ORDER BY 1) END AS lacking,
    CASE WHEN s.numbers IS NULL THEN '{}' ELSE ARRAY(SELECT pg_catalog.quote_ident(c) FROM pg_catalog.unnest(s.identity) c WHERE c <> ALL (s.columns) ORDER BY 1) END AS uncovered,
    ARRAY(SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a WHERE a.attrelid = s.oid AND NOT a.attisdropped AND a.attgenerated <> ''
      AND CASE WHEN s.whole THEN a.attname = ANY (s.generated) WHEN a.attname <> ALL (s.identity) THEN false
        WHEN s.numbers IS NULL THEN a.attname = ANY (s.generated) ELSE a.attname <> ALL (s.columns) END ORDER BY a.attnum) AS hidden
  FROM s)
SELECT DISTINCT ON (f.oid) f.name, pg_catalog.quote_ident(f.pubname),
  (SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = f.root),
  f.whole, f.nothing, f.lacking, f.uncovered, f.hidden,
  ARRAY(SELECT pg_catalog.quote_ident(c) FROM pg_catalog.unnest(f.columns) WITH ORDINALITY u (c, place) ORDER BY u.place), coalesce(pg_catalog.pg_get_expr(f.filter, f.root), ''),
  coalesce(i.name, ''), coalesce(i.indisprimary, false), coalesce(i.nullable, '{}'),
  NOT EXISTS (SELECT FROM s o WHERE o.oid = f.oid AND (o.numbers IS NOT NULL OR pg_catalog.cardinality(o.generated) > 0))
FROM f
LEFT JOIN LATERAL (
  SELECT pg_catalog.quote_ident(ic.relname) AS name, i.indisprimary, k.nullable
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
  CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.array_agg(pg_catalog.quote_ident(a.attname)) FILTER (WHERE NOT a.attnotnull), '{}') AS nullable,
      pg_catalog.bool_or(a.attgenerated <> '') AS generated
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = f.oid AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])) k
  WHERE i.indrelid = f.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT k.generated
  ORDER BY i.indisprimary DESC, pg_catalog.cardinality(k.nullable), i.indnkeyatts, ic.relname LIMIT 1) i ON true
WHERE f.nothing OR f.whole AND f.numbers IS NOT NULL OR pg_catalog.cardinality(f.lacking) + pg_catalog.cardinality(f.uncovered) + pg_catalog.cardinality(f.hidden) > 0
ORDER BY f.oid, f.nothing DESC, f.pubname LIMIT $2`

// newer is what of anonymousSQL depends on the version: since which one it is there, and
// what stands for it before.
var newer = []struct {
	part         string
	since        int
	here, before string
}{
	{"{schemas}", withSchemas, "EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = p.oid AND s.pnnspid = c.relnamespace)", "false"},
	{"{restricted}", withSchemas, "r.prattrs::pg_catalog.int2[], r.prqual", "NULL::pg_catalog.int2[], NULL::pg_catalog.pg_node_tree"},
	{"{hidden}", withGenerated, "a.attgenerated = 'v' OR a.attgenerated = 's' AND p.pubgencols <> 's'", "false"},
}

// readAnonymous finds a few of the tables that rows of the mapping go to and whose
// replica identity does not do.
func readAnonymous(ctx context.Context, conn *pgx.Conn, oid uint32) ([]anonymous, error) {
	// 15.4, or 18beta1 of one that is to come.
	version := conn.PgConn().ParameterStatus("server_version")
	major, _ := strconv.Atoi(version[:len(version)-len(strings.TrimLeft(version, "0123456789"))])
	sql := anonymousSQL
	for _, n := range newer {
		text := n.before
		if major >= n.since {
			text = n.here
		}
		sql = strings.ReplaceAll(sql, n.part, text)
	}
	rows, err := conn.Query(ctx, sql, oid, mostUnlogged)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (anonymous, error) {
		var a anonymous
		err := row.Scan(&a.table, &a.publication, &a.root, &a.whole, &a.nothing, &a.lacking, &a.uncovered, &a.hidden,
			&a.columns, &a.filter, &a.index, &a.primary, &a.nullable, &a.mayBeWhole)
		return a, err
	})
}

// checkIdentity refuses a table whose updates and deletions PostgreSQL refuses because
// of a publication.
func (f *fit) checkIdentity() error {
	var statements []string
	for i := range f.anonymous {
		if s := f.anonymous[i].remedy(); !slices.Contains(statements, s) {
			statements = append(statements, s)
		}
	}
	if len(statements) == 0 {
		return nil
	}
	return f.mismatch("%s, so that PostgreSQL refuses them: run as an administrator: %s;", f.anonymous[0].problem(), strings.Join(statements, "; "))
}

func (a *anonymous) problem() string {
	publishes := fmt.Sprintf("publication %s publishes its updates or deletions", a.publication)
	var text string
	switch {
	case a.nothing:
		return fmt.Sprintf("table %s has no replica identity, and %s", a.table, publishes)
	case len(a.hidden) > 0:
		return fmt.Sprintf("the replica identity of table %s has generated columns (%s), and %s without them", a.table, list(a.hidden), publishes)
	case a.whole:
		return fmt.Sprintf("the replica identity of table %s is the whole row, and %s with a column list", a.table, publishes)
	case len(a.uncovered) > 0:
		text = fmt.Sprintf("the replica identity of table %s has columns (%s) that are not in the column list with which %s", a.table, list(a.uncovered), publishes)
	default:
		text = fmt.Sprintf("the replica identity of table %s lacks columns (%s) of the row filter with which %s", a.table, list(a.lacking), publishes)
	}
	if len(a.lacking) > 0 && !a.mayBeWhole {
		text += ", which cannot get them together with a column list or generated columns (without the filter all rows are published)"
	}
	return text
}

// remedy gives the table another replica identity, or else the publication a list or no
// filter.
func (a *anonymous) remedy() string {
	identity := fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY ", a.table)
	whole := identity + "FULL"
	switch {
	case !a.nothing && !a.whole && len(a.hidden) == 0:
		if len(a.uncovered) == 0 && a.mayBeWhole {
			return whole
		}
		return a.published()
	case a.primary:
		return identity + "DEFAULT"
	case a.index == "" || len(a.nullable) > 0 && a.mayBeWhole:
		return whole
	}
	for _, column := range a.nullable {
		identity = fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL; ", a.table, column) + identity
	}
	return identity + "USING INDEX " + a.index
}

// published puts the table again into the publication: with the columns of the identity,
// and without a filter that the identity cannot do for.
func (a *anonymous) published() string {
	restricted := a.root
	if len(a.columns) > 0 {
		restricted += " (" + strings.Join(slices.Concat(a.columns, a.uncovered), ", ") + ")"
	}
	if a.filter != "" && len(a.lacking) == 0 {
		restricted += " WHERE (" + a.filter + ")"
	}
	return fmt.Sprintf("ALTER PUBLICATION %s DROP TABLE %s; ALTER PUBLICATION %[1]s ADD TABLE %[3]s", a.publication, a.root, restricted)
}

// identityCheck is PostgreSQL's own name of the function that refuses them. Where the
// statement itself meets it and no trigger's, the table is at fault and no row.
const identityCheck = "CheckCmdReplicaIdentity"

func ofIdentity(err *pgconn.PgError) bool {
	return err.Routine == identityCheck && err.Where == ""
}

var identityClassification = classification{
	entry.Mapping, v1alpha1.ReasonSchemaMismatch,
	"a publication publishes updates or deletions of the table, and the table's replica identity does not suffice for it, its row filter or its column list: " +
		"see ALTER TABLE ... REPLICA IDENTITY and ALTER PUBLICATION",
}
