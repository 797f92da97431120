// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// What a table is altered to after it was read is noticed by the transaction that
// writes. The values that are written then are the ones of a table that was read again.
func TestATableThatIsAlteredIsReadAnew(t *testing.T) {
	t.Parallel()
	const columns = "id bigint PRIMARY KEY, a text, d date, r real, n integer, v varchar(3)"
	for name, test := range map[string]struct {
		change, document, want string
	}{
		"date to timestamptz":      {"ALTER TABLE items ALTER d TYPE timestamp", `{"d":"2026-01-02T03:04:05"}`, "2026-01-02 03:04:05"},
		"real to double precision": {"ALTER TABLE items ALTER r TYPE double precision", `{"r":19.99}`, "19.99"},
		"text to jsonb":            {"ALTER TABLE items ALTER a TYPE jsonb USING to_jsonb(a)", `{"a":"x"}`, `"x"`},
		"a longer text":            {"ALTER TABLE items ALTER v TYPE varchar(9)", `{"v":"abcdef"}`, "abcdef"},
		"a text of any length":     {"ALTER TABLE items ALTER v TYPE text", `{"v":"abcdef"}`, "abcdef"},
		"a column more":            {"ALTER TABLE items ADD z integer", `{"a":"x","z":7}`, "x 7"},
		"a column less":            {"ALTER TABLE items DROP n", `{"a":"x","n":7}`, "x"},
		"another name":             {"ALTER TABLE items RENAME n TO m", `{"m":7}`, "7"},
		"two names that swap":      {"ALTER TABLE items RENAME a TO t; ALTER TABLE items RENAME v TO a; ALTER TABLE items RENAME t TO v", `{"v":"a longer text"}`, "a longer text"},
		"a table made anew":        {"DROP TABLE items; CREATE TABLE items (id text PRIMARY KEY, a jsonb)", `{"a":"x"}`, `"x"`},
		"tables that swap":         {"CREATE TABLE other (" + columns + "); ALTER TABLE other ALTER a TYPE jsonb USING NULL; ALTER TABLE items RENAME TO old; ALTER TABLE other RENAME TO items", `{"a":"x"}`, `"x"`},
		"schemas that swap":        {"CREATE TABLE other.items (id bigint PRIMARY KEY, a jsonb); ALTER SCHEMA public RENAME TO old; ALTER SCHEMA other RENAME TO public", `{"a":"x"}`, `"x"`},
		"a generated column":       {"ALTER TABLE items DROP n; ALTER TABLE items ADD n integer GENERATED ALWAYS AS (id + 1) STORED", `{"n":9}`, "2"},
		"a column set not null":    {"ALTER TABLE items ADD z integer; UPDATE items SET z = 1; ALTER TABLE items ALTER z SET NOT NULL", `{"a":"x"}`, "x 1"},
		"a default":                {"ALTER TABLE items ALTER n SET DEFAULT 5", `{"a":"x"}`, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, "CREATE TABLE items ("+columns+"); CREATE SCHEMA other")
			m := mapping("public.items")
			o := own(t, d, readTable(t, d, m), 0)
			o.write(t, "1", `{}`)
			server.Exec(t, test.change)
			b := o.table.NewBatch()
			if err := b.Set("1", []byte(test.document)); err != nil {
				t.Fatal(err)
			}
			at := o.next(2)
			outcome, err := d.Write(t.Context(), o.table, at, b)
			if outcome != entry.Altered || err != nil {
				t.Fatalf("Write = %v, %v (%s); want Altered", outcome, err, detail(err))
			}
			if current, err := d.Current(t.Context(), o.table); current || err != nil {
				t.Errorf("Current = %t, %v; want that it is not", current, err)
			}
			o.at.Flush--
			o.table = readTable(t, d, m)
			o.write(t, "1", test.document)
			equal(t, server, "SELECT concat_ws(' ', "+shownColumns(o.table)+") FROM public.items", test.want)
			if current, err := d.Current(t.Context(), o.table); !current || err != nil {
				t.Errorf("Current = %t, %v; want that it is", current, err)
			}
		})
	}
}

func shownColumns(t *Table) string {
	list := "NULL"
	for _, f := range t.fields {
		if f.name != t.key.name {
			list += ", " + quote(f.name)
		}
	}
	return list
}

// A table that does not fit any more is told by the one who reads it.
func TestATableThatIsGoneIsReadAnew(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"dropped":             "DROP TABLE items",
		"in another schema":   "CREATE SCHEMA s; ALTER TABLE items SET SCHEMA s",
		"renamed":             "ALTER TABLE items RENAME TO others",
		"without a column":    "ALTER TABLE items DROP COLUMN b",
		"with another key":    "ALTER TABLE items ALTER id TYPE numeric",
		"of an unusable type": "ALTER TABLE items ALTER b DROP DEFAULT, ALTER b TYPE date USING now()",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d, o := openItems(t)
			server.Exec(t, change)
			outcome, err := d.Write(t.Context(), o.table, o.next(1), batch(t, o.table, "1", `{"a":"x","b":1,"c":1}`, "2", ""))
			if outcome != entry.Altered || err != nil {
				t.Errorf("Write = %v, %v (%s); want Altered", outcome, err, detail(err))
			}
		})
	}
}

