// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// What a newer release lets a table have neither keeps rows out nor is written.
func TestTablesOfNewerReleasesTakeRows(t *testing.T) {
	t.Parallel()
	release := major(t, postgrestest.New(t))
	const (
		rooms   = "CREATE EXTENSION btree_gist; CREATE TABLE rooms (id bigint, at int4range, PRIMARY KEY (id, at WITHOUT OVERLAPS)); INSERT INTO rooms VALUES (7, '[1,9)'); "
		spares  = "CREATE TRIGGER spare BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); "
		columns = "CREATE TABLE items (id bigint PRIMARY KEY, a text, "
		virtual = columns + "g text GENERATED ALWAYS AS (a || 'g') VIRTUAL, b text)"
	)
	for name, test := range map[string]struct {
		since  int
		schema string
		// more is what documents name besides a.
		more string
	}{
		"a stored generated column":              {13, columns + "g text GENERATED ALWAYS AS (a || 'g') STORED)", `,"g":"z"`},
		"a virtual generated column":             {18, virtual, `,"g":"z"`},
		"a virtual one beside others":            {18, virtual, `,"g":"z","b":"y"`},
		"a virtual one that is checked":          {18, virtual + "; ALTER TABLE items ALTER g SET NOT NULL, ADD CHECK (g <> 'kept')", `,"g":null`},
		"a virtual one, and updates are spared":  {18, virtual + "; " + spares, `,"g":"z","b":"y"`},
		"a virtual one of a partitioned table":   {18, virtual + " PARTITION BY HASH (id); CREATE TABLE p (b text, a text, g text GENERATED ALWAYS AS ('p') VIRTUAL, id bigint NOT NULL); ALTER TABLE items ATTACH PARTITION p FOR VALUES WITH (MODULUS 1, REMAINDER 0)", `,"g":"z"`},
		"a check that is not enforced":           {18, columns + "b bigint, CHECK (b > 0) NOT ENFORCED)", `,"b":-1`},
		"a foreign key that is not enforced":     {18, "CREATE TABLE shelves (id bigint PRIMARY KEY); " + columns + "b bigint REFERENCES shelves NOT ENFORCED)", `,"b":1`},
		"rows refer to it without enforcement":   {18, columns + "b bigint); CREATE TABLE parts (item bigint REFERENCES items NOT ENFORCED); INSERT INTO parts VALUES (1), (2)", ""},
		"not null that is not valid yet":         {18, columns + "b text); INSERT INTO items VALUES (9); ALTER TABLE items ADD CONSTRAINT n NOT NULL b NOT VALID", `,"b":"x"`},
		"a key that is not null, not valid yet":  {18, "CREATE TABLE items (id bigint UNIQUE, a text); INSERT INTO items VALUES (NULL); ALTER TABLE items ADD CONSTRAINT n NOT NULL id NOT VALID", ""},
		"a constraint without overlaps":          {18, "CREATE EXTENSION btree_gist; " + columns + "room bigint, at int4range, UNIQUE (room, at WITHOUT OVERLAPS))", `,"room":7,"at":null`},
		"a primary key without overlaps":         {18, "CREATE EXTENSION btree_gist; CREATE TABLE items (id bigint UNIQUE, a text, at int4range, PRIMARY KEY (id, at WITHOUT OVERLAPS)); CREATE PUBLICATION p FOR TABLE items", `,"at":"[1,9)"`},
		"a foreign key of a period":              {18, rooms + columns + "room bigint, at int4range, FOREIGN KEY (room, PERIOD at) REFERENCES rooms)", `,"room":7,"at":"[2,3)"`},
		"a column with a method of compression":  {14, columns + "b text COMPRESSION pglz)", `,"b":"x"`},
		"an identity of a partitioned table":     {17, columns + "n bigint GENERATED ALWAYS AS IDENTITY) PARTITION BY HASH (id); CREATE TABLE p PARTITION OF items FOR VALUES WITH (MODULUS 1, REMAINDER 0)", `,"n":3`},
		"an expression that was given otherwise": {17, columns + "g text GENERATED ALWAYS AS (a) STORED); ALTER TABLE items ALTER g SET EXPRESSION AS (a || 'g')", `,"g":"z"`},
	} {
		if release < test.since {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, test.schema)
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			for _, a := range []string{"x", "y", "y"} {
				b := batch(t, o.table, "1", `{"a":"`+a+`"`+test.more+`}`, "3", `{"a":"`+a+`"`+strings.Replace(test.more, `"room":7`, `"room":null`, 1)+`}`)
				if b.Ignored() != 0 {
					t.Errorf("%d fields count as unknown", b.Ignored())
				}
				if outcome, err := d.Write(t.Context(), o.table, o.next(1), b); err != nil || outcome != entry.Committed {
					t.Fatalf("Write = %v, %v: %s", outcome, err, detail(err))
				}
			}
			o.write(t, "3", "", "1", `{"a":"z"}`)
			equal(t, server, "SELECT id, a FROM items WHERE id < 9", "1|z")
		})
	}
}

