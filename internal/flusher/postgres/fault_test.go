// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

// result is what a write in another goroutine came to.
type result struct {
	outcome entry.Commit
	err     error
}

func (o *owner) writeAside(ctx context.Context, at entry.Place, b *Batch) <-chan result {
	done := make(chan result, 1)
	go func() {
		outcome, err := o.d.Write(ctx, o.table, at, b)
		done <- result{outcome, err}
	}()
	return done
}

func unsettled(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != entry.Transient || !e.Unsettled {
		t.Fatalf("Write = %+v; want an unsettled transient error", err)
	}
}

func TestACommitWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	server, _ := open(t, itemSchema)
	p, url := newProxy(t, server)
	d := openURL(t, url)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	at := o.next(10)
	b := batch(t, o.table, "1", `{"a":"x","b":1,"c":1}`)
	p.cut("COMMIT\x00")
	_, err := d.Write(t.Context(), o.table, at, b)
	unsettled(t, err)
	if outcome, err := d.Write(t.Context(), o.table, at, b); outcome != entry.AlreadyCommitted {
		t.Errorf("The second Write = %v, %v; want AlreadyCommitted", outcome, err)
	}
	equal(t, server, allItems, "1|x|1|1")
	o.write(t, "1", "")
}

func TestABatchThatNeverArrives(t *testing.T) {
	t.Parallel()
	server, _ := open(t, itemSchema)
	p, url := newProxy(t, server)
	d := openURL(t, url)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	at := o.next(10)
	b := batch(t, o.table, "1", `{"a":"x","b":1,"c":1}`)
	held := p.allow(len(d.pipeline(o.table, at, b).bulk))
	ctx, cancel := context.WithCancel(t.Context())
	done := o.writeAside(ctx, at, b)
	<-held
	cancel()
	r := <-done
	unsettled(t, r.err)
	if !errors.Is(r.err, context.Canceled) {
		t.Errorf("Write = %v; want it to say that it was cancelled", r.err)
	}
	p.allow(-1)
	if outcome, err := d.Write(t.Context(), o.table, at, b); outcome != entry.Committed {
		t.Errorf("The second Write = %v, %v; want Committed", outcome, err)
	}
	equal(t, server, allItems, "1|x|1|1")
}

// A flusher that stops in the middle of sending must leave its successor
// nothing to wait for, wherever it stops.
func TestAStoppedPredecessorHoldsNoLock(t *testing.T) {
	t.Parallel()
	server, direct := open(t, itemSchema)
	p, url := newProxy(t, server)
	zombie := openURL(t, url)
	table := readTable(t, direct, mapping("items"))
	predecessor := own(t, zombie, table, 0)
	b := batch(t, table, "1", `{"a":"zombie","b":1,"c":1}`, "2", "", "3", `{"a":"zombie"}`)
	whole := zombie.pipeline(table, predecessor.at, b)
	prologue := len(zombie.prologue)
	for _, sent := range []int{0, 1, prologue / 2, prologue, prologue + 10, len(whole.bulk) / 2, len(whole.bulk) - 1, len(whole.bulk), len(whole.bulk) + 1} {
		// A connection is there, so that only the batch meets the budget.
		ready(t, zombie)
		ctx, cancel := context.WithCancel(t.Context())
		held := p.allow(sent)
		at := predecessor.next(1)
		done := predecessor.writeAside(ctx, at, b)
		<-held
		// No lock time-out is hit: were there anything to wait for, this would
		// fail after it.
		successor := own(t, direct, table, 0)
		successor.write(t, "1", `{"a":"successor"}`, "2", `{"a":"successor"}`)
		cancel()
		<-done
		p.allow(-1)
		predecessor.at = successor.at
		if outcome, err := zombie.Write(t.Context(), table, at, b); outcome != entry.Fenced {
			t.Errorf("After %d bytes: the zombie's Write = %v, %v; want Fenced", sent, outcome, err)
		}
		equal(t, server, "SELECT id, a FROM items ORDER BY id", "1|successor", "2|successor")
	}
}

const gateSchema = itemSchema + `;
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF new.a = 'wait' THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN new; END $$;
CREATE TRIGGER gate BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION gate()`

// shut closes the gate of gateSchema and gives the function that opens it.
func shut(t *testing.T, server *postgrestest.Database) func() {
	t.Helper()
	tx, err := server.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	if _, err := tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock(1)"); err != nil {
		t.Fatal(err)
	}
	return func() { _ = tx.Rollback(context.Background()) }
}

// waiting returns when n sessions wait for a lock of the kind.
func waiting(t *testing.T, server *postgrestest.Database, event, n string) {
	t.Helper()
	programs.Usual.Eventually(t, n+" sessions that wait for "+event, func() error {
		if got := server.Value(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = '"+event+"'"); got != n {
			return errors.New("there are " + got)
		}
		return nil
	})
}

