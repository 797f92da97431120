// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// fakeTable is a table that no catalogue knows: fields a (text), j (jsonb), k
// (json), l (text[]), m (jsonb[]), a second column a2 fed by a, and w fed by the
// whole document.
func fakeTable() *Table {
	f := fit{mapping: config.Mapping{Name: "fake"}, name: "fake"}
	id := &attribute{name: "id", cast: "pg_catalog.int8", base: "int8", shown: "bigint"}
	column := func(field, name, base string) fed {
		a := &attribute{name: name, base: base, cast: "pg_catalog." + base}
		if element, ok := strings.CutSuffix(base, "[]"); ok {
			a.array, a.element = true, element
		}
		return fed{field, a}
	}
	return newTable(&f, id, nil, []fed{
		column("a", "a", "text"), column("j", "j", "jsonb"), column("k", "k", "json"), column("l", "l", "text[]"),
		column("m", "m", "jsonb[]"), column("a", "a2", "text"), column("$", "w", "json"),
	}, newLedgerStatements("s"))
}

// show gives a row's cells by column; absent ones are left out.
func show(b *Batch, row int) map[string]string {
	shown := map[string]string{}
	for i, c := range b.table.columns {
		switch cell := b.cells[b.rows[row].cells+i]; cell.length {
		case isAbsent:
		case isNull:
			shown[c.name] = "NULL"
		default:
			shown[c.name] = string(b.text(cell))
		}
	}
	return shown
}

func TestADocumentBecomesTexts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		document string
		column   string
		want     string
	}{
		"a string gives its text":                     {`{"a":"plain"}`, "a", "plain"},
		"an empty string is not null":                 {`{"a":""}`, "a", ""},
		"escapes are resolved":                        {`{"a":"q\" b\\ s\/ \b\f\n\r\t"}`, "a", "q\" b\\ s/ \b\f\n\r\t"},
		"a \\u escape is its character":               {`{"a":"\u0041\u00e9\u20AC"}`, "a", "Aé€"},
		"a surrogate pair is one character":           {`{"a":"\ud83d\ude00!"}`, "a", "😀!"},
		"UTF-8 passes":                                {`{"a":"żółw 龍 😀"}`, "a", "żółw 龍 😀"},
		"a number keeps its digits":                   {`{"a":12345678901234567890.12345678901234567890e-7}`, "a", "12345678901234567890.12345678901234567890e-7"},
		"a 64-bit integer is not rounded":             {`{"a":9007199254740993}`, "a", "9007199254740993"},
		"a negative zero stays":                       {`{"a":-0}`, "a", "-0"},
		"a boolean":                                   {`{"a":true}`, "a", "true"},
		"null is null":                                {`{"a":null}`, "a", "NULL"},
		"null is null for json too":                   {`{"j":null}`, "j", "NULL"},
		"an object gives its text":                    {`{"a": {"x" : [1, 2]} }`, "a", `{"x" : [1, 2]}`},
		"an array gives its text":                     {`{"a":[1, "x"]}`, "a", `[1, "x"]`},
		"one field feeds two columns":                 {`{"a":"x"}`, "a2", "x"},
		"a string for json stays JSON":                {`{"j":"a\"\u0041"}`, "j", `"a\"\u0041"`},
		"a number for json":                           {`{"j":1.50}`, "j", "1.50"},
		"a boolean for json":                          {`{"j":false}`, "j", "false"},
		"an object for json":                          {`{"j":{"a":[]}}`, "j", `{"a":[]}`},
		"U+0000 is kept within json":                  {`{"k":["\u0000"]}`, "k", `["\u0000"]`},
		"U+0000 in the text of an object is no fault": {`{"a":["\u0000"]}`, "a", `["\u0000"]`},
		"an array for an array":                       {`{"l":["x", 1, true, null, 2.5]}`, "l", `{"x",1,true,NULL,2.5}`},
		"an empty array":                              {`{"l":[ ]}`, "l", "{}"},
		"elements are quoted":                         {`{"l":["a\"b","c\\d","e,f","{g}","null",""," "]}`, "l", `{"a\"b","c\\d","e,f","{g}","null",""," "}`},
		"nested arrays are dimensions":                {`{"l":[["a"],["b"]]}`, "l", `{{"a"},{"b"}}`},
		"as many dimensions as there can be":          {`{"l":[[[[[["x"]]]]]],"a":1}`, "l", `{{{{{{"x"}}}}}}`},
		"an object within an array":                   {`{"l":[{"x":"y"}]}`, "l", `{"{\"x\":\"y\"}"}`},
		"an array's own text passes":                  {`{"l":"{a,b}"}`, "l", "{a,b}"},
		"elements of a jsonb array stay JSON":         {`{"m":["s",[1,"t"],{"u":null},null,true]}`, "m", `{"\"s\"","[1,\"t\"]","{\"u\":null}",NULL,"true"}`},
		"the whole document":                          {" \n{\"a\" : 1, \"zzz\":[ ]}\t", "w", `{"a" : 1, "zzz":[ ]}`},
		"of a field named twice the last one counts":  {`{"a":"first","a":"last"}`, "a", "last"},
		"a later null counts too":                     {`{"a":"first","a":null}`, "a", "NULL"},
		"a field's name may be escaped":               {`{"\u0061":"x"}`, "a", "x"},
		"white space is free":                         {" { \t\"a\" \r\n : \n 1 , \"zzz\" : { } } ", "a", "1"},
		"a field that is not known is ignored":        {`{"zzz":"\ud800 \u0000","a":1}`, "a", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := fakeTable().NewBatch()
			if strings.Contains(name, "not known") {
				// Only the column of the whole document minds.
				b.table.whole = nil
			}
			if err := b.Set("1", []byte(test.document)); err != nil {
				t.Fatalf("Set: %v", err)
			}
			if got, ok := show(b, 0)[test.column]; !ok || got != test.want {
				t.Errorf("%s gives %q, %v; want %q", test.document, got, ok, test.want)
			}
		})
	}
}

func TestADocumentThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		document string
		state    string
		says     string
	}{
		"nothing":                        {"", "22P02", "an object is missing instead of the end at byte 0"},
		"white space":                    {"  ", "22P02", "at byte 2"},
		"a number":                       {"12", "22P02", "valid JSON but not an object"},
		"a string":                       {`"s3cret"`, "22P02", "valid JSON but not an object"},
		"an array":                       {"[{}]", "22P02", "valid JSON but not an object"},
		"null":                           {"null", "22P02", "valid JSON but not an object"},
		"no JSON at all":                 {"s3cret", "22P02", "at byte 0"},
		"an object that does not end":    {`{"a":1`, "22P02", "a comma or a closing bracket is missing instead of the end at byte 6"},
		"a string that does not end":     {`{"a":"s3cret`, "22P02", "a string is not closed"},
		"a name without quotation marks": {`{a:1}`, "22P02", "a field name in quotation marks is missing at byte 1"},
		"no colon":                       {`{"a" 1}`, "22P02", "a colon is missing at byte 5"},
		"no value":                       {`{"a":}`, "22P02", "a value is missing at byte 5"},
		"a comma too many":               {`{"a":1,}`, "22P02", "a field name in quotation marks is missing at byte 7"},
		"a comma too many in an array":   {`{"a":[1,]}`, "22P02", "a value is missing at byte 8"},
		"a comma too few":                {`{"a":1 "b":2}`, "22P02", "a comma or a closing bracket is missing at byte 7"},
		"something behind the object":    {`{"a":1} s3cret`, "22P02", "something follows the object at byte 8"},
		"a second object":                {`{}{}`, "22P02", "something follows the object at byte 2"},
		"a leading zero":                 {`{"a":01}`, "22P02", "at byte 6"},
		"a plus sign":                    {`{"a":+1}`, "22P02", "a value is missing at byte 5"},
		"a bare minus":                   {`{"a":-}`, "22P02", "a number lacks a digit at byte 6"},
		"a bare point":                   {`{"a":1.}`, "22P02", "a number lacks a digit at byte 7"},
		"a bare exponent":                {`{"a":1e+}`, "22P02", "a number lacks a digit at byte 8"},
		"NaN":                            {`{"a":NaN}`, "22P02", "NaN and Infinity are no JSON numbers"},
		"a NaN with a sign":              {`{"a":-NaN}`, "22P02", "NaN and Infinity are no JSON numbers"},
		"NaN alone":                      {` NaN`, "22P02", "NaN and Infinity are no JSON numbers"},
		"NaN alone with a sign":          {`-NaN`, "22P02", "NaN and Infinity are no JSON numbers"},
		"undefined alone":                {`undefined`, "22P02", "undefined is no JSON value"},
		"an infinity":                    {`{"a":[1,-Infinity]}`, "22P02", `the string "NaN", "Infinity" or "-Infinity" at byte 8`},
		"JavaScript's undefined":         {`{"a":undefined}`, "22P02", "undefined is no JSON value: write null"},
		"Python's None":                  {`{"a":None}`, "22P02", "None stands for null at byte 5"},
		"Python's True":                  {`{"a":{"b":True}}`, "22P02", "True stands for true"},
		"single quotation marks":         {`{"a":'x'}`, "22P02", "single quotation marks"},
		"a byte order mark":              {"\ufeff{}", "22P02", "begins with a byte order mark"},
		"a misspelt word":                {`{"a":nulL}`, "22P02", "an unknown word"},
		"a control character":            {"{\"a\":\"s3cret\n\"}", "22P02", "a string has a control character at byte 12"},
		"an unknown escape":              {`{"a":"\x41"}`, "22P02", "a string has an unknown escape at byte 6"},
		"a broken \\u escape":            {`{"a":"\u12G4"}`, "22P02", "a string has an unknown escape at byte 6"},
		"the wrong bracket":              {`{"a":[1}`, "22P02", "at byte 7"},
		"nesting without end":            {`{"a":` + strings.Repeat("[", 100000), "22P02", "nesting deeper than 500"},
		"bytes that are no UTF-8":        {"{\"a\":\"\xff\"}", "22021", "not valid UTF-8"},
		"a surrogate in UTF-8":           {"{\"a\":\"\xed\xa0\x80\"}", "22021", "not valid UTF-8"},
		"U+0000 in a text":               {`{"a":"s3cret\u0000"}`, "22021", "column a: a string holds the character U+0000"},
		"U+0000 in an array's element":   {`{"l":["\u0000"]}`, "22021", "column l"},
		"one dimension too many":         {`{"l":[[[[[[["s3cret"]]]]]]]}`, "54000", "column l: an array has more than 6 dimensions"},
		"U+0000 in jsonb":                {`{"j":{"x":["\u0000"]}}`, "22P05", "column j"},
		"U+0000 in a name within jsonb":  {`{"j":{"\u0000":1}}`, "22P05", "column j"},
		"half a surrogate pair":          {`{"a":"s3cret\ud800"}`, "22P05", "column a: a string holds half a surrogate pair"},
		"the other half":                 {`{"a":"\udc00\ud800"}`, "22P05", "column a"},
		"half a pair within json":        {`{"k":["\ud800\u0041"]}`, "22P05", "column k"},
		"half a pair in the document":    {`{"zzz":"\ud800"}`, "22P05", "column w"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := fakeTable().NewBatch()
			if err := b.Set("1", []byte(`{"a":"before"}`)); err != nil {
				t.Fatal(err)
			}
			size, ignored := b.Size(), b.Ignored()
			err := b.Set("2", []byte(test.document))
			var e *entry.Unfit
			if !errors.As(err, &e) || e.SQLSTATE != test.state || !strings.Contains(e.Message, test.says) {
				t.Fatalf("Set = %v; want SQLSTATE %s and %q", err, test.state, test.says)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Set = %v, which tells a value", err)
			}
			if b.Len() != 1 || b.Size() != size || b.Ignored() != ignored || len(b.cells) != len(b.table.columns) {
				t.Error("A refused document left something behind")
			}
		})
	}
}

