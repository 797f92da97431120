// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// Every value must arrive as PostgreSQL itself would read its text.
func TestTypesArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	server, d := open(t, `CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN short AS varchar(3) CHECK (value <> 'bad'); CREATE DOMAIN doc AS jsonb; CREATE DOMAIN tags AS text[]; CREATE DOMAIN digest AS bytea; CREATE DOMAIN number AS integer; CREATE TYPE packed AS (a text, b bytea);
CREATE TYPE bytesrange AS RANGE (subtype = bytea); CREATE DOMAIN packedone AS packed; CREATE TYPE nested AS (p packed); CREATE DOMAIN digests AS bytea[]`)
	ready(t, d)
	partition := 0
	for name, test := range map[string]struct {
		column string
		value  string
		want   string
	}{
		"smallint":                       {"smallint", "-32768", "-32768"},
		"bigint beyond a float's digits": {"bigint", "9007199254740993", "9007199254740993"},
		"bigint from a string":           {"bigint", `"9223372036854775807"`, "9223372036854775807"},
		"numeric with many digits":       {"numeric", "123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"},
		"numeric(10,2) is rounded":       {"numeric(10,2)", "1.005", "1.01"},
		"numeric with an exponent":       {"numeric", "1.5e3", "1500"},
		"text":                           {"text", `"it's \"a\" \\ \u00e9 \n end"`, "it's \"a\" \\ é \n end"},
		"text from a number":             {"text", "1.50", "1.50"},
		"text from an object":            {"text", `{"a": 1}`, `{"a": 1}`},
		"varchar(n)":                     {"varchar(3)", `"abc"`, "abc"},
		"char(n) is padded":              {"char(3)", `"a"`, "a  "},
		"one character":                  {`"char"`, `"x"`, "x"},
		"name":                           {"name", `"x"`, "x"},
		"bit(n)":                         {"bit(4)", `"1010"`, "1010"},
		"boolean":                        {"boolean", "true", "t"},
		"boolean from a string":          {"boolean", `"off"`, "f"},
		"timestamptz":                    {"timestamptz", `"2026-02-03T04:05:06.789123+02:00"`, "2026-02-03 02:05:06.789123+00"},
		"timestamptz(0) is rounded":      {"timestamptz(0)", `"2026-02-03T04:05:06.7Z"`, "2026-02-03 04:05:07+00"},
		"timestamp":                      {"timestamp", `"2026-02-03 04:05:06"`, "2026-02-03 04:05:06"},
		"date":                           {"date", `"2026-02-03"`, "2026-02-03"},
		"time":                           {"time", `"04:05:06"`, "04:05:06"},
		"interval":                       {"interval", `"1 day 2 hours"`, "1 day 02:00:00"},
		"uuid":                           {"uuid", `"0123ABCD-4567-89ef-0123-456789abcdef"`, "0123abcd-4567-89ef-0123-456789abcdef"},
		"jsonb from an object":           {"jsonb", `{"b": [1, 2.50, "x"], "a": null}`, `{"a": null, "b": [1, 2.50, "x"]}`},
		"jsonb from a string":            {"jsonb", `"x"`, `"x"`},
		"jsonb from a number":            {"jsonb", "1.50", "1.50"},
		"json keeps its text":            {"json", `{"b":  1,"a":2}`, `{"b":  1,"a":2}`},
		"text[]":                         {"text[]", `["a b", "c\"d", null, "null", "", "e\\f", "{g}", 5]`, `{"a b","c\"d",NULL,"null","","e\\f","{g}",5}`},
		"integer[]":                      {"integer[]", "[1, 2, null]", "{1,2,NULL}"},
		"integer[][]":                    {"integer[]", "[[1, 2], [3, 4]]", "{{1,2},{3,4}}"},
		"an empty array":                 {"integer[]", "[]", "{}"},
		"numeric(4,1)[]":                 {"numeric(4,1)[]", "[1.25, 2]", "{1.3,2.0}"},
		"jsonb[]":                        {"jsonb[]", `[{"a":1}, "x", [1], null]`, `{"{\"a\": 1}","\"x\"",[1],NULL}`},
		"bytea in hexadecimal":           {"bytea", `"\\x00ff10"`, `\x00ff10`},
		"bytea in base64":                {"bytea", `"AP8Q/g=="`, `\x00ff10fe`},
		"bytea in base64 for URLs":       {"bytea", `"AP8Q_g"`, `\x00ff10fe`},
		"bytea in base64 on two lines":   {"bytea", `"AP8Q\r\n/g=="`, `\x00ff10fe`},
		"no bytes":                       {"bytea", `""`, `\x`},
		"bytea[]":                        {"bytea[]", `["\\x00ff10","AP8Q/g==",null]`, `{"\\x00ff10","\\x00ff10fe",NULL}`},
		"a domain over bytea":            {"digest", `"AP8Q/g=="`, `\x00ff10fe`},
		"smallint with a point":          {"smallint", "100.0", "100"},
		"integer with an exponent":       {"integer", "1E2", "100"},
		"bigint as Lua writes it":        {"bigint", "1e+15", "1000000000000000"},
		"the largest bigint with both":   {"bigint", "9.223372036854775807e18", "9223372036854775807"},
		"a negative zero":                {"bigint", "-0.0", "0"},
		"a domain over an integer":       {"number", "1e3", "1000"},
		"an array of whole numbers":      {"integer[]", "[[100.0], [1e3]]", "{{100},{1000}}"},
		"an array of a domain":           {"number[]", "[100.0, 1e3, null]", "{100,1000,NULL}"},
		"bytea[] as a text":              {"bytea[]", `"{\\\\x00ff10,NULL,\"\\\\x01\"}"`, `{"\\x00ff10",NULL,"\\x01"}`},
		"bytea[] with bounds":            {"bytea[]", `"[0:1]={\\\\x00ff10,NULL}"`, `[0:1]={"\\x00ff10",NULL}`},
		"bytea[] of two dimensions":      {"bytea[]", `" [-1:0][2:3] = { {\\\\x00, \"\\\\x01\"} ,{null,\"\"}} "`, `[-1:0][2:3]={{"\\x00","\\x01"},{NULL,"\\x"}}`},
		"bytea[] of nothing":             {"bytea[]", `" {} "`, `{}`},
		"a domain over bytea[]":          {"digests", `"[3:3]={\\\\x00}"`, `[3:3]={"\\x00"}`},
		"bytea[] of a domain":            {"digest[]", `"[0:0]={\\\\x00}"`, `[0:0]={"\\x00"}`},
		"an array of composites, a text": {"packed[]", `"[0:1]={\"(hi,\\\\\\\\x00)\",NULL}"`, `[0:1]={"(hi,\"\\\\x00\")",NULL}`},
		"a range of bytes":               {"bytesrange", `"[\\\\x00,)"`, `["\\x00",)`},
		"an empty range of bytes":        {"bytesrange", `"empty"`, `empty`},
		"a composite of bytes":           {"packed", `"(aGk,\"\\\\x00ff\")"`, `(aGk,"\\x00ff")`},
		"an array of it":                 {"packed[]", `["(a,\\\\x00)",null,"(b,)"]`, `{"(a,\"\\\\x00\")",NULL,"(b,)"}`},
		"money with an exponent":         {"money", "1.5e2", "$150.00"},
		"money as Lua writes it":         {"money", "1e+15", "$1,000,000,000,000,000.00"},
		"money with a point moved":       {"money", "1.2345e2", "$123.45"},
		"money of cents":                 {"money", "-5e-2", "-$0.05"},
		"money with a point":             {"money", "12.30", "$12.30"},
		"money without a fraction":       {"money", "100.0", "$100.00"},
		"an array of money":              {"money[]", "[1e3,2.5]", `{"$1,000.00",$2.50}`},
		"oid with an exponent":           {"oid", "1e3", "1000"},
		"text keeps a number's form":     {"text", "1E+2", "1E+2"},
		"numeric keeps its scale":        {"numeric", "100.0", "100.0"},
		"double precision":               {"double precision", "0.1", "0.1"},
		"double precision at its edge":   {"double precision", "1.7976931348623157e308", "1.7976931348623157e+308"},
		"double precision, no number":    {"double precision", `"NaN"`, "NaN"},
		"real":                           {"real", "1.5", "1.5"},
		"inet":                           {"inet", `"10.0.0.1/8"`, "10.0.0.1/8"},
		"int4range":                      {"int4range", `"[1,5)"`, "[1,5)"},
		"an enumeration":                 {"mood", `"good"`, "good"},
		"an array of an enumeration":     {"mood[]", `["good","bad"]`, "{good,bad}"},
		"a domain":                       {"short", `"abc"`, "abc"},
		"a domain over jsonb":            {"doc", `"x"`, `"x"`},
		"a domain over an array":         {"tags", `["a"]`, "{a}"},
		"a composite":                    {"pair", `"(1,x)"`, "(1,x)"},
		"point":                          {"point", `"(1,2)"`, "(1,2)"},
		"xml":                            {"xml", `"<a/>"`, "<a/>"},
		"tsvector":                       {"tsvector", `"a b"`, "'a' 'b'"},
	} {
		partition++
		t.Run(name, func(t *testing.T) {
			server.Exec(t, "DROP TABLE IF EXISTS items; CREATE TABLE items (id bigint PRIMARY KEY, v "+test.column+")")
			o := own(t, d, readTable(t, d, mapping("items")), partition)
			o.write(t, "1", `{"v":`+test.value+"}", "2", `{"v":null}`)
			o.write(t, "1", `{"v":`+test.value+"}")
			equal(t, server, "SELECT v FROM items ORDER BY id", test.want, "NULL")
			equal(t, server, "SELECT v IS NULL FROM items ORDER BY id", "f", "t")
		})
	}
}

