// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// PostgreSQL names one table and one constraint whichever side of a foreign key a row is
// on, and says so of a deferred one at the end of the transaction only.
func TestTheWordsForAForeignKey(t *testing.T) {
	t.Parallel()
	const (
		items     = "CREATE TABLE items (id bigint PRIMARY KEY, a text, code text UNIQUE); INSERT INTO items VALUES (1, 'x', 'one'), (2, 'y', 'two'); "
		kids      = items + "CREATE TABLE kids (id bigint PRIMARY KEY REFERENCES items%s); INSERT INTO kids VALUES (1)"
		refers    = "CREATE TABLE shelves (id bigint PRIMARY KEY); CREATE TABLE items (id bigint PRIMARY KEY, a text, shelf bigint REFERENCES shelves%s)"
		itself    = "CREATE TABLE items (id bigint PRIMARY KEY, a text, parent bigint REFERENCES items%s); INSERT INTO items VALUES (1, 'x', NULL), (5, 'x', 1)"
		deferred  = " DEFERRABLE INITIALLY DEFERRED"
		refersTo  = "the row refers to one that does not exist (SQLSTATE 23503"
		isDeleted = "rows of the named table refer to the row, which is to be deleted (SQLSTATE 23"
		isChanged = "rows of the named table refer to the row, which is to get another value in a column that they refer to (SQLSTATE 23"
	)
	for name, test := range map[string]struct {
		schema, timing string
		// bad is the document of the row of key 1, or 9 where it is to be a new row.
		key, bad string
		says     string
	}{
		"a deletion":                                {kids, "", "1", "", isDeleted},
		"a deletion, deferred":                      {kids, deferred, "1", "", isDeleted},
		"a deletion, both deferred":                 {kids + "; ALTER TABLE items ADD UNIQUE (a) DEFERRABLE INITIALLY DEFERRED", deferred, "1", "", isDeleted},
		"a deletion that is restricted":             {kids, " ON DELETE RESTRICT", "1", "", isDeleted},
		"a deletion that goes on":                   {items + "CREATE TABLE kids (id bigint PRIMARY KEY REFERENCES items ON DELETE CASCADE); CREATE TABLE toys (kid bigint REFERENCES kids%s); INSERT INTO kids VALUES (1); INSERT INTO toys VALUES (1)", "", "1", "", "after what the row triggers there"},
		"a deletion in a partitioned table":         {"CREATE TABLE items (id bigint PRIMARY KEY, a text, code text) PARTITION BY HASH (id); CREATE TABLE p PARTITION OF items FOR VALUES WITH (MODULUS 1, REMAINDER 0); INSERT INTO items VALUES (1, 'x', 'one'); CREATE TABLE kids (parent bigint REFERENCES items%s); INSERT INTO kids VALUES (1)", deferred, "1", "", isDeleted},
		"another value of what is referred to":      {items + "CREATE TABLE kids (code text REFERENCES items (code)%s); INSERT INTO kids VALUES ('one')", "", "1", `{"a":"x","code":"none"}`, isChanged},
		"another value, deferred":                   {items + "CREATE TABLE kids (code text REFERENCES items (code)%s); INSERT INTO kids VALUES ('one')", deferred, "1", `{"code":"none"}`, isChanged},
		"another value that is restricted":          {items + "CREATE TABLE kids (code text REFERENCES items (code)%s); INSERT INTO kids VALUES ('one')", " ON UPDATE RESTRICT", "1", `{"a":"x","code":"none"}`, isChanged},
		"no such row":                               {refers, "", "9", `{"a":"x","shelf":7}`, refersTo},
		"no such row, deferred":                     {refers, deferred, "9", `{"a":"x","shelf":7}`, refersTo},
		"no such row, in a partitioned table":       {"CREATE TABLE shelves (id bigint PRIMARY KEY); CREATE TABLE items (id bigint PRIMARY KEY, a text, shelf bigint REFERENCES shelves%s) PARTITION BY HASH (id); CREATE TABLE p PARTITION OF items FOR VALUES WITH (MODULUS 1, REMAINDER 0)", deferred, "9", `{"shelf":7}`, refersTo},
		"no such row of the key":                    {"CREATE TABLE shelves (id bigint PRIMARY KEY); INSERT INTO shelves VALUES (2), (3); CREATE TABLE items (id bigint PRIMARY KEY REFERENCES shelves%s, a text)", deferred, "9", `{"a":"x"}`, refersTo},
		"no such row of the table itself":           {itself, "", "9", `{"a":"x","parent":7}`, refersTo},
		"no such row of the table itself, deferred": {itself, deferred, "9", `{"a":"x","parent":7}`, refersTo},
		"a deletion in the table itself":            {itself, "", "1", "", isDeleted},
		"a deletion in the table itself, deferred":  {itself, deferred, "1", "", isDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, fmt.Sprintf(test.schema, test.timing))
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			e := o.refuse(t, test.key, test.bad)
			if e.Kind != entry.Order || e.Unsettled || !e.AtRows || e.Constraint == "" || !strings.Contains(e.Message(), test.says) {
				t.Errorf("Write = %v, %v (%s); want %q", e.Kind, e, e.Detail(), test.says)
			}
			// It is the row's, whatever stands beside it.
			if e := o.refuse(t, "3", `{"a":"z"}`, test.key, test.bad, "2", ""); e.Kind != entry.Order {
				t.Errorf("Write = %v, %v", e.Kind, e)
			}
			o.write(t, "3", `{"a":"z"}`, "2", "")
			equal(t, server, "SELECT a FROM items WHERE id = 3", "z")
		})
	}
}
