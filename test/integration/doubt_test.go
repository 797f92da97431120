// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// poison has a trigger do something to the rows of that name.
func (s *stack) poison(body string) {
	s.t.Helper()
	s.db.Exec(s.t, `CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.name = 'poison' THEN `+body+` END IF; RETURN NEW; END $$;
		CREATE TRIGGER spoil BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION spoil()`)
}

const (
	goodRow   = `{"name":"good","price":1,"stock":1}`
	poisonRow = `{"name":"poison","price":1,"stock":1}`
)

// twentyWithPoison is a batch in which the row 7 is bad.
func twentyWithPoison() map[int64]string {
	documents := make(map[int64]string)
	for id := range int64(20) {
		documents[id] = goodRow
	}
	documents[7] = poisonRow
	return documents
}

func (s *stack) onlyPoisonIsDead(state string) {
	s.t.Helper()
	s.eventuallyDead(7)
	if got := s.db.Value(s.t, "SELECT count(*) FROM products WHERE name = 'good'"); got != "19" {
		s.t.Errorf("%s good rows, want 19", got)
	}
	if letter := s.deadLetters()["product:7"]; letter != nil && letter.SQLState != state {
		s.t.Errorf("the letter is %+v", letter)
	}
}

// TestAnySQLSTATEMayBeOneRows has a trigger fail for one row with codes that otherwise
// tell of the server, the network or another transaction.
func TestAnySQLSTATEMayBeOneRows(t *testing.T) {
	t.Parallel()
	for _, state := range []string{
		"08000", "08001", "08006", "08P01", "25006", "25P02", "26000", "28000", "28P01", "34000", "3D000", "40001", "40003", "40P01", "42P05", "53000", "53100", "53200",
		"53300", "53400", "54000", "54001", "55000", "55006", "55P03", "57000", "57014", "57P01", "57P02", "57P03", "58000", "58030", "F0000", "XX000", "XX001", "0A000", "42501", "HV000",
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Flush.MaxRetries = 1
			s.config.Mappings[0].Partitions = 1
			s.config.Flush.CircuitBreaker = config.CircuitBreaker{FailureThreshold: 2, OpenMilliseconds: 3_600_000}
			s.poison("RAISE EXCEPTION SQLSTATE '" + state + "';")
			p := s.inOneBatch(twentyWithPoison())
			s.onlyPoisonIsDead(state)
			if circuit := s.status(p).Circuit; circuit != "closed" {
				t.Errorf("the circuit is %s", circuit)
			}
			for _, blame := range []string{"connection to PostgreSQL was lost", "out of memory", "disk is full", "session is read-only"} {
				if state[:2] != "53" && strings.Contains(p.Said(), blame) {
					t.Errorf("the log blames the server: %s", blame)
				}
			}
		})
	}
}

// TestADeadHostOfOneRow is the natural form: a trigger that calls another server.
func TestADeadHostOfOneRow(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.db.Exec(t, "CREATE EXTENSION dblink")
	s.config.Flush.MaxRetries = 1
	s.config.Mappings[0].Partitions = 1
	s.poison("PERFORM dblink_connect('host=127.0.0.1 port=1 connect_timeout=2');")
	s.inOneBatch(twentyWithPoison())
	s.onlyPoisonIsDead("08001")
}

// TestARowThatIsAloneInItsPartition is judged by the rows of others.
func TestARowThatIsAloneInItsPartition(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"08001": "RAISE EXCEPTION SQLSTATE '08001';", "57P01": "PERFORM pg_terminate_backend(pg_backend_pid());",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Flush.MaxRetries = 0
			s.config.Mappings[0].Partitions = 64
			s.write()
			s.poison(body)
			s.startReady()
			s.set(1, goodRow)
			s.eventuallyRow(1, "good|1.00|1")
			s.set(7, poisonRow)
			s.eventuallyDead(7)
			if letter := s.deadLetters()["product:7"]; letter.SQLState != name {
				t.Errorf("the letter is %+v", letter)
			}
		})
	}
}

// poisonAt puts the bad row, which is row 7, first, in the middle or last of the queue.
func poisonAt() map[string]map[int64]string {
	places := make(map[string]map[int64]string)
	for place, first := range map[string]int64{"first": 7, "in the middle": -3, "last": -12} {
		documents := make(map[int64]string)
		for id := range int64(20) {
			documents[first+id] = goodRow
		}
		documents[7] = poisonRow
		places[place] = documents
	}
	return places
}

// TestARowThatEndsItsSession is found by ever smaller claims, wherever it stands: where it
// is the first of an empty table, nothing shows yet that others get through.
func TestARowThatEndsItsSession(t *testing.T) {
	t.Parallel()
	for place, documents := range poisonAt() {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Flush.MaxRetries = 1
			s.config.Mappings[0].Partitions = 1
			s.config.Flush.CircuitBreaker = config.CircuitBreaker{FailureThreshold: 3, OpenMilliseconds: 3_600_000}
			s.poison("PERFORM pg_terminate_backend(pg_backend_pid());")
			p := s.inOneBatch(documents)
			s.onlyPoisonIsDead("57P01")
			if letter := s.deadLetters()["product:7"]; letter == nil || !strings.Contains(letter.Message, "ends the session") {
				t.Errorf("the letter is %+v", letter)
			}
			if circuit := s.status(p).Circuit; circuit != "closed" {
				t.Errorf("the circuit is %s", circuit)
			}
			s.set(100, goodRow)
			s.eventuallyRow(100, "good|1.00|1")
		})
	}
}

