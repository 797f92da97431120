// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// cancelTimeout bounds the attempt to stop in the server what the caller gave
// up.
const cancelTimeout = 2 * time.Second

// Write writes the batch in one transaction and in one round trip. An error is
// an *Error. After any error the same batch may be written again at the same
// place: if the first attempt committed after all, that gives
// AlreadyCommitted. Another batch may take the place only if the error is
// not Unsettled; otherwise the partition must be acquired again first.
//
// The batch may be written again or Reset afterwards, whatever the outcome.
func (d *Database) Write(ctx context.Context, t *Table, at entry.Place, b *Batch) (entry.Commit, error) {
	action := "write " + at.String()
	if b.table != t {
		return 0, &Error{Kind: entry.Mapping, action: action, remedy: "the batch was begun for another table"}
	}
	if b.Size() > heaviest {
		return 0, &Error{Kind: entry.TooHeavy, action: action, remedy: fmt.Sprintf("the batch holds more than %d bytes", heaviest)}
	}
	if err := d.unfed(t, b); err != nil {
		if current, err := d.Current(ctx, t); err == nil && !current {
			return entry.Altered, nil
		}
		return 0, failure(action, err, stageNone)
	}
	caller := ctx
	ctx, cancel := d.bound(ctx)
	defer cancel()
	conn, err := d.acquire(ctx, action)
	if err != nil {
		return 0, err
	}
	defer conn.Release()

	r, err := d.exchange(caller, conn, d.pipeline(t, at, b))
	if keptRow(err) {
		if e := d.staleError(ctx, conn.Conn(), t, action, b); e != nil {
			return 0, e
		}
	}
	if keptRow(err) && !conn.Conn().IsClosed() {
		// What is in the way may leave rows alone that need no change, or a row may have
		// come or gone at this very moment: the row is refused at the second attempt.
		t.comparing.Store(true)
		r, err = d.exchange(caller, conn, d.pipeline(t, at, b))
	}
	// The exchange may have been long on its way.
	ctx, cancelRest := d.bound(caller)
	defer cancelRest()
	switch {
	case keptRow(err):
		return 0, d.keptError(ctx, conn.Conn(), t, action, &r, err)
	case err != nil && d.outdated(ctx, conn.Conn(), t, &r, err):
		return entry.Altered, nil
	case err != nil:
		if e := d.hidden(ctx, conn.Conn(), t, action, &r, err); e != nil {
			return 0, e
		}
		e := d.writeFailure(action, &r, err)
		d.referred(ctx, conn.Conn(), t, b, e)
		return 0, e
	case !r.moved:
		return d.explain(ctx, conn, at)
	}
	d.feeds(t, b)
	if d.source.made(conn.Conn()) {
		d.committed.Store(time.Now().UnixNano())
	}
	return entry.Committed, nil
}

// writeFailure returns the error of a batch. Its kind depends on the answers that came
// before it.
func (d *Database) writeFailure(action string, r *reply, err error) *Error {
	e := failure(action, err, r.stage())
	e.Unsettled = r.unsettled(err)
	r.place(e, err)
	if cancelled(err) && r.step() <= stepSettings {
		// The next one may get through, and fewer rows would help nothing.
		e.Kind = entry.Contention
		e.remedy = "a statement_timeout that the role, the database or the URL sets is so short that it ends a batch before its own is set: " +
			"see SELECT * FROM pg_db_role_setting, and ALTER ROLE ... RESET statement_timeout"
	}
	if e.Kind == entry.Transient {
		d.verified.Store(false)
	}
	if r.step() <= stepLedger {
		_ = d.ledgerFailure(e)
	}
	return e
}

// explain returns why a batch did not move the ledger.
func (d *Database) explain(ctx context.Context, conn *pgxpool.Conn, at entry.Place) (entry.Commit, error) {
	var l entry.Mark
	err := d.ask(ctx, conn.Conn(), func() (err error) {
		l, err = d.readLedger(ctx, conn, at.Incarnation, at.Queue, at.Partition)
		return err
	})
	if err == nil {
		var outcome entry.Commit
		if outcome, err = against(at, l); err == nil {
			return outcome, nil
		}
	}
	e := failure("write "+at.String(), err, stageNone)
	return 0, d.ledgerFailure(e)
}

// reply is what the server has answered so far.
type reply struct {
	steps   []step
	members [][]int32
	// sent means that the tail, and with it the commit, is on its way.
	sent bool
	// parsed, bound and done count the statements that came so far.
	parsed, bound, done int
	moved               bool
	committed           bool
}

// prologueSteps is how many steps run as soon as they are bound.
const prologueSteps = 2

// step is the statement that the next answer belongs to.
func (r *reply) step() step {
	at := r.done
	if r.done >= min(r.bound, prologueSteps) && r.bound < len(r.steps) {
		at = r.bound
	}
	return r.steps[min(at, len(r.steps)-1)]
}

