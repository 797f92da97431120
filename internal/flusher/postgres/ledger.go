// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// ledgerTable is the ledger's table within its schema.
const ledgerTable = "ledger"

// epochOfNow is the least that an epoch may be, the µs since 1970: a ledger that was
// dropped, emptied or put back from a backup cannot give out a number once more that a
// flusher which was stopped since then still holds.
const epochOfNow = "(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8"

// ledgerRecord is the ledger as a table of the flusher's own.
func ledgerRecord(schema string) record {
	table := pgx.Identifier{schema, ledgerTable}.Sanitize()
	return record{
		what: "the ledger", kind: "a flusher's ledger", name: ledgerTable, table: table,
		// Every batch makes a new version of its row: a page that is mostly
		// empty lets PostgreSQL put it beside the old one and tidy up as it goes.
		create: `CREATE TABLE IF NOT EXISTS ` + table + ` (
  journal pg_catalog.text NOT NULL,
  queue pg_catalog.text NOT NULL,
  partition pg_catalog.int4 NOT NULL,
  epoch pg_catalog.int8 NOT NULL,
  flush pg_catalog.int8 NOT NULL,
  position pg_catalog.int8 NOT NULL,
  updated_at pg_catalog.timestamptz NOT NULL,
  PRIMARY KEY (journal, queue, partition)
) WITH (fillfactor = 10)`,
		columns: typed("journal text, queue text, partition int4, epoch int8, flush int8, position int8, updated_at timestamptz"),
		key:     []string{"journal", "queue", "partition"},
		rights:  []string{"SELECT", "INSERT", "UPDATE"},
	}
}

// ledgerStatements are the statements on the ledger with its name filled in.
type ledgerStatements struct {
	schema, table             string
	known, raise, fence, read string
	move, mine, try           string
	evict, earlier, end       string
	epochs, present           string
}

