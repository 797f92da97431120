// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// Settings are the database's address and the bounds of its use.
type Settings struct {
	// URLFile holds the connection URL. It is read again for every new
	// connection, by every Check and otherwise once a second while batches are
	// written; a connection of an earlier URL is not used any more.
	URLFile string
	// URLSecret is what messages call the Secret behind URLFile; without it they
	// name the file.
	URLSecret string
	// TLS, if set, verifies the server's certificate, and sends a client certificate if it
	// names one. Its files are read again like the URL's.
	TLS *config.TLS
	// MaxConnections bounds the connections that write; below 1 means 1. Check and Table
	// use one more, so that they need not wait for a free one.
	MaxConnections int
	// StatementTimeout bounds one statement in the server; zero means 30 s.
	StatementTimeout time.Duration
	// LedgerSchema is the schema of the ledger; empty means writebehind.
	LedgerSchema string
	// Sources has the tables made and checked in which Sources keeps what is known of
	// sources. One more connection asks and moves them.
	Sources bool
}

const (
	defaultStatementTimeout = 30 * time.Second
	defaultLedgerSchema     = "writebehind"
	// idleTime closes connections that nothing has used for so long, so that a
	// quiet flusher does not hold what others could use.
	idleTime = 5 * time.Minute
	// lifeTime renews connections now and then, so that they spread again over
	// the servers behind one name.
	lifeTime = 30 * time.Minute
	// longestURLAge is how long a batch may go to the database of an earlier URL
	// after the file has changed, when nothing else looks at it: soon enough for
	// a person, and rare enough to cost nothing.
	longestURLAge = time.Second
	// longestLockWait is how long one statement waits for a lock. A table that is
	// locked must not hold a connection, and a worker, that other tables need; and
	// it is longer than the second after which PostgreSQL looks for a deadlock,
	// which is better told as one.
	longestLockWait = 2 * time.Second
)

// Database is one PostgreSQL database. It is safe for concurrent use.
type Database struct {
	settings Settings
	source   *source
	pool     *pgxpool.Pool
	prober   *prober
	keeper   *prober
	ledger   ledgerStatements
	// records are the flusher's own tables.
	records  []record
	prologue []byte
	// urlAge is how old the last look at the URL may be when a batch is written.
	urlAge time.Duration
	// learnedAge is how old an answer of the catalogue may be that explains a refusal.
	learnedAge time.Duration
	// probeTimeout bounds one Check and one Table.
	probeTimeout time.Duration

	// verified means that the ledger was found fit for use, and written to, since
	// the last trouble.
	verified atomic.Bool
	// home is what the database said of itself last.
	home atomic.Pointer[entry.Home]
	// warned is what the last look at the server found that a person should know.
	warned atomic.Pointer[[]string]
	// committed is when a batch last committed, in Unix nanoseconds.
	committed atomic.Int64
	// fed holds the mappings of which a document has fed a column.
	fed sync.Map
	// cancels are cancel requests on their way.
	cancels sync.WaitGroup
}

