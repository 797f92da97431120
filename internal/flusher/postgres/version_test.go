// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// versioned owns a table with a version column.
func versioned(t *testing.T, schema string) (func(sql string, want ...string), *owner) {
	t.Helper()
	server, d := open(t, schema)
	m := mapping("items")
	m.VersionColumn = "v"
	return func(sql string, want ...string) { t.Helper(); equal(t, server, sql, want...) }, own(t, d, readTable(t, d, m), 0)
}

// versionedSchema has a document's columns a and b, and keeps one row out.
const versionedSchema = `CREATE TABLE items (id bigint PRIMARY KEY, a text, v bigint, b integer);
INSERT INTO items VALUES (1, 'newer', 100, 1), (2, 'equal', 50, 2), (3, 'older', 10, 3), (4, 'none', NULL, 4);
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF new.a = 'skip' THEN RETURN NULL; END IF; RETURN new; END $$;
CREATE TRIGGER skip BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION skip()`

// versionedBatch makes a batch of which every entry has version 50.
func versionedBatch(t *testing.T, o *owner, pairs ...string) *Batch {
	t.Helper()
	b := batch(t, o.table, pairs...)
	for i := range b.rows {
		b.rows[i].version = 50
	}
	return b
}

func TestAVersionColumnGuardsEveryKindOfWrite(t *testing.T) {
	t.Parallel()
	const full, partial, nothing = `{"a":"x","b":7,"v":999,"id":9}`, `{"a":"x"}`, `{}`
	for name, document := range map[string]string{"full": full, "partial": partial, "nothing": nothing, "deletion": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			has, o := versioned(t, versionedSchema)
			pairs := []string{"4", document, "1", document, "3", document, "2", document, "5", document}
			b := versionedBatch(t, o, pairs...)
			_, err := o.d.Write(t.Context(), o.table, o.next(50), b)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != entry.Row || e.Unsettled || !slices.Equal(e.Stale, []int{1}) {
				t.Fatalf("Write = %v (%s); want entry 1 to be stale", err, detail(err))
			}
			o.at.Flush--
			has("SELECT id, v FROM items ORDER BY id", "1|100", "2|50", "3|10", "4|NULL")
			rest := versionedBatch(t, o, slices.Concat(pairs[:2], pairs[4:])...)
			if outcome, err := o.d.Write(t.Context(), o.table, o.next(50), rest); err != nil || outcome != entry.Committed {
				t.Fatalf("Write = %v, %v (%s)", outcome, err, detail(err))
			}
			if document == "" {
				has("SELECT id, v FROM items ORDER BY id", "1|100")
				return
			}
			has("SELECT id, v FROM items ORDER BY id", "1|100", "2|50", "3|50", "4|50", "5|50")
		})
	}
}

func TestStaleRowsAreToldApartInAMixedBatch(t *testing.T) {
	t.Parallel()
	has, o := versioned(t, versionedSchema+"; INSERT INTO items VALUES (6, 'newer', 100, 6), (7, 'newer', 100, 7)")
	b := versionedBatch(t, o, "1", `{"a":"x","b":1}`, "3", `{"a":"skip"}`, "6", `{"a":"x"}`, "7", "", "2", `{"a":"fine","b":2}`)
	_, err := o.d.Write(t.Context(), o.table, o.next(50), b)
	o.at.Flush--
	e, _ := errors.AsType[*Error](err)
	if e == nil {
		t.Fatalf("Write = %v; want an error", err)
	}
	slices.Sort(e.Stale)
	if !slices.Equal(e.Stale, []int{0, 2, 3}) {
		t.Fatalf("Write = %v (%s), stale %v; want 0, 2, 3", err, detail(err), e.Stale)
	}
	b = versionedBatch(t, o, "3", `{"a":"skip"}`, "2", `{"a":"fine","b":2}`)
	_, err = o.d.Write(t.Context(), o.table, o.next(50), b)
	o.at.Flush--
	e, _ = errors.AsType[*Error](err)
	if e == nil || e.Stale != nil || !strings.Contains(e.Error(), "returning NULL") {
		t.Fatalf("Write = %v; want the row that the trigger keeps out", err)
	}
	has("SELECT id, a FROM items ORDER BY id", "1|newer", "2|equal", "3|older", "4|none", "6|newer", "7|newer")
}