func newLedgerStatements(schema string) ledgerStatements {
	quotedSchema := pgx.Identifier{schema}.Sanitize()
	table := pgx.Identifier{schema, ledgerTable}.Sanitize()
	fill := strings.NewReplacer("{ledger}", table, "{now}", epochOfNow).Replace
	return ledgerStatements{
		schema: quotedSchema,
		table:  table,
		known:  fill(`SELECT EXISTS (SELECT FROM {ledger} WHERE journal = $1::pg_catalog.text AND queue = $2::pg_catalog.text)`),
		raise: fill(`INSERT INTO {ledger} AS l (journal, queue, partition, epoch, flush, position, updated_at)
VALUES ($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.int4, {now}, 0, 0, pg_catalog.now())
ON CONFLICT (journal, queue, partition) DO UPDATE SET epoch = greatest(l.epoch + 1, {now}), updated_at = pg_catalog.now()
RETURNING epoch, flush, position`),
		fence: fill(`UPDATE {ledger} l SET epoch = greatest(l.epoch + 1, {now}), updated_at = pg_catalog.now()
FROM (SELECT journal, queue, partition FROM {ledger} WHERE queue = $2::pg_catalog.text AND journal <> $1::pg_catalog.text
  ORDER BY journal, partition FOR UPDATE) o
WHERE l.journal = o.journal AND l.queue = o.queue AND l.partition = o.partition`),
		read: fill(`SELECT coalesce(pg_catalog.max(l.position), 0), coalesce(pg_catalog.max(o.epoch), 0),
  coalesce(pg_catalog.max(o.flush), 0), coalesce(pg_catalog.max(o.position), 0)
FROM {ledger} l LEFT JOIN {ledger} o
  ON o.journal = l.journal AND o.queue = l.queue AND o.partition = l.partition AND o.journal = $1::pg_catalog.text AND o.partition = $3::pg_catalog.int4
WHERE l.queue = $2::pg_catalog.text`),
		move: fill(`UPDATE {ledger} SET flush = $5, position = greatest(position, $6), updated_at = pg_catalog.now()
WHERE journal = $1 AND queue = $2 AND partition = $3 AND epoch = $4 AND flush = $5 - 1
  AND pg_catalog.concat(pg_catalog.to_regclass($7)::pg_catalog.oid, ` + formOf("pg_catalog.to_regclass($7)::pg_catalog.oid") + `) = $8`),
		try: fill(`SAVEPOINT tried; INSERT INTO {ledger} (journal, queue, partition, epoch, flush, position, updated_at)
VALUES ('', '', pg_catalog.pg_backend_pid(), 0, 0, 0, pg_catalog.now()); ROLLBACK TO SAVEPOINT tried`),
		// A statement that carries this condition takes effect only in the
		// transaction that moved the ledger row to this very batch.
		mine: fill(`(SELECT true FROM {ledger} l WHERE l.journal = $1 AND l.queue = $2 AND l.partition = $3
  AND l.epoch = $4 AND l.flush = $5 AND l.xmin = pg_catalog.pg_current_xact_id()::pg_catalog.xid)`),
		// The last life of before is the one with the highest position: fencing it
		// has touched the times.
		earlier: fill(`SELECT coalesce((SELECT pg_catalog.sum(flush) FILTER (WHERE partition >= 0) > coalesce(pg_catalog.max(flush) FILTER (WHERE partition < 0), 0)
FROM {ledger} WHERE queue = $2::pg_catalog.text AND journal <> $1::pg_catalog.text
GROUP BY journal ORDER BY pg_catalog.max(position) DESC LIMIT 1), false)`),
		end: fill(`INSERT INTO {ledger} AS l (journal, queue, partition, epoch, flush, position, updated_at)
SELECT $1::pg_catalog.text, $2::pg_catalog.text, -1, 0, coalesce(pg_catalog.sum(flush), 0), 0, pg_catalog.now()
FROM {ledger} WHERE journal = $1::pg_catalog.text AND queue = $2::pg_catalog.text AND partition >= 0
ON CONFLICT (journal, queue, partition) DO UPDATE SET flush = excluded.flush, updated_at = pg_catalog.now()`),
		epochs: fill(`SELECT partition, epoch FROM {ledger} WHERE journal = $1::pg_catalog.text AND queue = $2::pg_catalog.text`),
		present: fill(`SELECT coalesce(pg_catalog.max(epoch) FILTER (WHERE partition = $3::pg_catalog.int4), 0), pg_catalog.count(*) = 0
FROM {ledger} WHERE journal = $1::pg_catalog.text AND queue = $2::pg_catalog.text`),
		// Who was stopped in the middle of sending has begun a transaction, and its
		// statements hold the table's lock until the rest arrives.
		evict: `SELECT pg_catalog.pg_terminate_backend(a.pid)
FROM pg_catalog.pg_stat_activity a, pg_catalog.regexp_match(a.application_name, $1::pg_catalog.text) m
WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.datname = pg_catalog.current_database()
  AND a.usename = session_user AND pg_catalog.pg_has_role(a.usesysid, 'USAGE')
  AND (m[1] = $2::pg_catalog.text AND m[2]::pg_catalog.int4 = $3::pg_catalog.int4 AND m[3]::pg_catalog.int8 < $4::pg_catalog.int8
    OR m[1] <> $2::pg_catalog.text AND $5::pg_catalog.bool)`,
	}
}

// sessionName is what a session is called while it writes a batch, before the name
// that it has otherwise: the next owner of the partition finds it by that, and ends
// it. It fits into the 63 bytes of an application_name.
func sessionName(p entry.Place) string {
	return fmt.Sprintf("%s%s %d %d", sessionsOf(p.Queue), shortHash(p.Incarnation), p.Partition, p.Epoch)
}

// sessionsOf begins the names of all sessions that write batches of a queue.
func sessionsOf(queue string) string {
	return "writebehind " + shortHash(queue) + " "
}

// shortHash stands for a name of any length and any letters.
func shortHash(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return fmt.Sprintf("%08x", h.Sum32())
}

