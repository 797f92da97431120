// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// A document that does not name every column updates a row that is there, whatever
// an INSERT of it alone would violate.
func TestAPartialDocumentUpdatesARowThatIsThere(t *testing.T) {
	t.Parallel()
	const full = `{"name":"x","price":1,"lo":1,"hi":9}`
	for name, test := range map[string]struct {
		schema string
		pairs  []string
		want   []string
	}{
		"a column that must not be null": {
			"name text NOT NULL, price numeric, lo integer, hi integer", []string{"1", `{"price":25}`}, []string{"1|x|25|1|9", "2|x|1|1|9"},
		},
		"a check over two columns": {
			"name text, price numeric, lo integer, hi integer, CHECK (lo IS NOT NULL AND hi IS NOT NULL AND lo <= hi)",
			[]string{"1", `{"lo":5}`, "2", `{"hi":3}`},
			[]string{"1|x|1|5|9", "2|x|1|1|3"},
		},
		"a document that names no column": {
			"name text NOT NULL, price numeric, lo integer, hi integer", []string{"1", `{}`, "2", `{"other":1}`}, []string{"1|x|1|1|9", "2|x|1|1|9"},
		},
		"beside full documents, deletions and new rows": {
			"name text, price numeric NOT NULL DEFAULT 7, lo integer, hi integer",
			[]string{"1", `{"lo":2}`, "2", "", "3", full, "4", `{"lo":4}`, "5", `{}`, "6", `{"name":"y","hi":6}`},
			[]string{"1|x|1|2|9", "3|x|1|1|9", "4|NULL|7|4|NULL", "5|NULL|7|NULL|NULL", "6|y|7|NULL|6"},
		},
	} {
		for kind, make := range map[string]string{
			"ordinary":    "CREATE TABLE items (id bigint PRIMARY KEY, %s)",
			"partitioned": "CREATE TABLE items (id bigint PRIMARY KEY, %s) PARTITION BY HASH (id); CREATE TABLE p0 PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE p1 PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
			"identity":    "CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, %s)",
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				server, d := open(t, fmt.Sprintf(make, test.schema))
				o := own(t, d, readTable(t, d, mapping("items")), 0)
				o.write(t, "1", full, "2", full)
				o.write(t, test.pairs...)
				equal(t, server, "SELECT id, name, price, lo, hi FROM items ORDER BY id", test.want...)
			})
		}
	}
}

// A new row that lacks what it must have is refused, and with no harm to the others.
func TestAPartialDocumentOfANewRowIsHeldAgainstTheConstraints(t *testing.T) {
	t.Parallel()
	server, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, price integer, CHECK (price > 0))")
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"name":"x","price":1}`)
	for document, state := range map[string]string{`{"price":5}`: "23502", `{}`: "23502", `{"name":"y","price":-1}`: "23514"} {
		if e := o.refuse(t, "1", `{"price":2}`, "2", document); e.Kind != entry.Row || e.SQLSTATE != state || e.Unsettled {
			t.Errorf("Write %s = %v; want a row's error %s", document, e, state)
		}
	}
	o.write(t, "1", `{"price":2}`)
	equal(t, server, "SELECT * FROM items", "1|x|2")
}

func TestAPartialDocumentFiresTheTriggersOfWhatHappens(t *testing.T) {
	t.Parallel()
	server, d := open(t, `CREATE TABLE items (id bigint PRIMARY KEY, a text, b text); CREATE TABLE fired (op text, id bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fired VALUES (tg_op, new.id); RETURN new; END $$;
CREATE TRIGGER note BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION note()`)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"x"}`)
	o.write(t, "1", `{"a":"y"}`, "2", `{"a":"y"}`)
	o.write(t, "1", `{}`, "3", `{}`)
	equal(t, server, "SELECT * FROM fired", "INSERT|1", "UPDATE|1", "INSERT|2", "INSERT|3")
}

// What a policy does not let be updated is told, and what it hides too.
func TestAPartialDocumentUnderPolicies(t *testing.T) {
	t.Parallel()
	for name, policies := range map[string]string{
		"that do not let it be updated": "CREATE POLICY p ON items USING (true); CREATE POLICY r ON items AS RESTRICTIVE FOR UPDATE USING (a <> 'theirs')",
		"that hide it":                  "CREATE POLICY p ON items USING (a IS DISTINCT FROM 'theirs')",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := asPlainRole(t, "CREATE TABLE items (id bigint PRIMARY KEY, a text, b text); INSERT INTO items VALUES (1, 'theirs', 'x'), (2, 'mine', 'x'); ALTER TABLE items ENABLE ROW LEVEL SECURITY; "+policies)
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			if e := o.refuse(t, "1", `{"b":"y"}`, "2", `{"b":"y"}`); e.Kind != entry.Row || e.Unsettled {
				t.Errorf("Write = %v (%s); want a settled error of a row", e, e.Detail())
			}
			o.write(t, "2", `{"b":"y"}`, "3", `{"b":"y"}`)
			equal(t, server, "SELECT id, b FROM items ORDER BY id", "1|x", "2|y", "3|y")
		})
	}
}

// Somebody else makes or deletes the row while the statement waits for it.
func TestAPartialDocumentWhoseRowComesOrGoesMeanwhile(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]string{
		"goes":  "DELETE FROM items WHERE id = 1",
		"comes": "INSERT INTO items VALUES (2, 'theirs', 'theirs')",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, a text, b text); INSERT INTO items VALUES (1, 'old', 'old')")
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			tx, err := server.Pool().Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
			if _, err := tx.Exec(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			done := o.writeAside(t.Context(), o.next(1), batch(t, o.table, "1", `{"a":"new"}`, "2", `{"a":"new"}`))
			waiting(t, server, "transactionid", "1")
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r := <-done; r.outcome != entry.Committed {
				t.Fatalf("Write = %v, %v (%s); want Committed", r.outcome, r.err, detail(r.err))
			}
			equal(t, server, "SELECT id, a FROM items ORDER BY id", "1|new", "2|new")
		})
	}
}