func TestAnArrayOfUnequalDepthIsTheRows(t *testing.T) {
	t.Parallel()
	_, d := open(t, "CREATE TABLE items (id bigint PRIMARY KEY, v text[])")
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	if e := o.refuse(t, "1", `{"v":[1,[2]]}`); e.Kind != entry.Row {
		t.Errorf("Write = %v; want an error of the row", e)
	}
}

func TestKeysOfEveryType(t *testing.T) {
	t.Parallel()
	const uuid = "0123abcd-4567-89ef-0123-456789abcdef"
	for name, test := range map[string]struct {
		column string
		keys   []string
	}{
		"smallint": {"smallint", []string{"-1", "10", "9"}},
		"integer":  {"integer", []string{"-1", "10", "9"}},
		"bigint":   {"bigint", []string{"-1", "10", "9"}},
		"text":     {"text", []string{" 1", "01", "it's \"✓\"\\"}},
		"varchar":  {"varchar(20)", []string{"a", "a ", "é"}},
		"uuid":     {"uuid", []string{uuid, strings.Replace(uuid, "0", "1", 1), strings.Replace(uuid, "0", "2", 1)}},
		"a domain": {"number", []string{"1", "2", "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, "CREATE DOMAIN number AS integer CHECK (value > 0); CREATE TABLE items (id "+test.column+" PRIMARY KEY, a text)")
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			var pairs []string
			for _, key := range test.keys {
				pairs = append(pairs, key, `{"a":"x"}`)
			}
			o.write(t, pairs...)
			o.write(t, pairs...)
			o.write(t, test.keys[0], "", test.keys[1], `{"a":"y"}`)
			if got := server.Column(t, "SELECT id FROM items ORDER BY a DESC"); len(got) != 2 || got[0] != test.keys[1] || got[1] != test.keys[2] {
				t.Errorf("The table holds %q; want %q and %q", got, test.keys[1], test.keys[2])
			}
		})
	}
}

