// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
)

// anonymous is a table, or a partition, whose updates or deletions a publication
// publishes, though nothing tells the subscriber which row is meant: PostgreSQL refuses
// them all.
type anonymous struct {
	// table, publication and index are quoted names; index is one that can tell a row,
	// and empty if there is none. primary says that it is the primary key's.
	table, publication, index string
	primary                   bool
}

// withSchemas is the first version whose publications can be of schemas.
const withSchemas = 15

const anonymousSQL = `
SELECT DISTINCT ON (l.oid) pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(l.relname), pg_catalog.quote_ident(p.pubname),
  coalesce(i.name, ''), coalesce(i.indisprimary, false)
FROM pg_catalog.pg_class l JOIN pg_catalog.pg_namespace n ON n.oid = l.relnamespace
JOIN pg_catalog.pg_publication p ON p.pubupdate OR p.pubdelete
LEFT JOIN LATERAL (
  SELECT pg_catalog.quote_ident(ic.relname) AS name, i.indisprimary FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
  WHERE i.indrelid = l.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = l.oid AND NOT a.attnotnull
      AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1]))
  ORDER BY i.indisprimary DESC, i.indnkeyatts, ic.relname LIMIT 1) i ON true
WHERE l.relkind = 'r' AND l.relpersistence = 'p' AND l.relreplident <> 'f'
  AND (l.oid = $1::pg_catalog.oid OR l.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid) t WHERE t.isleaf))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_index x WHERE x.indrelid = l.oid AND x.indisvalid AND x.indimmediate
    AND CASE l.relreplident WHEN 'd' THEN x.indisprimary WHEN 'i' THEN x.indisreplident ELSE false END)
  AND (p.puballtables OR EXISTS (SELECT FROM pg_catalog.pg_class c
    WHERE (c.oid = l.oid OR c.oid IN (SELECT a.relid FROM pg_catalog.pg_partition_ancestors(l.oid) a))
      AND (EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid) OR {schemas})))
ORDER BY l.oid, p.pubname LIMIT $2`

const ofSchemas = "EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = p.oid AND s.pnnspid = c.relnamespace)"

// readAnonymous finds a few of the tables that rows of the mapping go to and that lack a
// replica identity which they need.
func readAnonymous(ctx context.Context, conn *pgx.Conn, oid uint32) ([]anonymous, error) {
	schemas := "false"
	// 15.4, or 18beta1 of one that is to come.
	version := conn.PgConn().ParameterStatus("server_version")
	digits := version[:len(version)-len(strings.TrimLeft(version, "0123456789"))]
	if major, err := strconv.Atoi(digits); err == nil && major >= withSchemas {
		schemas = ofSchemas
	}
	rows, err := conn.Query(ctx, strings.ReplaceAll(anonymousSQL, "{schemas}", schemas), oid, mostUnlogged)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (anonymous, error) {
		var a anonymous
		err := row.Scan(&a.table, &a.publication, &a.index, &a.primary)
		return a, err
	})
}

// checkIdentity refuses a table whose updates and deletions PostgreSQL refuses because
// of a publication.
func (f *fit) checkIdentity() error {
	var statements []string
	for _, a := range f.anonymous {
		identity := "FULL"
		switch {
		case a.primary:
			identity = "DEFAULT"
		case a.index != "":
			identity = "USING INDEX " + a.index
		}
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY %s", a.table, identity))
	}
	if len(statements) == 0 {
		return nil
	}
	return f.mismatch("table %s has no replica identity, and publication %s publishes its updates or deletions, so that PostgreSQL refuses them: "+
		"run as an administrator: %s;", f.anonymous[0].table, f.anonymous[0].publication, strings.Join(statements, "; "))
}

// identityCheck is PostgreSQL's own name of the function that refuses them. Where the
// statement itself meets it and no trigger's, the table is at fault and no row.
const identityCheck = "CheckCmdReplicaIdentity"

func ofIdentity(err *pgconn.PgError) bool {
	return err.Routine == identityCheck && err.Where == ""
}

var identityVerdict = verdict{
	Mapping, v1alpha1.ReasonSchemaMismatch,
	"a publication publishes updates or deletions of the table, and the table's replica identity does not do for it: ALTER TABLE ... REPLICA IDENTITY FULL",
}