// What cannot be written to is found beforehand.
func TestTablesOfNewerReleasesThatDoNotFit(t *testing.T) {
	t.Parallel()
	release := major(t, postgrestest.New(t))
	for name, test := range map[string]struct {
		since   int
		schema  string
		columns []config.Column
		version string
		says    string
	}{
		"a virtual column that is listed": {18, "CREATE TABLE items (id bigint PRIMARY KEY, a text, g text GENERATED ALWAYS AS (a))", []config.Column{{Field: "g", Column: "g"}}, "", "column g of table items is generated: take it out"},
		"a virtual key":                   {18, "CREATE TABLE items (a bigint, id bigint GENERATED ALWAYS AS (a))", nil, "", "key column id of table items is generated"},
		"a virtual version":               {18, "CREATE TABLE items (id bigint PRIMARY KEY, a text, v bigint GENERATED ALWAYS AS (id))", nil, "v", "column v of table items is generated, so that it cannot take versions"},
		"a key without overlaps": {
			18, "CREATE EXTENSION btree_gist; CREATE TABLE items (id bigint, a text, at int4range, PRIMARY KEY (id, at WITHOUT OVERLAPS))", nil, "",
			"its primary key is of several columns (id, at), and a key of several columns is not supported",
		},
		"a unique key without overlaps": {
			18, "CREATE EXTENSION btree_gist; CREATE TABLE items (id bigint, a text, at int4range, UNIQUE (id, at WITHOUT OVERLAPS))", nil, "", "has no unique index of its own",
		},
		"a column that nothing feeds, not null though not valid yet": {
			18, "CREATE TABLE items (id bigint PRIMARY KEY, a text, b text); INSERT INTO items VALUES (9); ALTER TABLE items ADD CONSTRAINT n NOT NULL b NOT VALID",
			[]config.Column{{Field: "a", Column: "a"}},
			"", `ALTER COLUMN "b" DROP NOT NULL;`,
		},
	} {
		if release < test.since {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, d := open(t, test.schema)
			m := mapping("items", test.columns...)
			m.VersionColumn = test.version
			_, err := d.Table(t.Context(), m)
			var e *entry.Misfit
			if !errors.As(err, &e) || e.Reason != v1alpha1.ReasonSchemaMismatch || !strings.Contains(e.Message, test.says) {
				t.Errorf("Table = %v; want SchemaMismatch with %q", err, test.says)
			}
		})
	}
}

