// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/test/programs"
)

// chainOfTwenty has each row take the unique stock that the next one gives up.
func chainOfTwenty() (table string, documents map[int64]string) {
	documents = make(map[int64]string)
	for id := range int64(20) {
		// The order of the keys is not the chain's.
		documents[id*7%20] = fmt.Sprintf(`{"name":"moved","price":1,"stock":%d}`, id+1)
	}
	return "INSERT INTO products SELECT i * 7 % 20, 'before', 1, i FROM generate_series(0, 19) i", documents
}

// TestUniqueValuesThatMoveOnFromRowToRow have an order in which they fit.
func TestUniqueValuesThatMoveOnFromRowToRow(t *testing.T) {
	t.Parallel()
	for name, constraint := range map[string]string{
		"unique": "ALTER TABLE products ADD UNIQUE (stock)", "exclusion": "ALTER TABLE products ADD EXCLUDE USING btree (stock WITH =)",
	} {
		for _, partitions := range []int{1, 16} {
			t.Run(fmt.Sprintf("%s, %d partitions", name, partitions), func(t *testing.T) {
				t.Parallel()
				s := newStack(t)
				s.config.Flush.MaxRetries = 0
				s.config.Mappings[0].Partitions = partitions
				table, documents := chainOfTwenty()
				s.db.Exec(t, constraint+";"+table)
				s.inOneBatch(documents)
				s.drained()
				if stats := s.stats(); stats.Dead != 0 || stats.Flushed != 20 {
					t.Errorf("stats are %+v, letters %v", stats, s.deadLetters())
				}
				if got := s.db.Value(t, "SELECT count(*) FROM products WHERE name = 'moved'"); got != "20" {
					t.Errorf("%s rows have moved", got)
				}
			})
		}
	}
}

// TestUniqueValuesMoveOnBetweenTwoFlushers has neighbours in the chain lie with different
// flushers, of which neither sees what the other's rows do.
func TestUniqueValuesMoveOnBetweenTwoFlushers(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{2, 16} {
		t.Run(fmt.Sprintf("%d partitions", partitions), func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Flush.MaxRetries = 0
			s.config.Mappings[0].Partitions = partitions
			table, documents := chainOfTwenty()
			s.db.Exec(t, "ALTER TABLE products ADD UNIQUE (stock);"+table)
			s.config.Suspend = true
			s.write()
			two := &crowd{stack: s, members: []*programs.Flusher{s.startReady(), s.startReady()}}
			s.eventually("both share the partitions", two.shared)
			for id, document := range documents {
				s.set(id, document)
			}
			s.resume()
			s.drained()
			for _, p := range two.members {
				if s.status(p).Queues[0].LastFlushTime.IsZero() {
					t.Errorf("flusher %d has flushed nothing, which proves nothing", p.PID())
				}
			}
			if stats := s.stats(); stats.Dead != 0 || stats.Flushed != 20 {
				t.Errorf("stats are %+v, letters %v", stats, s.deadLetters())
			}
			if got := s.db.Value(t, "SELECT count(*) FROM products WHERE name = 'moved'"); got != "20" {
				t.Errorf("%s rows have moved", got)
			}
		})
	}
}

// TestRowsThatReferToOneAnotherFindTheirOrder writes children before their parents.
func TestRowsThatReferToOneAnotherFindTheirOrder(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 0
	s.db.Exec(t, "ALTER TABLE products ADD parent bigint REFERENCES products")
	documents := map[int64]string{19: `{"name":"root","price":1,"stock":1}`}
	for id := range int64(19) {
		documents[id] = fmt.Sprintf(`{"name":"child","price":1,"stock":1,"parent":%d}`, id+1)
	}
	s.inOneBatch(documents)
	s.drained()
	if stats := s.stats(); stats.Dead != 0 || stats.Flushed != 20 {
		t.Errorf("stats are %+v, letters %v", stats, s.deadLetters())
	}
}

// TestARowWaitsForTheOneThatItRefersTo, which comes into the same queue long after it.
func TestARowWaitsForTheOneThatItRefersTo(t *testing.T) {
	t.Parallel()
	for name, timing := range map[string]string{"immediate": "", "deferred": " DEFERRABLE INITIALLY DEFERRED"} {
		for _, partitions := range []int{1, 16} {
			t.Run(fmt.Sprintf("%s, %d partitions", name, partitions), func(t *testing.T) {
				t.Parallel()
				s := newStack(t)
				s.config.Flush.MaxRetries = 0
				s.config.Mappings[0].Partitions = partitions
				s.db.Exec(t, "ALTER TABLE products ADD parent bigint REFERENCES products"+timing)
				p := s.inOneBatch(map[int64]string{1: `{"name":"child","price":1,"stock":1,"parent":2}`, 3: `{"name":"other","price":1,"stock":3}`})
				s.eventuallyRow(3, "other|1.00|3")
				s.eventually("the child was refused", func() error {
					if text := s.status(p).Queues[0].LastError; !strings.Contains(text, "23503") || !strings.Contains(text, "the row refers to one that does not exist") {
						return fmt.Errorf("lastError is %q", text)
					}
					return nil
				})
				s.set(2, `{"name":"parent","price":1,"stock":2}`)
				s.drained()
				s.eventuallyRow(1, "child|1.00|1")
				if stats := s.stats(); stats.Dead != 0 || stats.Flushed != 3 {
					t.Errorf("stats are %+v, letters %v", stats, s.deadLetters())
				}
			})
		}
	}
}

// TestRowsThatExchangeAUniqueValueSaySo: there is no order in which one statement a row
// can write them, and the way out that the letter tells is one.
func TestRowsThatExchangeAUniqueValueSaySo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		constraint string
		dead       []int64
	}{
		"immediate": {"UNIQUE (stock)", []int64{1, 2}}, "deferred": {"UNIQUE (stock) DEFERRABLE INITIALLY DEFERRED", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Flush.MaxRetries = 1
			s.config.Mappings[0].Partitions = 1
			s.db.Exec(t, "ALTER TABLE products ADD "+c.constraint+"; INSERT INTO products VALUES (1, 'a', 1, 1), (2, 'b', 1, 2)")
			s.inOneBatch(map[int64]string{1: `{"name":"a","price":1,"stock":2}`, 2: `{"name":"b","price":1,"stock":1}`, 3: `{"name":"c","price":1,"stock":3}`})
			s.eventuallyDead(c.dead...)
			for key, letter := range s.deadLetters() {
				if letter.SQLState != "23505" || letter.Attempts != 2 || !strings.Contains(letter.Message, "DEFERRABLE INITIALLY DEFERRED") {
					t.Errorf("the letter of %s is %+v", key, letter)
				}
			}
			s.eventuallyRow(3, "c|1.00|3")
		})
	}
}
