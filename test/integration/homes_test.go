// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

// into is a second config that names the same table in another database.
func (s *stack) into(db *postgrestest.Database) *stack {
	s.t.Helper()
	other := s.beside(func(*config.Mapping) {})
	other.config.Owner = s.config.Owner
	other.db = db
	other.config.Database.Postgres.URLFile = db.URLFile(s.t)
	other.write()
	return other
}

// rows tells how many rows the database's table has.
func (s *stack) rows() string { return s.db.Value(s.t, "SELECT count(*) FROM products") }

// lossless fails the test if anything counts as lost.
func (s *stack) lossless() {
	s.t.Helper()
	if n := s.stats().DataLoss; n != 0 {
		s.t.Errorf("%d data-loss events, want none", n)
	}
}

// together waits until both flushers are ready and have all partitions between them.
func (s *stack) together(flushers ...*programs.Flusher) {
	s.t.Helper()
	s.eventually("the partitions are shared out", func() error {
		for _, p := range flushers {
			q := s.status(p).Queues
			if len(q) != 1 || !q[0].Ready.OK || len(q[0].Partitions) != 16/len(flushers) {
				return fmt.Errorf("status is %+v", q)
			}
		}
		return nil
	})
}

func TestTwoConfigsOfOneQueueWithTwoDatabases(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		owners [2]string
		second func(t *testing.T) *postgrestest.Database
	}{
		"on one server": {
			[2]string{config.OwnerFile, config.OwnerFile}, func(t *testing.T) *postgrestest.Database { return postgrestest.New(t) },
		},
		"on two servers": {
			[2]string{"first", "second"},
			func(t *testing.T) *postgrestest.Database {
				return postgrestest.NewServer(t, postgrestest.Options{}).NewDatabase(t)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Owner = c.owners[0]
			s.write()
			db := c.second(t)
			db.Exec(t, productsTable)
			first := s.startReady()
			for id := range int64(50) {
				s.set(id, `{"name":"lamp"}`)
			}
			s.drained()
			other := s.into(db)
			other.config.Owner = c.owners[1]
			other.config.Draining = true // which nobody is to notice
			other.write()
			second := other.start()
			other.refused(second, "is flushed into database "+s.db.Name()+" (", "another database, "+db.Name()+" (")
			for id := range int64(100) {
				s.set(id, `{"name":"rug"}`)
			}
			s.drained()
			if ours, theirs := s.rows(), other.rows(); ours != "100" || theirs != "0" {
				t.Errorf("%s rows are in the first's database, %s in the second's", ours, theirs)
			}
			s.lossless()
			s.ready(first)
			if strings.Contains(second.Said(), "Mapping is ready") {
				t.Error("the log says that the mapping is ready, which is refused")
			}

			// Whoever is left has the queue.
			other.config.Draining = false
			other.write()
			other.eventually("the second flusher has its settings", func() error {
				if status := other.status(second); status.Draining {
					return fmt.Errorf("it drains: %+v", status)
				}
				return nil
			})
			if code := s.stop(first); code != 0 {
				t.Errorf("the first flusher exits with %d", code)
			}
			other.ready(second)
			s.set(7, `{"name":"vase"}`)
			other.eventuallyRow(7, "vase")
			again := s.start()
			s.refused(again, "is flushed into database "+db.Name()+" (")
		})
	}
}

// Both begin at once, before either is known.
func TestTwoDatabasesFromTheBeginning(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	db := postgrestest.New(t)
	db.Exec(t, productsTable)
	other := s.into(db)
	flushers := map[*stack]*programs.Flusher{s: s.start(), other: other.start()}
	s.opened()
	for id := range int64(100) {
		s.set(id, `{"name":"lamp"}`)
	}
	s.drained()
	winner, loser := s, other
	if s.rows() == "0" {
		winner, loser = other, s
	}
	if ours, theirs := winner.rows(), loser.rows(); ours != "100" || theirs != "0" {
		t.Errorf("%s rows are in one database, %s in the other", ours, theirs)
	}
	s.lossless()
	winner.ready(flushers[winner])
	loser.refused(flushers[loser], "is flushed into database "+winner.db.Name())
}

// copyOf is what a logical dump and restore makes of the database: the table and the
// ledger with what they hold.
func (s *stack) copyOf(to *postgrestest.Database) {
	s.t.Helper()
	to.Exec(s.t, productsTable)
	to.Exec(s.t, "CREATE SCHEMA writebehind")
	to.Exec(s.t, `CREATE TABLE writebehind.ledger (journal text NOT NULL, queue text NOT NULL, partition int4 NOT NULL, epoch int8 NOT NULL,
flush int8 NOT NULL, position int8 NOT NULL, updated_at timestamptz NOT NULL, PRIMARY KEY (journal, queue, partition))`)
	ctx := s.t.Context()
	for _, table := range []pgx.Identifier{{"products"}, {"writebehind", "ledger"}} {
		rows, err := s.db.Pool().Query(ctx, "SELECT * FROM "+table.Sanitize())
		s.must(err)
		var all [][]any
		var columns []string
		for _, f := range rows.FieldDescriptions() {
			columns = append(columns, f.Name)
		}
		for rows.Next() {
			values, err := rows.Values()
			s.must(err)
			all = append(all, values)
		}
		s.must(rows.Err())
		_, err = to.Pool().CopyFrom(ctx, table, columns, pgx.CopyFromRows(all))
		s.must(err)
	}
}

