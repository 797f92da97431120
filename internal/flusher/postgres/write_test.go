// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

const itemSchema = `CREATE TABLE items (id bigint PRIMARY KEY, a text, b integer DEFAULT 7, c jsonb)`

// openItems gives a database with the table items and an owner of a partition.
func openItems(t *testing.T) (*postgrestest.Database, *Database, *owner) {
	t.Helper()
	server, d := open(t, itemSchema)
	return server, d, own(t, d, readTable(t, d, mapping("items")), 0)
}

const allItems = "SELECT id, a, b, c FROM items ORDER BY id"

func TestWriteCarriesRows(t *testing.T) {
	t.Parallel()
	full := func(a, b, c string) string { return fmt.Sprintf(`{"a":%s,"b":%s,"c":%s}`, a, b, c) }
	for name, test := range map[string]struct {
		batches [][]string
		want    []string
	}{
		"new rows are inserted and old ones updated": {
			[][]string{{"1", full(`"x"`, "1", "{}"), "2", full(`"y"`, "2", "[]")}, {"2", full(`"z"`, "3", "1")}},
			[]string{"1|x|1|{}", "2|z|3|1"},
		},
		"a null is stored as null": {
			[][]string{{"1", full(`"x"`, "1", "1")}, {"1", full("null", "null", "null")}},
			[]string{"1|NULL|NULL|NULL"},
		},
		"a deletion removes the row, and one that is not there does no harm": {
			[][]string{{"1", full(`"x"`, "1", "1"), "2", full(`"y"`, "1", "1")}, {"1", "", "9", ""}},
			[]string{"2|y|1|1"},
		},
		"a column that is not named keeps its value, and gets its default in a new row": {
			[][]string{{"1", full(`"x"`, "1", "1")}, {"1", `{"a":"y"}`, "2", `{"a":"z"}`, "3", `{"b":5,"c":2}`, "4", full(`"w"`, "4", "4")}},
			[]string{"1|y|1|1", "2|z|7|NULL", "3|NULL|5|2", "4|w|4|4"},
		},
		"a document that names no column makes the row and changes nothing": {
			[][]string{{"1", full(`"x"`, "1", "1")}, {"1", "{}", "2", "{}"}},
			[]string{"1|x|1|1", "2|NULL|7|NULL"},
		},
		"of several entries with one key the last one counts": {
			[][]string{{"1", full(`"x"`, "1", "1"), "2", `{"a":"y"}`, "1", `{"a":"last"}`, "3", `{"a":"z"}`, "3", "", "2", ""}},
			[]string{"1|last|7|NULL"},
		},
		"the document's own key field is ignored": {
			[][]string{{"1", `{"id":99,"a":"x","b":1,"c":1}`}},
			[]string{"1|x|1|1"},
		},
		"an empty batch moves only the ledger": {
			[][]string{{}, {"1", full(`"x"`, "1", "1")}, {}},
			[]string{"1|x|1|1"},
		},
		"the extremes of the key's type are keys": {
			[][]string{{"9223372036854775807", full(`"max"`, "1", "1"), "-9223372036854775808", full(`"min"`, "1", "1"), "0", full(`"0"`, "1", "1")}},
			[]string{"-9223372036854775808|min|1|1", "0|0|1|1", "9223372036854775807|max|1|1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d, o := openItems(t)
			for _, pairs := range test.batches {
				o.write(t, pairs...)
			}
			equal(t, server, allItems, test.want...)
			l := ledgerOf(t, d, 0)
			if n := int64(len(test.batches)); l.Flush != n || l.Shard != n || l.Queue != n {
				t.Errorf("Ledger = %+v; want flush and position %d", l, n)
			}
		})
	}
}

func TestWriteOfManySetsOfColumns(t *testing.T) {
	t.Parallel()
	var columns, pairs, want []string
	for i := range 12 {
		columns = append(columns, fmt.Sprintf("c%d integer", i))
	}
	// Every row names the columns of its number's bits.
	for row := range 400 {
		var fields []string
		values := []string{fmt.Sprint(row)}
		for i := range 12 {
			if row*11&(1<<i) != 0 {
				fields = append(fields, fmt.Sprintf(`"c%d":%d`, i, row))
				values = append(values, fmt.Sprint(row))
			} else {
				values = append(values, "NULL")
			}
		}
		pairs = append(pairs, fmt.Sprint(row), "{"+strings.Join(fields, ",")+"}")
		want = append(want, strings.Join(values, "|"))
	}
	server, d := open(t, "CREATE TABLE wide (id integer PRIMARY KEY, "+strings.Join(columns, ", ")+")")
	o := own(t, d, readTable(t, d, mapping("wide")), 0)
	o.write(t, pairs...)
	o.write(t, pairs...)
	equal(t, server, "SELECT * FROM wide ORDER BY id", want...)
}

