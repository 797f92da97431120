// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

func TestTheCircuitOpensAndNoAttemptIsSpent(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.ownDatabase()
	s.config.Flush.CircuitBreaker = config.CircuitBreaker{FailureThreshold: 2, OpenMilliseconds: 500}
	s.write()
	p := s.startReady()
	s.set(1, `{"name":"before","price":1,"stock":1}`)
	s.drained()
	// The database answers, and fails at every batch.
	s.failEveryBatch("RAISE EXCEPTION SQLSTATE '53100';")
	for id := range int64(20) {
		s.set(id, `{"name":"during","price":1,"stock":1}`)
	}
	s.eventually("the circuit is open", func() error {
		status := s.status(p)
		_, metrics := s.get(p, "/metrics")
		if status.Circuit != "open" || status.Database.Reason != "CircuitOpen" || !strings.Contains(metrics, `writebehind_circuit_state{queue="products"} 2`) {
			return fmt.Errorf("status is %+v", status)
		}
		return nil
	})
	s.batchesPassAgain(p)
}

func TestProblemsOfTheDatabaseAreNamedAndHeal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		broken  func(*stack)
		mend    func(*stack)
		where   func(config.Status) config.Check
		reason  string
		message string
	}{
		"a missing table": {
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE products RENAME TO elsewhere") },
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE elsewhere RENAME TO products") },
			ofQueue, "SchemaMismatch", "public.products",
		},
		"a missing key column": {
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE products RENAME id TO number") },
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE products RENAME number TO id") },
			ofQueue, "SchemaMismatch", "id",
		},
		"a key that is not unique": {
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE products DROP CONSTRAINT products_pkey") },
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE products ADD PRIMARY KEY (id)") },
			ofQueue, "SchemaMismatch", "PRIMARY KEY",
		},
		"a wrong password": {
			func(s *stack) { s.putURL(strings.Replace(s.db.URL(), "://postgres:", "://postgres:wrong", 1)) },
			func(s *stack) { s.putURL(s.db.URL()) },
			ofDatabase, "AuthenticationFailed", "password",
		},
		"a missing secret": {
			func(s *stack) { s.must(os.Remove(s.config.Database.Postgres.URLFile)) },
			func(s *stack) { s.putURL(s.db.URL()) },
			ofDatabase, "SecretMissing", "Secret shop-db",
		},
		"a database that is not there": {
			func(s *stack) { s.putURL("postgres://postgres:x@" + programs.FreeAddress(s.t) + "/shop") },
			func(s *stack) { s.putURL(s.db.URL()) },
			ofDatabase, "ConnectionFailed", "refused",
		},
		"a read-only database": {
			func(s *stack) {
				s.db.Exec(s.t, "ALTER DATABASE "+s.db.Name()+" SET default_transaction_read_only = on")
			},
			func(s *stack) {
				s.db.Exec(s.t, "ALTER DATABASE "+s.db.Name()+" RESET default_transaction_read_only")
			},
			ofDatabase, "ReadOnly", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Database.Postgres.URLSecret = "Secret shop-db, key uri"
			s.write()
			c.broken(s)
			p := s.start()
			s.eventually("the problem is named", func() error {
				check := c.where(s.status(p))
				if check.OK || check.Reason != c.reason || !strings.Contains(check.Message, c.message) {
					return fmt.Errorf("check is %+v", check)
				}
				return nil
			})
			s.eventually("readyz names it", func() error {
				if code, body := s.get(p, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, c.reason) {
					return fmt.Errorf("it answers %d %s", code, body)
				}
				return nil
			})
			if code, _ := s.get(p, "/healthz"); code != http.StatusOK {
				t.Errorf("healthz answers %d: a restart would not help", code)
			}
			// Writers do not notice: that is what the queue is for.
			s.opened()
			s.set(1, `{"name":"waits","price":1,"stock":1}`)
			c.mend(s)
			s.eventuallyRow(1, "waits|1.00|1")
			s.drained()
		})
	}
}

func ofDatabase(s config.Status) config.Check { return s.Database }

func ofQueue(s config.Status) config.Check {
	if len(s.Queues) == 0 {
		return config.Check{}
	}
	return s.Queues[0].Ready
}

// ownDatabase takes a server of its own, which the test may stop.
func (s *stack) ownDatabase() *postgrestest.Server {
	s.t.Helper()
	server := postgrestest.NewServer(s.t, postgrestest.Options{})
	s.db = server.NewDatabase(s.t)
	s.db.Exec(s.t, productsTable)
	s.putURL(s.db.URL())
	return server
}

func (s *stack) putURL(url string) {
	s.t.Helper()
	s.must(programs.PutFile(s.config.Database.Postgres.URLFile, []byte(url)))
}

func TestTheDatabaseMayRestart(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	server := s.ownDatabase()
	p := s.startReady()
	s.set(1, `{"name":"before","price":1,"stock":1}`)
	s.drained()
	server.Shutdown()
	s.eventually("the loss of the database is named", func() error {
		if check := s.status(p).Database; check.OK {
			return fmt.Errorf("check is %+v", check)
		}
		return nil
	})
	s.set(2, `{"name":"during","price":1,"stock":1}`)
	s.must(server.Restart(context.WithoutCancel(t.Context())))
	s.db.Pool().Reset()
	s.eventuallyRow(2, "during|1.00|1")
	if stats := s.stats(); stats.Refused != 0 || stats.Dead != 0 {
		t.Errorf("an outage counts against rows: %+v", stats)
	}
}