// Open prepares the use of a database and returns at once. Connections are made when they are
// needed, and Check reports obstacles.
func Open(s Settings) *Database {
	s.MaxConnections = max(s.MaxConnections, 1)
	if s.StatementTimeout <= 0 {
		s.StatementTimeout = defaultStatementTimeout
	}
	if s.LedgerSchema == "" {
		s.LedgerSchema = defaultLedgerSchema
	}
	d := &Database{
		settings:     s,
		source:       &source{file: s.URLFile, secret: s.URLSecret, tls: s.TLS},
		ledger:       newLedgerStatements(s.LedgerSchema),
		urlAge:       longestURLAge,
		learnedAge:   longestLearned,
		probeTimeout: longestProbe,
	}
	d.records = []record{ledgerRecord(s.LedgerSchema)}
	if s.Sources {
		d.records = append(d.records, sourceRecords(s.LedgerSchema)...)
	}
	d.prober, d.keeper = newProber(d.source), newProber(d.source)
	d.prologue = newPrologue(s.StatementTimeout)

	// The pool's own configuration is only a frame: every connection takes the
	// whole of its configuration from the URL file.
	frame, err := pgxpool.ParseConfig("host=localhost sslmode=disable")
	if err != nil {
		panic(fmt.Sprintf("parse the pool's frame: %v", err))
	}
	frame.MaxConns = int32(min(s.MaxConnections, 1<<15))
	frame.MinConns = 0
	frame.MaxConnIdleTime = idleTime
	frame.MaxConnLifetime = lifeTime
	frame.MaxConnLifetimeJitter = lifeTime / 10
	frame.PingTimeout = connectTimeout
	frame.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		if err := d.follow(0); err != nil {
			return err
		}
		fresh, err := d.source.config()
		if err != nil {
			return err
		}
		*c = *fresh
		return nil
	}
	frame.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) {
		return d.source.made(conn), nil
	}
	d.pool, err = pgxpool.NewWithConfig(context.Background(), frame)
	if err != nil {
		panic(fmt.Sprintf("make the pool: %v", err))
	}
	return d
}

// Close ends every connection, after what is under way on it.
func (d *Database) Close() {
	d.prober.close()
	d.keeper.close()
	d.pool.Close()
	d.cancels.Wait()
}

// lockTimeout is shorter than the statement time-out, so that waiting for a
// lock is told apart from being too slow.
func lockTimeout(statement time.Duration) time.Duration {
	return min(max(statement/2, time.Millisecond), longestLockWait)
}

// patience bounds one operation as a whole: a few statements that each run into
// their own time-out in the server, and making a connection. It only matters
// when the server does not answer at all.
func (d *Database) patience() time.Duration {
	return 2*d.settings.StatementTimeout + connectTimeout
}

// bound gives every operation a deadline, also when the caller has none.
func (d *Database) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d.patience())
}

// watched is bound for an exchange whose request may be long on its way: every progress
// gives the whole time again, so that a slow link is no server that does not answer.
func (d *Database) watched(ctx context.Context) (watched context.Context, progress, end func()) {
	watched, cancel := context.WithCancelCause(ctx)
	idle := time.AfterFunc(d.patience(), func() { cancel(context.DeadlineExceeded) })
	return watched, func() { idle.Reset(d.patience()) }, func() {
		idle.Stop()
		cancel(nil)
	}
}

// follow looks at the URL, unless that was done less than age ago, and leaves
// the connections of an earlier one behind. Another URL may mean another
// database: from here on nothing is written to the one before.
func (d *Database) follow(age time.Duration) error {
	changed, err := d.source.reload(age)
	if changed {
		d.verified.Store(false)
		d.committed.Store(0)
		d.pool.Reset()
	}
	return err
}

// acquire lends a connection of the URL in force, or says what is in the way.
func (d *Database) acquire(ctx context.Context, action string) (*pgxpool.Conn, error) {
	// A file that cannot be read says nothing of another URL, and Check tells of
	// it: connections that are there remain good.
	_ = d.follow(d.urlAge)
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		d.verified.Store(false)
		return nil, failure(action, d.source.connecting(err), stageNone)
	}
	return conn, nil
}

// inTransaction runs f in one transaction with every time-out set, so that
// neither a lock nor a lost client can hold it up for longer.
func (d *Database) inTransaction(ctx context.Context, action string, f func(context.Context, pgx.Tx) error) error {
	ctx, cancel := d.bound(ctx)
	defer cancel()
	conn, err := d.acquire(ctx, action)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: pinnedBeginSQL(d.settings.StatementTimeout)})
	if err != nil {
		return failure(action, err, stageNone)
	}
	if err = f(ctx, tx); err == nil {
		err = replicated(conn.Conn().PgConn(), tx.Commit(ctx))
	}
	if err == nil {
		return nil
	}
	if rollback := tx.Rollback(ctx); rollback != nil && !errors.Is(rollback, pgx.ErrTxClosed) {
		_ = conn.Conn().Close(ctx)
	}
	return failure(action, err, stageNone)
}
