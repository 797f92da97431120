// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"testing"
)

// everyRow are ways in which a table refuses every row, and in which it is mended.
var everyRow = map[string]struct{ spoil, mend, state string }{
	"a trigger raises": {
		`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
			CREATE TRIGGER refuse BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION refuse()`,
		"DROP TRIGGER refuse ON products", "P0001",
	},
	"a trigger raises after the insert": {
		`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
			CREATE TRIGGER refuse AFTER INSERT ON products FOR EACH ROW EXECUTE FUNCTION refuse()`,
		"DROP TRIGGER refuse ON products", "P0001",
	},
	"a trigger says that a connection failed": {
		`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION SQLSTATE '08001'; END $$;
			CREATE TRIGGER refuse BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION refuse()`,
		"DROP TRIGGER refuse ON products", "08001",
	},
	"a column must not be null":   {"ALTER TABLE products ADD COLUMN must text; ALTER TABLE products ADD CHECK (must IS NOT NULL) NOT VALID", "ALTER TABLE products DROP COLUMN must", "23514"},
	"no price is high enough":     {"ALTER TABLE products ADD CONSTRAINT high CHECK (price > 1000) NOT VALID", "ALTER TABLE products DROP CONSTRAINT high", "23514"},
	"what is referred to is gone": {"CREATE TABLE shelves (id integer PRIMARY KEY); ALTER TABLE products ADD CONSTRAINT shelf FOREIGN KEY (stock) REFERENCES shelves NOT VALID", "ALTER TABLE products DROP CONSTRAINT shelf", "23503"},
}

// TestEveryRowRefusedOverAllPartitionsKillsNone spreads a hundred rows over sixteen
// partitions, so that none of them has enough to tell, with a row in the table and
// without.
func TestEveryRowRefusedOverAllPartitionsKillsNone(t *testing.T) {
	t.Parallel()
	for name, c := range everyRow {
		for _, filled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, filled %v", name, filled), func(t *testing.T) {
				t.Parallel()
				s := newStack(t)
				s.config.Flush.MaxRetries = 1
				s.write()
				if filled {
					s.db.Exec(t, "INSERT INTO products VALUES (-1, 'x', 1, 1), (-2, 'y', 2, 2)")
				}
				s.db.Exec(t, c.spoil)
				s.countTries()
				p := s.startReady()
				for id := range int64(100) {
					s.set(id, `{"name":"x","price":1,"stock":1}`)
				}
				s.eventuallyPaused(p, c.state)
				s.tried(100)
				if stats := s.stats(); stats.Dead != 0 || stats.Depth != 100 {
					t.Errorf("stats are %+v", stats)
				}
				s.db.Exec(t, c.mend)
				s.drained()
				s.eventuallyPausedNoMore(p)
				if got := s.db.Value(t, "SELECT count(*) FROM products WHERE id >= 0"); got != "100" {
					t.Errorf("%s rows, want 100", got)
				}
			})
		}
	}
}

// countTries counts the statements on the table with a sequence, which no rollback
// takes back; tried waits for a number of them.
func (s *stack) countTries() {
	s.t.Helper()
	s.db.Exec(s.t, `CREATE SEQUENCE tries;
		CREATE FUNCTION tick() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('tries'); RETURN NULL; END $$;
		CREATE TRIGGER tick BEFORE INSERT ON products FOR EACH STATEMENT EXECUTE FUNCTION tick()`)
}

func (s *stack) tried(times int) {
	s.t.Helper()
	s.eventually("it was tried again and again", func() error {
		if s.db.Value(s.t, "SELECT last_value >= $1 FROM tries", times) != "t" {
			return errors.New("too few times")
		}
		return nil
	})
}