func TestUnknownFieldsAreCounted(t *testing.T) {
	t.Parallel()
	_, d := open(t, `CREATE TABLE items (id bigint PRIMARY KEY, a text,
  twice text GENERATED ALWAYS AS (a || a) STORED, n bigint GENERATED ALWAYS AS IDENTITY)`)
	long := strings.Repeat("x", 64)
	b := readTable(t, d, mapping("items")).NewBatch()
	set := func(document string) {
		t.Helper()
		if err := b.Set("1", []byte(document)); err != nil {
			t.Fatal(err)
		}
	}
	set(`{"id":1,"a":"x","twice":"x","n":1}`)
	if b.Ignored() != 0 {
		t.Errorf("Ignored = %d; want 0", b.Ignored())
	}
	set(`{"z":{"inner":1},"a":"x","b":1,"\u0062":2,"` + long + `":1}`)
	if b.Ignored() != 4 {
		t.Errorf("Ignored = %d; want 4", b.Ignored())
	}
	if err := b.Set("2", []byte(`{"c":1,"a":"\u0000"}`)); err == nil {
		t.Error("Set gives no error")
	}
	if b.Ignored() != 4 {
		t.Errorf("Ignored = %d after a document that was refused; want 4", b.Ignored())
	}
	b.Reset()
	for i := range 20 {
		set(fmt.Sprintf(`{"f%d":1}`, i))
	}
	if len(b.names) != mostNames || b.Ignored() != 20 {
		t.Errorf("names = %q, Ignored = %d; want %d names of 20", b.names, b.Ignored(), mostNames)
	}
}

