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

const (
	// A statement that names the function fails where it may not be called, even if it
	// does not come to that.
	mayReadHomeSQL = `SELECT coalesce(pg_catalog.has_function_privilege(pg_catalog.to_regprocedure('pg_catalog.pg_control_system()')::pg_catalog.oid, 'EXECUTE'), false)`
	homeSQL        = `SELECT pg_catalog.concat(c.system_identifier, '/', d.oid), d.datname::pg_catalog.text
FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`
)

// readHome asks the database what it is. Its id is the number that initdb gave to the
// server's files and that of the database within them: a standby has both, and what is put
// back from a copy of the files.
func readHome(ctx context.Context, q querier) (h entry.Home, err error) {
	err = q.QueryRow(ctx, homeSQL).Scan(&h.ID, &h.Name)
	return h, err
}

// untold are the SQLSTATEs of a database that does not reveal its identity to this role:
// a right is missing, the function is, or it is not supported.
var untold = map[string]bool{"42501": true, "42883": true, "0A000": true}

// findHome asks the database what it is, if it may be asked. That it does not tell is no
// reason to write nothing. That it could not tell this once, as while its disk stalls, says
// nothing: what is known of it stays.
func (d *Database) findHome(ctx context.Context, conn *pgx.Conn) error {
	var may bool
	var h entry.Home
	err := conn.QueryRow(ctx, mayReadHomeSQL).Scan(&may)
	if err == nil && may {
		h, err = readHome(ctx, conn)
	}
	pgErr, refused := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil, refused && untold[pgErr.Code]:
		d.home.Store(&h)
		return nil
	case refused && !conn.IsClosed():
		return nil
	}
	return err
}

// Known reports whether the database was reached, and asked what it is.
func (d *Database) Known() bool { return d.home.Load() != nil }

// Home is the database that was reached last, empty before the first time.
func (d *Database) Home() entry.Home {
	if h := d.home.Load(); h != nil {
		return *h
	}
	return entry.Home{}
}

// Since is when the URL in force was put where it is, in µs since 1970; 0 before it was
// read.
func (d *Database) Since() int64 {
	d.source.mu.Lock()
	defer d.source.mu.Unlock()
	return d.source.since
}