// Bytes that stand in the text of another type are those that PostgreSQL takes them for:
// base64 there would be stored as its letters.
func TestBase64WithinATextIsRefused(t *testing.T) {
	t.Parallel()
	server, d := open(t, `CREATE TYPE packed AS (a text, b bytea); CREATE TYPE bytesrange AS RANGE (subtype = bytea);
CREATE DOMAIN digest AS bytea; CREATE DOMAIN digests AS bytea[]; CREATE DOMAIN packedone AS packed; CREATE TYPE nested AS (p packed); CREATE TYPE listed AS (l digest[]); CREATE TYPE pair AS (a integer, b text)`)
	ready(t, d)
	for _, test := range []struct{ column, value, words string }{
		{"bytea[]", `"{aGVsbG8=}"`, "a JSON array of strings in base64"},
		{"bytea[]", `"{\\\\x00,aGVsbG8=}"`, "a JSON array of strings in base64"},
		{"bytea[]", `"{\\x00}"`, "a JSON array of strings in base64"},
		{"bytea[]", `"[0:0]={aGVsbG8=}"`, `"\x" and hexadecimal digits, with the backslash doubled`},
		{"bytea[]", `"{\\\\101}"`, `"\x" and hexadecimal digits, with the backslash doubled`},
		{"bytea[]", `"{\"\\\\101\"}"`, `"\x" and hexadecimal digits, with the backslash doubled`},
		{"bytea[]", `"{\"NULL\"}"`, "backslash doubled"},
		{"bytea[]", `"{NULLNULL}"`, "backslash doubled"},
		{"bytea[]", `"{empty}"`, "backslash doubled"},
		{"bytea[]", `"{[]}"`, "backslash doubled"},
		{"bytea[]", `"{{\\\\x00},{aGVsbG8=}}"`, "backslash doubled"},
		{"bytea[]", `"aGVsbG8="`, "backslash doubled"},
		{"bytea[]", `"\\x00"`, "backslash doubled"},
		{"digests", `"[0:0]={aGVsbG8=}"`, "backslash doubled"},
		{"bytesrange", `"[empty,)"`, "hexadecimal"},
		{"bytesrange", `"[NULL,)"`, "hexadecimal"},
		{"digest[]", `"{aGVsbG8=}"`, "a JSON array of strings in base64"},
		{"packed", `"(1,aGVsbG8=)"`, "hexadecimal"},
		{"packed", `"(1,\"aGVsbG8=\")"`, "hexadecimal"},
		{"packedone", `"(1,aGVsbG8=)"`, "hexadecimal"},
		{"packed[]", `["(1,aGVsbG8=)"]`, "a JSON array of texts of the composite"},
		{"packed[]", `"{\"(1,aGVsbG8=)\"}"`, "a JSON array of texts of the composite"},
		{"nested", `"(\"(1,aGVsbG8=)\")"`, "hexadecimal"},
		{"listed", `"({aGVsbG8=})"`, "hexadecimal"},
		{"bytesrange", `"[aGVsbG8=,)"`, "hexadecimal"},
		{"bytesrange[]", `["[aGVsbG8=,)"]`, "hexadecimal"},
		{"pair", `"(1,aGVsbG8=)"`, ""},
	} {
		t.Run(test.column+" "+test.value, func(t *testing.T) {
			server.Exec(t, "DROP TABLE IF EXISTS items; CREATE TABLE items (id bigint PRIMARY KEY, v "+test.column+")")
			err := readTable(t, d, mapping("items")).NewBatch().Set("1", []byte(`{"v":`+test.value+"}"))
			refused, ok := errors.AsType[*entry.Unfit](err)
			if test.words == "" {
				if err != nil {
					t.Errorf("Set = %v", err)
				}
				return
			}
			if !ok || refused.SQLSTATE != "22P02" || refused.Column != "v" || !strings.Contains(refused.Message, test.words) || strings.Contains(refused.Message, "aGVsbG8") {
				t.Errorf("Set = %v; want a refusal with %q", err, test.words)
			}
		})
	}
}