// lead puts another URL where the stack's flushers find it.
func (s *stack) lead(url string) {
	s.t.Helper()
	s.must(programs.PutFile(s.config.Database.Postgres.URLFile, []byte(url)))
}

// The database is moved while its flushers wait: what was written until then is copied,
// what is written after that goes to the new one.
func TestADatabaseIsMoved(t *testing.T) {
	t.Parallel()
	for name, owner := range map[string]string{"without an owner": config.OwnerFile, "with an owner": "shop"} {
		for _, flushers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%d %s", flushers, name), func(t *testing.T) {
				t.Parallel()
				s := newStack(t)
				s.config.Owner = owner
				s.config.Flush.IntervalMilliseconds = 20
				s.write()
				// The second has the URL at a place of its own, as two Pods have.
				second := s.into(s.db)
				running := []*programs.Flusher{s.startReady()}
				if flushers == 2 {
					running = append(running, second.startReady())
				}
				s.together(running...)
				s.setAll(1, 100, 1)
				s.drained()
				db := postgrestest.NewServer(t, postgrestest.Options{}).NewDatabase(t)
				s.copyOf(db)
				old, begun := s.db, db.Value(t, "SELECT max(epoch) FROM writebehind.ledger")
				s.db, second.db = db, db
				s.lead(db.URL())
				if flushers == 2 {
					// The other one may know nothing of it for a minute. Nobody stands.
					at := func(o *stack, p *programs.Flusher) bool {
						q := o.status(p).Queues
						return len(q) == 1 && q[0].Ready.OK && len(q[0].Partitions) == 16
					}
					s.eventually("one of them has the queue", func() error {
						if !at(s, running[0]) && !at(second, running[1]) {
							return fmt.Errorf("status is %+v and %+v", s.status(running[0]).Queues, second.status(running[1]).Queues)
						}
						return nil
					})
					second.lead(db.URL())
				}
				s.eventually("every partition has begun in the new database", func() error {
					if n := db.Value(t, "SELECT count(*) FROM writebehind.ledger WHERE epoch > $1::int8", begun); n != "16" {
						return fmt.Errorf("%s have", n)
					}
					return nil
				})
				s.together(running...)
				s.setAll(1, 200, 2)
				s.drained()
				if n := db.Value(t, "SELECT count(*) FROM products WHERE stock = 2"); n != "200" {
					t.Errorf("%s rows in the new database, want 200", n)
				}
				if n := old.Value(t, "SELECT count(*) FROM products WHERE stock = 2"); n != "0" {
					t.Errorf("%s rows in the old one after it was left", n)
				}
				s.lossless()
			})
		}
	}
}

// The operator gives a Deployment's Pods another Secret. One of the old Pods starts late,
// and its Secret is rotated meanwhile: it does not take the queue back.
func TestAPodOfTheSecretBeforeStartsLate(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Owner = "shop"
	s.write()
	of := func(s *stack, revision string) *programs.Flusher {
		command := exec.Command(program, "--config", s.file)
		command.Env = append(os.Environ(), config.URLRevisionVariable+"="+revision)
		return s.run(command)
	}
	db := postgrestest.New(t)
	db.Exec(t, productsTable)
	old := of(s, "3")
	s.ready(old)
	next := s.into(db)
	young := of(next, "12")
	next.ready(young)
	s.refused(old, "is flushed into database "+db.Name()+" (")

	s.lead(s.db.URL())
	late := of(s, "3")
	s.refused(late, "is flushed into database "+db.Name()+" (")
	s.lead(s.db.URL() + "&application_name=rotated")
	for id := range int64(100) {
		s.set(id, `{"name":"lamp"}`)
	}
	s.drained()
	next.together(young)
	if ours, theirs := s.rows(), next.rows(); ours != "0" || theirs != "100" {
		t.Errorf("%s rows are in the database of before, %s in the new one", ours, theirs)
	}
	s.lossless()
}

