// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

const (
	// oldestVersion is the first PostgreSQL with pg_current_xact_id, by which a
	// statement knows its own transaction.
	oldestVersion = 130000
	// commitProves is how long a commit stands for a check, since it shows all
	// that a check looks at.
	commitProves = time.Second
	// ledgerAttempts is how often the ledger is looked at again after another
	// flusher was making it at the same moment.
	ledgerAttempts = 5
)

// Check reports whether rows can be written: the URL is there, the server can be
// reached, is new enough and writable, and the ledger can be used. It makes the
// ledger when it is missing. After trouble it writes before it is content. It is
// cheap enough to be called every second, takes 3 s at most, and notices a
// changed URL.
func (d *Database) Check(ctx context.Context) config.Check {
	err := d.check(ctx)
	if err == nil {
		return config.Check{OK: true}
	}
	d.verified.Store(false)
	if mapping, ok := errors.AsType[*entry.Misfit](err); ok {
		return config.Check{Reason: mapping.Reason, Message: mapping.Message}
	}
	e := failure("", err, stageNone)
	message := e.Message()
	switch {
	case e.inURL:
		message += ": correct the URL in " + d.source.place()
	case e.reason == v1alpha1.ReasonConnectionFailed && !d.source.namesHost():
		message += ": the URL in " + d.source.place() + " names no host, so this machine is tried: give " + exampleURL
	}
	return config.Check{Reason: e.reason, Message: message}
}

func (d *Database) check(ctx context.Context) error {
	if err := d.follow(0); err != nil {
		return err
	}
	if d.proven() {
		return nil
	}
	return d.probe(ctx, d.examine)
}

// proven reports whether commits have shown lately that all is well. Trouble of
// any writer ends that.
func (d *Database) proven() bool {
	return d.verified.Load() && time.Since(time.Unix(0, d.committed.Load())) < commitProves
}

// examine looks at the server. After trouble, and while batches are under way of
// which none has committed lately, it looks whether it can write, since a server
// that answers may well be one that writes nothing.
func (d *Database) examine(ctx context.Context, conn *pgx.Conn) error {
	// Trouble that comes up meanwhile must not be forgotten at the end.
	verified := d.verified.Swap(true)
	var version int
	var readOnly, standby bool
	err := inspect(ctx, conn, d.inspectTimeout(), func() error {
		err := conn.QueryRow(ctx, `SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
  pg_catalog.current_setting('transaction_read_only') = 'on', pg_catalog.pg_is_in_recovery()`).Scan(&version, &readOnly, &standby)
		if err != nil || standby || readOnly || checkVersion(version) != nil {
			return err
		}
		return d.findHome(ctx, conn)
	})
	switch {
	case err != nil:
		return err
	case standby:
		return &Error{Kind: entry.Transient, reason: v1alpha1.ReasonReadOnly, Err: errStandby, remedy: standbyRemedy}
	case readOnly:
		return &Error{
			Kind: entry.Transient, reason: v1alpha1.ReasonReadOnly, Err: pgconn.ErrReadOnlyConnection,
			remedy: toWrite(conn.Config().User, conn.Config().Database),
		}
	}
	if err := checkVersion(version); err != nil {
		return err
	}
	if !verified {
		if err := d.ensureLedger(ctx, conn); err != nil {
			return err
		}
	}
	if verified && d.pool.Stat().AcquiredConns() == 0 {
		return nil
	}
	err = d.tryWriting(ctx, conn)
	if err != nil && conn.PgConn().Exec(ctx, "ROLLBACK").Close() == nil {
		// The ledger may have been altered since it was found fit: then this look says
		// so in the words of the next ones.
		if mismatch, ok := errors.AsType[*entry.Misfit](d.ensureLedger(ctx, conn)); ok {
			return mismatch
		}
	}
	return err
}

// checkVersion takes server_version_num.
func checkVersion(version int) error {
	if version >= oldestVersion {
		return nil
	}
	return &entry.Misfit{
		Reason: v1alpha1.ReasonVersionTooOld,
		Message: fmt.Sprintf("the server is PostgreSQL %d: version %d or later is needed",
			version/10000, oldestVersion/10000),
	}
}

// Durability reports whether the ledger's table is logged. It stops nothing: a ledger that a
// crash has emptied is noticed and restored, like one that was dropped. It returns an *Error if
// the check cannot be made.
func (d *Database) Durability(ctx context.Context) (config.Check, error) {
	var persistence string
	err := d.follow(0)
	if err == nil {
		err = d.probe(ctx, func(ctx context.Context, conn *pgx.Conn) error {
			return inspect(ctx, conn, d.inspectTimeout(), func() error {
				return conn.QueryRow(ctx, ledgerPersistenceSQL, d.settings.LedgerSchema, ledgerTable).Scan(&persistence)
			})
		})
	}
	switch {
	case err != nil:
		return config.Check{}, failure("check the ledger", err, stageNone)
	case persistence == unloggedTable:
		return unlogged("the ledger "+d.ledger.table, d.ledger.table), nil
	}
	return config.Check{OK: true}, nil
}

// unloggedTable is what pg_class says of a table that is emptied in a crash.
const unloggedTable = "u"

