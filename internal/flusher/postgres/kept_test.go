// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// asPlainRole gives a database with the schema, whose tables everybody may use, and the view
// that a role has of it which row-level security applies to.
func asPlainRole(t *testing.T, schema string) (*postgrestest.Database, *Database) {
	t.Helper()
	server := postgrestest.New(t)
	server.Exec(t, schema+"; GRANT ALL ON ALL TABLES IN SCHEMA public TO public")
	ready(t, openURL(t, server.URL()))
	server.Exec(t, "GRANT USAGE ON SCHEMA writebehind TO public; GRANT ALL ON writebehind.ledger TO public")
	_, url := server.NewRole(t)
	return server, openURL(t, url)
}

// What keeps a row from being deleted keeps it with rows that nothing keeps.
func TestARowThatIsNotDeletedIsRefused(t *testing.T) {
	t.Parallel()
	const (
		table    = `CREATE TABLE items (id bigint PRIMARY KEY, a text)`
		function = `; CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF old.a = 'kept' THEN RETURN NULL; END IF; RETURN old; END $$;
CREATE TRIGGER "The keeper" BEFORE DELETE ON %s FOR EACH ROW EXECUTE FUNCTION keep()`
		again = `; CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF old.a = 'kept' THEN INSERT INTO items VALUES (old.*); END IF; RETURN NULL; END $$; `
	)
	for name, test := range map[string]struct{ schema, names string }{
		"a trigger that returns NULL": {table + fmt.Sprintf(function, "items"), `trigger "The keeper"`},
		"a trigger of a partition": {
			table + ` PARTITION BY RANGE (id); CREATE TABLE low PARTITION OF items FOR VALUES FROM (0) TO (10)` + fmt.Sprintf(function, "low"),
			`trigger "The keeper"`,
		},
		"a rule that does nothing":           {table + "; CREATE RULE keep AS ON DELETE TO items WHERE old.a = 'kept' DO INSTEAD NOTHING", "rule keep"},
		"a rule that only marks the row":     {table + "; CREATE RULE keep AS ON DELETE TO items WHERE old.a = 'kept' DO INSTEAD UPDATE items SET a = 'kept' WHERE id = old.id", "rule keep"},
		"a trigger that writes it anew":      {table + again + "CREATE TRIGGER again AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION again()", "trigger again"},
		"one that waits for the commit":      {table + again + "CREATE CONSTRAINT TRIGGER again AFTER DELETE ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION again()", "trigger again"},
		"a policy for deletions":             {table + "; ALTER TABLE items ENABLE ROW LEVEL SECURITY; CREATE POLICY everything ON items USING (true); CREATE POLICY keep ON items AS RESTRICTIVE FOR DELETE USING (a <> 'kept')", "policy everything, policy keep"},
		"a policy of a partitioned table":    {table + " PARTITION BY HASH (id); CREATE TABLE p PARTITION OF items FOR VALUES WITH (MODULUS 1, REMAINDER 0); ALTER TABLE items ENABLE ROW LEVEL SECURITY; CREATE POLICY everything ON items USING (true); CREATE POLICY keep ON items AS RESTRICTIVE FOR DELETE USING (a <> 'kept')", "policy everything, policy keep"},
		"a policy that permits too little":   {table + "; ALTER TABLE items ENABLE ROW LEVEL SECURITY; CREATE POLICY r ON items FOR SELECT USING (true); CREATE POLICY i ON items FOR INSERT WITH CHECK (true); CREATE POLICY u ON items FOR UPDATE USING (true); CREATE POLICY d ON items FOR DELETE USING (a <> 'kept')", "policy d"},
		"a statement trigger, for every row": {table + `; CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO items SELECT * FROM old WHERE a = 'kept'; RETURN NULL; END $$; CREATE TRIGGER again AFTER DELETE ON items REFERENCING OLD TABLE AS old FOR EACH STATEMENT EXECUTE FUNCTION again()`, "trigger again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := asPlainRole(t, test.schema)
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			o.write(t, "1", `{"a":"x"}`, "2", `{"a":"kept"}`, "3", `{"a":"x"}`)
			b := batch(t, o.table, "3", "", "4", `{"a":"x"}`, "2", "", "1", "", "9", "")
			_, err := d.Write(t.Context(), o.table, o.next(9), b)
			o.at.Flush--
			e, ok := err.(*Error) //nolint:errorlint // it is an *Error itself
			if !ok || e.Kind != entry.Row || e.Unsettled || e.Detail() != "" || !strings.HasSuffix(e.Error(), "; the table has "+test.names) {
				t.Errorf("Write = %v (%s); want a settled error of a row that names %s", err, detail(err), test.names)
			}
			if s, ok := b.Suspect(fault(e)); !ok || s.Entry != 2 {
				t.Errorf("Suspect = %+v, %t; want the entry of key 2", s, ok)
			}
			equal(t, server, "SELECT id, a FROM items ORDER BY id", "1|x", "2|kept", "3|x")
			// Without that row the others go.
			o.write(t, "3", "", "4", `{"a":"x"}`, "1", "", "9", "")
			equal(t, server, "SELECT id, a FROM items ORDER BY id", "2|kept", "4|x")
		})
	}
}