// Another server takes the database's place at its address: no URL changes, and each
// flusher finds out with its next connection.
func TestADatabaseIsReplacedAtItsAddress(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	w, old := newWire(), s.db
	host := func(db *postgrestest.Database) string { return fmt.Sprintf("127.0.0.1:%d", db.Server().Port()) }
	var at atomic.Pointer[postgrestest.Database]
	at.Store(old)
	address := w.listen(t, func() string { return host(at.Load()) }, func() protocol { return &postgresWire{} })
	s.lead(strings.Replace(old.URL(), host(old), address, 1))
	first, second := s.startReady(), s.startReady()
	s.together(first, second)
	s.setAll(1, 100, 1)
	s.drained()

	server := postgrestest.NewServer(t, postgrestest.Options{})
	db := server.NewDatabase(t)
	s.copyOf(db)
	begun := db.Value(t, "SELECT max(epoch) FROM writebehind.ledger")
	db.Pool().Reset()
	beside := server.NewDatabase(t)
	beside.Exec(t, fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", db.Name(), old.Name()))
	conn, err := pgx.Connect(t.Context(), server.SocketURL(old.Name()))
	s.must(err)
	defer func() { _ = conn.Close(t.Context()) }()
	at.Store(db)
	w.cutAll()
	count := func(sql string, args ...any) (n int) {
		s.must(conn.QueryRow(t.Context(), sql, args...).Scan(&n))
		return n
	}
	s.eventually("every partition has begun in the new database", func() error {
		if n := count("SELECT count(*) FROM writebehind.ledger WHERE epoch > $1::int8", begun); n != 16 {
			return fmt.Errorf("%d have", n)
		}
		return nil
	})
	s.together(first, second)
	s.setAll(1, 200, 2)
	s.drained()
	if n := count("SELECT count(*) FROM products WHERE stock = 2"); n != 200 {
		t.Errorf("%d rows in the new database, want 200", n)
	}
	s.lossless()
	for _, p := range []*programs.Flusher{first, second} {
		if strings.Contains(p.Said(), "another Redis") {
			t.Error("the log speaks of another Redis")
		}
	}
}

// A standby that was promoted is the same database, whoever of two flushers finds it first.
func TestTwoFlushersAtAPromotedStandby(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	primary := postgrestest.NewServer(t, postgrestest.Options{Settings: map[string]string{"synchronous_commit": "on"}})
	s.db = primary.NewDatabase(t)
	s.db.Exec(t, productsTable)
	standby, err := primary.StartStandby(t.Context())
	s.must(err)
	t.Cleanup(func() { _ = standby.Stop() })
	urls := []string{
		// One has the standby only, by another name, the other one both.
		strings.Replace(standby.URL(s.db.Name()), "127.0.0.1", "localhost", 1),
		strings.Replace(primary.URL(s.db.Name()), fmt.Sprintf("127.0.0.1:%d", primary.Port()),
			fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", primary.Port(), standby.Port()), 1),
	}
	s.lead(urls[1])
	other := s.into(s.db)
	other.config.Database.Postgres.URLFile = filepath.Join(t.TempDir(), "uri")
	s.must(os.WriteFile(other.config.Database.Postgres.URLFile, []byte(urls[0]), 0o600))
	other.write()
	first := s.startReady()
	s.setAll(1, 50, 1)
	s.drained()
	conn, err := pgx.Connect(t.Context(), standby.SocketURL(s.db.Name()))
	s.must(err)
	defer func() { _ = conn.Close(t.Context()) }()
	s.eventually("the standby has it all", func() error {
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM products").Scan(&n); err != nil || n != 50 {
			return fmt.Errorf("%d rows, %w", n, err)
		}
		return nil
	})
	primary.Shutdown()
	_, err = conn.Exec(t.Context(), "SELECT pg_promote()")
	s.must(err)
	second := other.startReady()
	s.together(first, second)
	s.setAll(1, 100, 2)
	s.drained()
	var n int
	s.must(conn.QueryRow(t.Context(), "SELECT count(*) FROM products WHERE stock = 2").Scan(&n))
	if n != 100 {
		t.Errorf("%d rows, want 100", n)
	}
	s.lossless()
}

// TestAFlusherWhoseDatabaseIsAwayTakesNoPartition from one that is well: nobody knows yet
// whether both write to one database, and what it took would wait.
func TestAFlusherWhoseDatabaseIsAwayTakesNoPartition(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.write()
	p := s.startReady()
	s.set(0, goodRow)
	s.eventuallyRow(0, "good|1.00|1")

	nowhere := filepath.Join(t.TempDir(), "uri")
	s.must(os.WriteFile(nowhere, []byte("postgres://flusher@127.0.0.1:1/shop"), 0o600))
	other := s.into(s.db)
	other.config.Database.Postgres.URLFile = nowhere
	other.write()
	away := other.start()
	other.eventually("its database is away", func() error {
		if status := other.status(away); status.Database.Reason != "ConnectionFailed" {
			return fmt.Errorf("status is %+v", status)
		}
		return nil
	})
	// Over several of its beats.
	const rounds, keys = 4, 40
	for round := range rounds {
		for key := range keys {
			s.set(int64(1+round*keys+key), goodRow)
		}
		s.drained()
	}
	if got := s.rows(); got != fmt.Sprint(1+rounds*keys) {
		t.Errorf("%s rows, want %d", got, 1+rounds*keys)
	}
	if q := s.status(p).Queues[0]; len(q.Partitions) != 16 {
		t.Errorf("it holds %v, want all partitions", q.Partitions)
	}
	if q := other.status(away).Queues; len(q) != 1 || len(q[0].Partitions) != 0 {
		t.Errorf("the one whose database is away holds %+v", q)
	}
}