const ledgerPersistenceSQL = `
SELECT coalesce((SELECT c.relpersistence::pg_catalog.text FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1::pg_catalog.text AND c.relname = $2::pg_catalog.text AND c.relkind = 'r'), '')`

// unlogged is the check of something whose tables, quoted for SQL, are unlogged.
func unlogged(what string, tables ...string) config.Check {
	statements := "ALTER TABLE " + strings.Join(tables, " SET LOGGED; ALTER TABLE ") + " SET LOGGED;"
	return config.Check{
		Reason:  v1alpha1.ReasonTableUnlogged,
		Message: what + " is UNLOGGED, so a crash of PostgreSQL empties it: run as an administrator: " + statements,
	}
}

// tryWriting commits a transaction that has written to the ledger and taken it
// back: it goes the way of a batch, through the disk and to a synchronous
// standby, and leaves nothing behind. The row is one that nobody else writes. It begins
// apart, as taking a partition over does: a pooler that gives every statement a
// connection of its own would let it pass as one.
func (d *Database) tryWriting(ctx context.Context, conn *pgx.Conn) error {
	if err := begin(ctx, conn, d.inspectTimeout()); err != nil {
		return err
	}
	return replicated(conn.PgConn(), conn.PgConn().Exec(ctx, d.ledger.try+"; COMMIT").Close())
}

// ledgerState is what the catalogue says about the ledger.
type ledgerState struct {
	role                string
	schema, table, fits bool
	mayCreateSchema     bool
	mayUse, mayCreate   bool
	mayRead, mayWrite   bool
	otherKind           bool
}

const ledgerStateSQL = `
SELECT current_user, n.oid IS NOT NULL, c.oid IS NOT NULL,
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
  coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false),
  coalesce(pg_catalog.has_schema_privilege(n.oid, 'CREATE'), false),
  coalesce(pg_catalog.has_table_privilege(c.oid, 'SELECT'), false),
  coalesce(pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE'), false),
  coalesce(c.relkind <> 'r', false),
  (SELECT count(*) = 7 FROM pg_catalog.pg_attribute a
    JOIN (VALUES ('journal', 'text'), ('queue', 'text'), ('partition', 'int4'), ('epoch', 'int8'),
      ('flush', 'int8'), ('position', 'int8'), ('updated_at', 'timestamptz')) w (name, type)
      ON w.name = a.attname::pg_catalog.text
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typname::pg_catalog.text = w.type
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  AND EXISTS (SELECT FROM pg_catalog.pg_index i
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 3
      AND (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attname::pg_catalog.text COLLATE "C")
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid
          AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:2])) = ARRAY['journal', 'partition', 'queue'])
FROM (SELECT) one
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1::pg_catalog.text
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $2::pg_catalog.text`

// ensureLedger makes the ledger when it is missing and says what a person must
// do when it cannot be made or used. Several flushers may do so at once.
func (d *Database) ensureLedger(ctx context.Context, conn *pgx.Conn) error {
	var err error
	for range ledgerAttempts {
		var s ledgerState
		err = inspect(ctx, conn, d.inspectTimeout(), func() error {
			return conn.QueryRow(ctx, ledgerStateSQL, d.settings.LedgerSchema, ledgerTable).Scan(
				&s.role, &s.schema, &s.table, &s.mayCreateSchema, &s.mayUse, &s.mayCreate,
				&s.mayRead, &s.mayWrite, &s.otherKind, &s.fits)
		})
		if err != nil {
			return err
		}
		var statement string
		switch {
		case s.table:
			return d.checkLedger(s)
		case !s.schema && !s.mayCreateSchema, s.schema && !(s.mayUse && s.mayCreate):
			return d.ledgerPrivilege(s)
		case !s.schema:
			statement = "CREATE SCHEMA IF NOT EXISTS " + d.ledger.schema
		default:
			statement = d.ledger.create
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
		err = errors.New("the ledger disappears as soon as it is created")
	}
	return err
}

// madeByAnother reports whether a CREATE failed only because the same thing was
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

func (d *Database) checkLedger(s ledgerState) error {
	switch {
	case !s.mayUse || !s.mayRead || !s.mayWrite:
		return d.ledgerPrivilege(s)
	case s.otherKind || !s.fits:
		return &entry.Misfit{
			Reason: v1alpha1.ReasonSchemaMismatch,
			Message: fmt.Sprintf("%s is not a flusher's ledger: set another ledgerSchema or, if nothing else needs it, run as an administrator: ALTER TABLE %s RENAME TO ledger_before;",
				d.ledger.table, d.ledger.table),
		}
	}
	return nil
}

// ledgerPrivilege gives the SQL that an administrator must run.
func (d *Database) ledgerPrivilege(s ledgerState) error {
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
		statements = append(statements, fmt.Sprintf("GRANT SELECT, INSERT, UPDATE ON TABLE %s TO %s", d.ledger.table, role))
	}
	return &entry.Misfit{
		Reason: v1alpha1.ReasonPrivilegeMissing,
		Message: fmt.Sprintf("role %s may not make or use the ledger: run as an administrator: %s;",
			role, strings.Join(statements, "; ")),
	}
}
