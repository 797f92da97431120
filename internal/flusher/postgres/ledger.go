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
)

// Position is the place of one batch in the ledger.
type Position struct {
	// Journal, Queue and Partition name the ledger row.
	Journal   string
	Queue     string
	Partition int
	// Epoch is the one that Acquire gave.
	Epoch int64
	// Flush is the number of this batch; the ledger must stand at Flush-1.
	Flush int64
	// Version is the highest version in the batch; the ledger's position is
	// raised to it.
	Version int64
}

func (p Position) String() string {
	return fmt.Sprintf("batch %d of %s/%d", p.Flush, p.Queue, p.Partition)
}

// Ledger is what the database knows about a partition.
type Ledger struct {
	// Epoch is the number of acquisitions so far; 0 means that the ledger has no
	// such row.
	Epoch int64
	// Flush is the number of the last batch that committed.
	Flush int64
	// Position is the highest version that committed in any partition of any
	// journal of the queue: no new version may be lower.
	Position int64
	// Committed is the highest version that committed in this very partition of
	// this journal.
	Committed int64
}

// Outcome is what became of a batch.
type Outcome int

// The outcomes of a batch.
const (
	// Committed means that the batch committed now.
	Committed Outcome = iota + 1
	// AlreadyCommitted means that the same batch committed earlier; nothing was
	// written now.
	AlreadyCommitted
	// Fenced means that the partition has another owner; nothing was written,
	// and nothing ever will be at this epoch.
	Fenced
)

var outcomeNames = map[Outcome]string{
	Committed: "Committed", AlreadyCommitted: "AlreadyCommitted", Fenced: "Fenced",
}

func (o Outcome) String() string {
	return outcomeNames[o]
}

// ledgerTable is the ledger's table within its schema.
const ledgerTable = "ledger"

// ledgerStatements are the statements on the ledger with its name filled in.
type ledgerStatements struct {
	schema, table             string
	create                    string
	known, raise, fence, read string
	move, mine, try           string
}

func newLedgerStatements(schema string) ledgerStatements {
	quotedSchema := pgx.Identifier{schema}.Sanitize()
	table := pgx.Identifier{schema, ledgerTable}.Sanitize()
	fill := strings.NewReplacer("{ledger}", table).Replace
	return ledgerStatements{
		schema: quotedSchema,
		table:  table,
		// Every batch makes a new version of its row: a page that is mostly
		// empty lets PostgreSQL put it beside the old one and tidy up as it goes.
		create: fill(`CREATE TABLE IF NOT EXISTS {ledger} (
  journal pg_catalog.text NOT NULL,
  queue pg_catalog.text NOT NULL,
  partition pg_catalog.int4 NOT NULL,
  epoch pg_catalog.int8 NOT NULL,
  flush pg_catalog.int8 NOT NULL,
  position pg_catalog.int8 NOT NULL,
  updated_at pg_catalog.timestamptz NOT NULL,
  PRIMARY KEY (journal, queue, partition)
) WITH (fillfactor = 10)`),
		known: fill(`SELECT EXISTS (SELECT FROM {ledger} WHERE journal = $1::pg_catalog.text AND queue = $2::pg_catalog.text)`),
		raise: fill(`INSERT INTO {ledger} AS l (journal, queue, partition, epoch, flush, position, updated_at)
VALUES ($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.int4, 1, 0, 0, pg_catalog.now())
ON CONFLICT (journal, queue, partition) DO UPDATE SET epoch = l.epoch + 1, updated_at = pg_catalog.now()
RETURNING epoch, flush, position`),
		fence: fill(`UPDATE {ledger} l SET epoch = l.epoch + 1, updated_at = pg_catalog.now()
FROM (SELECT journal, queue, partition FROM {ledger} WHERE queue = $2::pg_catalog.text AND journal <> $1::pg_catalog.text
  ORDER BY journal, partition FOR UPDATE) o
WHERE l.journal = o.journal AND l.queue = o.queue AND l.partition = o.partition`),
		read: fill(`SELECT coalesce(pg_catalog.max(l.position), 0), coalesce(pg_catalog.max(o.epoch), 0),
  coalesce(pg_catalog.max(o.flush), 0), coalesce(pg_catalog.max(o.position), 0)
FROM {ledger} l LEFT JOIN {ledger} o
  ON o.journal = l.journal AND o.queue = l.queue AND o.partition = l.partition AND o.journal = $1::pg_catalog.text AND o.partition = $3::pg_catalog.int4
WHERE l.queue = $2::pg_catalog.text`),
		move: fill(`UPDATE {ledger} SET flush = $5, position = greatest(position, $6), updated_at = pg_catalog.now()
WHERE journal = $1 AND queue = $2 AND partition = $3 AND epoch = $4 AND flush = $5 - 1`),
		try: fill(`SAVEPOINT tried; INSERT INTO {ledger} (journal, queue, partition, epoch, flush, position, updated_at)
VALUES ('', '', pg_catalog.pg_backend_pid(), 0, 0, 0, pg_catalog.now()); ROLLBACK TO SAVEPOINT tried`),
		// A statement that carries this condition takes effect only in the
		// transaction that moved the ledger row to this very batch.
		mine: fill(`(SELECT true FROM {ledger} l WHERE l.journal = $1 AND l.queue = $2 AND l.partition = $3
  AND l.epoch = $4 AND l.flush = $5 AND l.xmin = pg_catalog.pg_current_xact_id()::pg_catalog.xid)`),
	}
}