// Whether a row was left alone because it needs no change is seen by what is there.
func TestARowThatIsKeptOutBesideATriggerThatSparesUpdates(t *testing.T) {
	t.Parallel()
	const (
		columns = `id bigint PRIMARY KEY, a text, n numeric(6,2), free numeric, short char(4), at timestamptz(0), j json, b jsonb, p point, tags text[], f double precision`
		same    = `{"a":"x","n":1.5,"free":1.5,"short":"ab","at":"2026-01-01T12:00:00.4Z","j":{"a" : 1},"b":{"a":1.0},"p":"(1,2)","tags":["a",null],"f":0.1}`
		skip    = `; CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.a LIKE 'skip%%' THEN RETURN NULL; END IF; RETURN new; END $$;
CREATE TRIGGER skip BEFORE %s ON items FOR EACH ROW EXECUTE FUNCTION skip()`
	)
	for name, spare := range map[string]string{
		"PostgreSQL's own": `; CREATE TRIGGER spare BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
		"a written one": `; CREATE FUNCTION spare() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new *= old THEN RETURN NULL; END IF; RETURN new; END $$;
CREATE TRIGGER spare BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION spare()`,
	} {
		for _, event := range []string{"INSERT", "UPDATE"} {
			t.Run(name+", "+event, func(t *testing.T) {
				t.Parallel()
				server, d := open(t, "CREATE TABLE items ("+columns+")"+spare+fmt.Sprintf(skip, event))
				o := own(t, d, readTable(t, d, mapping("items")), 0)
				for range 3 {
					o.write(t, "1", same, "2", `{"a":"x","n":2}`, "3", `{"a":null}`, "4", `{}`)
				}
				refused := "1"
				if event == "INSERT" {
					refused = "7"
				}
				for _, document := range []string{strings.Replace(same, `"x"`, `"skip"`, 1), `{"a":"skip"}`} {
					b := batch(t, o.table, "1", same, "2", `{"a":"x"}`, "8", same, refused, document)
					_, err := d.Write(t.Context(), o.table, o.next(9), b)
					o.at.Flush--
					e, ok := err.(*Error) //nolint:errorlint // it is an *Error itself
					if !ok || e.Kind != entry.Row || e.Unsettled || !strings.Contains(e.Error(), "trigger skip") {
						t.Fatalf("Write = %v (%s); want the row to be refused", err, detail(err))
					}
					if s, ok := b.Suspect(fault(e)); !ok || s.Entry != 3 {
						t.Errorf("Suspect = %+v, %t; want the last entry", s, ok)
					}
				}
				equal(t, server, "SELECT id, a, n FROM items ORDER BY id", "1|x|1.50", "2|x|2.00", "3|NULL|NULL", "4|NULL|NULL")
				o.write(t, "1", strings.Replace(same, `"x"`, `"y"`, 1), "2", `{"a":"x","n":2}`)
				equal(t, server, "SELECT id, a FROM items ORDER BY id", "1|y", "2|x", "3|NULL", "4|NULL")
			})
		}
	}
}

// A trigger of a person's own may take equal for the same.
func TestARowThatATriggerTakesForEqualIsWritten(t *testing.T) {
	t.Parallel()
	server, d := open(t, `CREATE TABLE items (id bigint PRIMARY KEY, n numeric, b jsonb, f double precision);
CREATE FUNCTION spare() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new IS NOT DISTINCT FROM old THEN RETURN NULL; END IF; RETURN new; END $$;
CREATE TRIGGER spare BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION spare()`)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"n":1.0,"b":{"x":1.0},"f":0}`, "2", `{"n":1}`)
	o.write(t, "1", `{"n":1.00,"b":{"x":1},"f":-0.0}`, "2", `{"n":1.0}`)
	equal(t, server, "SELECT id, n, b FROM items ORDER BY id", `1|1.0|{"x": 1.0}`, "2|1|NULL")
}

// Rows of tables that inherit are others'. A child may come at any moment.
func TestAChildThatCameLaterIsNotTouched(t *testing.T) {
	t.Parallel()
	server, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, a text, b text)")
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"x","b":"x"}`)
	server.Exec(t, "CREATE TABLE child () INHERITS (items); INSERT INTO child VALUES (1, 'child', 'child'), (2, 'child', 'child'), (3, 'child', 'child')")
	o.write(t, "1", `{"a":"y"}`, "2", "", "3", `{"a":"y"}`)
	o.write(t, "3", `{}`, "1", "")
	equal(t, server, "SELECT id, a FROM ONLY items ORDER BY id", "3|y")
	equal(t, server, "SELECT id, a FROM child ORDER BY id", "1|child", "2|child", "3|child")
}

// A value, or a trigger, may use the words of what the statements say themselves.
func TestWordsOfADocumentAreNotTakenForTheStatements(t *testing.T) {
	t.Parallel()
	for _, words := range []string{"writebehind: rows that were written: 1", "writebehind: a row that was kept: 1"} {
		_, d := open(t, `CREATE TABLE items (id bigint PRIMARY KEY, n integer[], a text);
CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.a IS NOT NULL THEN RAISE EXCEPTION '%', new.a; END IF; RETURN new; END $$;
CREATE TRIGGER raise BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION raise()`)
		o := own(t, d, readTable(t, d, mapping("items")), 0)
		for document, state := range map[string]string{`{"n":["` + words + `"]}`: "22P02", `{"a":"` + words + `"}`: "P0001"} {
			if e := o.refuse(t, "1", document); e.Kind != entry.Row || e.SQLSTATE != state || !strings.Contains(e.Detail(), words) {
				t.Errorf("Write = %v, %v (%s); want the row's own fault, SQLSTATE %s", e.Kind, e, e.Detail(), state)
			}
		}
		if o.table.comparing.Load() {
			t.Error("the table gets slower statements for it")
		}
	}
}