// Every text of an array that is taken apart gives what PostgreSQL makes of it, or
// PostgreSQL refuses it.
func TestTextsOfArraysAreTakenApartAsPostgreSQLDoes(t *testing.T) {
	t.Parallel()
	server, _ := open(t, `CREATE FUNCTION apart(x text) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN to_jsonb(ARRAY(SELECT unnest(x::text[]))); EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$`)
	pieces := []string{"{", "}", ",", `"`, `\`, " ", "a", "null", `""`, `"b"`, `\\x00`}
	var texts []string
	for _, prefix := range []string{"", "[0:1]=", " [2] = ", "[1:1][0:1]="} {
		texts = append(texts, prefix+"{}")
		var grow func(text string, left int)
		grow = func(text string, left int) {
			texts = append(texts, prefix+"{"+text+"}", prefix+"{{"+text+"},{b,c}}")
			for _, piece := range pieces {
				if left > 0 {
					grow(text+piece, left-1)
				}
			}
		}
		grow("", 3)
	}
	taken := 0
	for i, row := range server.Rows(t, "SELECT apart(x) FROM unnest($1::text[]) WITH ORDINALITY u (x, n) ORDER BY n", texts) {
		leaves, ok := arrayLeaves([]byte(texts[i]))
		if !ok || row[0] == "NULL" {
			continue
		}
		taken++
		words := []any{}
		for _, leaf := range leaves {
			if leaf == nil {
				words = append(words, nil)
			} else {
				words = append(words, string(leaf))
			}
		}
		var is []any
		if err := json.Unmarshal([]byte(row[0]), &is); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(is, words) {
			t.Errorf("%s is %s, taken apart %q", texts[i], row[0], words)
		}
	}
	if taken < 100 {
		t.Errorf("%d of %d texts are taken", taken, len(texts))
	}
}