// TestARowThatCrashesTheServer has the server kill its own backend, after which
// PostgreSQL starts again.
func TestARowThatCrashesTheServer(t *testing.T) {
	t.Parallel()
	for place, documents := range poisonAt() {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.db = postgrestest.NewServer(t, postgrestest.Options{}).NewDatabase(t)
			s.db.Exec(t, productsTable)
			s.config.Database.Postgres.URLFile = s.db.URLFile(t)
			s.config.Flush.MaxRetries = 0
			s.config.Mappings[0].Partitions = 1
			s.poison("EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || pg_backend_pid());")
			s.inOneBatch(documents)
			s.onlyPoisonIsDead("")
		})
	}
}

// TestARowThatTakesTooLong is cancelled by the time-out, others are quick.
func TestARowThatTakesTooLong(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 0
	s.config.Mappings[0].Partitions = 1
	s.config.Database.Postgres.StatementTimeoutSeconds = 1
	s.poison("PERFORM pg_sleep(30);")
	s.inOneBatch(twentyWithPoison())
	s.onlyPoisonIsDead("57014")
}

// TestAServerThatIsSlowForEverybodyKillsNoRow times every row out, and then none.
func TestAServerThatIsSlowForEverybodyKillsNoRow(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 0
	s.config.Mappings[0].Partitions = 2
	s.config.Database.Postgres.StatementTimeoutSeconds = 1
	s.db.Exec(t, "INSERT INTO products VALUES (-1, 'x', 1, 1)")
	s.trigger("PERFORM nextval('calls'); PERFORM pg_sleep(30);")
	p := s.inOneBatch(map[int64]string{1: goodRow, 2: goodRow, 3: goodRow, 4: goodRow, 5: goodRow})
	s.eventually("rows were tried, and it is told", func() error {
		if s.db.Value(t, "SELECT last_value >= 12 FROM calls") != "t" {
			return errors.New("too few tries")
		}
		if status := s.status(p); status.Database.OK && status.Queues[0].Ready.OK {
			return errors.New("it counts as ready")
		}
		return nil
	})
	if stats := s.stats(); stats.Dead != 0 || stats.Refused != 0 {
		t.Errorf("stats are %+v", stats)
	}
	s.db.Exec(t, "DROP TRIGGER before ON products")
	s.drained()
	if stats := s.stats(); stats.Dead != 0 {
		t.Errorf("stats are %+v", stats)
	}
}

// TestABatchThatNeedsTooMuchOfTheDiskIsHalved runs into temp_file_limit together and
// not in parts.
func TestABatchThatNeedsTooMuchOfTheDiskIsHalved(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"53400", "53200"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Flush.MaxRetries = 0
			s.config.Mappings[0].Partitions = 1
			s.db.Exec(t, `CREATE FUNCTION heavy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
					IF (SELECT count(*) FROM written) > 4 THEN RAISE EXCEPTION SQLSTATE '`+state+`'; END IF; RETURN NULL; END $$;
				CREATE TRIGGER heavy AFTER INSERT ON products REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION heavy()`)
			documents := twentyWithPoison()
			s.inOneBatch(documents)
			s.drained()
			if got := s.db.Value(t, "SELECT count(*) FROM products"); got != "20" || s.stats().Dead != 0 {
				t.Errorf("%s rows, stats %+v", got, s.stats())
			}
		})
	}
}

// TestARowThatSomebodyHasLockedWaits for longer than its retries last, and the others
// go on.
func TestARowThatSomebodyHasLockedWaits(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 0
	s.config.Mappings[0].Partitions = 1
	s.config.Database.Postgres.StatementTimeoutSeconds = 1
	s.db.Exec(t, "INSERT INTO products VALUES (7, 'held', 1, 1)")
	tx, err := s.db.Pool().Begin(t.Context())
	s.must(err)
	_, err = tx.Exec(t.Context(), "SELECT FROM products WHERE id = 7 FOR UPDATE")
	s.must(err)
	p := s.inOneBatch(twentyWithPoison())
	s.eventually("the others are in, and the row was tried again", func() error {
		if got := s.db.Value(t, "SELECT count(*) FROM products WHERE name = 'good'"); got != "19" {
			return fmt.Errorf("%s rows", got)
		}
		if n := strings.Count(p.Said(), "Rows are refused"); n < 1 {
			return fmt.Errorf("refused %d times", n)
		}
		return nil
	})
	if stats := s.stats(); stats.Dead != 0 {
		t.Errorf("stats are %+v", stats)
	}
	s.must(tx.Rollback(t.Context()))
	s.eventuallyRow(7, "poison|1.00|1")
	s.drained()
	if stats := s.stats(); stats.Dead != 0 {
		t.Errorf("stats are %+v", stats)
	}
}

// TestRowsThatAllEndTheirSessionsAreKept: rows that are there pass, since the trigger is
// called for new ones alone, and show nothing.
func TestRowsThatAllEndTheirSessionsAreKept(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 0
	s.config.Flush.CircuitBreaker = config.CircuitBreaker{FailureThreshold: 100, OpenMilliseconds: 1000}
	s.write()
	s.db.Exec(t, "INSERT INTO products VALUES (-1, 'x', 1, 1), (-2, 'y', 2, 2)")
	s.poison("PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1);")
	p := s.startReady()
	const rows = 12
	for id := range int64(rows) {
		s.set(id, poisonRow)
	}
	s.eventuallyPaused(p, "57P01")
	if stats := s.stats(); stats.Dead != 0 || stats.Depth != rows {
		t.Errorf("stats are %+v", stats)
	}
	s.db.Exec(t, "DROP TRIGGER spoil ON products")
	s.drained()
	s.eventuallyPausedNoMore(p)
	if got := s.db.Value(t, "SELECT count(*) FROM products WHERE id >= 0"); got != fmt.Sprint(rows) {
		t.Errorf("%s rows, want %d", got, rows)
	}
}
