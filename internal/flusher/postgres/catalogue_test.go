// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

func TestTablesThatDoNotFit(t *testing.T) {
	t.Parallel()
	server, d := open(t, "")
	column := func(field, name string) []config.Column { return []config.Column{{Field: field, Column: name}} }
	for name, test := range map[string]struct {
		schema  string
		table   string
		columns []config.Column
		says    string
	}{
		"a schema that does not exist": {"", "none.items", nil, "schema none of table none.items does not exist"},
		"a table that does not exist":  {"", "public.absent", nil, "mapping products: table public.absent does not exist: create it"},
		"a name of another case":       {`CREATE TABLE "Cased" (id bigint PRIMARY KEY)`, "cased", nil, "table cased does not exist, but public.Cased does: upper and lower case count"},
		"a database before the schema": {"", "shop.public.items", nil, "table is schema.table, without the name of the database"},
		"a view":                       {"CREATE VIEW a_view AS SELECT 1 AS id", "a_view", nil, "is a view"},
		"a materialized view":          {"CREATE MATERIALIZED VIEW a_mat AS SELECT 1 AS id", "a_mat", nil, "is a view"},
		"an index":                     {"CREATE TABLE indexed (id bigint CONSTRAINT an_index PRIMARY KEY)", "an_index", nil, "does not exist"},
		"a table with children":        {"CREATE TABLE parent (id bigint PRIMARY KEY); CREATE TABLE child () INHERITS (parent)", "parent", nil, `children that inherit from it, as child does`},
		"no key column":                {"CREATE TABLE no_key (a text)", "no_key", nil, "has no column id"},
		"a key that is not unique":     {"CREATE TABLE plain (id bigint)", "plain", nil, `ALTER TABLE "public"."plain" ADD PRIMARY KEY ("id")`},
		"a key unique only with others": {
			"CREATE TABLE pair_key (id bigint, a text, PRIMARY KEY (id, a))", "pair_key", nil,
			"has no unique index of its own",
		},
		"a primary key of several columns": {
			"CREATE TABLE shared (tenant bigint, id bigint, PRIMARY KEY (tenant, id))", "shared", nil,
			"its primary key is of several columns (tenant, id), and a key of several columns is not supported: name a column that is unique by itself",
		},
		"a rule for UPDATE": {
			"CREATE TABLE ruled (id bigint PRIMARY KEY); CREATE RULE \"Kept\" AS ON UPDATE TO ruled DO ALSO NOTHING; ALTER TABLE ruled DISABLE RULE \"Kept\"", "ruled", nil,
			`run as an administrator: DROP RULE "Kept" ON "public"."ruled";`,
		},
		"a rule for INSERT": {
			"CREATE TABLE instead (id bigint PRIMARY KEY); CREATE RULE r AS ON INSERT TO instead WHERE new.id < 0 DO INSTEAD NOTHING", "instead", nil,
			`table instead has a rule for INSERT or UPDATE (r)`,
		},
		"a key that is unique in part":         {"CREATE TABLE partly (id bigint); CREATE UNIQUE INDEX ON partly (id) WHERE id > 0", "partly", nil, "has no unique index"},
		"a key whose expression is unique":     {"CREATE TABLE expressed (id bigint); CREATE UNIQUE INDEX ON expressed (abs(id))", "expressed", nil, "has no unique index"},
		"a key whose constraint is deferrable": {"CREATE TABLE deferred (id bigint UNIQUE DEFERRABLE)", "deferred", nil, "has a deferrable constraint"},
		"a numeric key":                        {"CREATE TABLE numbered (id numeric PRIMARY KEY)", "numbered", nil, "is of type numeric: its type must be one of smallint"},
		"a timestamp key":                      {"CREATE TABLE timed (id timestamptz PRIMARY KEY)", "timed", nil, "is of type timestamp with time zone"},
		"a char(n) key":                        {"CREATE TABLE padded (id char(5) PRIMARY KEY)", "padded", nil, "is of type character(5)"},
		"a key that ignores case":              {`CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE loosely (id text COLLATE loose PRIMARY KEY)`, "loosely", nil, "nondeterministic collation"},
		"a generated key":                      {"CREATE TABLE made (a integer, id integer GENERATED ALWAYS AS (a * 2) STORED UNIQUE)", "made", nil, "is generated"},
		"a column that does not exist":         {"CREATE TABLE few (id bigint PRIMARY KEY)", "few", column("x", "nope"), "table few has no column nope"},
		"a column that is generated":           {"CREATE TABLE computed (id bigint PRIMARY KEY, b bigint GENERATED ALWAYS AS (id) STORED)", "computed", column("b", "b"), "column b of table computed is generated"},
		"a column that is always an identity":  {"CREATE TABLE counted (id bigint PRIMARY KEY, n bigint GENERATED ALWAYS AS IDENTITY)", "counted", column("n", "n"), "is an identity"},
		"a column that was dropped":            {"CREATE TABLE dropped (id bigint PRIMARY KEY, b text); ALTER TABLE dropped DROP COLUMN b", "dropped", column("b", "b"), "has no column b"},
		"a system column":                      {"CREATE TABLE systemic (id bigint PRIMARY KEY)", "systemic", column("x", "xmin"), "has no column xmin"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.schema != "" {
				server.Exec(t, test.schema)
			}
			_, err := d.Table(t.Context(), mapping(test.table, test.columns...))
			var e *entry.Misfit
			if !errors.As(err, &e) || e.Reason != v1alpha1.ReasonSchemaMismatch || !strings.Contains(e.Message, test.says) {
				t.Errorf("Table = %v; want SchemaMismatch with %q", err, test.says)
			}
		})
	}
}

