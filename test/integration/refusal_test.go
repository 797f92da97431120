// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/writebehind/operator/test/programs"
)

// inOneBatch makes documents of one partition one batch: they are written while the
// flusher is suspended.
func (s *stack) inOneBatch(documents map[int64]string) *programs.Flusher {
	s.t.Helper()
	s.config.Flush.BatchSize = len(documents)
	s.config.Suspend = true
	s.write()
	p := s.startReady()
	for _, id := range slices.Sorted(maps.Keys(documents)) {
		s.set(id, documents[id])
	}
	s.config.Suspend = false
	s.config.Revision++
	s.write()
	return p
}

func (s *stack) eventuallyDead(ids ...int64) {
	s.t.Helper()
	s.eventually("all is settled", func() error {
		if stats := s.stats(); stats.Depth != 0 || stats.Dead != int64(len(ids)) {
			return fmt.Errorf("stats are %+v", stats)
		}
		return nil
	})
	letters := s.deadLetters()
	for _, id := range ids {
		if letters[fmt.Sprintf("product:%d", id)] == nil {
			s.t.Errorf("product %d is no dead letter: %v", id, letters)
		}
	}
}

// TestAWrongGuessCostsAGoodRowNothing has the server quote a value that a good row
// has too, before the bad one.
func TestAWrongGuessCostsAGoodRowNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Mappings[0].Partitions = 1
	s.inOneBatch(map[int64]string{
		1: `{"name":"many","price":1,"stock":1}`,
		2: `{"name":"good","price":1,"stock":1}`,
		3: `{"name":"bad","price":"many","stock":1}`,
		4: `{"name":"good","price":1,"stock":1}`,
	})
	s.eventuallyDead(3)
	if got := s.db.Value(t, "SELECT string_agg(id || name, ' ' ORDER BY id) FROM products"); got != "1many 2good 4good" {
		t.Errorf("the rows are %q", got)
	}
}

// TestBadRowsCostFewStatements counts the statements with a sequence, which no
// rollback takes back: one for each bad row and a few more where the server's words
// point at the row, otherwise as many as bisection takes.
func TestBadRowsCostFewStatements(t *testing.T) {
	t.Parallel()
	const rows = 128
	bad := []int64{5, 60, 61}
	for name, c := range map[string]struct {
		refuse string
		most   int
	}{
		// The batch, its rest in four parts, one more part for each further bad row,
		// each bad row alone, and the rows that passed.
		"the server names the row": {"ALTER TABLE products ADD CHECK (price >= 0)", 1 + 4 + 2 + 3 + 1},
		// The batch, and two halves at each of the seven levels for each bad row.
		"it does not": {negativeIsRefused, 1 + 3*2*7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Flush.MaxRetries = 0
			s.config.Mappings[0].Partitions = 1
			s.db.Exec(t, c.refuse)
			s.db.Exec(t, `CREATE SEQUENCE statements;
				CREATE FUNCTION tick() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('statements'); RETURN NULL; END $$;
				CREATE TRIGGER tick BEFORE INSERT ON products FOR EACH STATEMENT EXECUTE FUNCTION tick()`)
			documents := make(map[int64]string)
			for id := range int64(rows) {
				price := 1
				if slices.Contains(bad, id) {
					price = -1
				}
				documents[id] = fmt.Sprintf(`{"name":"x","price":%d,"stock":1}`, price)
			}
			s.inOneBatch(documents)
			s.eventuallyDead(bad...)
			if got := s.db.Value(t, "SELECT count(*) FROM products"); got != strconv.Itoa(rows-len(bad)) {
				t.Errorf("%s rows", got)
			}
			got, err := strconv.Atoi(s.db.Value(t, "SELECT last_value FROM statements"))
			if err != nil || got > c.most {
				t.Errorf("%d statements (%v), want at most %d", got, err, c.most)
			}
			t.Logf("%d statements for %d bad rows of %d", got, len(bad), rows)
		})
	}
}

// keyIn finds an id, from at least on, whose key falls into the partition.
func keyIn(partition uint32, partitions int, least int64) int64 {
	for id := least; ; id++ {
		sum := sha1.Sum(fmt.Appendf(nil, "product:%d", id))
		if binary.BigEndian.Uint32(sum[:])%uint32(partitions) == partition {
			return id
		}
	}
}

// TestFieldsWithoutAColumnAreCounted though they are ignored.
func TestFieldsWithoutAColumnAreCounted(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	p := s.startReady()
	s.set(1, `{"name":"lamp","price":1,"stock":1,"colour":"red","weight":3}`)
	s.set(2, `{"name":"chair","price":1,"stock":1,"colour":"blue"}`)
	s.drained()
	s.eventually("three fields are counted", func() error {
		if _, body := s.get(p, "/metrics"); !strings.Contains(body, `writebehind_ignored_fields_total{queue="products"} 3`) {
			return errors.New(body)
		}
		return nil
	})
}

// negativeIsRefused is a trigger whose words point at no row.
const negativeIsRefused = `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NEW.price < 0 THEN RAISE EXCEPTION 'negative'; END IF; RETURN NEW; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION refuse()`

// TestMoreBadRowsThanAreTriedInVain stand before the good ones: what is skipped
// because all seems in vain has to come back.
func TestMoreBadRowsThanAreTriedInVain(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 0
	s.config.Mappings[0].Partitions = 1
	s.db.Exec(t, negativeIsRefused)
	documents := make(map[int64]string)
	var bad []int64
	for id := range int64(600) {
		price := 1
		if id < 300 {
			price = -1
			bad = append(bad, id)
		}
		documents[id] = fmt.Sprintf(`{"name":"x","price":%d,"stock":1}`, price)
	}
	s.inOneBatch(documents)
	s.eventuallyDead(bad...)
	if got := s.db.Value(t, "SELECT count(*) FROM products"); got != "300" {
		t.Errorf("%s rows, want 300", got)
	}
}

// TestDeletionsThatAreRefusedAmongOthersAreTheirOwnFault: what others refer to cannot
// be deleted, and that says nothing of the table.
func TestDeletionsThatAreRefusedAmongOthersAreTheirOwnFault(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 1
	s.config.Mappings[0].Partitions = 1
	s.config.Flush.BatchSize = 60
	s.config.Suspend = true
	s.write()
	s.db.Exec(t, `INSERT INTO products (id) SELECT generate_series(0, 59);
		CREATE TABLE orders (id bigint PRIMARY KEY, product bigint REFERENCES products);
		INSERT INTO orders SELECT i, i FROM generate_series(0, 11) i`)
	s.startReady()
	var referred []int64
	for id := range int64(60) {
		s.del(id)
		if id < 12 {
			referred = append(referred, id)
		}
	}
	s.config.Suspend = false
	s.config.Revision++
	s.write()
	s.eventuallyDead(referred...)
	if got := s.db.Value(t, "SELECT count(*) FROM products"); got != "12" {
		t.Errorf("%s rows, want 12", got)
	}
}
