// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

func TestAMappingOfEachEncodingIsHeldAgainstItsTable(t *testing.T) {
	t.Parallel()
	const pair = "PRIMARY KEY (board, player)"
	for name, test := range map[string]struct {
		schema  string
		mapping config.Mapping
		// says is empty where the table fits.
		says string
	}{
		"a board":             {boardSchema, boards("items"), ""},
		"a unique constraint": {"CREATE TABLE items (n bigserial PRIMARY KEY, player text, board text, score real, UNIQUE (player, board))", boards("items"), ""},
		"an index with a column on board": {
			"CREATE TABLE items (board text, player text, score real); CREATE UNIQUE INDEX ON items (board, player) INCLUDE (score)", boards("items"), "",
		},
		"no index": {
			"CREATE TABLE items (board text, player text, score real)", boards("items"),
			`key column board and member column player of table items have no unique index of the two (not partial, not deferrable): run as an administrator: ALTER TABLE "public"."items" ADD PRIMARY KEY ("board", "player");`,
		},
		"an index of three": {
			"CREATE TABLE items (board text, player text, score real, PRIMARY KEY (board, player, score))", boards("items"),
			`ALTER TABLE "public"."items" ADD UNIQUE ("board", "player");`,
		},
		"a partial index": {
			"CREATE TABLE items (board text, player text, score real); CREATE UNIQUE INDEX ON items (board, player) WHERE score > 0", boards("items"), "no unique index of the two",
		},
		"a deferrable constraint": {
			"CREATE TABLE items (board text, player text, score real, " + pair + " DEFERRABLE)", boards("items"),
			`have a deferrable constraint, which an upsert cannot go by: run as an administrator: ALTER TABLE "public"."items" DROP CONSTRAINT items_pkey, ADD PRIMARY KEY ("board", "player");`,
		},
		"a key that is unique by itself": {
			"CREATE TABLE items (board text PRIMARY KEY, player text, score real, UNIQUE (board, player))", boards("items"),
			`key column board of table items is unique by itself, so that a key can have one row, and a key of encoding SortedSet has a row for each member: make a table whose primary key is ("board", "player")`,
		},
		"a table cut by another column": {
			"CREATE TABLE items (board text, player text, score real) PARTITION BY HASH (score)", boards("items"), "is partitioned by HASH (score), so that its key column board and its member column player cannot be unique together",
		},
		"no member column":           {"CREATE TABLE items (board text PRIMARY KEY, score real)", boards("items"), "table items has no column player: add it or correct the mapping's memberColumn"},
		"a member of another type":   {"CREATE TABLE items (board text, player bytea, score real, " + pair + ")", boards("items"), "member column player of table items is of type bytea: its type must be one of"},
		"a member without case":      {"CREATE COLLATION nocase (provider = icu, locale = 'und', deterministic = false); CREATE TABLE items (board text, player text COLLATE nocase, score real, " + pair + ")", boards("items"), "member column player of table items has a nondeterministic collation"},
		"a generated member":         {"CREATE TABLE items (board text, player text GENERATED ALWAYS AS ('x') STORED, score real, " + pair + ")", boards("items"), "member column player of table items is generated"},
		"no score column":            {"CREATE TABLE items (board text, player text, " + pair + ")", boards("items"), "table items has no column score: add it or correct the mapping's scoreColumn"},
		"a score that is a text":     {"CREATE TABLE items (board text, player text, score text, " + pair + ")", boards("items"), "column score of table items is of type text: the type of a scoreColumn must be one of smallint, integer, bigint, numeric, real, double precision"},
		"a generated score":          {"CREATE TABLE items (board text, player text, score integer GENERATED ALWAYS AS IDENTITY, " + pair + ")", boards("items"), "column score of table items is generated, so that it cannot take numbers: name another scoreColumn"},
		"a column that nothing sets": {"CREATE TABLE items (board text, player text, score real, at date NOT NULL, " + pair + ")", boards("items"), "so that every new row is refused: give it a default, or let it be null: run as"},
		"a number":                   {numberSchema, counters("items"), ""},
		"no value column":            {"CREATE TABLE items (id text PRIMARY KEY)", counters("items"), "table items has no column n: add it or correct the mapping's valueColumn"},
		"money":                      {"CREATE TABLE items (id text PRIMARY KEY, n money)", counters("items"), "column n of table items is of type money: the type of a valueColumn must be one of"},
		"a domain over a number":     {"CREATE DOMAIN points AS integer CHECK (VALUE >= 0); CREATE TABLE items (id text PRIMARY KEY, n points)", counters("items"), ""},
		"a stream":                   {streamSchema, streams("items"), ""},
		"a stream's id as a number":  {"CREATE TABLE items (source text, id bigint, PRIMARY KEY (source, id))", streams("items"), "id column id of table items is of type bigint: its type must be text or varchar, since an id is a text such as 1526919030474-55"},
		"a stream's id by itself":    {"CREATE TABLE items (source text, id text PRIMARY KEY)", streams("items"), "key column source and id column id of table items have no unique index of the two"},
		"a hash":                     {"CREATE TABLE items (id text PRIMARY KEY, a text)", hashes("items"), ""},
		"a hash without its key":     {"CREATE TABLE items (id text, a text)", hashes("items"), `ADD PRIMARY KEY ("id")`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, test.schema)
			check := preflight(t, d, test.mapping)
			if test.says == "" {
				if !check.OK {
					t.Errorf("the table does not fit: %s", check.Message)
				}
				return
			}
			failing(t, check, v1alpha1.ReasonSchemaMismatch, test.says)
			for range mostRemedies {
				if check.OK || remedyPattern.FindString(check.Message) == "" {
					return
				}
				server.Exec(t, remedyIn(t, check.Message))
				check = preflight(t, d, test.mapping)
			}
			t.Errorf("after %d remedies: %s", mostRemedies, check.Message)
		})
	}
}

