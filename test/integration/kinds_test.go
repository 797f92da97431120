// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
)

// trigger runs a body before every insert into the table.
func (s *stack) trigger(body string) {
	s.t.Helper()
	s.db.Exec(s.t, `CREATE SEQUENCE calls; CREATE FUNCTION before() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN `+body+` RETURN NEW; END $$;
		CREATE TRIGGER before BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION before()`)
}

// writeTogether writes the rows 0 to n-1 in one step, so that they make one batch.
func (s *stack) writeTogether(n int) {
	s.t.Helper()
	pipe := s.rdb.TxPipeline()
	for id := range n {
		pipe.FCall(s.t.Context(), "wb_set", []string{fmt.Sprintf("product:%d", id)}, "products", `{"name":"x","price":1,"stock":1}`)
	}
	_, err := pipe.Exec(s.t.Context())
	s.must(err)
}

// TestABatchThatIsTooHeavyIsHalved gives a batch more rows than the statement's time
// is enough for.
func TestABatchThatIsTooHeavyIsHalved(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.trigger("PERFORM nextval('calls'); PERFORM pg_sleep(0.05);")
	s.config.Mappings[0].Partitions = 1
	s.config.Database.Postgres.StatementTimeoutSeconds = 1
	s.config.Flush.CircuitBreaker = config.CircuitBreaker{FailureThreshold: 1, OpenMilliseconds: 3_600_000}
	s.write()
	p := s.startReady()
	const rows = 40 // Two seconds; half of them is still a little too much.
	s.writeTogether(rows)
	s.eventually("all rows are in", func() error {
		if got := s.db.Value(t, "SELECT count(*) FROM products"); got != fmt.Sprint(rows) {
			return fmt.Errorf("%s rows", got)
		}
		return nil
	})
	s.drained()
	if got := s.db.Value(t, "SELECT last_value > $1 FROM calls", rows); got != "t" {
		t.Error("the batch was not too heavy")
	}
	if stats := s.stats(); stats.Dead != 0 || stats.Refused != 0 {
		t.Errorf("a batch's weight counts against its rows: %+v", stats)
	}
	if circuit := s.status(p).Circuit; circuit != "closed" {
		t.Errorf("the circuit is %s", circuit)
	}
}

// TestContentionIsTriedAgainAtOnce has another transaction win three times, which is
// no row's fault and no outage.
func TestContentionIsTriedAgainAtOnce(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"40001", "40P01"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.trigger("IF nextval('calls') <= 3 THEN RAISE EXCEPTION SQLSTATE '" + state + "'; END IF;")
			s.config.Mappings[0].Partitions = 1
			s.config.Flush.MaxRetries = 0
			s.config.Flush.CircuitBreaker = config.CircuitBreaker{FailureThreshold: 1, OpenMilliseconds: 3_600_000}
			s.write()
			p := s.startReady()
			s.writeTogether(5)
			s.drained()
			if stats := s.stats(); stats.Dead != 0 || stats.Flushed != 5 {
				t.Errorf("stats are %+v", stats)
			}
			if got := s.db.Value(t, "SELECT last_value FROM calls"); got != "8" {
				t.Errorf("the rows were tried %s times, want 3 and then all 5", got)
			}
			if circuit := s.status(p).Circuit; circuit != "closed" {
				t.Errorf("the circuit is %s", circuit)
			}
			_, body := s.get(p, "/metrics")
			for line := range strings.Lines(body) {
				if strings.HasPrefix(line, "writebehind_flush_failures_total{") && !strings.HasSuffix(strings.TrimSpace(line), " 0") {
					t.Errorf("it counts as a failure of the flush: %s", line)
				}
			}
		})
	}
}

// TestTheWatchdogSaysThatNothingMoves lets a batch take far longer than the interval,
// while both servers answer.
func TestTheWatchdogSaysThatNothingMoves(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.trigger("PERFORM pg_advisory_xact_lock_shared(7);")
	p := s.startReady()
	held, err := s.db.Pool().Acquire(t.Context())
	s.must(err)
	defer held.Release()
	_, err = held.Exec(t.Context(), "SELECT pg_advisory_lock(7)")
	s.must(err)
	s.set(1, `{"name":"waits","price":1,"stock":1}`)
	s.eventually("the watchdog speaks", func() error {
		status := s.status(p)
		if q := status.Queues[0]; q.Ready.Reason != "Stuck" || !strings.Contains(q.Ready.Message, "products") || !status.Redis.OK || !status.Database.OK {
			return fmt.Errorf("status is %+v", status)
		}
		return nil
	})
	_, err = held.Exec(t.Context(), "SELECT pg_advisory_unlock(7)")
	s.must(err)
	s.eventuallyRow(1, "waits|1.00|1")
	s.eventually("the watchdog is content", func() error {
		if q := s.status(p).Queues[0]; !q.Ready.OK {
			return fmt.Errorf("status is %+v", q)
		}
		return nil
	})
}
