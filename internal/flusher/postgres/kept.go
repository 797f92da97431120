// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// errKeptOut and errKept stand for the errors that the statements provoke for a row
// that was not written or not deleted. Nothing of what PostgreSQL said then is of use.
var (
	errKeptOut = errors.New("a BEFORE trigger of the table keeps the row out without an error, by returning NULL, or a row-level policy does: " +
		"let a trigger raise an exception to refuse the row, or return OLD from an UPDATE to leave the row as it is")
	errKept = errors.New("the row is still there after its deletion: a BEFORE trigger that returns NULL, a rule, a row-level policy or a trigger that " +
		"writes it again keeps it, without an error: let the deletion through, or let a trigger raise an exception to refuse it")
)

// keptRow tells an error that a statement provoked because of a row that it did not
// write, or did not delete.
func keptRow(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (strings.Contains(pgErr.Message, fewer) || strings.Contains(pgErr.Message, kept))
}

// mostKeepers is how much of what may keep rows one message names.
const mostKeepers = 5

// keepersSQL names what may keep a row of a table, or of its partitions, as it is.
const keepersSQL = `
SELECT coalesce(pg_catalog.string_agg(k.what, ', '), '') FROM (
  SELECT DISTINCT q.what COLLATE "C" FROM pg_catalog.to_regclass($1::pg_catalog.text) c (oid) CROSS JOIN LATERAL (
    SELECT 'trigger ' || pg_catalog.quote_ident(g.tgname) AS what, g.tgtype & 8 <> 0 AS deletes, g.tgtype & 3 = 3 AND g.tgtype & 20 <> 0 AS writes
    FROM pg_catalog.pg_trigger g WHERE NOT g.tgisinternal AND g.tgenabled NOT IN ('D', 'R')
      AND (g.tgrelid = c.oid OR g.tgrelid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(c.oid) p))
    UNION ALL SELECT 'rule ' || pg_catalog.quote_ident(r.rulename), r.ev_type = '4', r.ev_type IN ('2', '3')
    FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_enabled NOT IN ('D', 'R')
    UNION ALL SELECT 'policy ' || pg_catalog.quote_ident(y.polname), y.polcmd IN ('d', '*'), y.polcmd IN ('w', '*')
    FROM pg_catalog.pg_policy y WHERE y.polrelid = c.oid AND pg_catalog.row_security_active(c.oid)) q
  WHERE CASE WHEN $2::pg_catalog.bool THEN q.deletes ELSE q.writes END
  ORDER BY 1 LIMIT $3::pg_catalog.int4) k (what)`

// keptError is the error for a row that was kept as it was, with the names of what
// may have done it. The statement that failed names the row.
func (d *Database) keptError(ctx context.Context, conn *pgx.Conn, t *Table, action string, r *reply, err error) *Error {
	deletion := r.step() == stepGone
	cause := errKeptOut
	if deletion {
		cause = errKept
	}
	e := &Error{Kind: entry.Row, action: action, reason: v1alpha1.ReasonStatementFailed, remedy: cause.Error(), Err: cause}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		_, number, _ := strings.Cut(pgErr.Message, kept)
		number, _, _ = strings.Cut(number, `"`)
		members := r.members[min(r.done, len(r.members)-1)]
		if n, err := strconv.Atoi(number); err == nil && n >= 1 && n <= len(members) {
			e.entry, e.known = int(members[n-1]), true
		}
	}
	if conn.IsClosed() {
		return e
	}
	keepers, ok := t.keepers.of(strconv.FormatBool(deletion), d.learnedAge, func() (names string, err error) {
		err = d.ask(ctx, conn, func() error { return conn.QueryRow(ctx, keepersSQL, t.name, deletion, mostKeepers).Scan(&names) })
		return names, err
	})
	if !ok || keepers == "" {
		return e
	}
	e.remedy += "; the table has " + keepers
	return e
}