// What a newer kind of constraint refuses is the row's, and only that row is refused.
func TestRowsThatNewerReleasesRefuse(t *testing.T) {
	t.Parallel()
	release := major(t, postgrestest.New(t))
	const rooms = "CREATE EXTENSION btree_gist; CREATE TABLE rooms (id bigint, at int4range, PRIMARY KEY (id, at WITHOUT OVERLAPS)); INSERT INTO rooms VALUES (7, '[1,9)'); "
	for name, test := range map[string]struct {
		since     int
		schema    string
		good, bad string
		kind      entry.Kind
		state     string
		says      string
		known     bool
	}{
		"a range of another row's": {
			18, "CREATE EXTENSION btree_gist; CREATE TABLE items (id bigint PRIMARY KEY, room bigint, at int4range, UNIQUE (room, at WITHOUT OVERLAPS))",
			`{"room":7,"at":"[1,5)"}`, `{"room":7,"at":"[2,3)"}`, entry.Row, "23P01", "another row is in the way", false,
		},
		"a period that nothing covers": {
			18, rooms + "CREATE TABLE items (id bigint PRIMARY KEY, room bigint, at int4range, FOREIGN KEY (room, PERIOD at) REFERENCES rooms)",
			`{"room":7,"at":"[1,5)"}`, `{"room":7,"at":"[5,50)"}`, entry.Order, "23503", "refers to one that does not exist", false,
		},
		"a virtual column that gets null": {
			18, "CREATE TABLE items (id bigint PRIMARY KEY, a text, g text NOT NULL GENERATED ALWAYS AS (a) VIRTUAL, b text)", `{"a":"x","b":"x"}`, `{"a":null,"b":"x"}`, entry.Row, "23502", "must not be null", true,
		},
		"a virtual column that is checked": {
			18, "CREATE TABLE items (g text GENERATED ALWAYS AS (a) VIRTUAL CHECK (g <> 'bad'), id bigint PRIMARY KEY, a text)", `{"a":"x"}`, `{"a":"bad"}`, entry.Row, "23514", "check constraint", true,
		},
		"not null that is not valid yet": {
			18, "CREATE TABLE items (id bigint PRIMARY KEY, a text, b text); ALTER TABLE items ADD CONSTRAINT n NOT NULL b NOT VALID", `{"a":"x","b":"x"}`, `{"a":"x","b":null}`, entry.Row, "23502", "must not be null", true,
		},
		"a second null": {15, "CREATE TABLE items (id bigint PRIMARY KEY, a text UNIQUE NULLS NOT DISTINCT)", `{"a":null}`, `{"a":null}`, entry.Row, "23505", "same unique value", false},
	} {
		if release < test.since {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, test.schema)
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			o.write(t, "1", test.good)
			b := batch(t, o.table, "1", test.good, "2", test.bad)
			_, err := d.Write(t.Context(), o.table, o.next(9), b)
			o.at.Flush--
			e, ok := err.(*Error) //nolint:errorlint // it is an *Error itself
			if !ok || e.Kind != test.kind || e.SQLSTATE != test.state || e.Unsettled || !e.AtRows || !strings.Contains(e.Message(), test.says) {
				t.Fatalf("Write = %v (%s); want %v, SQLSTATE %s, %q", err, detail(err), test.kind, test.state, test.says)
			}
			if s, ok := b.Suspect(fault(e)); ok != test.known || ok && s.Entry != 1 {
				t.Errorf("Suspect = %+v, %t; want the second entry: %t", s, ok, test.known)
			}
			o.write(t, "1", test.good)
			equal(t, server, "SELECT id FROM items", "1")
		})
	}
}

// A row that others refer to is kept with the words for that, also where they refer to it
// by a period, which there are from 18 on.
func TestARowWhosePeriodOthersReferTo(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	if major(t, server) >= 18 {
		server.Exec(t, `CREATE EXTENSION btree_gist; CREATE TABLE items (id bigint UNIQUE, a text, at int4range, PRIMARY KEY (id, at WITHOUT OVERLAPS));
CREATE TABLE parts (item bigint, at int4range, FOREIGN KEY (item, PERIOD at) REFERENCES items)`)
	} else {
		server.Exec(t, `CREATE TABLE items (id bigint UNIQUE, a text, at int4range, PRIMARY KEY (id, at));
CREATE TABLE parts (item bigint, at int4range, FOREIGN KEY (item, at) REFERENCES items)`)
	}
	server.Exec(t, `INSERT INTO items VALUES (1, 'x', '[2,3)'); INSERT INTO parts VALUES (1, '[2,3)')`)
	d := openURL(t, server.URL())
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	if e := o.refuse(t, "1", ""); e.Kind != entry.Order || e.SQLSTATE != "23503" || !strings.Contains(e.Message(), "refer to the row, which is to be deleted") {
		t.Errorf("Write = %v, %v", e.Kind, e)
	}
	o.write(t, "1", `{"a":"y"}`)
	equal(t, server, "SELECT id, a FROM items", "1|y")
}
