// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// preflight is all that a flusher looks at before it says that a mapping can work
// and that its rows last: the first thing that is not right, or OK.
func preflight(t *testing.T, d *Database, m config.Mapping) config.Check {
	t.Helper()
	if c := d.Check(t.Context()); !c.OK {
		return c
	}
	table, err := d.Table(t.Context(), m)
	if mismatch, ok := errors.AsType[*entry.Misfit](err); ok {
		return config.Check{Reason: mismatch.Reason, Message: mismatch.Message}
	}
	if err != nil {
		t.Fatal(err)
	}
	if c := table.Durability(); !c.OK {
		return c
	}
	c, err := d.Durability(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var remedyPattern = regexp.MustCompile(`run as an administrator: (.*;)`)

// remedyIn is the SQL that a message says to run.
func remedyIn(t *testing.T, message string) string {
	t.Helper()
	found := remedyPattern.FindStringSubmatch(message)
	if found == nil {
		t.Fatalf("the message %q has no SQL to run", message)
	}
	return found[1]
}

// mostRemedies bounds how many faults of one case are told one after the other.
const mostRemedies = 6

// What a message says to run is run as it stands, until nothing is wrong any more;
// then rows must get through.
func TestTheRemedyInAMessageHelps(t *testing.T) {
	t.Parallel()
	const (
		items   = "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text); "
		ledger  = "CREATE TABLE writebehind.ledger (journal text, queue text, partition integer, epoch bigint, flush bigint, position bigint, updated_at timestamptz, PRIMARY KEY (journal, queue, partition)); "
		closed  = "REVOKE ALL ON SCHEMA writebehind FROM ROLE; "
		secured = "ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY; "
	)
	onlyA := []config.Column{{Field: "a", Column: "a"}}
	for name, test := range map[string]struct {
		schema  string
		columns []config.Column
		reason  string
		says    string
	}{
		"no schema for the ledger":     {items + "DROP SCHEMA writebehind", nil, v1alpha1.ReasonPrivilegeMissing, `CREATE SCHEMA "writebehind"`},
		"a closed schema":              {items + closed, nil, v1alpha1.ReasonPrivilegeMissing, "make or use the ledger"},
		"a ledger of another's":        {items + ledger + closed, nil, v1alpha1.ReasonPrivilegeMissing, "GRANT SELECT, INSERT, UPDATE ON TABLE"},
		"a ledger that is none":        {items + "CREATE TABLE writebehind.ledger (account text); GRANT ALL ON writebehind.ledger TO ROLE", nil, v1alpha1.ReasonSchemaMismatch, `"writebehind"."ledger" is not a flusher's ledger`},
		"a view in the ledger's place": {items + "CREATE VIEW writebehind.ledger AS SELECT 1 AS x; GRANT ALL ON writebehind.ledger TO ROLE", nil, v1alpha1.ReasonSchemaMismatch, "is not a flusher's ledger"},
		"an unlogged ledger":           {items + ledger + "ALTER TABLE writebehind.ledger SET UNLOGGED; GRANT ALL ON writebehind.ledger TO ROLE", nil, v1alpha1.ReasonTableUnlogged, "the ledger"},

		"no right to connect": {items + "REVOKE CONNECT ON DATABASE DATABASE FROM PUBLIC", nil, v1alpha1.ReasonPrivilegeMissing, "may not connect to database"},
		"rules": {
			items + "CREATE RULE kept AS ON UPDATE TO shop.items DO ALSO NOTHING; CREATE RULE \"In stead\" AS ON INSERT TO shop.items WHERE new.id < 0 DO INSTEAD NOTHING", nil,
			v1alpha1.ReasonSchemaMismatch, `has a rule for INSERT or UPDATE ("In stead", kept)`,
		},
		"a role that may not log in":       {items + "ALTER ROLE ROLE NOLOGIN", nil, v1alpha1.ReasonAuthenticationFailed, "may not log in"},
		"a role without connections":       {items + "ALTER ROLE ROLE CONNECTION LIMIT 0", nil, v1alpha1.ReasonConnectionFailed, "no connection left"},
		"a database without connections":   {items + "ALTER DATABASE DATABASE CONNECTION LIMIT 0", nil, v1alpha1.ReasonConnectionFailed, "no connection left"},
		"a role that is read-only":         {items + "ALTER ROLE ROLE SET default_transaction_read_only = on", nil, v1alpha1.ReasonReadOnly, "primary"},
		"a database that is read-only":     {items + "ALTER DATABASE DATABASE SET default_transaction_read_only = on", nil, v1alpha1.ReasonReadOnly, "primary"},
		"no right to the schema":           {items + "REVOKE ALL ON SCHEMA shop FROM ROLE", nil, v1alpha1.ReasonPrivilegeMissing, "GRANT USAGE ON SCHEMA"},
		"no right to the table":            {items + "REVOKE ALL ON shop.items FROM ROLE", nil, v1alpha1.ReasonPrivilegeMissing, "SELECT, INSERT, UPDATE, DELETE"},
		"no right to anything":             {items + "REVOKE ALL ON SCHEMA shop FROM ROLE; REVOKE ALL ON shop.items FROM ROLE; DROP SCHEMA writebehind", nil, v1alpha1.ReasonPrivilegeMissing, ""},
		"a right to too few columns":       {items + "REVOKE ALL ON shop.items FROM ROLE; GRANT SELECT (id), INSERT (id, a), UPDATE (a), DELETE ON shop.items TO ROLE", nil, v1alpha1.ReasonPrivilegeMissing, "GRANT SELECT ON TABLE"},
		"a sequence that may not be used":  {"CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, n serial)", onlyA, v1alpha1.ReasonPrivilegeMissing, "GRANT USAGE ON SEQUENCE shop.items_n_seq"},
		"a type that may not be named":     {`CREATE SCHEMA "Types"; CREATE TYPE "Types".mood AS ENUM ('x', 'y'); CREATE TABLE shop.items (id bigint PRIMARY KEY, a "Types".mood)`, onlyA, v1alpha1.ReasonPrivilegeMissing, `GRANT USAGE ON SCHEMA "Types"`},
		"row-level security":               {items + "ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY", nil, v1alpha1.ReasonPrivilegeMissing, "SELECT, INSERT, UPDATE, DELETE no row"},
		"row-level security for others":    {items + "ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY; CREATE POLICY writebehind ON shop.items TO postgres USING (true)", nil, v1alpha1.ReasonPrivilegeMissing, "SELECT, INSERT, UPDATE, DELETE no row"},
		"row-level security of deletions":  {items + "ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY; CREATE POLICY r ON shop.items FOR SELECT USING (true); CREATE POLICY a ON shop.items FOR INSERT WITH CHECK (true); CREATE POLICY w ON shop.items FOR UPDATE USING (true); CREATE POLICY d ON shop.items AS RESTRICTIVE FOR DELETE USING (true)", nil, v1alpha1.ReasonPrivilegeMissing, "lets role ROLE DELETE no row"},
		"row-level security for the owner": {items + "ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY; ALTER TABLE shop.items FORCE ROW LEVEL SECURITY; ALTER TABLE shop.items OWNER TO ROLE", nil, v1alpha1.ReasonPrivilegeMissing, "no row"},

		"a policy that holds for no row": {items + secured + "CREATE POLICY p ON shop.items USING (false)", nil, v1alpha1.ReasonPrivilegeMissing, "lets role ROLE SELECT, INSERT, UPDATE, DELETE no row"},
		"one that holds for null":        {items + secured + "CREATE POLICY p ON shop.items USING (NULL) WITH CHECK (true)", nil, v1alpha1.ReasonPrivilegeMissing, "lets role ROLE SELECT, UPDATE, DELETE no row"},
		"one that says nothing of rows":  {items + secured + "CREATE POLICY p ON shop.items WITH CHECK (true)", nil, v1alpha1.ReasonPrivilegeMissing, "lets role ROLE SELECT, UPDATE, DELETE no row"},
		"one that takes no row":          {items + secured + "CREATE POLICY p ON shop.items USING (true) WITH CHECK (false)", nil, v1alpha1.ReasonPrivilegeMissing, "lets role ROLE INSERT, UPDATE no row"},
		"one that hides every row":       {items + secured + "CREATE POLICY p ON shop.items USING (true); CREATE POLICY \"No, none\" ON shop.items AS RESTRICTIVE FOR SELECT USING (false)", nil, v1alpha1.ReasonPrivilegeMissing, `lets role ROLE SELECT no row: run as an administrator: DROP POLICY "No, none" ON "shop"."items";`},
		"one that keeps every row":       {items + secured + "CREATE POLICY p ON shop.items USING (true); CREATE POLICY n ON shop.items AS RESTRICTIVE FOR DELETE USING (false)", nil, v1alpha1.ReasonPrivilegeMissing, "lets role ROLE DELETE no row"},
		"one that keeps every row out":   {items + secured + "CREATE POLICY p ON shop.items FOR SELECT USING (true); CREATE POLICY n ON shop.items AS RESTRICTIVE USING (true) WITH CHECK (false)", nil, v1alpha1.ReasonPrivilegeMissing, "lets role ROLE INSERT, UPDATE, DELETE no row"},

		"no unique key":                    {"CREATE TABLE shop.items (id bigint, a text)", nil, v1alpha1.ReasonSchemaMismatch, "has no unique index of its own"},
		"a key of two columns":             {"CREATE TABLE shop.items (id bigint, a text, PRIMARY KEY (id, a))", nil, v1alpha1.ReasonSchemaMismatch, "has no unique index of its own"},
		"a primary key elsewhere":          {"CREATE TABLE shop.items (id bigint, a text, n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)", nil, v1alpha1.ReasonSchemaMismatch, "has no unique index of its own"},
		"a partial index":                  {"CREATE TABLE shop.items (id bigint, a text); CREATE UNIQUE INDEX ON shop.items (id) WHERE id > 0", nil, v1alpha1.ReasonSchemaMismatch, "has no unique index of its own"},
		"an index of an expression":        {"CREATE TABLE shop.items (id bigint, a text); CREATE UNIQUE INDEX ON shop.items (abs(id))", nil, v1alpha1.ReasonSchemaMismatch, "has no unique index of its own"},
		"a deferrable constraint":          {"CREATE TABLE shop.items (id bigint UNIQUE DEFERRABLE, a text)", nil, v1alpha1.ReasonSchemaMismatch, "has a deferrable constraint"},
		"a deferrable primary key":         {`CREATE TABLE shop.items (id bigint CONSTRAINT "The key" PRIMARY KEY DEFERRABLE, a text)`, nil, v1alpha1.ReasonSchemaMismatch, "has a deferrable constraint"},
		"a deferrable one beside an index": {"CREATE TABLE shop.items (id bigint PRIMARY KEY DEFERRABLE, a text, UNIQUE (id))", nil, v1alpha1.ReasonSchemaMismatch, "has a deferrable constraint"},
		"a deferrable one beside the key":  {"CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, UNIQUE (id) DEFERRABLE)", nil, v1alpha1.ReasonSchemaMismatch, "has a deferrable constraint"},
		"a partitioned table without one":  {"CREATE TABLE shop.items (id bigint, a text) PARTITION BY HASH (id); CREATE TABLE shop.items_0 PARTITION OF shop.items FOR VALUES WITH (MODULUS 1, REMAINDER 0)", nil, v1alpha1.ReasonSchemaMismatch, "has no unique index of its own"},
		"a key that ignores case":          {"CREATE COLLATION shop.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE shop.items (id varchar(9) COLLATE shop.loose PRIMARY KEY, a text)", nil, v1alpha1.ReasonSchemaMismatch, "nondeterministic collation"},
		"a column that nothing feeds":      {"CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, b text NOT NULL)", onlyA, v1alpha1.ReasonSchemaMismatch, "column b of table shop.items must not be null"},
		"a table with children":            {items + "CREATE TABLE shop.child () INHERITS (shop.items); CREATE TABLE shop.\"Child 2\" () INHERITS (shop.items)", nil, v1alpha1.ReasonSchemaMismatch, "has children that inherit from it"},
		"a table that is not logged":       {"CREATE UNLOGGED TABLE shop.items (id bigint PRIMARY KEY, a text)", nil, v1alpha1.ReasonTableUnlogged, "table shop.items is UNLOGGED"},
		"partitions that are not logged":   {"CREATE TABLE shop.items (id bigint PRIMARY KEY, a text) PARTITION BY HASH (id); CREATE UNLOGGED TABLE shop.p0 PARTITION OF shop.items FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE UNLOGGED TABLE shop.p1 PARTITION OF shop.items FOR VALUES WITH (MODULUS 2, REMAINDER 1)", nil, v1alpha1.ReasonTableUnlogged, "ALTER TABLE shop.p0 SET LOGGED; ALTER TABLE shop.p1 SET LOGGED;"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remedied(t, mapping("shop.items", test.columns...), test.schema, test.reason, test.says)
		})
	}
}

// remedied runs what the preflight says of a table shop.items, until it is content, and
// then rows have to get through. It gives all that was said.
func remedied(t *testing.T, m config.Mapping, schema, reason string, says ...string) (told []string) {
	t.Helper()
	server := postgrestest.New(t)
	role, url := server.NewRole(t)
	fill := strings.NewReplacer("ALTER ROLE ROLE", "ALTER ROLE "+role, "role ROLE", `role "`+role+`"`, "FROM ROLE", "FROM "+role, "TO ROLE", "TO "+role,
		"DATABASE DATABASE", "DATABASE "+pgx.Identifier{server.Name()}.Sanitize()).Replace
	server.Exec(t, fill("CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO ROLE; CREATE SCHEMA writebehind; GRANT ALL ON SCHEMA writebehind TO ROLE; "+
		"ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT ALL ON TABLES TO ROLE"))
	server.Exec(t, fill(schema))
	for i := range says {
		says[i] = fill(says[i])
	}
	d := openURL(t, url)
	check := preflight(t, d, m)
	failing(t, check, reason, says...)
	for !check.OK {
		if told = append(told, check.Message); len(told) > mostRemedies {
			t.Fatalf("after %d remedies there is still %s: %s", mostRemedies, check.Reason, check.Message)
		}
		if len(check.Message) > 1024 {
			t.Errorf("the message has %d bytes, and a condition holds 1024: %s", len(check.Message), check.Message)
		}
		server.Exec(t, remedyIn(t, check.Message))
		check = preflight(t, d, m)
	}
	o := own(t, d, readTable(t, d, m), 0)
	o.write(t, "1", `{"a":"x"}`, "2", `{"a":"x"}`)
	o.write(t, "1", `{"a":"y"}`, "2", "")
	equal(t, server, "SELECT id, a FROM shop.items", "1|y")
	return told
}

// What works is not refused beforehand.
func TestThePreflightLeavesAloneWhatWorks(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"a column that a trigger fills in": `CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, b text NOT NULL); CREATE FUNCTION shop.fill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.b := 1; RETURN NEW; END';
CREATE TRIGGER fill BEFORE INSERT ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.fill()`,
		"a publication of what has an identity": "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text); CREATE PUBLICATION p FOR ALL TABLES",
		"a publication of new rows":             "CREATE TABLE shop.items (id bigint UNIQUE, a text); CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert')",
		"a column with a default":               "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, b text NOT NULL DEFAULT 'b')",
		"a domain with a default":               "CREATE DOMAIN shop.word AS text NOT NULL DEFAULT 'b'; CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, b shop.word)",
		"an identity":                           "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, n bigint GENERATED BY DEFAULT AS IDENTITY, m bigint NOT NULL GENERATED ALWAYS AS (id) STORED)",
		"a key that draws from a sequence":      "CREATE TABLE shop.items (id bigserial PRIMARY KEY, a text)",
		"a sequence that may be used":           "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text, n serial); GRANT UPDATE ON SEQUENCE shop.items_n_seq TO ROLE",
		"a sequence that a function draws from": `CREATE TABLE shop.items (id bigint PRIMARY KEY, a text); CREATE SEQUENCE shop.s; REVOKE ALL ON SEQUENCE shop.s FROM ROLE;
CREATE FUNCTION shop.drawn(regclass) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN nextval($1); END'; ALTER TABLE shop.items ADD n bigint NOT NULL DEFAULT shop.drawn('shop.s')`,
		"a policy for the role":              "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text); ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON shop.items TO ROLE USING (id > 0)",
		"a policy for everybody":             "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text); ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON shop.items USING (true)",
		"a unique index of equal nulls":      "CREATE TABLE shop.items (id bigint UNIQUE NULLS NOT DISTINCT, a text)",
		"a table that is partitioned by it":  "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text) PARTITION BY RANGE (id); CREATE TABLE shop.p PARTITION OF shop.items DEFAULT",
		"a deferrable constraint of another": "CREATE TABLE shop.items (id bigint PRIMARY KEY, a text UNIQUE DEFERRABLE)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := postgrestest.New(t)
			if major(t, server) < 15 {
				schema = strings.ReplaceAll(schema, " NULLS NOT DISTINCT", "")
			}
			role, url := server.NewRole(t)
			server.Exec(t, strings.ReplaceAll("CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO ROLE; CREATE SCHEMA writebehind; GRANT ALL ON SCHEMA writebehind TO ROLE; "+
				"ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT ALL ON TABLES TO ROLE; "+schema, "ROLE", role))
			d := openURL(t, url)
			m := mapping("shop.items", config.Column{Field: "a", Column: "a"})
			if check := preflight(t, d, m); !check.OK {
				t.Fatalf("the preflight says %s: %s", check.Reason, check.Message)
			}
			o := own(t, d, readTable(t, d, m), 0)
			o.write(t, "1", `{"a":"x"}`)
			o.write(t, "1", `{"a":"y"}`)
			equal(t, server, "SELECT id, a FROM shop.items", "1|y")
		})
	}
}