// settings bound the transaction in time, so that a stopped client cannot
// hold its locks, and make its commit durable where the role's or the
// database's settings would not: Redis forgets a batch once it has committed. A
// machine that is lost in the middle of sending leaves the server waiting for the
// rest, which no time-out of PostgreSQL ends: keepalives find out within 20 s.
//
// They also fix what a role or a database may have set otherwise and the engine goes
// by: NULL in an array's text is null; a policy filters instead of failing the
// statement; a warning of the commit comes through; an error does not end the session;
// nothing is compiled, which takes seconds where a setting such as enable_seqscan makes a
// small question look large.
// DateStyle, IntervalStyle, TimeZone, lc_monetary and xmloption are left alone: they say
// what a text of the application's means (dates in ISO form are read alike by all of
// them), and a money column is scaled by lc_monetary.
//
// A time-out of the whole transaction, which PostgreSQL 17 has, would count how long a
// batch is on its way. That of a statement is set by a statement of its own.
func settings(statement time.Duration) string {
	set := func(name string, d time.Duration) string {
		return fmt.Sprintf("pg_catalog.set_config('%s', '%d', true)", name, max(d.Milliseconds(), 1))
	}
	return set("lock_timeout", lockTimeout(statement)) +
		", " + set("idle_in_transaction_session_timeout", statement) +
		", CASE WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL THEN pg_catalog.set_config('transaction_timeout', '0', true) END" +
		", pg_catalog.set_config('tcp_keepalives_idle', '10', true), pg_catalog.set_config('tcp_keepalives_interval', '5', true)" +
		", pg_catalog.set_config('tcp_keepalives_count', '2', true)" +
		", pg_catalog.set_config('array_nulls', 'on', true), pg_catalog.set_config('row_security', 'on', true)" +
		", CASE WHEN pg_catalog.current_setting('jit', true) IS NOT NULL THEN pg_catalog.set_config('jit', 'off', true) END" +
		", pg_catalog.set_config('client_min_messages', 'warning', true), pg_catalog.set_config('exit_on_error', 'off', true)" +
		", CASE pg_catalog.current_setting('synchronous_commit') WHEN 'off' THEN pg_catalog.set_config('synchronous_commit', 'on', true) END"
}

// batchSettingsSQL are the settings of a transaction that carries a batch, and gives
// its session a name. While it is on its way no statement's time is measured: PostgreSQL
// measures from the first message of a statement, and a large row may be long on a slow link.
func batchSettingsSQL(statement time.Duration) string {
	return "SELECT pg_catalog.set_config('statement_timeout', '0', true), " + settings(statement) + ", pg_catalog.set_config('application_name'," +
		" pg_catalog.concat_ws(' ', $1::pg_catalog.text, pg_catalog.current_setting('application_name')), true)"
}

// statementTimeoutSQL bounds each statement from the next one on, once all of a batch is
// there.
func statementTimeoutSQL(statement time.Duration) string {
	return fmt.Sprintf("SET LOCAL statement_timeout = %d", max(statement.Milliseconds(), 1))
}

// Acquire makes the caller the only one who can write the partition: it raises
// the epoch, and whatever was sent at a lower one, even if it is still under
// way, takes no effect. The first acquisition of a journal also shuts out the
// owners of the queue's other journals. It may be repeated after any error.
func (d *Database) Acquire(ctx context.Context, journal, queue string, partition int) (entry.Mark, error) {
	var l entry.Mark
	var known bool
	action := fmt.Sprintf("acquire partition %d of %s", partition, queue)
	d.clear(ctx, entry.Place{Shard: entry.Shard{Incarnation: journal, Queue: queue, Partition: partition}})
	err := d.inTransaction(ctx, action, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, d.ledger.known, journal, queue).Scan(&known); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, d.ledger.raise, journal, queue, partition).Scan(&l.Epoch, &l.Flush, &l.Shard); err != nil {
			return err
		}
		if !known {
			if _, err := tx.Exec(ctx, d.ledger.fence, journal, queue); err != nil {
				return err
			}
		}
		all, err := d.readLedger(ctx, tx, journal, queue, partition)
		l.Queue = all.Queue
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, d.ledger.earlier, journal, queue).Scan(&l.Earlier); err != nil {
			return err
		}
		if d.Home().ID == "" {
			return nil // as the last look found, it does not tell
		}
		l.Home, err = readHome(ctx, tx)
		return err
	})
	if err != nil {
		return entry.Mark{}, d.ledgerFailure(err)
	}
	if l.Home.ID != "" {
		d.home.Store(&l.Home)
	}
	d.evict(ctx, entry.Place{Shard: entry.Shard{Incarnation: journal, Queue: queue, Partition: partition}, Epoch: l.Epoch}, !known)
	return l, nil
}

// clear ends the sessions that write for the partition's present epoch: the next one
// would wait for the row of the ledger, which a flusher that was stopped between its
// statements and its COMMIT holds until its transaction times out.
func (d *Database) clear(ctx context.Context, p entry.Place) {
	bounded, cancel := context.WithTimeout(ctx, evictTimeout)
	defer cancel()
	var first bool
	conn, err := d.pool.Acquire(bounded)
	if err != nil {
		return
	}
	err = d.ask(bounded, conn.Conn(), func() error {
		return conn.QueryRow(bounded, d.ledger.present, p.Incarnation, p.Queue, p.Partition).Scan(&p.Epoch, &first)
	})
	conn.Release()
	if err != nil {
		return
	}
	p.Epoch++
	d.evict(ctx, p, first)
}

