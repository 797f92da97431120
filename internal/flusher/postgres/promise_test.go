// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// TestRowsAreLockedInTheOrderOfTheirKeys lets the table itself tell the order in
// which rows are written. In one order transactions cannot deadlock.
func TestRowsAreLockedInTheOrderOfTheirKeys(t *testing.T) {
	t.Parallel()
	for key, sorted := range map[string]string{"bigint": "-2 9 10 100", "text": "-2 10 100 9"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, `CREATE TABLE items (id `+key+` PRIMARY KEY, a text); CREATE TABLE log (n bigserial, op text, id text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO log (op, id) VALUES (TG_OP, coalesce(NEW.id, OLD.id)); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER note BEFORE INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION note()`)
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			order := func(operation string) string {
				got := strings.Join(server.Column(t, "SELECT id FROM log WHERE op = $1 ORDER BY n", operation), " ")
				server.Exec(t, "TRUNCATE log")
				return got
			}
			o.write(t, "10", `{"a":"x"}`, "9", `{"a":"x"}`, "100", `{"a":"x"}`, "-2", `{"a":"x"}`)
			if got := order("INSERT"); got != sorted {
				t.Errorf("Inserted in the order %s; want %s", got, sorted)
			}
			o.write(t, "100", `{"a":"y"}`, "-2", `{"a":"y"}`, "9", `{"a":"y"}`, "10", `{"a":"y"}`)
			if got := order("UPDATE"); got != sorted {
				t.Errorf("Updated in the order %s; want %s", got, sorted)
			}
		})
	}
}

// TestPartitionsThatWriteOneTableDoNotDeadlock has two owners write batches of the
// same rows, each in an order of its own, as two queues on one table would.
func TestPartitionsThatWriteOneTableDoNotDeadlock(t *testing.T) {
	t.Parallel()
	const rows, batches = 200, 30
	_, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, a text)")
	table := readTable(t, d, mapping("items"))
	var done sync.WaitGroup
	for partition := range 3 {
		o := own(t, d, table, partition)
		random := rand.New(rand.NewPCG(1, uint64(partition)))
		done.Go(func() {
			for n := range batches {
				b := table.NewBatch()
				for _, id := range random.Perm(rows) {
					if err := b.Set(fmt.Sprint(id), fmt.Appendf(nil, `{"a":"%d"}`, n)); err != nil {
						t.Error(err)
					}
				}
				if outcome, err := d.Write(t.Context(), table, o.next(int64(n+1)), b); err != nil || outcome != entry.Committed {
					t.Errorf("Write = %v, %v: %s", outcome, err, detail(err))
					return
				}
			}
		})
	}
	done.Wait()
}

// TestABatchHasMoreValuesThanAStatementHasParameters writes more than 65,535 of them
// in one transaction.
func TestABatchHasMoreValuesThanAStatementHasParameters(t *testing.T) {
	t.Parallel()
	server, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, a int, b int, c int, d int, e int, f int, g int)")
	table := readTable(t, d, mapping("items"))
	o := own(t, d, table, 0)
	b := table.NewBatch()
	const rows = 10_000
	for id := range rows {
		if err := b.Set(fmt.Sprint(id), fmt.Appendf(nil, `{"a":%d,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1}`, id)); err != nil {
			t.Fatal(err)
		}
	}
	if outcome, err := o.d.Write(t.Context(), table, o.next(1), b); err != nil || outcome != entry.Committed {
		t.Fatalf("Write = %v, %v: %s", outcome, err, detail(err))
	}
	equal(t, server, "SELECT count(*), sum(a - id), sum(b + c + d + e + f + g) FROM items", fmt.Sprintf("%d|0|%d", rows, 6*rows))
}

// TestRowsExchangeAUniqueValue needs a constraint that is checked at the end; without
// one the batch is refused, and says which constraint stands in the way.
func TestRowsExchangeAUniqueValue(t *testing.T) {
	t.Parallel()
	for rule, refused := range map[string]bool{"UNIQUE DEFERRABLE INITIALLY DEFERRED": false, "UNIQUE DEFERRABLE": false, "UNIQUE": true} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, slot text CONSTRAINT one_each "+rule+")")
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			o.write(t, "1", `{"slot":"x"}`, "2", `{"slot":"y"}`)
			if refused {
				if e := o.refuse(t, "1", `{"slot":"y"}`, "2", `{"slot":"x"}`); e.Kind != entry.Row || e.Constraint != "one_each" {
					t.Errorf("Write = %+v; want an error of the row that names the constraint", e)
				}
				return
			}
			o.write(t, "1", `{"slot":"y"}`, "2", `{"slot":"x"}`)
			equal(t, server, "SELECT id, slot FROM items ORDER BY id", "1|y", "2|x")
		})
	}
}

// TestDeferredChecksRunBeforeTheCommit has a deferred check tell which statement it
// runs in: what fails in the COMMIT leaves open whose fault it was.
func TestDeferredChecksRunBeforeTheCommit(t *testing.T) {
	t.Parallel()
	server, d := open(t, `CREATE TABLE items (id bigint PRIMARY KEY, a text); CREATE TABLE log (statement text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (current_query()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER note AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()`)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"x"}`)
	equal(t, server, "SELECT statement FROM log", "SET CONSTRAINTS ALL IMMEDIATE")
}