func TestPrivilegesOfEachEncoding(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		schema  string
		mapping config.Mapping
		lacks   string
	}{
		"a board":  {boardSchema, boards("items"), "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE"},
		"a stream": {streamSchema, streams("items"), "GRANT SELECT, INSERT ON TABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := postgrestest.New(t)
			role, url := server.NewRole(t)
			server.Exec(t, test.schema+"; GRANT CREATE ON DATABASE "+server.Name()+" TO "+role)
			d := openURL(t, url)
			check := preflight(t, d, test.mapping)
			failing(t, check, v1alpha1.ReasonPrivilegeMissing, test.lacks)
			server.Exec(t, remedyIn(t, check.Message))
			if check := preflight(t, d, test.mapping); !check.OK {
				t.Errorf("after the remedy: %s", check.Message)
			}
			// The column of the member counts, too.
			member := map[string]string{"a board": "player", "a stream": "id"}[name]
			server.Exec(t, "REVOKE ALL ON items FROM "+role+"; GRANT SELECT, UPDATE, DELETE ON items TO "+role)
			for _, column := range server.Column(t, "SELECT attname FROM pg_attribute WHERE attrelid = 'items'::regclass AND attnum > 0") {
				if column != member {
					server.Exec(t, "GRANT INSERT ("+column+") ON items TO "+role)
				}
			}
			failing(t, preflight(t, d, test.mapping), v1alpha1.ReasonPrivilegeMissing, "GRANT INSERT ON TABLE")
		})
	}
}

func TestATableThatLosesItsPairIsAltered(t *testing.T) {
	t.Parallel()
	server, o := openEncoded(t, boardSchema, boards("items"))
	server.Exec(t, "ALTER TABLE items DROP CONSTRAINT items_pkey, ALTER COLUMN score TYPE numeric")
	outcome, err := o.d.Write(t.Context(), o.table, o.next(1), o.entries(t, setMember("b", "m", "1")))
	if outcome != entry.Altered || err != nil {
		t.Errorf("Write = %v, %v; want Altered", outcome, err)
	}
}