// evict ends the sessions that write for an epoch before this one, or for another
// journal if this is the first epoch of its own. Whatever they send takes no effect,
// but one that was stopped in the middle of sending holds the lock of the table, which
// an ALTER TABLE would wait for, and every reader behind that. Nothing depends on it:
// behind some poolers, or with a role of many, nobody is found.
func (d *Database) evict(ctx context.Context, p entry.Place, first bool) {
	ctx, cancel := context.WithTimeout(ctx, evictTimeout)
	defer cancel()
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return
	}
	defer conn.Release()
	names := "^" + sessionsOf(p.Queue) + "([0-9a-f]{8}) ([0-9]{1,9}) ([0-9]{1,18})( |$)"
	_ = d.ask(ctx, conn.Conn(), func() error {
		_, err := conn.Exec(ctx, d.ledger.evict, names, shortHash(p.Incarnation), p.Partition, p.Epoch, first)
		return err
	})
}

// evictTimeout bounds the look for sessions of the epoch before, on which nothing
// depends.
const evictTimeout = 2 * time.Second

// End records that the queue was drained to its end: nothing of it is lost when this
// journal goes. The row of partition -1 holds how many batches were committed by then,
// so that the record is void once there are more.
func (d *Database) End(ctx context.Context, journal, queue string) error {
	err := d.inTransaction(ctx, "record the end of "+queue, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, d.ledger.end, journal, queue)
		return err
	})
	if err != nil {
		return d.ledgerFailure(err)
	}
	return nil
}

// Epochs returns the epochs that the ledger granted last, by partition. It uses the
// connection of the checks, not one of those that write.
func (d *Database) Epochs(ctx context.Context, journal, queue string) (map[int]int64, error) {
	epochs := make(map[int]int64)
	err := d.probe(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return inspect(ctx, conn, d.inspectTimeout(), func() error {
			rows, err := conn.Query(ctx, d.ledger.epochs, journal, queue)
			if err != nil {
				return err
			}
			var partition int
			var epoch int64
			_, err = pgx.ForEachRow(rows, []any{&partition, &epoch}, func() error {
				epochs[partition] = epoch
				return nil
			})
			return err
		})
	})
	if err != nil {
		return nil, d.ledgerFailure(failure("read the epochs of "+queue, err, stageNone))
	}
	return epochs, nil
}

// querier is a connection or a transaction on it.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func (d *Database) readLedger(ctx context.Context, q querier, journal, queue string, partition int) (entry.Mark, error) {
	var l entry.Mark
	err := q.QueryRow(ctx, d.ledger.read, journal, queue, partition).Scan(&l.Queue, &l.Epoch, &l.Flush, &l.Shard)
	return l, err
}

// against tells what a ledger says about a batch that did not move it.
func against(p entry.Place, l entry.Mark) (entry.Commit, error) {
	switch {
	case l.Epoch != p.Epoch:
		return entry.Fenced, nil
	case l.Flush == p.Flush:
		return entry.AlreadyCommitted, nil
	case l.Flush == p.Flush-1:
		// The ledger was ready for the batch, so that it was the table that was not.
		return entry.Altered, nil
	}
	return 0, fmt.Errorf("%w: it stands at batch %d", ErrLedgerOutOfStep, l.Flush)
}

// ledgerFailure keeps a fault of the ledger from being taken for one of a
// mapping: nothing can be written until Check has seen to it.
func (d *Database) ledgerFailure(err error) error {
	return d.ownFailure(err, "the ledger "+d.ledger.table)
}

// ownFailure is ledgerFailure for any table of the flusher's own.
func (d *Database) ownFailure(err error, what string) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Kind == entry.TooHeavy {
		// A smaller batch would not help.
		e.Kind = entry.Transient
	}
	if e.Kind == entry.Mapping || e.Kind == entry.Row {
		e.Kind = entry.Transient
		if e.SQLSTATE != "" {
			e.remedy = what + " cannot be used"
		}
	}
	if e.Kind == entry.Transient {
		d.verified.Store(false)
	}
	return e
}