// stage returns whether the failed statement was not accepted, or failed on its rows.
// PostgreSQL plans it between the two.
func (r *reply) stage() stage {
	switch {
	case r.done < min(r.bound, prologueSteps) || r.bound == len(r.steps):
		return executing
	case r.parsed == r.bound:
		return preparing
	}
	return stageNone
}

// unsettled reports whether the transaction may have committed, or may yet do so,
// although err was all that came back. Only an answer from the server settles
// it, and not even that when the session died in the middle of the commit.
func (r *reply) unsettled(err error) bool {
	if !r.sent || r.committed {
		return false
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return true
	}
	if pgErr.Code == "40003" || strings.HasPrefix(pgErr.Code, "08") {
		// A proxy says so of the server that it has lost. A function of the table that says
		// so is named as the context, and the session goes on.
		return pgErr.Where == "" || pgErr.SeverityUnlocalized != "ERROR"
	}
	return r.step() == stepCommit && pgErr.SeverityUnlocalized != "ERROR"
}

// place says where a batch failed. An answer in which the server ends the session is
// none of a statement's.
func (r *reply) place(e *Error, err error) {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	e.SessionEnded = r.sent && !r.committed && (!ok || pgErr.SeverityUnlocalized == "FATAL" || pgErr.SeverityUnlocalized == "PANIC")
	e.AtRows = ok && r.moved && r.step() >= stepRows && r.stage() == executing
	if e.AtRows && !e.SessionEnded {
		e.atRows(pgErr)
	}
}

// exchange sends the pipeline and reads the answers. When anything but a plain
// error of a statement ends it, the connection is closed.
func (d *Database) exchange(ctx context.Context, conn *pgxpool.Conn, p *pipeline) (reply, error) {
	pg := conn.Conn().PgConn()
	r := reply{steps: p.steps, members: p.members}
	network := pg.Conn()
	ctx, progress, end := d.watched(ctx)
	defer end()
	stop := context.AfterFunc(ctx, func() { _ = network.SetDeadline(time.Unix(1, 0)) })
	err := send(ctx, pg, p, &r, progress)
	if err == nil {
		err = receive(pg, &r)
	}
	interrupted := !stop()
	if interrupted && err != nil && ctx.Err() != nil {
		if _, ok := errors.AsType[*pgconn.PgError](err); !ok {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
	if err = replicated(pg, err); errors.Is(err, errUnreplicated) {
		r.committed = false
	}
	if err == nil && !r.committed {
		err = errors.New("the server rolled the transaction back without an error")
	}
	switch {
	case interrupted || pg.IsClosed() || err != nil && !answered(err):
		d.drop(pg, r.sent && !r.committed)
	case pg.TxStatus() != 'I':
		if _, rollback := pg.Exec(ctx, "ROLLBACK").ReadAll(); rollback != nil {
			d.drop(pg, false)
		}
	}
	return r, err
}

// answered reports whether the error is one that PostgreSQL sent, so that the
// connection is in a known state.
func answered(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr)
}

// sentAtOnce is how much of a batch has to be on its way for that to be progress.
const sentAtOnce = 256 << 10

// send sends the pipeline and calls progress for every piece that has gone.
func send(ctx context.Context, pg *pgconn.PgConn, p *pipeline, r *reply, progress func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for piece := range slices.Chunk(p.bulk, sentAtOnce) {
		if _, err := pg.Conn().Write(piece); err != nil {
			return err
		}
		progress()
	}
	r.sent = true
	_, err := pg.Conn().Write(p.tail)
	return err
}

// receive reads up to the answer to Sync.
func receive(pg *pgconn.PgConn, r *reply) error {
	var failed error
	for {
		message, err := pg.ReceiveMessage(context.Background())
		if err != nil {
			if failed != nil {
				return failed
			}
			return err
		}
		switch m := message.(type) {
		case *pgproto3.ParseComplete:
			r.parsed++
		case *pgproto3.BindComplete:
			r.bound++
		case *pgproto3.CommandComplete:
			r.complete(string(m.CommandTag))
		case *pgproto3.ErrorResponse:
			failed = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return failed
		}
	}
}

func (r *reply) complete(tag string) {
	switch r.step() {
	case stepLedger:
		r.moved = tag == "UPDATE 1"
	case stepCommit:
		r.committed = tag == "COMMIT"
	}
	r.done++
}

// drop closes a connection whose state is not known. What may still be running
// for it in the server is asked to stop: its answer would reach nobody, and the
// next attempt would wait for its locks.
func (d *Database) drop(pg *pgconn.PgConn, running bool) {
	if running {
		d.cancels.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), cancelTimeout)
			defer cancel()
			_ = pg.CancelRequest(ctx)
		})
	}
	expired, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	_ = pg.Close(expired)
}
