// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

// ways are how flushers reach the database.
var ways = map[string]func(*stack) string{
	"directly":         func(s *stack) string { return s.db.URL() },
	"behind PgBouncer": func(s *stack) string { return s.db.NewPooler(s.t, "transaction").URL() },
}

// configFor is the same config with another way to the database, for one more flusher.
func (s *stack) configFor(url string) string {
	s.t.Helper()
	c := *s.config
	c.Database.Postgres.URLFile = postgrestest.WriteURL(s.t, url)
	c.Redis.External.Addresses = []string{s.redis.Addr()}
	file := filepath.Join(s.t.TempDir(), "config.yaml")
	servers.Put(s.t, file, &c)
	return file
}

// sending are the sessions that hold the table's lock for a batch, in whatever state.
const sending = `SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
	WHERE l.relation = 'products'::regclass AND l.mode = 'RowExclusiveLock' AND a.application_name LIKE 'writebehind ________ ________ %'`

func (s *stack) held() error {
	if s.db.Value(s.t, sending) == "0" {
		return errors.New("nobody does")
	}
	return nil
}

// waiting runs a statement that has to wait for a lock, and returns what tells whether
// it has been done.
func (s *stack) waiting(sql string) (done func() error) {
	s.t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := s.db.Pool().Exec(s.t.Context(), sql)
		ended <- err
	}()
	s.eventually("it waits: "+sql, func() error {
		if s.db.Value(s.t, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query = $1", sql) == "0" {
			return errors.New("it does not")
		}
		return nil
	})
	var result error
	pending := true
	return func() error {
		if pending {
			select {
			case result = <-ended:
				pending = false
			default:
				return errors.New("it still waits: " + sql)
			}
		}
		s.must(result)
		return nil
	}
}

// outlives has a statement of a migration and a reader queue up behind the flusher that
// is stopped in the middle of a batch of so many rows. Its successor must let them
// through. Then every row is written again; and the stopped one goes on, and writes nothing.
func (s *stack) outlives(stopped *programs.Flusher, rows int64, succeed func() *programs.Flusher, free func()) {
	t := s.t
	t.Helper()
	s.eventually("the flusher that is stopped holds a lock", s.held)
	altered := s.waiting("ALTER TABLE products ADD COLUMN extra text")
	read := s.waiting("SELECT count(*) FROM products")
	successor := succeed()
	s.eventually("the migration and the reader go on", func() error { return errors.Join(altered(), read()) })
	s.setAll(1, rows, 2)
	s.drained()
	const written = "SELECT count(*), max(n) FROM history"
	before := s.db.Rows(t, written)[0]

	stopped.Signal(syscall.SIGCONT)
	free()
	s.eventually("both share the partitions", func() error {
		for _, p := range []*programs.Flusher{stopped, successor} {
			if queues := s.status(p).Queues; len(queues) == 0 || len(queues[0].Partitions) != 1 {
				return fmt.Errorf("one tells %+v", queues)
			}
		}
		return nil
	})
	s.drained()
	if after := s.db.Rows(t, written)[0]; strings.Join(after, "|") != strings.Join(before, "|") {
		t.Errorf("the history had %v rows before the stopped flusher went on, and has %v", before, after)
	}
	s.count(2, rows)
	if n := s.db.Value(t, wentBack); n != "0" {
		t.Errorf("%s rows went back to an older version", n)
	}
	s.noneDead()
	// It is a flusher like any other.
	s.stop(successor)
	s.setAll(1, rows, 3)
	s.drained()
	s.count(3, rows)
}

// TestAFlusherStoppedWhileItSendsHoldsUpNobody stops the process while its batch is on
// its way over a slow link: the server has the statement and waits for the rest of its
// values, which no time-out of PostgreSQL ends.
func TestAFlusherStoppedWhileItSendsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.db.Exec(t, historyOfProducts)
			direct := way(s)
			u, err := url.Parse(direct)
			s.must(err)
			u.Host = slowly(t, u.Host, 1000)
			s.config.Database.Postgres.URLFile = postgrestest.WriteURL(t, u.String())
			s.config.Mappings[0].Partitions = 2
			s.write()
			const rows = 40
			s.fillLarge(rows, 200_000)
			s.write()
			stopped := s.start()
			s.eventually("a batch is being sent", s.held)
			stopped.Signal(syscall.SIGSTOP)
			s.outlives(stopped, rows, func() *programs.Flusher {
				return s.run(exec.Command(program, "--config", s.configFor(direct), "--debug"))
			}, func() {})
		})
	}
}

// TestAFlusherStoppedBeforeItsCommitHoldsUpNobody stops the process when PostgreSQL has
// written the rows and waits for the COMMIT. The transaction may take longer than the
// test does.
func TestAFlusherStoppedBeforeItsCommitHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		for place, at := range map[string]point{
			"rows written": {request: "commit", answer: "written"}, "values half sent": {request: "values", half: true},
		} {
			t.Run(place+", "+name, func(t *testing.T) {
				t.Parallel()
				r := rehearse(t)
				r.config.Mappings[0].Partitions = 2
				r.config.Database.Postgres.StatementTimeoutSeconds = 600
				direct := way(r.stack)
				r.config.Database.Postgres.URLFile = postgrestest.WriteURL(t, r.wire.through(t, direct))
				r.write()
				r.begin()
				r.isReady()
				stopped := r.flusher
				p := r.wire.arm(at)
				r.writeAll(fresh)
				r.at(p)
				stopped.Signal(syscall.SIGSTOP)
				r.outlives(stopped, keysEach, func() *programs.Flusher {
					return r.run(exec.Command(hasty, r.configFor(direct)))
				}, func() { r.wire.cutPoint(p) })
			})
		}
	}
}