// settingsSQL bounds the transaction in time, so that a stopped client cannot
// hold its locks, and makes its commit durable where the role's or the
// database's settings would not: Redis forgets a batch once it has committed. A
// machine that is lost in the middle of sending leaves the server waiting for the
// rest, which no time-out of PostgreSQL ends: keepalives find out within 20 s.
func settingsSQL(statement time.Duration) string {
	set := func(name string, d time.Duration) string {
		return fmt.Sprintf("pg_catalog.set_config('%s', '%d', true)", name, max(d.Milliseconds(), 1))
	}
	return "SELECT " + set("statement_timeout", statement) +
		", " + set("lock_timeout", lockTimeout(statement)) +
		", " + set("idle_in_transaction_session_timeout", statement) +
		", pg_catalog.set_config('tcp_keepalives_idle', '10', true), pg_catalog.set_config('tcp_keepalives_interval', '5', true)" +
		", pg_catalog.set_config('tcp_keepalives_count', '2', true)" +
		", CASE pg_catalog.current_setting('synchronous_commit') WHEN 'off' THEN pg_catalog.set_config('synchronous_commit', 'on', true) END"
}

// Acquire makes the caller the only one who can write the partition: it raises
// the epoch, and whatever was sent at a lower one, even if it is still under
// way, takes no effect. The first acquisition of a journal also shuts out the
// owners of the queue's other journals. It may be repeated after any error.
func (d *Database) Acquire(ctx context.Context, journal, queue string, partition int) (Ledger, error) {
	var l Ledger
	action := fmt.Sprintf("acquire partition %d of %s", partition, queue)
	err := d.inTransaction(ctx, action, func(ctx context.Context, tx pgx.Tx) error {
		var known bool
		if err := tx.QueryRow(ctx, d.ledger.known, journal, queue).Scan(&known); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, d.ledger.raise, journal, queue, partition).Scan(&l.Epoch, &l.Flush, &l.Committed); err != nil {
			return err
		}
		if !known {
			if _, err := tx.Exec(ctx, d.ledger.fence, journal, queue); err != nil {
				return err
			}
		}
		all, err := d.readLedger(ctx, tx, journal, queue, partition)
		l.Position = all.Position
		return err
	})
	if err != nil {
		return Ledger{}, d.ledgerFailure(err)
	}
	return l, nil
}

// querier is a connection or a transaction on it.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func (d *Database) readLedger(ctx context.Context, q querier, journal, queue string, partition int) (Ledger, error) {
	var l Ledger
	err := q.QueryRow(ctx, d.ledger.read, journal, queue, partition).Scan(&l.Position, &l.Epoch, &l.Flush, &l.Committed)
	return l, err
}

// against tells what a ledger says about a batch that did not move it.
func (p Position) against(l Ledger) (Outcome, error) {
	switch {
	case l.Epoch != p.Epoch:
		return Fenced, nil
	case l.Flush == p.Flush:
		return AlreadyCommitted, nil
	}
	return 0, fmt.Errorf("%w: it stands at batch %d", ErrLedgerOutOfStep, l.Flush)
}

// ledgerFailure keeps a fault of the ledger from being taken for one of a
// mapping: nothing can be written until Check has seen to it.
func (d *Database) ledgerFailure(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Kind == Mapping || e.Kind == Row {
		e.Kind = Transient
		if e.SQLSTATE != "" {
			e.remedy = "the ledger " + d.ledger.table + " cannot be used"
		}
	}
	if e.Kind == Transient {
		d.verified.Store(false)
	}
	return e
}