// The first attempt is stuck in the server, holding the ledger row, while its
// flusher has lost the connection and tries again.
func TestARetryWhileTheFirstAttemptIsStuck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		finish func(*testing.T, *postgrestest.Database, func())
		want   entry.Commit
	}{
		"learns that the first one committed": {
			func(_ *testing.T, _ *postgrestest.Database, gate func()) { gate() }, entry.AlreadyCommitted,
		},
		"commits when the first one was ended": {
			func(t *testing.T, server *postgrestest.Database, gate func()) {
				server.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'")
				gate()
			}, entry.Committed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, direct := open(t, gateSchema)
			p, url := newProxy(t, server)
			lost := openURL(t, url)
			table := readTable(t, direct, mapping("items"))
			o := own(t, lost, table, 0)
			gate := shut(t, server)
			at := o.next(1)
			pairs := []string{"1", `{"a":"wait","b":1,"c":1}`}
			first := o.writeAside(t.Context(), at, batch(t, table, pairs...))
			waiting(t, server, "advisory", "1")
			p.hangUp()
			unsettled(t, (<-first).err)

			o.d = direct
			second := o.writeAside(t.Context(), at, batch(t, table, pairs...))
			waiting(t, server, "transactionid", "1")
			test.finish(t, server, gate)
			if r := <-second; r.outcome != test.want {
				t.Errorf("The second Write = %v, %v; want %v", r.outcome, r.err, test.want)
			}
			equal(t, server, allItems, "1|wait|1|1")
			o.write(t, "1", "")
		})
	}
}

// What the caller gives up is stopped in the server too, so that the next
// attempt does not wait for it.
func TestACancelledWriteIsStoppedInTheServer(t *testing.T) {
	t.Parallel()
	server, d := open(t, gateSchema)
	table := readTable(t, d, mapping("items"))
	o := own(t, d, table, 0)
	shut(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	at := o.next(1)
	done := o.writeAside(ctx, at, batch(t, table, "1", `{"a":"wait","b":1,"c":1}`))
	waiting(t, server, "advisory", "1")
	cancel()
	unsettled(t, (<-done).err)
	waiting(t, server, "advisory", "0")
	o.at.Flush--
	o.write(t, "1", `{"a":"x"}`)
}

// TestAServerLooksAfterASilentClient asks the socket itself, by PostgreSQL's own
// settings, what is in force while a batch is written.
func TestAServerLooksAfterASilentClient(t *testing.T) {
	t.Parallel()
	server, d := open(t, `CREATE TABLE products (id bigint PRIMARY KEY);
		CREATE TABLE seen (settings text);
		CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO seen SELECT concat_ws(' ', current_setting('tcp_keepalives_idle'),
				current_setting('tcp_keepalives_interval'), current_setting('tcp_keepalives_count')); RETURN NULL; END $$;
		CREATE TRIGGER look AFTER INSERT ON products FOR EACH STATEMENT EXECUTE FUNCTION look()`)
	o := own(t, d, readTable(t, d, mapping("public.products")), 0)
	o.write(t, "1", `{}`)
	equal(t, server, "SELECT settings FROM seen", "10 5 2")
}

func TestALockOnTheLedgerRowIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	server, d := open(t, itemSchema, func(s *Settings) { s.StatementTimeout = 200 * time.Millisecond })
	table := readTable(t, d, mapping("items"))
	o := own(t, d, table, 0)
	tx, err := server.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "SELECT FROM writebehind.ledger FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	at := o.next(1)
	_, written := d.Write(t.Context(), table, at, table.NewBatch())
	_, acquired := d.Acquire(t.Context(), "j1", "products", 0)
	for action, err := range map[string]error{"Write": written, "Acquire": acquired} {
		var e *Error
		if !errors.As(err, &e) || e.Kind != entry.Locked || e.SQLSTATE != "55P03" || e.Unsettled {
			t.Errorf("%s = %v; want it to be settled and Locked", action, err)
		}
	}
}

func TestAServerThatCrashesAndComesBack(t *testing.T) {
	t.Parallel()
	s := postgrestest.NewServer(t, postgrestest.Options{})
	server := s.NewDatabase(t)
	server.Exec(t, itemSchema)
	d := openURL(t, server.URL())
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	for _, end := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL, syscall.SIGINT} {
		o.write(t, "1", `{"a":"before"}`)
		s.Kill(end)
		at := o.next(9)
		b := batch(t, o.table, "1", `{"a":"after"}`)
		var e *Error
		if _, err := d.Write(t.Context(), o.table, at, b); !errors.As(err, &e) || e.Kind != entry.Transient {
			t.Errorf("Write to a dead server = %v; want a transient error", err)
		}
		if c := d.Check(t.Context()); c.OK || c.Reason != "ConnectionFailed" {
			t.Errorf("Check of a dead server = %+v; want ConnectionFailed", c)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		ready(t, d)
		if outcome, err := d.Write(t.Context(), o.table, at, b); outcome != entry.Committed {
			t.Fatalf("Write = %v, %v; want Committed", outcome, err)
		}
	}
	equal(t, server, "SELECT a FROM items", "after")
}

func TestASessionThatTheServerEnds(t *testing.T) {
	t.Parallel()
	server, d, o := openItems(t)
	o.write(t, "1", `{"a":"x"}`)
	server.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'writebehind-flusher' AND datname = current_database()")
	at := o.next(2)
	b := batch(t, o.table, "1", `{"a":"y"}`)
	var e *Error
	if _, err := d.Write(t.Context(), o.table, at, b); err != nil {
		if !errors.As(err, &e) || e.Kind != entry.Transient {
			t.Fatalf("Write = %v; want a transient error", err)
		}
		if outcome, err := d.Write(t.Context(), o.table, at, b); outcome != entry.Committed {
			t.Fatalf("The second Write = %v, %v; want Committed", outcome, err)
		}
	}
	equal(t, server, "SELECT a FROM items", "y")
}