// Batches that are written while the table is altered again and again have the values
// of the table as it is: what is written after a column came has its value.
func TestATableThatIsAlteredUnderLoad(t *testing.T) {
	t.Parallel()
	server, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, a text, n integer)")
	m := mapping("items")
	const owners, rounds = 3, 15
	var group sync.WaitGroup
	stop := make(chan struct{})
	for i := range owners {
		o := own(t, d, readTable(t, d, m), i)
		group.Go(func() {
			for n := int64(1); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				at := o.next(n)
				for {
					b := o.table.NewBatch()
					if err := b.Set(fmt.Sprint(i), []byte(`{"a":"x","n":1,"c0":0,"c1":1,"c2":2,"c3":3,"c4":4,"c5":5,"c6":6,"c7":7,"c8":8,"c9":9,"c10":10,"c11":11,"c12":12,"c13":13,"c14":14}`)); err != nil {
						t.Error(err)
						return
					}
					outcome, err := d.Write(t.Context(), o.table, at, b)
					if outcome == entry.Altered {
						if o.table, err = d.Table(t.Context(), m); err == nil {
							continue
						}
					}
					if outcome != entry.Committed {
						t.Errorf("Write = %v, %v (%s)", outcome, err, detail(err))
						return
					}
					break
				}
			}
		})
	}
	for i := range rounds {
		server.Exec(t, fmt.Sprintf("ALTER TABLE items ADD c%d integer; ALTER TABLE items ALTER n TYPE %s", i, []string{"bigint", "integer"}[i%2]))
		// A batch that begins now is of the table as it is now.
		flush := server.Value(t, "SELECT sum(flush) FROM writebehind.ledger")
		for server.Value(t, "SELECT sum(flush) >= "+flush+" + 10 FROM writebehind.ledger") != "t" && !t.Failed() {
			if t.Context().Err() != nil {
				t.Fatal(t.Context().Err())
			}
		}
		if wrong := server.Value(t, fmt.Sprintf("SELECT count(*) FROM items WHERE xmin = (SELECT max(xmin::text::bigint) FROM items)::text::xid AND c%d IS DISTINCT FROM %d", i, i)); wrong != "0" {
			t.Errorf("after column c%d came, %s rows lack its value", i, wrong)
		}
	}
	close(stop)
	group.Wait()
}

// A column that only the mapping's list names may come back as another one.
func TestAnAlteredTableOfListedColumns(t *testing.T) {
	t.Parallel()
	server, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, n integer)")
	m := mapping("items", config.Column{Field: "count", Column: "n"})
	table := readTable(t, d, m)
	server.Exec(t, "ALTER TABLE items ALTER n TYPE numeric")
	// The value is none of the table that was read, and one of the table as it is.
	if err := table.NewBatch().Set("1", []byte(`{"count":"a"}`)); err != nil && !errors.As(err, new(*entry.Unfit)) {
		t.Fatal(err)
	}
	if current, err := d.Current(t.Context(), table); current || err != nil {
		t.Errorf("Current = %t, %v; want that it is not", current, err)
	}
	o := own(t, d, readTable(t, d, m), 0)
	o.write(t, "1", `{"count":1.5}`)
	equal(t, server, "SELECT n FROM items", "1.5")
}

// A table that the role may not name any more is the mapping's fault, though it is the
// ledger's statement that fails: the ledger is well.
func TestASchemaThatIsClosedIsNoFaultOfTheLedger(t *testing.T) {
	t.Parallel()
	server, d := asPlainRole(t, "CREATE TABLE items (id bigint PRIMARY KEY, a text)")
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"x"}`)
	server.Exec(t, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
	e := o.refuse(t, "1", `{"a":"y"}`)
	if e.Kind != entry.Mapping || e.Reason() != v1alpha1.ReasonPrivilegeMissing || e.Unsettled || !strings.Contains(e.Message(), `GRANT USAGE ON SCHEMA "public"`) {
		t.Errorf("Write = %v, %s, %v; want PrivilegeMissing of the mapping", e.Kind, e.Reason(), e)
	}
	server.Exec(t, "REVOKE ALL ON writebehind.ledger FROM PUBLIC")
	server.Exec(t, "GRANT ALL ON SCHEMA public TO PUBLIC")
	if e := o.refuse(t, "1", `{"a":"y"}`); e.Kind != entry.Transient || !strings.Contains(e.Message(), "the ledger") {
		t.Errorf("Write = %v, %v; want a fault of the ledger", e.Kind, e)
	}
	equal(t, server, "SELECT id, a FROM items", "1|x")
}