func TestWriteReusesABatch(t *testing.T) {
	t.Parallel()
	server, d, o := openItems(t)
	b := o.table.NewBatch()
	for round := range int64(3) {
		b.Reset()
		for key := range 5 {
			document := fmt.Sprintf(`{"a":"round %d"}`, round)
			if err := b.Set(fmt.Sprint(key), []byte(document)); err != nil {
				t.Fatal(err)
			}
		}
		if outcome, err := d.Write(t.Context(), o.table, o.next(round), b); outcome != entry.Committed {
			t.Fatalf("Write = %v, %v", outcome, err)
		}
	}
	equal(t, server, "SELECT DISTINCT a, count(*) FROM items GROUP BY a", "round 2|5")
}

func TestWriteMovesAUniqueValueFromADeletedRow(t *testing.T) {
	t.Parallel()
	server, d := open(t, "CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE)")
	o := own(t, d, readTable(t, d, mapping("users")), 0)
	o.write(t, "2", `{"email":"x"}`)
	o.write(t, "1", `{"email":"x"}`, "2", "")
	equal(t, server, "SELECT id, email FROM users", "1|x")
}

func TestWriteAnswersOfTheLedger(t *testing.T) {
	t.Parallel()
	const document = `{"a":"new","b":1,"c":1}`
	for name, test := range map[string]struct {
		// change alters the place, or the world, after the first batch.
		change  func(*testing.T, *postgrestest.Database, *Database, *entry.Place)
		outcome entry.Commit
		err     error
	}{
		"the same batch again is already committed": {
			func(_ *testing.T, _ *postgrestest.Database, _ *Database, at *entry.Place) { at.Flush-- },
			entry.AlreadyCommitted, nil,
		},
		"after another acquisition it is fenced": {
			func(t *testing.T, _ *postgrestest.Database, d *Database, at *entry.Place) {
				if _, err := d.Acquire(t.Context(), at.Incarnation, at.Queue, at.Partition); err != nil {
					t.Fatal(err)
				}
			},
			entry.Fenced, nil,
		},
		"the same batch again is fenced after another acquisition": {
			func(t *testing.T, _ *postgrestest.Database, d *Database, at *entry.Place) {
				at.Flush--
				if _, err := d.Acquire(t.Context(), at.Incarnation, at.Queue, at.Partition); err != nil {
					t.Fatal(err)
				}
			},
			entry.Fenced, nil,
		},
		"after the first acquisition of another journal it is fenced": {
			func(t *testing.T, _ *postgrestest.Database, d *Database, at *entry.Place) {
				if _, err := d.Acquire(t.Context(), "j2", at.Queue, 77); err != nil {
					t.Fatal(err)
				}
			},
			entry.Fenced, nil,
		},
		"without its ledger row it is fenced": {
			func(t *testing.T, server *postgrestest.Database, _ *Database, _ *entry.Place) {
				server.Exec(t, "DELETE FROM writebehind.ledger")
			},
			entry.Fenced, nil,
		},
		"a batch that skips a number is out of step": {
			func(_ *testing.T, _ *postgrestest.Database, _ *Database, at *entry.Place) { at.Flush++ },
			0, ErrLedgerOutOfStep,
		},
		"an older batch is out of step": {
			func(_ *testing.T, _ *postgrestest.Database, _ *Database, at *entry.Place) { at.Flush -= 2 },
			0, ErrLedgerOutOfStep,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d, o := openItems(t)
			o.write(t, "1", `{"a":"old","b":1,"c":1}`)
			o.write(t, "2", `{"a":"old","b":1,"c":1}`)
			at := o.next(5)
			test.change(t, server, d, &at)
			outcome, err := d.Write(t.Context(), o.table, at, batch(t, o.table, "1", document, "2", "", "3", document))
			if outcome != test.outcome || !errors.Is(err, test.err) {
				t.Errorf("Write = %v, %v; want %v, %v", outcome, err, test.outcome, test.err)
			}
			equal(t, server, "SELECT id, a FROM items ORDER BY id", "1|old", "2|old")
		})
	}
}