// untried waits until nothing has been tried for a while, once no sweep begins any more.
func (s *stack) untried() {
	s.t.Helper()
	const looks = 10
	last, same := "", 0
	s.eventually("what was begun has ended", func() error {
		tries := s.db.Value(s.t, "SELECT last_value FROM tries")
		open := s.db.Value(s.t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND application_name = 'writebehind-flusher' AND state <> 'idle'`)
		if tries != last || open != "0" {
			last, same = tries, 0
		}
		if same++; same < looks {
			return fmt.Errorf("%s tries, %s open transactions, for %d looks", tries, open, same)
		}
		return nil
	})
}

// TestRowsThatAreRefusedOneByOneAreKept writes each row when the one before was
// refused, so that no batch ever has two.
func TestRowsThatAreRefusedOneByOneAreKept(t *testing.T) {
	t.Parallel()
	for name, filled := range map[string]bool{"a trigger raises": false, "no price is high enough": true, "what is referred to is gone": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := everyRow[name]
			s := newStack(t)
			s.config.Flush.MaxRetries = 0
			s.write()
			if filled {
				s.db.Exec(t, "INSERT INTO products VALUES (-1, 'x', 1, 1), (-2, 'y', 2, 2)")
			}
			s.db.Exec(t, c.spoil)
			s.countTries()
			p := s.startReady()
			const rows = 12
			for id := range int64(rows) {
				s.set(id, `{"name":"x","price":1,"stock":1}`)
				s.tried(int(id) + 1)
			}
			s.eventuallyPaused(p, c.state)
			if stats := s.stats(); stats.Dead != 0 || stats.Depth != rows {
				t.Errorf("stats are %+v", stats)
			}
			// A row that is refused just before the table is mended, and whose control row passes
			// just after, would have no try left.
			s.suspend(p)
			s.untried()
			s.db.Exec(t, c.mend)
			s.resume()
			s.drained()
			s.eventuallyPausedNoMore(p)
			if got := s.db.Value(t, "SELECT count(*) FROM products WHERE id >= 0"); got != fmt.Sprint(rows) {
				t.Errorf("%s rows, want %d", got, rows)
			}
		})
	}
}

// TestABadRowInAQuietQueueIsADeadLetter has nothing else flow: a row that is there
// shows that the table takes rows.
func TestABadRowInAQuietQueueIsADeadLetter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ table, document, state string }{
		"a check":                    {"INSERT INTO products VALUES (-1, 'x', 1, 1)", `{"name":"x","price":1,"stock":-1}`, "23514"},
		"a value":                    {"INSERT INTO products VALUES (-1, 'x', 1, 1)", `{"name":"x","price":"many","stock":1}`, "22P02"},
		"a column that is not named": {"ALTER TABLE products ALTER name SET NOT NULL; INSERT INTO products VALUES (-1, 'x', 1, 1)", `{"price":1}`, "23502"},
		"a trigger":                  {"INSERT INTO products VALUES (-1, 'x', 1, 1);" + negativeIsRefused, `{"name":"x","price":-1,"stock":1}`, "P0001"},
		"the table is empty":         {"", `{"name":"x","price":1,"stock":-1}`, "23514"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Flush.MaxRetries = 1
			s.write()
			s.db.Exec(t, c.table)
			s.startReady()
			before := s.db.Value(t, "SELECT coalesce(string_agg(products::text, ' ' ORDER BY id), '') FROM products")
			s.set(1, c.document)
			s.eventuallyDead(1)
			if letter := s.deadLetters()["product:1"]; letter.SQLState != c.state || letter.Attempts < 2 {
				t.Errorf("the letter is %+v", letter)
			}
			if after := s.db.Value(t, "SELECT coalesce(string_agg(products::text, ' ' ORDER BY id), '') FROM products"); after != before {
				t.Errorf("the trial left %s, before it was %s", after, before)
			}
		})
	}
}

// TestABadRowOfWhichNothingShowsThatOthersPassStays until one does.
func TestABadRowOfWhichNothingShowsThatOthersPassStays(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 0
	s.write()
	s.refuseAll("must")
	p := s.startReady()
	s.set(1, `{"name":"x","price":1,"stock":-1,"must":null}`)
	s.eventuallyPaused(p, "must")
	s.set(2, `{"name":"good","price":1,"stock":1,"must":"yes"}`)
	s.eventuallyRow(2, "good|1.00|1")
	s.eventuallyDead(1)
	s.eventually("it is ready again", func() error {
		if q := s.status(p).Queues[0]; !q.Ready.OK {
			return errors.New(q.Ready.Message)
		}
		return nil
	})
}
