// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// What a publication makes PostgreSQL refuse has words, and statements that help.
func TestTheRemedyForAPublicationHelps(t *testing.T) {
	t.Parallel()
	release := major(t, postgrestest.New(t))
	const (
		items       = "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, b text); "
		loose       = "CREATE TABLE shop.items (id bigint UNIQUE, a text, b text); "
		partitioned = "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, b text) PARTITION BY HASH (id); CREATE TABLE shop.p0 PARTITION OF shop.items FOR VALUES WITH (MODULUS 2, REMAINDER 0); " +
			"CREATE TABLE shop.p1 (b text, a text, id bigint NOT NULL); ALTER TABLE shop.items ATTACH PARTITION shop.p1 FOR VALUES WITH (MODULUS 2, REMAINDER 1); "
	)
	for name, test := range map[string]struct {
		since  int
		schema string
		says   []string
	}{
		"a primary key elsewhere":    {13, "CREATE TABLE shop.items (id bigint NOT NULL UNIQUE, a text); CREATE PUBLICATION p FOR TABLE shop.items", []string{"has no replica identity, and publication p publishes", "REPLICA IDENTITY USING INDEX items_id_key"}},
		"a key that may be null":     {13, loose + "CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'delete')", []string{"REPLICA IDENTITY FULL"}},
		"a schema":                   {15, items + "ALTER TABLE shop.items REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLES IN SCHEMA shop", []string{"REPLICA IDENTITY DEFAULT"}},
		"a partition":                {13, partitioned + "ALTER TABLE shop.p1 REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE shop.items WITH (publish_via_partition_root)", []string{"table shop.p1 has no replica identity", "ALTER TABLE shop.p1 REPLICA IDENTITY DEFAULT"}},
		"a row filter":               {15, items + `CREATE PUBLICATION "The p" FOR TABLE shop.items WHERE (b IS NULL AND id > 0)`, []string{`lacks columns (b) of the row filter with which publication "The p" publishes`, "ALTER TABLE shop.items REPLICA IDENTITY FULL;"}},
		"a row filter for deletions": {15, items + "CREATE PUBLICATION p FOR TABLE shop.items WHERE (b IS NULL) WITH (publish = 'delete')", []string{"REPLICA IDENTITY FULL;"}},
		"a row filter of the root":   {15, partitioned + "CREATE PUBLICATION p FOR TABLE shop.items WHERE (b IS NULL) WITH (publish_via_partition_root)", []string{"ALTER TABLE shop.p0 REPLICA IDENTITY FULL; ALTER TABLE shop.p1 REPLICA IDENTITY FULL;"}},
		"a row filter of a partition": {
			15, partitioned + "CREATE PUBLICATION p FOR TABLE shop.p1 WHERE (b IS NULL)", []string{"the replica identity of table shop.p1", "run as an administrator: ALTER TABLE shop.p1 REPLICA IDENTITY FULL;"},
		},
		"a column list": {15, items + `CREATE PUBLICATION p FOR TABLE shop.items (a) WHERE (id > 3)`, []string{
			"has columns (id) that are not in the column list", "ALTER PUBLICATION p DROP TABLE shop.items; ALTER PUBLICATION p ADD TABLE shop.items (a, id) WHERE ((id > 3));",
		}},
		"a column list of the root": {15, partitioned + `CREATE PUBLICATION p FOR TABLE shop.items (a) WITH (publish_via_partition_root)`, []string{
			"run as an administrator: ALTER PUBLICATION p DROP TABLE shop.items; ALTER PUBLICATION p ADD TABLE shop.items (a, id);",
		}},
		"a column list and the whole row":  {15, items + "ALTER TABLE shop.items REPLICA IDENTITY FULL; CREATE PUBLICATION p FOR TABLE shop.items (id, a)", []string{"is the whole row, and publication p publishes its updates or deletions with a column list", "REPLICA IDENTITY DEFAULT;"}},
		"a column list, and no other key":  {15, loose + "ALTER TABLE shop.items REPLICA IDENTITY FULL; CREATE PUBLICATION p FOR TABLE shop.items (a)", []string{"ALTER TABLE shop.items ALTER COLUMN id SET NOT NULL; ALTER TABLE shop.items REPLICA IDENTITY USING INDEX items_id_key;"}},
		"a column list and no identity":    {15, loose + "CREATE PUBLICATION p FOR TABLE shop.items (id, a)", []string{"has no replica identity", "SET NOT NULL; ALTER TABLE shop.items REPLICA IDENTITY USING INDEX items_id_key;"}},
		"a row filter and a column list":   {15, items + "CREATE PUBLICATION p FOR TABLE shop.items (a) WHERE (b IS NULL)", []string{"has columns (id) that are not in the column list", "without the filter all rows are published", "ADD TABLE shop.items (a, id);"}},
		"a row filter beside another list": {15, items + "CREATE PUBLICATION p FOR TABLE shop.items WHERE (b IS NULL); CREATE PUBLICATION q FOR TABLE shop.items (id, a)", []string{"without the filter all rows are published", "ALTER PUBLICATION p DROP TABLE shop.items; ALTER PUBLICATION p ADD TABLE shop.items;"}},
		"a generated column in the whole row": {
			18, "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, \"G\" text GENERATED ALWAYS AS (a) VIRTUAL); ALTER TABLE shop.items REPLICA IDENTITY FULL; CREATE PUBLICATION p FOR ALL TABLES",
			[]string{`has generated columns ("G"), and publication p publishes its updates or deletions without them`, "REPLICA IDENTITY DEFAULT;"},
		},
		"a generated column in the identity": {
			18, "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, g bigint NOT NULL UNIQUE GENERATED ALWAYS AS (id) STORED); ALTER TABLE shop.items REPLICA IDENTITY USING INDEX items_g_key; CREATE PUBLICATION p FOR TABLE shop.items",
			[]string{"has generated columns (g)", "REPLICA IDENTITY DEFAULT;"},
		},
		"a generated column, and no identity": {
			18, "CREATE TABLE shop.items (id bigint UNIQUE, a text, g text GENERATED ALWAYS AS (a)); CREATE PUBLICATION p FOR TABLE shop.items",
			[]string{"ALTER TABLE shop.items ALTER COLUMN id SET NOT NULL; ALTER TABLE shop.items REPLICA IDENTITY USING INDEX items_id_key;"},
		},
	} {
		if release < test.since {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remedied(t, mapping("shop.items"), test.schema, v1alpha1.ReasonSchemaMismatch, test.says...)
		})
	}
}

