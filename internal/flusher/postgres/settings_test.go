// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
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
				if e.Kind != Row || !ok || answer.Code != "22P02" || answer.SeverityUnlocalized != "ERROR" {
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