// What an error quotes may be a value of a document: it makes no other row stale.
func TestAValueThatReadsAsAShortfallMakesNothingStale(t *testing.T) {
	t.Parallel()
	_, o := versioned(t, versionedSchema)
	b := versionedBatch(t, o, "3", `{"b":"`+kept+`1"}`, "2", `{"b":5}`)
	_, err := o.d.Write(t.Context(), o.table, o.next(50), b)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != entry.Row || e.Stale != nil {
		t.Errorf("Write = %v; want an error of a row and nothing stale", err)
	}
}

func TestAVersionColumnHasToFit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ column, says string }{
		"none":        {"", `run as an administrator: ALTER TABLE "public"."items" ADD COLUMN "v" bigint;`},
		"an integer":  {", v integer", "must be of type bigint"},
		"a text":      {", v text", "must be of type bigint"},
		"a generated": {", v bigint GENERATED ALWAYS AS (1) STORED", "is generated"},
		"an identity": {", v bigint GENERATED ALWAYS AS IDENTITY", "is generated"},
		"a bigint":    {", v bigint NOT NULL", ""},
		"a domain":    {", v version", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, d := open(t, "CREATE DOMAIN version AS bigint; CREATE TABLE items (id bigint PRIMARY KEY, a text"+test.column+")")
			m := mapping("items")
			m.VersionColumn = "v"
			table, err := d.Table(t.Context(), m)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("Table = %v; want %q", err, test.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			o := own(t, d, table, 0)
			o.write(t, "1", `{"a":"x"}`, "2", `{}`)
			o.write(t, "1", "")
			if trial := d.Control(t.Context(), table, batch(t, table, "3", `{"a":"x"}`)); trial != entry.RowTaken {
				t.Errorf("Control = %v; want that the table takes its own row", trial)
			}
		})
	}
}

func TestTheRemedyForAVersionColumnHelps(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ columns, says string }{
		"missing":              {"", `has no column wb_version, the mapping's versionColumn: run as an administrator: ALTER TABLE "shop"."items" ADD COLUMN "wb_version" bigint;`},
		"of another case":      {`, "WB_version" bigint`, `ADD COLUMN "wb_version" bigint;`},
		"missing, with policy": {"); ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON shop.items USING (true", `ADD COLUMN "wb_version" bigint;`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mapping("shop.items")
			m.VersionColumn = "wb_version"
			remedied(t, m, "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text"+test.columns+")", v1alpha1.ReasonSchemaMismatch, test.says)
		})
	}
	// What no statement can be given for names the column, its type and what is allowed.
	for column, says := range map[string]string{
		"integer":                                "is of type integer: a versionColumn must be of type bigint; name another one",
		"numeric(20)":                            "is of type numeric(20,0): a versionColumn must be of type bigint",
		"timestamptz":                            "is of type timestamp with time zone: a versionColumn must be of type bigint",
		"text":                                   "is of type text: a versionColumn must be of type bigint",
		"bigint[]":                               "is of type bigint[]: a versionColumn must be of type bigint",
		"bigint GENERATED ALWAYS AS (id) STORED": "is generated, so that it cannot take versions: name another versionColumn",
		"bigint GENERATED ALWAYS AS IDENTITY":    "is generated, so that it cannot take versions: name another versionColumn",
	} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			_, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, a text, v "+column+")")
			m := mapping("items")
			m.VersionColumn = "v"
			failing(t, preflight(t, d, m), v1alpha1.ReasonSchemaMismatch, "column v of table items "+says)
		})
	}
}