func TestWriteIsAllOrNothing(t *testing.T) {
	t.Parallel()
	server, d, o := openItems(t)
	o.write(t, "1", `{"a":"old"}`, "2", `{"a":"old"}`)
	e := o.refuse(t, "1", `{"a":"new"}`, "2", "", "3", `{"b":"not a number"}`)
	if e.Kind != entry.Row || e.SQLSTATE != "22P02" || e.Unsettled {
		t.Errorf("Write = %+v; want a settled error of a row", e)
	}
	equal(t, server, "SELECT id, a FROM items ORDER BY id", "1|old", "2|old")
	// The place is free for another batch, on the same connection.
	o.write(t, "1", `{"a":"new"}`)
	if n := d.pool.Stat().NewConnsCount(); n != 1 {
		t.Errorf("%d connections were made; want the one that was there", n)
	}
	if d.pool.Stat().AcquiredConns() != 0 {
		t.Error("A connection was not given back")
	}
}

func TestWriteErrorsTellTheirKindAndNoValue(t *testing.T) {
	t.Parallel()
	const secret = "S3cretValue"
	schema := `
CREATE TABLE parents (id bigint PRIMARY KEY);
CREATE TABLE items (
  id bigint PRIMARY KEY, a text, b integer, short varchar(5), price numeric(6,2), must text DEFAULT 'x' NOT NULL,
  mail text UNIQUE, parent bigint REFERENCES parents, positive integer CONSTRAINT positive_only CHECK (positive > 0));
INSERT INTO items (id, mail) VALUES (100, 'S3cretValue');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF new.a LIKE 'refuse%' THEN RAISE EXCEPTION 'no % here', new.a; END IF;
  IF new.a LIKE 'slow%' THEN PERFORM pg_sleep(3600); END IF;
  IF new.a LIKE 'lock%' THEN LOCK TABLE parents NOWAIT; END IF;
  RETURN new; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION refuse()`
	for name, test := range map[string]struct {
		document string
		timeout  time.Duration
		state    string
		kind     entry.Kind
		names    string
	}{
		"a value that does not fit":       {`{"b":"S3cretValue"}`, 0, "22P02", entry.Row, ""},
		"a fraction for an integer":       {`{"b":1.5,"a":"S3cretValue"}`, 0, "22P02", entry.Row, ""},
		"a number out of range":           {`{"b":99999999999}`, 0, "22003", entry.Row, ""},
		"a numeric out of range":          {`{"price":123456789}`, 0, "22003", entry.Row, ""},
		"a text too long is not cut":      {`{"short":"S3cretValue"}`, 0, "22001", entry.Row, ""},
		"a null where none may be":        {`{"must":null,"a":"S3cretValue"}`, 0, "23502", entry.Row, "must"},
		"a unique value twice":            {`{"mail":"S3cretValue"}`, 0, "23505", entry.Row, "items_mail_key"},
		"a check":                         {`{"positive":-5,"a":"S3cretValue"}`, 0, "23514", entry.Row, "positive_only"},
		"a reference to nothing":          {`{"parent":5}`, 0, "23503", entry.Order, "items_parent_fkey"},
		"a trigger's refusal":             {`{"a":"refuse S3cretValue"}`, 0, "P0001", entry.Row, ""},
		"a statement that takes too long": {`{"a":"slow"}`, time.Second, "57014", entry.TooHeavy, ""},
		"a lock that another session has": {`{"a":"lock"}`, 0, "55P03", entry.Locked, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, schema, func(s *Settings) {
				if test.timeout > 0 {
					s.StatementTimeout = test.timeout
				}
			})
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			unlock := func() {}
			if strings.Contains(test.document, "lock") {
				tx, err := server.Pool().Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
				unlock = func() { _ = tx.Rollback(t.Context()) }
				if _, err := tx.Exec(t.Context(), "LOCK TABLE parents"); err != nil {
					t.Fatal(err)
				}
			}
			e := o.refuse(t, "1", test.document)
			if e.SQLSTATE != test.state || e.Kind != test.kind || e.Unsettled {
				t.Errorf("Write = %+v; want SQLSTATE %s and kind %v", e, test.state, test.kind)
			}
			if strings.Contains(e.Error(), secret) || !strings.Contains(e.Error(), test.state) || !strings.Contains(e.Error(), test.names) {
				t.Errorf("Error = %q; want %s and %q, and no value", e, test.state, test.names)
			}
			if e.Detail() == "" {
				t.Error("Detail is empty; want what PostgreSQL said")
			}
			unlock()
			o.write(t, "1", `{"a":"fine"}`)
		})
	}
}

