// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// throughProxy gives a database with the schema, and a view of it through a proxy that
// counts round trips.
func throughProxy(t *testing.T, schema string) (*proxy, *owner, func(sql string)) {
	t.Helper()
	server, _ := open(t, schema)
	p, url := newProxy(t, server)
	d := openURL(t, url)
	d.learnedAge = time.Hour
	return p, own(t, d, readTable(t, d, mapping("items")), 0), func(sql string) { server.Exec(t, sql) }
}

// A search for a thousand bad rows must not ask three thousand times what refuses them.
func TestWhatRefusesRowsIsAskedOnceAndNotOnceARow(t *testing.T) {
	t.Parallel()
	const (
		table   = "CREATE TABLE items (id bigint PRIMARY KEY, a text, shelf bigint); INSERT INTO items SELECT g, 'kept' FROM generate_series(1, 9) g; "
		keep    = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
		raising = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE foreign_key_violation USING CONSTRAINT = %s; END $$; "
		before  = "CREATE TRIGGER keep BEFORE INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION keep()"
	)
	for name, test := range map[string]struct {
		schema, document string
		// rows are refused, for as many reasons as asked questions.
		rows, asked int
		says        string
	}{
		"a row that refers to none":      {"CREATE TABLE shelves (id bigint PRIMARY KEY); " + table + "ALTER TABLE items ADD CONSTRAINT of_shelf FOREIGN KEY (shelf) REFERENCES shelves", `{"shelf":7}`, 9, 1, "refers to one that does not exist"},
		"one that is deferred":           {"CREATE TABLE shelves (id bigint PRIMARY KEY); " + table + "ALTER TABLE items ADD CONSTRAINT of_shelf FOREIGN KEY (shelf) REFERENCES shelves DEFERRABLE INITIALLY DEFERRED", `{"shelf":7}`, 9, 1, "refers to one that does not exist"},
		"a row that others refer to":     {table + "CREATE TABLE kids (id bigint REFERENCES items); INSERT INTO kids SELECT id FROM items", "", 9, 1, "which is to be deleted"},
		"rows of several constraints":    {table + "CREATE TABLE kids (id bigint REFERENCES items); INSERT INTO kids VALUES (1), (2), (3), (4); CREATE TABLE pets (id bigint REFERENCES items); INSERT INTO pets VALUES (5), (6), (7)", "", 7, 2, "which is to be deleted"},
		"a trigger's own constraint":     {table + strings.ReplaceAll(raising, "%s", "'mine'") + before, `{"a":"x"}`, 9, 1, "would refer to no row"},
		"one of its own for each row":    {table + "INSERT INTO items SELECT g, 'kept' FROM generate_series(10, 40) g; " + strings.ReplaceAll(raising, "%s", "'c' || old.id") + strings.ReplaceAll(before, "INSERT OR ", ""), "", 40, mostLearned, ""},
		"a row that a trigger keeps":     {table + keep + before, "", 9, 1, "; the table has trigger keep"},
		"a row that a trigger keeps out": {table + keep + before, `{"a":"x"}`, 9, 1, "; the table has trigger keep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, o, _ := throughProxy(t, test.schema)
			refuse := func(key int) int {
				return p.tripsOf(func() {
					if e := o.refuse(t, strconv.Itoa(key), test.document); !strings.Contains(e.Message(), test.says) {
						t.Errorf("Write of row %d = %v (%s); want %q", key, e, e.Detail(), test.says)
					}
				})
			}
			// The first one may also teach what the table's statements have to look at.
			first := refuse(1)
			total, fewest := 0, first
			for key := 2; key <= test.rows; key++ {
				n := refuse(key)
				total, fewest = total+n, min(fewest, n)
			}
			if asks := total - fewest*(test.rows-1); first <= fewest || asks != 3*(test.asked-1) {
				t.Errorf("%d round trips for the first row, %d for %d more, at least %d each; want %d questions after the first", first, total, test.rows-1, fewest, test.asked-1)
			}
		})
	}
}

// What was learned holds for a short while only.
func TestWhatRefusesRowsIsLearnedAnew(t *testing.T) {
	t.Parallel()
	_, o, exec := throughProxy(t, "CREATE TABLE items (id bigint PRIMARY KEY, a text); INSERT INTO items VALUES (1), (2), (3); CREATE TABLE kids (id bigint CONSTRAINT k REFERENCES items); INSERT INTO kids VALUES (1), (2), (3)")
	says := func(words string) {
		t.Helper()
		if e := o.refuse(t, "1", ""); !strings.Contains(e.Message(), words) {
			t.Errorf("Write = %v; want %q", e, words)
		}
	}
	says("which is to be deleted")
	// The deletion goes on to kids now, and is refused there, under the same name.
	exec("ALTER TABLE kids DROP CONSTRAINT k, ADD PRIMARY KEY (id), ADD FOREIGN KEY (id) REFERENCES items ON DELETE CASCADE; CREATE TABLE toys (kid bigint REFERENCES kids); INSERT INTO toys VALUES (1)")
	exec("ALTER TABLE toys RENAME CONSTRAINT toys_kid_fkey TO k")
	says("after what the row triggers there")
	exec("ALTER TABLE toys RENAME TO others; ALTER TABLE kids DROP CONSTRAINT kids_id_fkey; ALTER TABLE kids RENAME TO toys; ALTER TABLE toys ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES items")
	o.d.learnedAge = 0
	says("which is to be deleted")
}