func TestATableThatIsCutByAnotherColumnHasNoRemedyInSQL(t *testing.T) {
	t.Parallel()
	for _, cut := range []string{"LIST (a)", "RANGE (id, a)", "HASH (abs(id))"} {
		_, d := open(t, "CREATE TABLE items (id bigint, a text) PARTITION BY "+cut)
		failing(t, preflight(t, d, mapping("items")), v1alpha1.ReasonSchemaMismatch, "is partitioned by "+cut, "partitioned by that column alone")
	}
}

func TestAParameterOfTheURLThatIsRefused(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	_, url := server.NewRole(t)
	for name, parameter := range map[string]string{"unknown": "nonsense=1", "wrong": "work_mem=much", "forbidden": "session_replication_role=replica"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openURL(t, url+"&"+parameter, func(s *Settings) { s.URLSecret = "Secret shop-db, key uri" })
			failing(t, d.Check(t.Context()), v1alpha1.ReasonInvalidURL, "refuses a parameter", "correct the URL in Secret shop-db, key uri")
			_, err := d.Acquire(t.Context(), "j", "q", 0)
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != entry.Transient {
				t.Errorf("Acquire = %v; want a transient error, since no table is at fault", err)
			}
		})
	}
}

func TestTheOldestVersion(t *testing.T) {
	t.Parallel()
	for version, ok := range map[int]bool{90624: false, 120022: false, 130000: true, 150018: true, 180001: true} {
		err := checkVersion(version)
		if (err == nil) != ok {
			t.Errorf("version %d: %v", version, err)
		}
	}
	var e *entry.Misfit
	if err := checkVersion(120022); !errors.As(err, &e) || e.Reason != v1alpha1.ReasonVersionTooOld || e.Message != "the server is PostgreSQL 12: version 13 or later is needed" {
		t.Errorf("%v", err)
	}
}