func TestWriteTellsAFaultOfTheMappingFromOneOfARow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change string
		state  string
		kind   entry.Kind
		reason string
	}{
		"the unique index is gone": {"ALTER TABLE items DROP CONSTRAINT items_pkey", "42P10", entry.Mapping, v1alpha1.ReasonSchemaMismatch},
		"UPDATE is revoked":        {"REVOKE UPDATE ON items FROM public", "42501", entry.Mapping, v1alpha1.ReasonPrivilegeMissing},
		"INSERT is revoked":        {"REVOKE INSERT ON items FROM public", "42501", entry.Mapping, v1alpha1.ReasonPrivilegeMissing},
		"SELECT is revoked":        {"REVOKE SELECT ON items FROM public", "42501", entry.Mapping, v1alpha1.ReasonPrivilegeMissing},
		"DELETE is revoked":        {"REVOKE DELETE ON items FROM public", "42501", entry.Mapping, v1alpha1.ReasonPrivilegeMissing},
		"every privilege is gone":  {"REVOKE ALL ON items FROM public", "42501", entry.Mapping, v1alpha1.ReasonPrivilegeMissing},
		"a default's is revoked":   {"REVOKE ALL ON SEQUENCE q FROM public", "42501", entry.Mapping, v1alpha1.ReasonPrivilegeMissing},
		"a policy refuses the row": {"ALTER TABLE items ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON items USING (true) WITH CHECK (b > 5)", "42501", entry.Row, v1alpha1.ReasonStatementFailed},
		"the ledger is gone":       {"DROP TABLE writebehind.ledger", "42P01", entry.Transient, v1alpha1.ReasonSchemaMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := asPlainRole(t, itemSchema+"; CREATE SEQUENCE q; GRANT ALL ON SEQUENCE q TO public; ALTER TABLE items ADD d bigint DEFAULT nextval('q')")
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			server.Exec(t, test.change)
			pairs := []string{"1", `{"a":"x","b":1,"c":1}`}
			if strings.HasPrefix(name, "DELETE") {
				pairs = []string{"1", ""}
			}
			e := o.refuse(t, pairs...)
			if e.SQLSTATE != test.state || e.Kind != test.kind || e.Reason() != test.reason || e.Unsettled {
				t.Errorf("Write = %+v (%s); want %s, %v, %s", e, e.Detail(), test.state, test.kind, test.reason)
			}
		})
	}
}

// A trigger may refuse one row with any SQLSTATE: the others must get through.
func TestATriggerThatRefusesOneRowIsNoFaultOfTheMapping(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	server.Exec(t, itemSchema+`; GRANT ALL ON items TO public; CREATE TABLE forbidden (x integer);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF new.a = 'read' THEN PERFORM x FROM forbidden; END IF;
  IF new.a <> 'fine' THEN RAISE EXCEPTION 'refused' USING ERRCODE = new.a; END IF;
  RETURN new; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION refuse()`)
	ready(t, openURL(t, server.URL()))
	server.Exec(t, "GRANT USAGE ON SCHEMA writebehind TO public; GRANT ALL ON writebehind.ledger TO public")
	_, url := server.NewRole(t)
	d := openURL(t, url)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	for document, state := range map[string]string{
		"42501": "42501", "55000": "55000", "0A000": "0A000", "42P01": "42P01", "42703": "42703", "42804": "42804",
		"3F000": "3F000", "28000": "28000", "read": "42501",
	} {
		e := o.refuse(t, "1", `{"a":"fine"}`, "2", `{"a":"`+document+`"}`)
		if e.Kind != entry.Row || e.SQLSTATE != state || e.Unsettled {
			t.Errorf("Write = %+v (%s); want SQLSTATE %s, settled, of a row", e, e.Detail(), state)
		}
		o.write(t, "1", `{"a":"fine"}`)
	}
}

