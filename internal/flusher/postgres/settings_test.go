// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// What a role or a database has set must not change what a batch writes.
func TestSettingsOfTheRoleChangeNothing(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string]string{
		"nothing":                     "application_name = 'x'",
		"no nulls in arrays":          "array_nulls = off",
		"dates with the day first":    "DateStyle = 'German, DMY'",
		"dates with the year last":    "DateStyle = 'SQL, MDY'",
		"another form of intervals":   "IntervalStyle = sql_standard",
		"another time zone":           "TimeZone = 'Asia/Kathmandu'",
		"bytes in escapes":            "bytea_output = escape",
		"few digits":                  "extra_float_digits = -15",
		"backslashes in strings":      "standard_conforming_strings = off",
		"quotation marks escaped":     "backslash_quote = on",
		"nulls that are equal":        "transform_null_equals = on",
		"a policy that fails":         "row_security = off",
		"a whole document of XML":     "xmloption = document",
		"no warnings":                 "client_min_messages = error",
		"errors that end the session": "exit_on_error = on",
		"quotation marks everywhere":  "quote_all_identifiers = on",
		"another search path":         "search_path = elsewhere, pg_catalog",
		"no search path":              "search_path = ''",
		"another encoding":            "client_encoding = LATIN1",
		"serializable":                "default_transaction_isolation = serializable",
		"custom plans":                "plan_cache_mode = force_custom_plan",
		"generic plans":               "plan_cache_mode = force_generic_plan",
		"no sequential scans":         "enable_seqscan = off",
		"no index scans":              "enable_indexscan = off",
		"no nested loops":             "enable_nestloop = off",
		"dear pages":                  "random_page_cost = 1000000",
		"everything compiled":         "jit_above_cost = 0",
		"everything optimised":        "jit_optimize_above_cost = 0",
		"joins as they are written":   "join_collapse_limit = 1",
		"no subqueries pulled up":     "from_collapse_limit = 1",
		"little memory":               "work_mem = '64kB'",
		"parallel workers":            "max_parallel_workers_per_gather = 8",
		"free workers":                "parallel_setup_cost = 0",
		"no wait for locks":           "lock_timeout = 1",
		"no idle transactions":        "idle_in_transaction_session_timeout = 1",
		"deferrable":                  "default_transaction_deferrable = on",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, admin := open(t, `CREATE TABLE items (id bigint PRIMARY KEY, a text[], d date, z timestamptz, i interval, b bytea, f float8, n numeric, s text);
CREATE TABLE secured (LIKE items INCLUDING ALL); ALTER TABLE secured ENABLE ROW LEVEL SECURITY`)
			ready(t, admin)
			role, url := server.NewRole(t)
			server.Exec(t, "GRANT ALL ON items, secured, writebehind.ledger TO "+role+"; GRANT ALL ON SCHEMA writebehind TO "+role+
				"; CREATE POLICY p ON secured TO "+role+" USING (true) WITH CHECK (true); ALTER ROLE "+role+" SET "+setting)
			d := openURL(t, url)
			for partition, table := range []string{"items", "secured"} {
				o := own(t, d, readTable(t, d, mapping(table)), partition)
				const document = `{"a":["a",null,"NULL","\\"],"d":"2026-02-03","z":"2026-02-03T04:05:06Z","i":"P1DT2H","b":"AP8=","f":0.1,"n":1.5,"s":"it's \\ é"}`
				e := o.refuse(t, "2", `{"n":"many"}`)
				answer, ok := errors.AsType[*pgconn.PgError](e)
				if e.Kind != entry.Row || !ok || answer.Code != "22P02" || answer.SeverityUnlocalized != "ERROR" {
					t.Errorf("Write = %v, %v; want a row's fault, and the session to go on", e.Kind, e)
				}
				o.write(t, "1", document)
				o.write(t, "1", document)
				equal(t, server, "SELECT a, d, z, i, b, f, n, s FROM "+table,
					`{a,NULL,"NULL","\\"}|2026-02-03|2026-02-03 04:05:06+00|1 day 02:00:00|\x00ff|0.1|1.5|it's \ é`)
			}
		})
	}
}

// Where a role may have no time at all, a statement that sets the flusher's own may run
// into it now and then; no other may, and a flusher that tries again gets through.
func TestATimeoutOfTheRoleIsNotTheFlushers(t *testing.T) {
	t.Parallel()
	server, admin := open(t, itemSchema)
	ready(t, admin)
	role, url := server.NewRole(t)
	server.Exec(t, "GRANT ALL ON items, writebehind.ledger TO "+role+"; GRANT ALL ON SCHEMA writebehind TO "+role+"; ALTER ROLE "+role+" SET statement_timeout = 1")
	d := openURL(t, url)
	const attempts = 100
	repeat := func(what string, f func() error) {
		t.Helper()
		var err error
		for range attempts {
			if err = f(); err == nil {
				return
			}
			if strings.Contains(err.Error(), "statementTimeoutSeconds") || strings.Contains(err.Error(), "connection to PostgreSQL") {
				t.Fatalf("%s = %v, which blames what is well", what, err)
			}
		}
		t.Fatalf("%s = %v, however often", what, err)
	}
	for range 10 {
		repeat("Check", func() error {
			d.verified.Store(false)
			if c := d.Check(t.Context()); !c.OK {
				return errors.New(c.Message)
			}
			return nil
		})
	}
	o := &owner{d: d, at: entry.Place{Shard: entry.Shard{Incarnation: "j1", Queue: "products"}}}
	repeat("Table", func() (err error) { o.table, err = d.Table(t.Context(), mapping("items")); return err })
	repeat("Acquire", func() error {
		l, err := d.Acquire(t.Context(), "j1", "products", 0)
		o.at.Epoch, o.at.Flush = l.Epoch, l.Flush
		return err
	})
	at, b := o.next(1), batch(t, o.table, "1", `{"a":"x"}`)
	repeat("Write", func() error { _, err := d.Write(t.Context(), o.table, at, b); return err })
	equal(t, server, "SELECT id, a FROM items", "1|x")
}

// A look that PostgreSQL itself ends says nothing of the connection, and nothing of the
// time that the statements of a batch have.
func TestALookThatTakesTooLongIsToldAsThat(t *testing.T) {
	t.Parallel()
	server, d := open(t, itemSchema)
	ready(t, d)
	server.Exec(t, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NULL; END $$;
		CREATE TRIGGER slow BEFORE INSERT ON writebehind.ledger FOR EACH STATEMENT EXECUTE FUNCTION slow()`)
	// What comes before that statement takes a moment, on a busy machine a second.
	d.probeTimeout = 5 * time.Second
	for range 2 {
		d.verified.Store(false)
		check := d.Check(t.Context())
		failing(t, check, v1alpha1.ReasonStatementFailed, "took longer than")
		if strings.Contains(check.Message, "statementTimeoutSeconds") || strings.Contains(check.Message, "connection to PostgreSQL") {
			t.Errorf("Check = %s, which blames what is well", check.Message)
		}
	}
}
