// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"slices"
	"testing"

	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// tableSQL makes the table, and the triggers that keep its history: a line for each
// statement, with the ledger's place that this very transaction has moved. They write
// to tables of their own and change nothing of the rows.
//
// Every value of a whole document follows from its number, whatever type the column has
// at the time: a row that is written with something else is kept in the table wrong. A
// partial document, whose number is 3 of each 7, keeps the name and what goes with it.
const tableSQL = `
CREATE TABLE items (id bigint PRIMARY KEY, n bigint NOT NULL, name text NOT NULL, quality integer CHECK (quality >= 0),
  at date, seat bigint UNIQUE);
CREATE TABLE history (seq bigserial PRIMARY KEY, removed boolean NOT NULL, journal text, partition integer,
  epoch bigint, flush bigint, ids bigint[] NOT NULL, numbers bigint[] NOT NULL);
CREATE TABLE wrong (n bigint, found jsonb);
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.history (removed, journal, partition, epoch, flush, ids, numbers)
  SELECT TG_OP = 'DELETE', l.journal, l.partition, l.epoch, l.flush, c.ids, c.numbers
  FROM (SELECT array_agg(id) AS ids, array_agg(n) AS numbers FROM changed) c
  LEFT JOIN writebehind.ledger l ON l.xmin = pg_current_xact_id()::xid
  WHERE c.ids IS NOT NULL;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO public.wrong
    SELECT n, r FROM (SELECT n, to_jsonb(c) AS r, timestamp '2026-01-01 08:00' + n % 28 * interval '1 day' + n % 30000 * interval '1 second' AS moment FROM changed c) c
    WHERE (r->>'quality')::numeric IS DISTINCT FROM n % 100
    OR CASE WHEN r->>'name' IS DISTINCT FROM 'write ' || n THEN n % 7 <> 3 ELSE
      r ? 'extra' AND (r->>'extra')::numeric IS DISTINCT FROM n
      OR CASE WHEN length(r->>'at') = 10 THEN r->>'at' <> to_char(moment, 'YYYY-MM-DD')
         WHEN r->>'at' ~ '[+-]\d\d:\d\d$' THEN (r->>'at')::timestamptz AT TIME ZONE 'UTC' <> moment
         ELSE (r->>'at')::timestamp IS DISTINCT FROM moment END
      END;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER inserted AFTER INSERT ON items REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION remember();
CREATE TRIGGER updated AFTER UPDATE ON items REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION remember();
CREATE TRIGGER deleted AFTER DELETE ON items REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION remember();
`

// TestTheTableTellsWhatNoDocumentSays proves that a value which a column's earlier type
// has cut, and a new column that stays empty, are found.
func TestTheTableTellsWhatNoDocumentSays(t *testing.T) {
	db := postgrestest.New(t)
	db.Exec(t, "CREATE SCHEMA writebehind; CREATE TABLE writebehind.ledger (journal text, partition integer, epoch bigint, flush bigint)")
	db.Exec(t, tableSQL)
	write := func(document string) {
		t.Helper()
		db.Exec(t, "INSERT INTO items SELECT (jsonb_populate_record(NULL::items, $1::jsonb)).* "+
			"ON CONFLICT (id) DO UPDATE SET n = excluded.n, name = excluded.name, quality = excluded.quality, at = excluded.at", document)
	}
	whole := func(number int64) string { return `{"id":1,` + document(number)[1:] }
	expect := func(what string, found ...string) {
		t.Helper()
		if got := db.Column(t, "SELECT n FROM wrong"); !slices.Equal(got, found) {
			t.Errorf("%s: the writes found wrong are %v, want %v", what, got, found)
		}
		db.Exec(t, "TRUNCATE wrong")
	}
	for number, change := range alterations {
		write(whole(int64(number + 1)))
		expect("before " + change)
		db.Exec(t, "DELETE FROM items;"+change)
	}
	db.Exec(t, "ALTER TABLE items ALTER at TYPE timestamptz")
	write(whole(8))
	expect("a whole document")
	write(`{"id":1,"n":9,"name":"write 9","quality":9,"at":"2026-01-10"}`)
	expect("a day for a moment", "9")
	write(`{"id":1,"n":9,"name":"write 9","quality":8,"at":"2026-01-10T08:00:09Z"}`)
	expect("another number", "9")
	write(`{"id":1,"n":9,"name":"write 8","quality":9,"at":"2026-01-10T08:00:09Z"}`)
	expect("a name that stayed", "9")
	write(`{"id":1,"n":10,"name":"write 8","quality":10}`)
	expect("the name that a partial document leaves")
	db.Exec(t, "ALTER TABLE items ADD extra bigint")
	write(whole(11))
	expect("a new column that stays empty", "11")
}