func TestARowThatATriggerKeepsOutIsNotTakenForWritten(t *testing.T) {
	t.Parallel()
	server, d := open(t, itemSchema+`;
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF new.a = 'skip ' || tg_op THEN RETURN NULL; END IF;
  IF new.a = 'keep' AND tg_op = 'UPDATE' THEN RETURN old; END IF;
  RETURN new; END $$;
CREATE TRIGGER skip BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION skip()`)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"old"}`)
	for a, key := range map[string]string{"skip INSERT": "3", "skip UPDATE": "1"} {
		for _, pairs := range [][]string{
			{key, `{"a":"` + a + `"}`},
			{"0", `{"a":"new"}`, key, `{"a":"` + a + `"}`, "2", `{"a":"new"}`},
			{"0", `{"a":"new","b":1,"c":1}`, key, `{"a":"` + a + `","b":1,"c":1}`, "9", ""},
		} {
			e := o.refuse(t, pairs...)
			if e.Kind != entry.Row || e.Unsettled || !strings.Contains(e.Error(), "returning NULL") || e.Detail() != "" {
				t.Errorf("Write = %+v (%s); want a settled error of a row that names the trigger", e, e.Detail())
			}
			equal(t, server, "SELECT id, a FROM items", "1|old")
		}
	}
	o.write(t, "0", `{"a":"new"}`, "1", `{"a":"keep"}`, "2", `{"a":"new"}`)
	equal(t, server, "SELECT id, a FROM items ORDER BY id", "0|new", "1|old", "2|new")
}

func TestARowThatNeedsNoChangeIsWritten(t *testing.T) {
	t.Parallel()
	const trigger = `; CREATE TRIGGER redundant BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`
	for name, schema := range map[string]string{
		"table": itemSchema + trigger,
		"partitioned table": `CREATE TABLE items (id bigint PRIMARY KEY, a text) PARTITION BY RANGE (id);
CREATE TABLE items_low PARTITION OF items FOR VALUES FROM (0) TO (10)` + strings.ReplaceAll(trigger, "ON items", "ON items_low"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, schema)
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			for range 2 {
				o.write(t, "1", `{"a":"x"}`)
			}
			equal(t, server, "SELECT id, a FROM items", "1|x")
		})
	}
}

func TestARowThatAPolicyHidesIsNotTakenForWritten(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	server.Exec(t, itemSchema+"; GRANT ALL ON items TO public; INSERT INTO items VALUES (1, 'theirs'); ALTER TABLE items ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON items USING (a <> 'theirs')")
	ready(t, openURL(t, server.URL()))
	server.Exec(t, "GRANT USAGE ON SCHEMA writebehind TO public; GRANT ALL ON writebehind.ledger TO public")
	_, url := server.NewRole(t)
	d := openURL(t, url)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	if e := o.refuse(t, "1", `{"a":"mine"}`); e.Kind != entry.Row || e.Unsettled {
		t.Errorf("Write = %v (%s); want a settled error of a row", e, e.Detail())
	}
	o.write(t, "2", `{"a":"mine"}`)
}

func TestWriteWaitsForALockedTableOnlyShortly(t *testing.T) {
	t.Parallel()
	server, d := open(t, itemSchema, func(s *Settings) { s.StatementTimeout = 200 * time.Millisecond })
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	tx, err := server.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), "LOCK TABLE items"); err != nil {
		t.Fatal(err)
	}
	if e := o.refuse(t, "1", `{"a":"x"}`); e.Kind != entry.Locked || e.Unsettled {
		t.Errorf("Write = %v; want it to be settled and Locked", e)
	}
	if got := lockTimeout(30 * time.Second); got > 2*time.Second {
		t.Errorf("A lock is waited for up to %v; want at most 2 s", got)
	}
}

func TestWriteChecksDeferredConstraintsInside(t *testing.T) {
	t.Parallel()
	_, d := open(t, `CREATE TABLE parents (id bigint PRIMARY KEY);
CREATE TABLE items (id bigint PRIMARY KEY, parent bigint REFERENCES parents DEFERRABLE INITIALLY DEFERRED)`)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	e := o.refuse(t, "1", `{"parent":1}`)
	if e.Kind != entry.Order || e.Constraint != "items_parent_fkey" || e.Unsettled {
		t.Errorf("Write = %+v; want a settled error of order that names the constraint", e)
	}
	o.write(t, "1", `{"parent":null}`)
}

func TestWriteRefusesWhatIsTooHeavyOrForeign(t *testing.T) {
	t.Parallel()
	_, d, o := openItems(t)
	other := readTable(t, d, mapping("items"))
	if _, err := d.Write(t.Context(), other, o.next(1), o.table.NewBatch()); err == nil {
		t.Error("A batch of another table was written")
	}
	heavy := o.table.NewBatch()
	heavy.arena = make([]byte, heaviest+1)
	var e *Error
	if _, err := d.Write(t.Context(), o.table, o.next(1), heavy); !errors.As(err, &e) || e.Kind != entry.TooHeavy {
		t.Errorf("Write = %v; want TooHeavy", err)
	}
}

func TestWriteHandlesHostileNamesAndSearchPaths(t *testing.T) {
	t.Parallel()
	server, _ := open(t, `
