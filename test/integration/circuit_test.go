// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/test/programs"
)

// TestTheCircuitOpensForOnePartition: every new epoch begins, and every batch fails. It
// fails at the ledger, since what a table's own trigger raises says nothing of the database.
func TestTheCircuitOpensForOnePartition(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"the disk is full":           "RAISE EXCEPTION SQLSTATE '53100';",
		"too many connections":       "RAISE EXCEPTION SQLSTATE '53300';",
		"the server starts up":       "RAISE EXCEPTION SQLSTATE '57P03';",
		"every connection is lost":   "PERFORM pg_terminate_backend(pg_backend_pid());",
		"the network is interrupted": "RAISE EXCEPTION SQLSTATE '08006';",
	} {
		for _, rows := range []int64{1, 20} {
			t.Run(fmt.Sprint(name, ", rows: ", rows), func(t *testing.T) {
				t.Parallel()
				s := newStack(t)
				s.config.Mappings[0].Partitions = 1
				s.config.Flush.CircuitBreaker = config.CircuitBreaker{FailureThreshold: 3, OpenMilliseconds: 1000}
				s.write()
				p := s.startReady()
				s.failEveryBatch(body)
				for id := range rows {
					s.set(id, goodRow)
				}
				s.eventually("the circuit is open", func() error {
					if status := s.status(p); status.Circuit != "open" || status.Database.OK {
						return fmt.Errorf("status is %+v", status)
					}
					return nil
				})
				s.batchesPassAgain(p)
			})
		}
	}
}

// failEveryBatch has the ledger fail as the body says: what a table's own trigger raises
// says nothing of the database.
func (s *stack) failEveryBatch(body string) {
	s.t.Helper()
	s.db.Exec(s.t, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN `+body+` RETURN NEW; END $$;
		CREATE TRIGGER fail BEFORE UPDATE ON writebehind.ledger FOR EACH ROW
			WHEN (NEW.epoch = OLD.epoch AND NEW.flush > OLD.flush) EXECUTE FUNCTION fail()`)
}

// batchesPassAgain ends that: everything is flushed, no row has paid for it, and the
// circuit closes.
func (s *stack) batchesPassAgain(p *programs.Flusher) {
	s.t.Helper()
	s.db.Exec(s.t, "DROP TRIGGER fail ON writebehind.ledger")
	s.drained()
	if stats := s.stats(); stats.Refused != 0 || stats.Dead != 0 {
		s.t.Errorf("an outage counts against rows: %+v", stats)
	}
	s.eventually("the circuit is closed", func() error {
		if status := s.status(p); status.Circuit != "closed" || !status.Database.OK {
			return fmt.Errorf("status is %+v", status)
		}
		return nil
	})
}