// A character that the database cannot hold is the fault of the row that has it.
func TestADatabaseOfAnotherEncoding(t *testing.T) {
	t.Parallel()
	for encoding, takes := range map[string]bool{"LATIN1": false, "SQL_ASCII": true} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			server := postgrestest.New(t)
			name := "encoded_" + strings.ToLower(encoding)
			server.Exec(t, "CREATE DATABASE "+name+" ENCODING '"+encoding+"' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
			t.Cleanup(func() { server.Exec(t, "DROP DATABASE "+name+" WITH (FORCE)") })
			url := server.Server().URL(name)
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close(context.Background()) })
			if _, err := conn.Exec(t.Context(), "CREATE TABLE items (id text PRIMARY KEY, a text)"); err != nil {
				t.Fatal(err)
			}
			d := openURL(t, url)
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			o.write(t, "1", `{"a":"plain"}`)
			if takes {
				o.write(t, "2", `{"a":"😀"}`)
				return
			}
			o.write(t, "2", `{"a":"é"}`)
			e := o.refuse(t, "3", `{"a":"😀"}`)
			if e.Kind != entry.Row || e.SQLSTATE != "22P05" || !strings.Contains(e.Message(), "encoding of the database") {
				t.Errorf("Write = %v; want the row's error 22P05", e)
			}
		})
	}
}
