// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/internal/flusher/entry"
)

const refuseAll = `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;`

// TestAControlShowsWhatTheTableTakes tries a row that is refused, and looks at what is
// left of the trial.
func TestAControlShowsWhatTheTableTakes(t *testing.T) {
	t.Parallel()
	const filled = "INSERT INTO items VALUES (1, 'x', 1, '1'), (2, 'y', 2, '2');"
	for name, c := range map[string]struct {
		schema, document string
		want             entry.Trial
	}{
		"a row passes":                        {filled, `{"a":"x","b":1,"c":1}`, entry.RowTaken},
		"a deletion":                          {filled, ``, entry.RowTaken},
		"no column is named":                  {filled, `{}`, entry.RowTaken},
		"the refused row is the only one":     {"INSERT INTO items VALUES (9, 'x', 1, '1');", `{"a":"x"}`, entry.PartTaken},
		"the table is empty":                  {"", `{"a":"x","b":1,"c":1}`, entry.PartTaken},
		"empty, and a deletion":               {"", ``, entry.NoneTaken},
		"a trigger before the insert":         {filled + refuseAll + "CREATE TRIGGER r BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION refuse()", `{"a":"x"}`, entry.NoneTaken},
		"a trigger before the update":         {filled + refuseAll + "CREATE TRIGGER r BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION refuse()", `{"a":"x","b":1,"c":1}`, entry.PartTaken},
		"a trigger of the statement":          {filled + refuseAll + "CREATE TRIGGER r BEFORE INSERT ON items EXECUTE FUNCTION refuse()", `{"a":"x"}`, entry.NoneTaken},
		"a deferred trigger":                  {filled + refuseAll + "CREATE CONSTRAINT TRIGGER r AFTER INSERT OR UPDATE ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()", `{"a":"x"}`, entry.NoneTaken},
		"a check that no row passes":          {filled + "ALTER TABLE items ADD CHECK (a = 'z') NOT VALID", `{"a":"q"}`, entry.PartTaken},
		"a check that fails for any row":      {filled + "ALTER TABLE items ADD CHECK (false) NOT VALID", `{"a":"q"}`, entry.NoneTaken},
		"a trigger keeps every row out":       {filled + "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; CREATE TRIGGER r BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION keep()", `{"a":"x"}`, entry.NoneTaken},
		"a column that the document leaves":   {filled + "ALTER TABLE items ALTER b SET NOT NULL, ALTER b DROP DEFAULT", `{"a":"x"}`, entry.PartTaken},
		"a column that nobody can leave out":  {"ALTER TABLE items ADD must text NOT NULL", `{"a":"x","must":null}`, entry.NoneTaken},
		"one of the rows there is bad itself": {filled + "ALTER TABLE items ADD CHECK (a <> 'x') NOT VALID", `{"a":"x"}`, entry.RowTaken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, itemSchema+";"+c.schema)
			ready(t, d)
			table := readTable(t, d, mapping("items"))
			const rows = "SELECT coalesce(string_agg(items::text, ' ' ORDER BY id), '') FROM items"
			before := server.Value(t, rows)
			if got := d.Control(t.Context(), table, batch(t, table, "9", c.document)); got != c.want {
				t.Errorf("Control = %v; want %v", got, c.want)
			}
			if after := server.Value(t, rows); after != before {
				t.Errorf("the trial left %s, before it was %s", after, before)
			}
		})
	}
}

// TestWhereAnErrorCame judges answers of the server by how far the batch was.
func TestWhereAnErrorCame(t *testing.T) {
	t.Parallel()
	steps := []step{stepBegin, stepSettings, stepLedger, stepRows, stepCommit}
	const function = "PL/pgSQL function f() line 1 at RAISE"
	atRows := reply{sent: true, parsed: 5, bound: 5, done: 3, moved: true}
	for name, c := range map[string]struct {
		reply                         reply
		err                           pgconn.PgError
		kind                          entry.Kind
		atRows, raised, locked, ended bool
	}{
		"a trigger's 08001":           {atRows, pgconn.PgError{Code: "08001", Where: function}, entry.Transient, true, true, false, false},
		"a full disk":                 {atRows, pgconn.PgError{Code: "53100"}, entry.Transient, true, false, false, false},
		"temp_file_limit":             {atRows, pgconn.PgError{Code: "53400"}, entry.TooHeavy, true, false, false, false},
		"out of memory":               {atRows, pgconn.PgError{Code: "53200"}, entry.TooHeavy, true, false, false, false},
		"a lock":                      {atRows, pgconn.PgError{Code: "55P03", Routine: "ProcessInterrupts", Where: "while updating tuple (0,1)"}, entry.Locked, true, false, true, false},
		"a trigger's 55P03":           {atRows, pgconn.PgError{Code: "55P03", Routine: "exec_stmt_raise", Where: function}, entry.Locked, true, true, false, false},
		"a session that was ended":    {atRows, pgconn.PgError{Code: "57P01", SeverityUnlocalized: "FATAL", Where: function}, entry.Transient, true, false, false, true},
		"a lock of the ledger":        {reply{sent: true, parsed: 5, bound: 5, done: 2}, pgconn.PgError{Code: "55P03", Routine: "ProcessInterrupts"}, entry.Locked, false, false, false, false},
		"a lock before the rows":      {reply{sent: true, parsed: 2, bound: 2, done: 2}, pgconn.PgError{Code: "55P03", Routine: "ProcessInterrupts"}, entry.Locked, false, false, false, false},
		"out of memory at the ledger": {reply{sent: true, parsed: 5, bound: 5, done: 2}, pgconn.PgError{Code: "53200"}, entry.Transient, false, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.reply.steps = steps
			if c.err.SeverityUnlocalized == "" {
				c.err.SeverityUnlocalized = "ERROR"
			}
			e := failure("write", &c.err, c.reply.stage())
			c.reply.place(e, &c.err)
			if e.Kind != c.kind || e.AtRows != c.atRows || e.Raised != c.raised || e.LockHeld != c.locked || e.SessionEnded != c.ended {
				t.Errorf("it is %v, at rows %v, raised %v, lock held %v, session ended %v", e.Kind, e.AtRows, e.Raised, e.LockHeld, e.SessionEnded)
			}
		})
	}
}