func TestTablesThatFit(t *testing.T) {
	t.Parallel()
	server, d := open(t, "")
	for name, test := range map[string]struct {
		schema  string
		table   string
		columns []config.Column
		want    []string
	}{
		"every column but the key, generated ones and identities": {
			"CREATE TABLE one (id bigint PRIMARY KEY, a text, b bigint GENERATED ALWAYS AS (id) STORED, c bigint GENERATED ALWAYS AS IDENTITY, d bigint GENERATED BY DEFAULT AS IDENTITY, gone text); ALTER TABLE one DROP COLUMN gone",
			"one", nil,
			[]string{"a", "d"},
		},
		"only the key":              {"CREATE TABLE two (id text PRIMARY KEY)", "two", nil, nil},
		"a unique index of its own": {"CREATE TABLE three (id uuid, a text); CREATE UNIQUE INDEX ON three (id) INCLUDE (a)", "three", nil, []string{"a"}},
		"the columns of the mapping": {
			"CREATE TABLE four (id bigint PRIMARY KEY, a text, b text, doc jsonb)", "public.four",
			[]config.Column{{Field: "$", Column: "doc"}, {Field: "title", Column: "a"}, {Field: "title", Column: "b"}},
			[]string{"doc", "a", "b"},
		},
		"a name that needs quotation marks": {`CREATE SCHEMA "S s"; CREATE TABLE "S s"."T.t" (id bigint PRIMARY KEY, "C c" text)`, "S s.T.t", nil, []string{"C c"}},
		"rules that do nothing": {
			"CREATE TABLE six (id bigint PRIMARY KEY); CREATE RULE a AS ON INSERT TO six DO ALSO NOTHING; CREATE RULE b AS ON INSERT TO six DO INSTEAD NOTHING; ALTER TABLE six DISABLE RULE b", "six", nil, nil,
		},
		"a key with an explicit collation": {`CREATE TABLE five (id varchar(9) COLLATE "C" PRIMARY KEY)`, "five", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server.Exec(t, test.schema)
			table := readTable(t, d, mapping(test.table, test.columns...))
			var got []string
			for _, c := range table.columns {
				got = append(got, c.name)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("The columns are %q; want %q", got, test.want)
			}
		})
	}
}

func TestPrivilegesOnTheTable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		grant   string
		columns []config.Column
		says    string
	}{
		"none at all":           {"REVOKE ALL ON SCHEMA shop FROM ROLE", nil, `GRANT USAGE ON SCHEMA "shop" TO ROLE; GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "shop"."items" TO ROLE;`},
		"only the schema":       {"", nil, `: GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE`},
		"no deletion":           {"GRANT SELECT, INSERT, UPDATE ON shop.items TO ROLE", nil, "GRANT DELETE ON TABLE"},
		"reading only":          {"GRANT SELECT ON shop.items TO ROLE", nil, "GRANT INSERT, UPDATE, DELETE ON TABLE"},
		"everything":            {"GRANT ALL ON shop.items TO ROLE", nil, ""},
		"by column, too few":    {"GRANT DELETE, SELECT ON shop.items TO ROLE; GRANT INSERT (id, a), UPDATE (a) ON shop.items TO ROLE", nil, "GRANT INSERT, UPDATE ON TABLE"},
		"by column, just right": {"GRANT DELETE, SELECT ON shop.items TO ROLE; GRANT INSERT (id, a), UPDATE (a) ON shop.items TO ROLE", []config.Column{{Field: "a", Column: "a"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := postgrestest.New(t)
			role, url := server.NewRole(t)
			server.Exec(t, strings.ReplaceAll("CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO ROLE; CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, b text); "+test.grant, "ROLE", role))
			server.Exec(t, strings.ReplaceAll("CREATE SCHEMA writebehind; GRANT ALL ON SCHEMA writebehind TO ROLE", "ROLE", role))
			d := openURL(t, url)
			table, err := d.Table(t.Context(), mapping("shop.items", test.columns...))
			if test.says == "" {
				if err != nil {
					t.Fatalf("Table = %v", err)
				}
				o := own(t, d, table, 0)
				o.write(t, "1", `{"a":"x"}`)
				o.write(t, "1", `{"a":"y"}`, "2", "")
				return
			}
			var e *entry.Misfit
			says := strings.ReplaceAll(test.says, "ROLE", `"`+role+`"`)
			if !errors.As(err, &e) || e.Reason != v1alpha1.ReasonPrivilegeMissing || !strings.Contains(e.Message, says) {
				t.Errorf("Table = %v; want PrivilegeMissing with %q", err, says)
			}
		})
	}
}
