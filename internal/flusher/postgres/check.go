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
	// recordAttempts is how often a table of the flusher's own is looked at again after
	// another flusher was making it at the same moment.
	recordAttempts = 5
)

// Check reports whether rows can be written: the URL is there, the server can be
// reached, is new enough and writable, and the flusher's own tables can be used. It makes
// them when they are missing. After trouble it writes before it is content. It is
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
	var readOnly, standby, superuser bool
	err := inspect(ctx, conn, d.inspectTimeout(), func() error {
		err := conn.QueryRow(ctx, `SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
  pg_catalog.current_setting('transaction_read_only') = 'on', pg_catalog.pg_is_in_recovery(),
  pg_catalog.current_setting('is_superuser') = 'on'`).Scan(&version, &readOnly, &standby, &superuser)
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
	d.warn(conn.PgConn().Conn(), superuser)
	if !verified {
		if err := d.ensureRecords(ctx, conn); err != nil {
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
		if mismatch, ok := errors.AsType[*entry.Misfit](d.ensureRecords(ctx, conn)); ok {
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

// Durability reports whether the flusher's own tables are logged. It stops nothing: a ledger
// that a crash has emptied is noticed and restored, like one that was dropped. It returns an
// *Error if the check cannot be made.
func (d *Database) Durability(ctx context.Context) (config.Check, error) {
	var names []string
	for _, r := range d.records {
		names = append(names, r.name)
	}
	var emptied []string
	err := d.follow(0)
	if err == nil {
		err = d.probe(ctx, func(ctx context.Context, conn *pgx.Conn) error {
			return inspect(ctx, conn, d.inspectTimeout(), func() error {
				return conn.QueryRow(ctx, unloggedRecordsSQL, d.settings.LedgerSchema, names).Scan(&emptied)
			})
		})
	}
	if err != nil {
		return config.Check{}, failure("check the ledger", err, stageNone)
	}
	return d.unloggedRecords(emptied), nil
}

// unlogged is the check of something whose tables, quoted for SQL, are unlogged. What is
// a subject with its verb.
func unlogged(what string, tables ...string) config.Check {
	statements := "ALTER TABLE " + strings.Join(tables, " SET LOGGED; ALTER TABLE ") + " SET LOGGED;"
	return config.Check{
		Reason:  v1alpha1.ReasonTableUnlogged,
		Message: what + " UNLOGGED, so a crash of PostgreSQL empties it: run as an administrator: " + statements,
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