// A publication that comes while rows are written is the table's fault, and no row's.
func TestAPublicationThatComesLaterPausesTheMapping(t *testing.T) {
	t.Parallel()
	release := major(t, postgrestest.New(t))
	for name, test := range map[string]struct {
		since  int
		schema string
	}{
		"without an identity":                 {13, "ALTER TABLE items REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE items"},
		"with a row filter":                   {15, "CREATE PUBLICATION p FOR TABLE items WHERE (a > 'x')"},
		"with a column list":                  {15, "CREATE PUBLICATION p FOR TABLE items (a)"},
		"without generated columns":           {18, "ALTER TABLE items REPLICA IDENTITY FULL; CREATE PUBLICATION p FOR TABLE items"},
		"with a row filter, of deletions":     {15, "CREATE PUBLICATION p FOR TABLE items WHERE (a > 'x') WITH (publish = 'delete')"},
		"with a column list, of updates only": {15, "CREATE PUBLICATION p FOR TABLE items (a) WITH (publish = 'update')"},
	} {
		if release < test.since {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, a text, n bigint NOT NULL GENERATED ALWAYS AS (id) STORED)")
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			o.write(t, "1", `{"a":"x"}`)
			server.Exec(t, test.schema)
			e := o.refuse(t, "1", `{"a":"y"}`, "2", "")
			if e.Kind != entry.Mapping || e.Unsettled || e.Reason() != v1alpha1.ReasonSchemaMismatch {
				t.Errorf("Write = %v, %v; want the mapping's fault", e.Kind, e)
			}
			equal(t, server, "SELECT id, a FROM items", "1|x")
		})
	}
}