CREATE SCHEMA "We.ird";
CREATE TYPE "We.ird"."Mo""od" AS ENUM ('good', 'bad');
CREATE TABLE "We.ird"."Ta""ble'; --" ("Ke""y" varchar(40) PRIMARY KEY, "Va'l ue" text, "select" integer, mood "We.ird"."Mo""od", "$1" text[]);
CREATE SCHEMA evil;
CREATE FUNCTION evil.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS $$ SELECT 'evil' $$;
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'epoch'::timestamptz $$;
CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'evil' $$;
CREATE FUNCTION evil.max(bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT 666::bigint $$;
CREATE DOMAIN evil.text AS integer;
CREATE DOMAIN evil.int8 AS boolean;
CREATE DOMAIN evil.varchar AS integer`)
	server.Exec(t, fmt.Sprintf("ALTER DATABASE %s SET search_path = evil, pg_catalog", server.Name()))
	d := openURL(t, server.URL(), func(s *Settings) { s.LedgerSchema = `Led"ger Schema` })
	m := mapping(`We.ird.x`)
	m.Table = `odd.Ta"ble'; --`
	server.Exec(t, `ALTER SCHEMA "We.ird" RENAME TO odd`)
	m.KeyColumn = `Ke"y`
	o := own(t, d, readTable(t, d, m), 0)
	o.write(t, "k1", `{"Va'l ue":"x","select":1,"mood":"good","$1":["a"]}`, "k2", `{"select":2}`)
	o.write(t, "k2", "")
	equal(t, server, `SELECT "Ke""y", "Va'l ue", "select", mood, "$1" FROM odd."Ta""ble'; --"`, "k1|x|1|good|{a}")
	if got := server.Value(t, `SELECT updated_at > '2020-01-01' FROM "Led""ger Schema".ledger`); got != "t" {
		t.Error("The ledger took its time from a function of the search path")
	}
}

func TestWriteToAPartitionedTable(t *testing.T) {
	t.Parallel()
	server, d := open(t, `CREATE TABLE items (id integer PRIMARY KEY, a text) PARTITION BY RANGE (id);
CREATE TABLE items_low PARTITION OF items FOR VALUES FROM (0) TO (10);
CREATE TABLE items_high PARTITION OF items FOR VALUES FROM (10) TO (20)`)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"x"}`, "11", `{"a":"y"}`)
	o.write(t, "1", `{"a":"z"}`, "11", "")
	equal(t, server, "SELECT id, a FROM items", "1|z")
}

func TestWriteToAnIdentityKey(t *testing.T) {
	t.Parallel()
	server, d := open(t, `CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text,
  n bigint GENERATED BY DEFAULT AS IDENTITY, twice text GENERATED ALWAYS AS (a || a) STORED)`)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "5", `{"a":"x","twice":"ignored","n":3}`)
	o.write(t, "5", `{"a":"y"}`)
	equal(t, server, "SELECT id, a, n, twice FROM items", "5|y|3|yy")
}

func TestWriteIsDurableWhateverTheRolesSettings(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	server.Exec(t, `CREATE TABLE items (id bigint PRIMARY KEY, a text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  new.a := concat_ws(' ', current_setting('synchronous_commit'), current_setting('statement_timeout'),
    current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'), current_setting('transaction_isolation'));
  RETURN new; END $$;
CREATE TRIGGER note BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION note()`)
	for _, setting := range []string{"synchronous_commit = off", "statement_timeout = 0", "default_transaction_isolation = serializable"} {
		server.Exec(t, "ALTER DATABASE "+server.Name()+" SET "+setting)
	}
	d := openURL(t, server.URL(), func(s *Settings) { s.StatementTimeout = 20 * time.Second })
	o := own(t, d, readTable(t, d, mapping("items", config.Column{Field: "a", Column: "a"})), 0)
	o.write(t, "1", `{"a":"x"}`)
	equal(t, server, "SELECT a FROM items", "on 20s 2s 20s read committed")
}
