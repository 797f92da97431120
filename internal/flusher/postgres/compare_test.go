// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"slices"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// setOf is a row as a document would have it.
func setOf(key, document string) Wanted {
	return Wanted{RowKey: key, Entry: &entry.Entry{Key: key, Operation: entry.Set, Value: document}}
}

// Values are the same by what PostgreSQL calls equal in the column, whatever their texts are.
func TestCompareKnowsWhatIsEqual(t *testing.T) {
	t.Parallel()
	_, d := open(t, `CREATE DOMAIN small AS int CHECK (VALUE < 10); CREATE DOMAIN code AS varchar(3);
CREATE TABLE things (id bigint PRIMARY KEY, price numeric(10,2), at timestamptz, doc jsonb, raw json, tags text[], data bytea, n small, flag bool, code varchar(3), letters varchar(2)[], fixed char(3), coded code);
INSERT INTO things VALUES (1, 1.5, '2026-01-01 12:00+00', '{"a": 1, "b": 2}', '{"a":1}', '{x,NULL}', '\x00ff', 5, true, 'abc', '{ab,c}', 'ab', 'abc'); INSERT INTO things VALUES (2)`)
	table := readTable(t, d, mapping("public.things"))
	for document, differing := range map[string][]string{
		`{"price":1.500,"at":"2026-01-01T13:00:00+01:00","doc":{"b":2,"a":1},"raw":{"a":1},"tags":["x",null],"data":"\\x00FF","n":5,"flag":true,"code":"abc"}`: nil,
		`{"price":"1.5"}`: nil,
		`{}`:              nil,
		`{"unknown":1}`:   nil,
		// What is too long is refused by a batch, and was never written as its beginning.
		`{"code":"abc  ","fixed":"ab","coded":"abc","letters":["ab","c"]}`:    nil,
		`{"code":"abcd","fixed":"ab d","coded":"abcd","letters":["abc","c"]}`: {"code", "letters", "fixed", "coded"},
		`{"price":1.51,"flag":false}`:                                         {"price", "flag"},
		`{"price":null}`:                                                      {"price"},
		`{"doc":{"a":1}}`:                                                     {"doc"},
		`{"raw":{"a": 1}}`:                                                    {"raw"},
		`{"tags":["x"],"data":"\\x00"}`:                                       {"tags", "data"},
		`{"at":"2026-01-01T12:00:00.001Z"}`:                                   {"at"},
	} {
		found, err := d.Compare(t.Context(), table, []Wanted{setOf("1", document)}, true)
		if err != nil {
			t.Fatal(err)
		}
		if got := found[0].Differing(); !slices.Equal(got, differing) || !found[0].Found || found[0].Same() != (differing == nil) {
			t.Errorf("%s differs in %q, want %q: %+v", document, got, differing, found[0])
		}
	}
}

// What can be no row is told of that one alone, whoever finds it out: the key, the document, the
// column's type, or a domain.
func TestCompareTellsWhatCanBeNoRow(t *testing.T) {
	t.Parallel()
	_, d := open(t, `CREATE DOMAIN small AS int CHECK (VALUE < 10);
CREATE TABLE things (id bigint PRIMARY KEY, price numeric, n small, wb bigint); INSERT INTO things VALUES (1, 1, 1, 77), (3, 3, 3, 78)`)
	m := mapping("public.things")
	m.VersionColumn = "wb"
	table := readTable(t, d, m)
	all := []Wanted{
		setOf("1", `{"price":1,"n":1}`), setOf("01", `{}`), setOf("3", `{"price":"dear","n":1}`), setOf("4", `{"price":4,"n":11}`),
		setOf("5", `no document`), setOf("6", `{"price":6,"n":6}`),
		{RowKey: "3"},
		{RowKey: "9"},
	}
	found, err := d.Compare(t.Context(), table, all, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		found bool
		unfit string
	}{{true, ""}, {false, "canonical form"}, {true, "dear"}, {false, "small"}, {false, "JSON"}, {false, ""}, {true, ""}, {false, ""}} {
		c := &found[i]
		if c.Found != want.found || (c.Unfit != nil) != (want.unfit != "") || c.Unfit != nil && !strings.Contains(c.Unfit.Message, want.unfit) {
			t.Errorf("%+v is %+v with %+v, want %+v", all[i], c, c.Unfit, want)
		}
	}
	if v := found[0].Version; v == nil || *v != 77 || !found[0].Same() || found[2].Same() || found[5].Same() {
		t.Errorf("the rows are %+v", found)
	}
}

func TestKeysAndMembersAreListedInPages(t *testing.T) {
	t.Parallel()
	_, d := open(t, `CREATE TABLE scores (board bigint, player text, score int, PRIMARY KEY (board, player));
INSERT INTO scores SELECT b, 'p' || p, p FROM generate_series(9, 11) b, generate_series(1, 3) p`)
	m := mapping("public.scores")
	m.Encoding, m.KeyColumn, m.MemberColumn, m.ScoreColumn = config.EncodingSortedSet, "board", "player", "score"
	table := readTable(t, d, m)
	var all []string
	for first, after := true, [2]string{}; ; first = false {
		page, err := d.Keys(t.Context(), table, first, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, ids := range page {
			all = append(all, ids[0]+"/"+ids[1])
		}
		if len(page) < 2 {
			break
		}
		after = page[1]
	}
	if got := strings.Join(all, " "); got != "9/p1 9/p2 9/p3 10/p1 10/p2 10/p3 11/p1 11/p2 11/p3" {
		t.Errorf("the rows are %s", got)
	}
	if members, err := d.Members(t.Context(), table, "10", 2); err != nil || !slices.Equal(members, []string{"p1", "p2"}) {
		t.Errorf("the members are %q, %v", members, err)
	}
}