// The preflight and PostgreSQL agree on every publication.
func TestAPublicationIsJudgedAsPostgreSQLJudgesIt(t *testing.T) {
	t.Parallel()
	server, d := open(t, "CREATE SCHEMA shop")
	ready(t, d)
	release, refused, through := major(t, server), 0, 0
	run := func(sql string) error {
		conn, err := server.Pool().Acquire(t.Context())
		if err != nil {
			return err
		}
		defer conn.Release()
		_, err = conn.Conn().PgConn().Exec(t.Context(), sql).ReadAll()
		return err
	}
	rapid.Check(t, func(t *rapid.T) {
		defer func() {
			_ = run("DROP TABLE IF EXISTS shop.items CASCADE; DROP PUBLICATION IF EXISTS p; DROP PUBLICATION IF EXISTS q")
		}()
		sql := drawPublished(t, release)
		if err := run(sql); err != nil {
			t.Skip(err) // not all that is drawn goes together
		}
		happens := func() error {
			return run(`INSERT INTO shop.items (id, a, b) VALUES (1, 'x', 'y'), (2, 'x', 'y');
INSERT INTO shop.items (id, a, b) VALUES (1, 'y', 'x'), (3, 'x', 'x') ON CONFLICT (id) DO UPDATE SET a = excluded.a, b = excluded.b; DELETE FROM shop.items`)
		}
		err := happens()
		for n := 0; ; n++ {
			_, verdict := d.Table(t.Context(), mapping("shop.items"))
			if (err == nil) != (verdict == nil) || n == mostRemedies {
				t.Fatalf("the preflight says %v, and PostgreSQL says %v, after %d remedies, of\n%s", verdict, err, n, sql)
			}
			if err == nil {
				through++
				return
			}
			refused++
			var mismatch *entry.Misfit
			if !errors.As(verdict, &mismatch) || mismatch.Reason != v1alpha1.ReasonSchemaMismatch {
				t.Fatalf("Table = %v", verdict)
			}
			remedy := remedyPattern.FindStringSubmatch(mismatch.Message)
			if remedy == nil {
				t.Fatalf("%s: has no SQL to run", mismatch.Message)
			}
			if e := run(remedy[1]); e != nil {
				t.Fatalf("%s: %v\n%s", remedy[1], e, sql)
			}
			err = happens()
		}
	})
	if refused == 0 || through == 0 {
		t.Errorf("%d tables are refused and %d are not: the test draws too few", refused, through)
	}
	t.Logf("%d refusals, then %d tables that take rows", refused, through)
}

// drawPublished draws a table and publications of it.
func drawPublished(t *rapid.T, release int) string {
	is := func(what string) bool { return rapid.Bool().Draw(t, what) }
	columns := "id bigint " + draw(t, "key", "PRIMARY KEY", "NOT NULL UNIQUE", "UNIQUE") + ", a text, b text NOT NULL"
	switch generated := draw(t, "generated", "", "", "STORED", "VIRTUAL"); {
	case generated == "VIRTUAL" && release >= 18:
		columns += ", g bigint GENERATED ALWAYS AS (id * 2) VIRTUAL"
	case generated == "STORED":
		columns += ", g bigint NOT NULL GENERATED ALWAYS AS (id * 2) STORED"
	}
	leaf := "shop.items"
	sql := []string{fmt.Sprintf("CREATE TABLE shop.items (%s)", columns)}
	published := []string{"shop.items"}
	if is("partitioned") {
		leaf = "shop.leaf"
		published = append(published, "shop.middle", leaf)
		sql = []string{
			fmt.Sprintf("CREATE TABLE shop.items (%s) PARTITION BY HASH (id)", columns),
			"CREATE TABLE shop.middle PARTITION OF shop.items FOR VALUES WITH (MODULUS 1, REMAINDER 0) PARTITION BY HASH (id)",
			fmt.Sprintf("CREATE TABLE shop.leaf (gone text, b text NOT NULL, %s)", strings.Replace(columns, ", b text NOT NULL", "", 1)),
			"ALTER TABLE shop.leaf DROP COLUMN gone", "ALTER TABLE shop.middle ATTACH PARTITION shop.leaf FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
		}
	}
	if i := draw(t, "another index", "", "b, id", "id, a", "g"); i != "" {
		sql = append(sql, fmt.Sprintf("CREATE UNIQUE INDEX another ON %s (%s)", leaf, i))
	}
	identity := draw(t, "identity", "DEFAULT", "DEFAULT", "FULL", "NOTHING", "USING INDEX another")
	sql = append(sql, fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY %s", leaf, identity))
	for _, name := range []string{"p", "q"}[:rapid.IntRange(1, 2).Draw(t, "publications")] {
		of := "TABLE " + draw(t, "published", published...)
		if release >= 15 {
			of += draw(t, "columns", "", "", " (id, a)", " (b)", " (b, id)") + draw(t, "filter", "", "", " WHERE (b > 'x')", " WHERE (id > 0 AND a <> ':varattno 3')")
		}
		switch all := draw(t, "of", "table", "table", "table", "all", "schema"); {
		case all == "all":
			of = "ALL TABLES"
		case all == "schema" && release >= 15:
			of = "TABLES IN SCHEMA shop"
		}
		with := fmt.Sprintf("publish = '%s', publish_via_partition_root = %t", draw(t, "publish", "insert,update,delete", "insert,update,delete", "insert", "update", "delete"), is("via root"))
		if release >= 18 {
			with += ", publish_generated_columns = " + draw(t, "generated columns", "none", "stored")
		}
		sql = append(sql, fmt.Sprintf("CREATE PUBLICATION %s FOR %s WITH (%s)", name, of, with))
	}
	return strings.Join(sql, "; ")
}
