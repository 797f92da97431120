// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// policies is what row-level security makes of a table for the role, as far as that can
// be told without looking at rows.
type policies struct {
	// forbidden are the commands that get through for no row, lacking says that some of
	// them are since no policy permits them, and blocking are the quoted names of the
	// restrictive policies that hold for no row.
	forbidden []string
	lacking   bool
	blocking  []string
	// hiding are the quoted names of the policies that may hide rows. Which rows these
	// are nobody can ask who may not see them.
	hiding []string
}

// policiesSQL reads the policies of a table that apply to the role. A permissive policy
// without an expression permits nothing, and a restrictive one forbids nothing.
const policiesSQL = `
WITH p AS MATERIALIZED (
  SELECT pg_catalog.quote_ident(y.polname) AS name, y.polpermissive AS permissive, y.polcmd::pg_catalog.text AS command,
    pg_catalog.pg_get_expr(y.polqual, y.polrelid) AS sees, pg_catalog.pg_get_expr(coalesce(y.polwithcheck, y.polqual), y.polrelid) AS takes
  FROM pg_catalog.pg_policy y WHERE y.polrelid = $1 AND EXISTS (SELECT FROM pg_catalog.unnest(y.polroles) o (role)
    WHERE CASE WHEN o.role = 0 THEN true ELSE pg_catalog.pg_has_role(o.role, 'USAGE') END)),
w (place, command, name, checks) AS (VALUES (1, 'r', 'SELECT', false), (2, 'a', 'INSERT', true), (3, 'w', 'UPDATE', false), (3, 'w', 'UPDATE', true), (4, 'd', 'DELETE', false)),
e AS MATERIALIZED (
  SELECT w.place, w.name AS command, w.checks, p.name, p.permissive, CASE WHEN w.checks THEN p.takes ELSE p.sees END AS expression
  FROM w JOIN p ON p.command IN ('*', w.command)),
lacking AS (
  SELECT w.place, w.name AS command FROM w WHERE NOT EXISTS (SELECT FROM e
    WHERE e.place = w.place AND e.checks = w.checks AND e.permissive AND e.expression NOT IN ('false', 'NULL::boolean'))),
blocked AS (SELECT e.place, e.command, e.name FROM e WHERE NOT e.permissive AND e.expression IN ('false', 'NULL::boolean'))
SELECT ARRAY(SELECT l.command FROM (SELECT place, command FROM lacking UNION SELECT place, command FROM blocked) l ORDER BY l.place),
  EXISTS (SELECT FROM lacking), ARRAY(SELECT DISTINCT b.name FROM blocked b ORDER BY 1),
  ARRAY(SELECT DISTINCT e.name FROM e WHERE e.place = 1 AND CASE WHEN e.permissive
    THEN NOT EXISTS (SELECT FROM e open WHERE open.place = 1 AND open.permissive AND open.expression = 'true') ELSE e.expression <> 'true' END ORDER BY 1)
WHERE pg_catalog.row_security_active($1)`

// readPolicies gives none where row-level security does not apply to the role.
func readPolicies(ctx context.Context, conn *pgx.Conn, oid uint32) (p policies, err error) {
	rows, err := conn.Query(ctx, policiesSQL, oid)
	if err != nil {
		return p, err
	}
	_, err = pgx.ForEachRow(rows, []any{&p.forbidden, &p.lacking, &p.blocking, &p.hiding}, func() error { return nil })
	return p, err
}

// remedies are the statements that let rows through.
func (p *policies) remedies(role, table string) []string {
	var statements []string
	if p.lacking {
		statements = append(statements, fmt.Sprintf("CREATE POLICY %s ON %s TO %s USING (true) WITH CHECK (true)",
			quote("writebehind_"+role), table, quote(role)))
	}
	for _, name := range p.blocking {
		statements = append(statements, fmt.Sprintf("DROP POLICY %s ON %s", name, table))
	}
	return statements
}

// Hides returns a text that names the row-level policies which may hide rows of the table
// from the role, or an empty string. A hidden row cannot be distinguished from a missing one.
func (t *Table) Hides() string {
	if len(t.hiding) == 0 {
		return ""
	}
	return fmt.Sprintf("row-level security may hide rows of table %s from the role (policy %s), and the deletion of a row that is hidden counts as done: "+
		"give the role a policy for SELECT that is USING (true), unless no key of the mapping is such a row's", t.shown, strings.Join(t.hiding, ", "))
}