func TestIgnoredFieldsAreCounted(t *testing.T) {
	t.Parallel()
	b := fakeTable().NewBatch()
	for key, document := range []string{`{"id":1,"a":1}`, `{"x":1,"$":2,"a":1}`, `{"x":1}`} {
		if err := b.Set(fmt.Sprint(key), []byte(document)); err != nil {
			t.Fatal(err)
		}
	}
	if b.Ignored() != 3 {
		t.Errorf("Ignored = %d; want 3", b.Ignored())
	}
	if b.Reset(); b.Ignored() != 0 || b.Len() != 0 || b.Size() != 0 {
		t.Error("Reset left something behind")
	}
}

func TestFieldsInAnyOrder(t *testing.T) {
	t.Parallel()
	b := fakeTable().NewBatch()
	for key, document := range []string{
		`{"a":"1","j":2,"k":3}`, `{"a":"1","j":2,"k":3}`, `{"k":3,"a":"1","j":2}`, `{"x":0,"j":2,"x":0,"k":3,"a":"1"}`, `{"a":"1","j":2,"k":3}`,
	} {
		if err := b.Set(fmt.Sprint(key), []byte(document)); err != nil {
			t.Fatal(err)
		}
		if got := show(b, key); got["a"] != "1" || got["j"] != "2" || got["k"] != "3" {
			t.Errorf("%s gives %v", document, got)
		}
	}
}

func TestTheLongestDocument(t *testing.T) {
	t.Parallel()
	var e *entry.Unfit
	if err := fakeTable().NewBatch().Set("1", make([]byte, maxDocument+1)); !errors.As(err, &e) || e.SQLSTATE != "54000" {
		t.Errorf("Set = %v; want SQLSTATE 54000", err)
	}
}

// FuzzDocument holds the decoder against encoding/json.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", "[]", `{"a":1}`, `{"a":"x\u0041\ud83d\ude00\n"}`, `{"a":"\ud800"}`, `{"a":"\u0000"}`, `{"j":{"b":[1,2.5e-3,true,null,"x"]}}`,
		`{"l":["a",["b"],{"c":1},null]}`, `{"a":01}`, `{"a":1}x`, "{\"a\":\"\xff\"}", `{"a":1,"a":2}`, ` { "\u0061" : -0.0E+1 } `, "{\"a\":\"\x01\"}",
	} {
		f.Add([]byte(seed))
	}
	table := fakeTable()
	f.Fuzz(func(t *testing.T, document []byte) {
		b := table.NewBatch()
		err := b.Set("1", document)

		var fields map[string]json.RawMessage
		decoder := json.NewDecoder(bytes.NewReader(document))
		oracle := decoder.Decode(&fields)
		if oracle == nil {
			if _, more := decoder.Token(); more != io.EOF {
				oracle = errors.New("trailing data")
			}
		}
		valid := oracle == nil && fields != nil && utf8.Valid(document)
		var e *entry.Unfit
		switch {
		case err == nil && !valid:
			t.Fatalf("%q was taken; encoding/json says %v", document, oracle)
		case err != nil && !errors.As(err, &e):
			t.Fatalf("%q gives %T", document, err)
		case err != nil && valid && e.SQLSTATE == stateInvalidText && !strings.Contains(e.Message, "deeper"):
			t.Fatalf("%q was refused: %v", document, err)
		}
		if err != nil {
			return
		}
		got := show(b, 0)
		compare(t, document, fields, got)
	})
}

// compare holds one row against what encoding/json read.
func compare(t *testing.T, document []byte, fields map[string]json.RawMessage, got map[string]string) {
	for _, name := range []string{"a", "j"} {
		raw, named := fields[name]
		text, ok := got[name]
		if named != ok {
			t.Fatalf("%q: field %s is named: %v, taken: %v", document, name, named, ok)
		}
		if !named {
			continue
		}
		want := string(raw)
		var s string
		switch {
		case want == "null":
			want = "NULL"
		case name == "a" && json.Unmarshal(raw, &s) == nil:
			want = s
		}
		if text != want {
			t.Fatalf("%q: field %s gives %q; want %q", document, name, text, want)
		}
	}
	if strings.TrimSpace(string(document)) != got["w"] && strings.Trim(string(document), " \t\r\n") != got["w"] {
		t.Fatalf("%q: the whole document gives %q", document, got["w"])
	}
}
