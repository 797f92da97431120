// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// columns writes values into columns of every type.
type columns struct {
	server *postgrestest.Database
	types  []*columnType
	owner  *owner
	serial int
}

func newColumns(t testing.TB, names ...string) *columns {
	server, d := open(t, "")
	types := columnTypes(t, server, d, names...)
	return &columns{server: server, types: types, owner: own(t, d, types[0].table, 0)}
}

// document gives a value to the column under test, among other fields.
func document(serial int, value string) string {
	return fmt.Sprintf(`{"n":%d,"g":0,%s:%s,"unknown":{}}`, serial, oddField, value)
}

// try writes a value between two good rows. Both of them are there afterwards; the
// row between them is what the oracle says, or it is as it was before, and refused
// with an error of its own.
func (w *columns) try(t testing.TB, c *columnType, value string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	w.serial++
	w.owner.table = c.table
	text := document(w.serial, value)
	refused := make(map[string]error)
	good := document(w.serial, "null")
	if c.shown == "needed" {
		good = document(w.serial, `"x"`)
	}
	w.owner.bisect(t, refused, "1", good, "2", text, "3", good)
	if refused["1"] != nil || refused["3"] != nil {
		t.Fatalf("%s, %.200q: a neighbour is refused: %v, %v", c.shown, value, refused["1"], refused["3"])
	}
	neighbours, err := values(ctx, w.server, "SELECT n FROM "+c.name+" WHERE id IN (1, 3)")
	if want := fmt.Sprintf("=%d\n=%[1]d\n", w.serial); err != nil || neighbours != want {
		t.Fatalf("%s, %.200q: the neighbours are %q, %v; want %q", c.shown, value, neighbours, err, want)
	}
	before := c.row
	if c.row, err = values(ctx, w.server, "SELECT * FROM "+c.name+" WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	reason := refused["2"]
	if reason != nil && c.row != before {
		t.Fatalf("%s, %.200q: the row is refused, and yet it is %q; it was %q", c.shown, value, c.row, before)
	}
	var fields map[string]json.RawMessage
	if !utf8.ValidString(text) || json.Unmarshal([]byte(text), &fields) != nil {
		if reason == nil {
			t.Fatalf("%s: %.200q is no JSON, and was taken", c.shown, text)
		}
		return
	}
	if reason != nil && string(fields["n"]) != fmt.Sprint(w.serial) {
		return // The value has brought another field along, which may be at fault.
	}
	raw := string(fields[oddColumn])
	want, unfit := c.oracle(ctx, w.server, c.column(t), raw)
	switch {
	case reason == nil && unfit != nil:
		t.Fatalf("%s: %.200q was taken as %.200q; PostgreSQL says %v", c.shown, raw, c.row, unfit)
	case reason != nil && unfit == nil && !stricter(c, raw):
		t.Fatalf("%s: %.200q was refused: %v: %s; PostgreSQL makes %.200q of it", c.shown, raw, reason, detail(reason), want)
	case reason != nil:
		return
	}
	got, err := values(ctx, w.server, "SELECT "+quote(oddColumn)+" FROM "+c.name+" WHERE id = 2")
	if (err != nil || got != want) && !strings.Contains(strings.ToLower(raw), "now") {
		t.Fatalf("%s: %.200q gives %.200q, %v; PostgreSQL makes %.200q of it", c.shown, raw, got, err, want)
	}
}

// stricter tells the values that are refused although PostgreSQL has a way to take
// them.
func stricter(c *columnType, raw string) bool {
	array := raw[0] == '['
	switch {
	case strings.Count(raw, "[")+strings.Count(raw, "{") > maxDepth:
		return true
	case c.shown == "pair[]" || c.shown == "pg_catalog._box":
		// The whole array has to be given as a string.
		return array
	case c.shown == "pg_catalog.json" || c.shown == "pg_catalog._json" || c.shown == "json[]":
		// PostgreSQL keeps half a surrogate pair, and fails when it is read.
		lower := strings.ToLower(raw)
		return strings.Contains(lower, `\ud`) || array && strings.Contains(lower, `\u0000`)
	case strings.HasPrefix(c.shown, "pg_catalog.reg"):
		// The number of an object in one server means nothing in another.
		return strings.Trim(raw, `"0123456789`) == ""
	}
	return array && ragged(raw)
}

// ragged tells an array whose parts are not all as deep as each other, or are empty.
// json_populate_record makes texts of the deeper ones, and nothing of the empty ones.
func ragged(raw string) bool {
	var parts []json.RawMessage
	if json.Unmarshal([]byte(raw), &parts) != nil {
		return false
	}
	arrays := 0
	for _, part := range parts {
		text := strings.Trim(string(part), " \t\r\n")
		if text[0] != '[' {
			continue
		}
		if arrays++; strings.Trim(text, "[] \t\r\n") == "" || ragged(text) {
			return true
		}
	}
	return arrays > 0 && arrays < len(parts)
}

// anyType are values that every type has to take or to refuse.
var anyType = []string{
	`"x"`, `""`, `1`, `-0`, `1e400`, `true`, `{}`, `{"a": 1 }`, `[]`, `["1", null]`, `[[1],[2]]`, `[1,[2]]`, `[[],[1]]`, `"\u0000"`, `"\ud800"`, `"NaN"`, "\"\xff\"",
	`"1"`, `1.5`, `12345678901234567890`, `{"v":"\u0000"}`, `["\udc00"]`, "null,\"n\":null",
}

// byType are values for certain types.
var byType = map[string][]string{
	"pg_catalog.int2": {`32767`, `32768`, `1e2`, `3.2767E4`, `32768.0`, `-0.0`, `0e999999999999`, `1e-1`, `"1.0"`, `"0x10"`, `" 7 "`, `" 7"`}, "pg_catalog.int4": {`2147483648`, `-2147483648`, `"1_000"`},
	"pg_catalog.int8": {`1e+15`, `9.223372036854775807e18`, `9223372036854775807.0`, `9223372036854775808.0`, `-9.223372036854775808e18`, `1000e-3`, `1e-999999999`, `100.50`, `1.50e1`, `0.00012e5`, `1e41`, `9223372036854775807`, `9223372036854775808`, `1.0`}, "pg_catalog.numeric": {`1e131071`, `1e-400`, `"Infinity"`, `"-inf"`, `0.000e5`, `-0.0`},
	"pg_catalog.float4": {`1e39`, `1e-46`, `16777217`}, "pg_catalog.float8": {`1e-400`, `4.9e-324`, `"infinity"`, `"-Infinity"`, `0.1`, `-0`},
	"pg_catalog.bool": {`"yes"`, `"T"`, `"o"`, `0`, `false`}, "pg_catalog.bytea": {`"aGVsbG8="`, `"aGVsbG8"`, `"aGVsbG8=="`, `"aGVsbG9"`, `"aGVs\r\nbG8="`, `"aG Vs"`, `"+/+/"`, `"-_-_"`, `"-_+/"`, `"="`, `"===="`, `"hello"`, `"\\\\"`, `{"type":"Buffer","data":[1]}`, `"\\x0"`, `"\\xzz"`, `"\\\\x"`, `"\\001"`, `"\\400"`, `"é"`, `"\\X00"`},
	"pg_catalog.text": {`"😀\ud83d\ude00\/\b\f\n\r\t\"\\"`, `{"a":"\ud800"}`, `[1,{"b":"\u0000"}]`, ` 1.50 `, `"\\N"`},
	"pg_catalog.name": {`"` + strings.Repeat("é", 40) + `"`}, `pg_catalog."char"`: {`"é"`, `"xy"`, `"\\101"`},
	"pg_catalog.date":        {`"infinity"`, `"-infinity"`, `"4713-01-01 BC"`, `"0044-03-15 BC"`, `"4714-01-01 BC"`, `"5874898-01-01"`, `"epoch"`, `20260203`, `"99-1-1"`, `"J0"`},
	"pg_catalog.timestamptz": {`"now"`, `"2026-02-30"`, `"infinity"`, `"2026-01-01T00:00:00+15:59:59"`, `"2026-01-01 24:00"`, `"Feb 3 04:05:06 PST BC"`, `"294277-01-01"`},
	"pg_catalog.timetz":      {`"04:05+02"`, `"allballs"`, `"24:00:01"`}, "time(2)": {`"23:59:59.999"`},
	"pg_catalog.interval": {`"P1Y2M3DT4H5M6S"`, `"1 mon -1 day"`, `"@ 1 century ago"`, `"178000001 years"`, `1`, `"P1.5Y"`},
	"timestamptz(0)":      {`"2026-02-03T04:05:06.5Z"`, `"294276-12-31 23:59:59.9Z"`}, "numeric(6,2)": {`9999.995`, `9999.994`, `"NaN"`, `"inf"`}, "numeric(3,-2)": {`99949`, `99950`},
	"varchar(3)": {`"abcd"`, `"abc   "`, `"éèê"`, `1234`, `[1]`, `[1,2]`}, "char(3)": {`"a"`, `"abcd"`, `"abc "`}, "varchar(3)[]": {`["abcd"]`, `["abc  "]`},
	"bit(4)": {`"1010"`, `"101"`, `"10101"`, `1010`, `"xA"`, `"b1010"`}, "varbit(4)": {`"10101"`, `"1"`}, "pg_catalog.bit": {`"101"`}, "pg_catalog.varbit": {`"X1F"`},
	"pg_catalog.money": {`"$1,000.005"`, `1.005`, `"(5)"`, `92233720368547758.08`}, "pg_catalog.uuid": {`"{0123abcd-4567-89ef-0123-456789abcdef}"`, `"0123"`},
	"pg_catalog.inet": {`"10.0.0.1/33"`, `"::1/64"`, `"::ffff:1.2.3.4"`}, "pg_catalog.cidr": {`"10.0.0.1/8"`, `"10/8"`}, "pg_catalog.macaddr": {`"08002b:010203"`},
	"pg_catalog.xml": {`"<a>"`, `"<?xml version=\"1.0\" encoding=\"latin1\"?><a>é</a>"`, `"a<b/>"`, `"<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>"`}, "pg_catalog.json": {`{"a":1,"a":2}`, `"\u0000"`, `1E+2`, `{"b":"\ud83d\ude00"}`},
	"pg_catalog.jsonb":    {`{"a":1,"a":2}`, `1e131071`, `1e400000`, `"\ud83d\ude00"`, `{"\u0000":1}`, `-0.0`, `[1E2]`, `"` + strings.Repeat("a", 1000) + `"`},
	"pg_catalog.tsvector": {`"a:1A b:99999"`, `"'"`, `"it's"`}, "pg_catalog.tsquery": {`"a & !b"`, `"a &"`, `"` + strings.Repeat("(", 3000) + `"`}, "pg_catalog.jsonpath": {`"$.a[*] ? (@ > 1)"`, `"$["`, `"$` + strings.Repeat("[", 3000) + `"`},
	"pg_catalog.int4range": {`"[5,1]"`, `"empty"`, `"[1,2147483647]"`, `"(,)"`}, "pg_catalog.tstzrange": {`"[2026-01-01,infinity)"`}, "pg_catalog.int4multirange": {`"{[1,2),[2,3)}"`, `"{"`},
	"floatrange": {`"[NaN,1]"`, `"[1,NaN]"`}, "pg_catalog.point": {`"(1e400,0)"`, `"1,2"`, `"(NaN,inf)"`}, "pg_catalog.polygon": {`"((0,0),(1,1))"`, `"()"`}, "pg_catalog.line": {`"{0,0,1}"`},
	"pg_catalog._box": {`["(1,1),(0,0)"]`, `["(1,1),(0,0)","(2,2),(0,0)"]`, `"{(1,1),(0,0);(2,2),(0,0)}"`}, "mood": {`"good"`, `"Good"`, `"it's \"so\" \\ so"`}, "mood[]": {`["good","it's \"so\" \\ so",null]`, `["so so"]`},
	"pg_catalog._text":    {`["a b","c\"d","e\\f","{g}","NULL",null,""," ",5,true,{"a":"b\"c"},"\n\t"]`, `[[["a"],["b"]],[["c"],["d"]]]`, `[["a"],["b","c"]]`, `[[[[[[["x"]]]]]]]`, `[[[[[[[1]]]]]]]`, `[[[[[[[1,2]]]]]]]`, `[[[[[["x"]]]]]]`, `[["a"],"b"]`, `[["a"],[]]`, `[[]]`, `[[],[]]`, `[[],["a"]]`, `["a",[]]`, `"{a,b}"`, `"[0:1]={a,b}"`, `[null,[null]]`, `[[null],null]`, `[{},[1]]`, `[[1],{}]`},
	"pg_catalog._int4":    {`[1,null]`, `["1"," 2 "]`, `[1.5]`, `[[1,2],[3]]`, `[[[]]]`, `[[[]],[[]]]`, `[{"a":1}]`, `5`},
	"pg_catalog._numeric": {`[1e400,"NaN"]`}, "numeric(4,1)[]": {`[999.95]`, `[999.94]`}, "pg_catalog._timestamptz": {`["infinity",null]`}, "pg_catalog._bytea": {`["\\x00","a"]`, `["\\x00",null,"aGVsbG8=","-_-_",""]`, `[["YQ=="],["\\xff"]]`, `[1]`, `["a b"]`, `"{\"\\\\x00\",abc}"`}, "bytes": {`"aGVsbG8="`, `"a b"`}, "bytes[]": {`["aGVsbG8="]`}, "count": {`1e3`, `1.5`}, "count[]": {`[1e3,-0.0,"2"]`, `[1.5]`}, "doc[]": {`["x",{"a":[1]}]`, `[1]`}, "pg_catalog._int8": {`[100.0,1E2,null,[1]]`, `[[1e3],[2]]`, `[1e30]`}, "pg_catalog._bool": {`[true,"f",0]`},
	"jsonb[]": {`[{"a":"b\"c"},[1,[2]],"x",null,1.50,true]`, `["\u0000"]`, `[[null]]`, `"{\"{\\\"a\\\":1}\"}"`}, "json[]": {`[{"a" :"\u0000"}, [ ] ,"\u0041"]`},
	"pair": {`"(1,x)"`, `"(1,\"a,b\")"`, `"(1)"`, `"(,)"`, `{"a":1,"b":"x"}`, `5`}, "pair[]": {`["(1,x)"]`, `[{"a":1}]`, `"{\"(1,x)\"}"`}, "positive": {`1`, `0`, `"1"`}, "positive[]": {`[1,0]`, `[1]`}, "inverse": {`0`, `1`}, "needed": {`null`, `"x"`},
	"short": {`"abcd"`, `"ab   "`}, "short[]": {`["abcd"]`}, "shorter": {`"abcd"`}, "wide": {`"abcd"`, `"a"`}, "bits": {`"1010"`, `"10"`}, "cents": {`99.999`, `99.99`, `100`}, "seconds": {`"10:00:00.7"`},
	"doc": {`1`, `2`, `"x"`, `{"a":[]}`}, "tags": {`["a"]`, `"{a}"`, `null`}, "hstore": {`"a=>1, b=>NULL"`, `{"a":"1"}`, `"a"`}, "citext": {`"ABC"`}, "ltree": {`"a.b"`, `"a..b"`},
	"pg_catalog.regclass": {`"pg_class"`, `"nowhere"`, `"a.b.c.d"`, `"\"a"`, `5`}, "pg_catalog.regtype": {`"int4[]"`, `"numeric(1"`, `"; drop"`, `"varchar(3)"`}, "pg_catalog.regprocedure": {`"now()"`, `"now("`}, "pg_catalog.regoperator": {`"+(int4,int4)"`}, "pg_catalog.regrole": {`"postgres"`, `"nobody"`}, "pg_catalog.regconfig": {`"english"`}, "pg_catalog.regnamespace": {`"public"`},
	"pg_catalog.pg_lsn": {`"0/0"`, `"G/0"`}, "pg_catalog.tid": {`"(0,1)"`, `"(0,65536)"`}, "pg_catalog.xid": {`"-1"`, `4294967296`}, "pg_catalog.xid8": {`"0x1"`}, "pg_catalog.oid": {`4294967295`, `-1`}, "pg_catalog.aclitem": {`"postgres=r/postgres"`}, "pg_catalog.refcursor": {`"c"`}, "pg_catalog.pg_node_tree": {`"{}"`}, "pg_catalog.gtsvector": {`"a"`}, "pg_catalog.txid_snapshot": {`"10:20:15"`},
}

// FuzzColumn writes any bytes as the value of a column of any type that a table may
// have; see oracle for what the row has to be.
func FuzzColumn(f *testing.F) {
	w := newColumns(f)
	for i, c := range w.types {
		for j, value := range anyType {
			// Every type has a third of them, every value a third of the types.
			if (i+j)%3 == 0 {
				f.Add(uint16(i), value)
			}
		}
		for _, value := range byType[c.shown] {
			f.Add(uint16(i), value)
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, value string) {
		w.try(t, w.types[int(which)%len(w.types)], value)
	})
}

// TestVeryLongAndDeepValues writes what is too large for the seeds of FuzzColumn.
func TestVeryLongAndDeepValues(t *testing.T) {
	t.Parallel()
	const length = 1 << 15
	nested := func(open, inner, end string, levels int) string {
		return strings.Repeat(open, levels) + inner + strings.Repeat(end, levels)
	}
	w := newColumns(t, "text", "varchar(3)", "jsonb", "json", "bytea", "numeric", "text[]", "tsvector", "jsonpath")
	for _, c := range w.types {
		for _, value := range []string{
			`"` + strings.Repeat("x", length) + `"`, `"` + strings.Repeat(`\u00e9\"`, length/8) + `"`, strings.Repeat("9", length), "0." + strings.Repeat("9", length),
			"[" + strings.Repeat("1,", length/2) + "1]", nested("[", "1", "]", 10000), nested(`{"a":`, "1", "}", 10000),
			nested("[", "1", "]", maxDepth-1), nested(`{"a":`, `"b"`, "}", maxDepth-1), `"` + nested("(", "", ")", 10000) + `"`,
		} {
			w.try(t, c, value)
		}
	}
	for _, c := range w.types[:3] {
		w.try(t, c, `"`+strings.Repeat("x", 1<<20)+`"`)
	}
}

// FuzzKey gives any bytes for the rest of a key. What is taken is the very text that
// PostgreSQL shows of the row's key, so that no two keys mean one row; whatever else
// PostgreSQL would read is refused.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{
		"", "0", "-0", "1", "01", "+1", " 1", "1 ", "-1", "1e3", "32767", "32768", "2147483648", "9223372036854775807", "9223372036854775808", "99999999999999999999", "0x1", "1_0", "١",
		"a", "a\x00b", "\xff", "é", "abcd", "abc ", "żółw", "0123abcd-4567-89ef-0123-456789abcdef", "0123ABCD-4567-89ef-0123-456789abcdef", "{0123abcd-4567-89ef-0123-456789abcdef}",
		"'; DROP TABLE k0; --", "$1", "\\", "\"", "\u2028", "\ufeff1", "1\n",
	} {
		f.Add(seed)
	}
	server, d := open(f, "")
	ready(f, d)
	var tables []*Table
	types := []string{"smallint", "integer", "bigint", "text", "varchar(3)", "uuid"}
	for i, shown := range types {
		server.Exec(f, fmt.Sprintf("CREATE TABLE k%d (id %s PRIMARY KEY, a text)", i, shown))
		tables = append(tables, readTable(f, d, mapping(fmt.Sprintf("k%d", i))))
	}
	o := own(f, d, tables[0], 0)
	f.Fuzz(func(t *testing.T, key string) {
		ctx := context.WithoutCancel(t.Context())
		for i, table := range tables {
			server.Exec(t, fmt.Sprintf("DELETE FROM k%d", i))
			refused := make(map[string]error)
			o.table = table
			o.bisect(t, refused, key, `{"a":"x"}`)
			got, err := values(ctx, server, fmt.Sprintf("SELECT id FROM k%d", i))
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if refused[key] == nil {
				want = "=" + key + "\n"
			}
			if got != want {
				t.Fatalf("Key %q of type %s: the table holds %q; want %q", key, types[i], got, want)
			}
			if refused[key] == nil {
				continue
			}
			// A canonical key must not be refused.
			if shown, err := values(ctx, server, "SELECT $1::"+types[i], key); err == nil && shown == "="+key+"\n" && !strings.Contains(key, "\x00") {
				t.Fatalf("Key %q of type %s is refused: %v", key, types[i], refused[key])
			}
		}
	})
}
