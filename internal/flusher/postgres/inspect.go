// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// beginAttempts is how often an inspection begins if a time-out of the role is so short that
// it may hit the statement that replaces it.
const beginAttempts = 5

// begin begins a transaction by pinnedBeginSQL.
func begin(ctx context.Context, conn *pgx.Conn, statement time.Duration) error {
	sql := pinnedBeginSQL(statement)
	for attempt := 1; ; attempt++ {
		err := conn.PgConn().Exec(ctx, sql).Close()
		if err == nil || attempt == beginAttempts || !cancelled(err) || conn.IsClosed() {
			return err
		}
		if err := conn.PgConn().Exec(ctx, "ROLLBACK").Close(); err != nil {
			return err
		}
	}
}

// pinnedBeginSQL begins a transaction in which the settings of the role, the database and
// the URL change nothing. They hold until it has replaced them: the time-out of statements
// comes first, and all goes in one message.
func pinnedBeginSQL(statement time.Duration) string {
	return beginSQL + "; " + statementTimeoutSQL(statement) + "; SELECT " + settings(statement)
}

// inspect runs f, which asks on the connection and changes nothing that it relies on when it
// fails, in a transaction of its own as begin begins it.
func inspect(ctx context.Context, conn *pgx.Conn, statement time.Duration, f func() error) error {
	if err := begin(ctx, conn, statement); err != nil {
		return err
	}
	err := f()
	if conn.IsClosed() {
		return err
	}
	if err != nil {
		// A connection that is left within the transaction is used for nothing else.
		_ = conn.PgConn().Exec(ctx, "ROLLBACK").Close()
		return err
	}
	return conn.PgConn().Exec(ctx, "COMMIT").Close()
}

// ask is inspect within the time that a statement of a batch has.
func (d *Database) ask(ctx context.Context, conn *pgx.Conn, f func() error) error {
	return inspect(ctx, conn, d.settings.StatementTimeout, f)
}

// cancelled means that PostgreSQL ended a statement by a time-out, or because it was asked to.
func cancelled(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "57014"
}

// inspectTimeout bounds one statement of an inspection, so that PostgreSQL ends it itself: then the
// connection is well.
func (d *Database) inspectTimeout() time.Duration { return d.probeTimeout * 2 / 3 }

// tooSlow is the error of an inspection that PostgreSQL ended.
func tooSlow(err error, within time.Duration) error {
	return &Error{
		Kind: entry.Transient, reason: v1alpha1.ReasonStatementFailed, SQLSTATE: "57014", Err: err,
		remedy: fmt.Sprintf("PostgreSQL took longer than %v for a query of its catalogue or of the ledger, or somebody cancelled the query: "+
			"it is overloaded, or a setting of the role or of the database slows it down: see SELECT * FROM pg_db_role_setting", within),
	}
}
