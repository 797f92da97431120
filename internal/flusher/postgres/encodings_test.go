// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

func hashes(table string, columns ...config.Column) config.Mapping {
	m := mapping(table, columns...)
	m.Encoding = config.EncodingHash
	return m
}

func counters(table string) config.Mapping {
	m := mapping(table)
	m.Encoding, m.ValueColumn = config.EncodingNumber, "n"
	return m
}

func boards(table string) config.Mapping {
	m := mapping(table)
	m.KeyColumn, m.Encoding, m.MemberColumn, m.ScoreColumn = "board", config.EncodingSortedSet, "player", "score"
	return m
}

func streams(table string, columns ...config.Column) config.Mapping {
	m := mapping(table, columns...)
	m.KeyColumn, m.Mode, m.Encoding, m.IDColumn = "source", config.ModeAppend, config.EncodingStream, "id"
	return m
}

// The tables of the mappings above.
const (
	numberSchema = "CREATE TABLE items (id text PRIMARY KEY, n bigint CHECK (n <> 13), note text DEFAULT 'none')"
	boardSchema  = "CREATE TABLE items (board text, player text, score double precision CHECK (score <> 13), PRIMARY KEY (board, player))"
	streamSchema = "CREATE TABLE items (source text, id text, kind text CHECK (kind <> 'bad'), n bigint DEFAULT 7, PRIMARY KEY (id, source))"
)

// openEncoded gives the owner of a mapping's first partition.
func openEncoded(t testing.TB, schema string, m config.Mapping) (*postgrestest.Database, *owner) {
	t.Helper()
	server, d := open(t, schema)
	return server, own(t, d, readTable(t, d, m), 0)
}

func set(key, value string) entry.Entry {
	return entry.Entry{Key: key, Operation: entry.Set, Value: value}
}

func setMember(key, member, value string) entry.Entry {
	return entry.Entry{Key: key, Member: member, Operation: entry.Set, Value: value}
}

func remove(key, member string) entry.Entry {
	return entry.Entry{Key: key, Member: member, Operation: entry.Delete}
}

func clearKey(key, stay string) entry.Entry {
	return entry.Entry{Key: key, Operation: entry.Clear, Value: stay}
}

func appended(key, id, value string) entry.Entry {
	return entry.Entry{Key: key, Member: id, Operation: entry.Append, Value: value}
}

func whole(e entry.Entry) entry.Entry {
	e.Whole = true
	return e
}

func compared(e entry.Entry) entry.Entry {
	e.Compare = true
	return e
}

func (o *owner) entries(t testing.TB, all ...entry.Entry) *Batch {
	t.Helper()
	b := o.table.NewBatch()
	for i := range all {
		if err := b.Add(all[i].Key, &all[i]); err != nil {
			t.Fatalf("Add %+v: %v", all[i], err)
		}
	}
	return b
}

// commits writes entries twice, as after a lost answer: that must come to the same.
func (o *owner) commits(t testing.TB, all ...entry.Entry) {
	t.Helper()
	for range 2 {
		outcome, err := o.d.Write(t.Context(), o.table, o.next(o.at.Version+1), o.entries(t, all...))
		if err != nil || outcome != entry.Committed {
			t.Fatalf("Write = %v, %v: %s; want Committed", outcome, err, detail(err))
		}
	}
}

// refuses writes entries of which the server must refuse one, and gives what it says of
// them.
func (o *owner) refuses(t testing.TB, all ...entry.Entry) (*Batch, *entry.Fault) {
	t.Helper()
	b := o.entries(t, all...)
	outcome, err := o.d.Write(t.Context(), o.table, o.next(o.at.Version+1), b)
	o.at.Flush--
	f, ok := errors.AsType[*entry.Fault](err)
	if !ok {
		t.Fatalf("Write = %v, %v; want a fault", outcome, err)
	}
	return b, f
}

// unfit tries entries that can be no rows.
func (o *owner) unfit(t testing.TB, e entry.Entry, ofKey bool, says string) {
	t.Helper()
	b := o.table.NewBatch()
	u, ok := errors.AsType[*entry.Unfit](b.Add(e.Key, &e))
	if !ok || u.OfKey != ofKey || u.SQLSTATE == "" || !strings.Contains(u.Message, says) {
		t.Errorf("Add %+v = %+v; want an Unfit that says %q", e, u, says)
	}
	if b.Len() != 0 || b.Size() != 0 {
		t.Errorf("After that the batch has %d rows of %d bytes", b.Len(), b.Size())
	}
}

func TestANumberIsARow(t *testing.T) {
	t.Parallel()
	server, o := openEncoded(t, numberSchema, counters("items"))
	const all = "SELECT id, n, note FROM items ORDER BY id"
	o.commits(t, set("a", "5"), set("b", "-3"), set("c", "9223372036854775807"), set("d", "1e3"), set("e", "+4"))
	equal(t, server, all, "a|5|none", "b|-3|none", "c|9223372036854775807|none", "d|1000|none", "e|4|none")
	server.Exec(t, "UPDATE items SET note = 'mine'")
	o.commits(t, set("a", "6.0"), remove("b", ""), remove("x", ""), set("d", "0"), set("d", "1"))
	equal(t, server, all, "a|6|mine", "c|9223372036854775807|mine", "d|1|mine", "e|4|mine")
	for value, says := range map[string]string{
		"": "no number", "many": "no number", " 5": "no number", "5 ": "no number", "0x10": "no number", "1_000": "no number", "nan": "no number", "1e": "no number",
		"5\x00": "no number", "\xff": "no number", "inf": "infinite", "5.5": "no whole number", "1e-3": "no whole number",
		"9223372036854775808": "out of the range of bigint", "1e300": "out of the range", strings.Repeat("1", 2000): "longer than",
	} {
		o.unfit(t, set("a", value), false, says)
	}
	o.unfit(t, clearKey("a", ""), false, "the operation clear is none that encoding Number takes")
}

func TestANumberOfEachType(t *testing.T) {
	t.Parallel()
	for typ, values := range map[string][]string{
		"smallint": {"32767", "-32768"}, "integer": {"2147483647"}, "numeric(10,2)": {"12345678.25", "-0.50"},
		"numeric": {"3.14159265358979323846"}, "real": {"0.5", "Infinity"}, "double precision": {"0.1", "-Infinity", "1e+100"},
	} {
		server, o := openEncoded(t, "CREATE TABLE items (id text PRIMARY KEY, n "+typ+")", counters("items"))
		for _, value := range values {
			redis := strings.ReplaceAll(value, "Infinity", "inf")
			o.commits(t, set("a", redis))
			equal(t, server, "SELECT n FROM items", value)
		}
		if o.table.columns[0].bits > 0 {
			o.unfit(t, set("a", "2147483648000"), false, "out of the range of "+typ)
		}
	}
}

func TestMembersOfASortedSetAreRows(t *testing.T) {
	t.Parallel()
	server, o := openEncoded(t, boardSchema, boards("items"))
	const all = "SELECT board, player, score FROM items ORDER BY board, player COLLATE \"C\""
	o.commits(t, setMember("b1", "ann", "1"), setMember("b1", "bob", "2.5"), setMember("b2", "ann", "-inf"), setMember("b1", "", "0"), setMember("b1", "żółw", "3"))
	equal(t, server, all, "b1||0", "b1|ann|1", "b1|bob|2.5", "b1|żółw|3", "b2|ann|-Infinity")
	o.commits(t, setMember("b1", "ann", "7"), remove("b1", "bob"), remove("b1", "nobody"), remove("b3", "ann"), setMember("b1", "ann", "8"), remove("b1", ""))
	equal(t, server, all, "b1|ann|8", "b1|żółw|3", "b2|ann|-Infinity")
	o.unfit(t, setMember("b1", "\xff", "1"), true, `member "\xff" is not valid UTF-8`)
	o.unfit(t, setMember("b1", "a\x00", "1"), true, "U+0000")
	o.unfit(t, setMember("b\xff", "a", "1"), true, `key "b\xff"`)
	o.unfit(t, setMember("b1", "a", "high"), false, "column score: the value is no number")
	o.unfit(t, appended("b1", "a", "{}"), false, "the operation append is none that encoding SortedSet takes")
}

// What clears a key comes to the same before and after what is written of its members.
func TestAKeyIsClearedButForTheMembersThatStay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		batches [][]entry.Entry
		want    []string
	}{
		"all of them":        {[][]entry.Entry{{clearKey("b1", "")}}, []string{"b2|ann|9"}},
		"an empty list":      {[][]entry.Entry{{clearKey("b1", "[]")}}, []string{"b2|ann|9"}},
		"but for some":       {[][]entry.Entry{{clearKey("b1", `["bob", "z\"", "nobody"]`)}}, []string{"b1|bob|2", `b1|z"|4`, "b2|ann|9"}},
		"no such key":        {[][]entry.Entry{{clearKey("b3", "")}}, []string{"b1|ann|1", "b1|bob|2", "b1|cat|3", `b1|z"|4`, "b2|ann|9"}},
		"the last one":       {[][]entry.Entry{{clearKey("b1", ""), clearKey("b1", `["cat"]`)}}, []string{"b1|cat|3", "b2|ann|9"}},
		"beside another key": {[][]entry.Entry{{clearKey("b1", `["ann"]`), clearKey("b2", `[]`)}}, []string{"b1|ann|1"}},
		"before its members": {
			[][]entry.Entry{{clearKey("b1", `["ann","new"]`), setMember("b1", "ann", "5"), setMember("b1", "new", "6")}}, []string{"b1|ann|5", "b1|new|6", "b2|ann|9"},
		},
		"after its members": {
			[][]entry.Entry{{setMember("b1", "ann", "5"), setMember("b1", "new", "6"), clearKey("b1", `["ann","new"]`)}}, []string{"b1|ann|5", "b1|new|6", "b2|ann|9"},
		},
		"apart from its members": {
			[][]entry.Entry{{setMember("b1", "ann", "5"), setMember("b1", "new", "6")}, {clearKey("b1", `["ann","new"]`)}}, []string{"b1|ann|5", "b1|new|6", "b2|ann|9"},
		},
		"a text that can be no member": {[][]entry.Entry{{clearKey("b1", "[\"ann\",\"\xff\",\"a\\u0000\"]")}}, []string{"b1|ann|1", "b2|ann|9"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, o := openEncoded(t, boardSchema, boards("items"))
			o.commits(t, setMember("b1", "ann", "1"), setMember("b1", "bob", "2"), setMember("b1", "cat", "3"), setMember("b1", `z"`, "4"), setMember("b2", "ann", "9"))
			for _, batch := range test.batches {
				o.commits(t, batch...)
			}
			equal(t, server, `SELECT board, player, score FROM items ORDER BY board, player COLLATE "C"`, test.want...)
		})
	}
}

func TestAListOfMembersThatIsNoneIsUnfit(t *testing.T) {
	t.Parallel()
	_, o := openEncoded(t, boardSchema, boards("items"))
	for _, list := range []string{"x", `{"a":1}`, `["a"`, `[1]`, `["a"] b`, `"a"`, "[null]"} {
		o.unfit(t, clearKey("b1", list), false, "")
	}
}

// What a BEFORE trigger keeps of a key that is cleared is no row that came after.
func TestARowThatIsKeptWhereItsKeyIsClearedFailsTheBatch(t *testing.T) {
	t.Parallel()
	server, o := openEncoded(t, boardSchema+`; CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.player = 'bob' THEN RETURN NULL; END IF; RETURN OLD; END $$;
CREATE TRIGGER keep BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION keep()`, boards("items"))
	o.commits(t, setMember("b1", "ann", "1"), setMember("b1", "bob", "2"), setMember("b2", "ann", "2"))
	b, fault := o.refuses(t, setMember("b2", "ann", "3"), clearKey("b2", `["ann"]`), clearKey("b1", `[]`))
	if fault.Kind != entry.Row || !strings.Contains(fault.Message, "trigger keep") {
		t.Errorf("the fault is %+v", fault)
	}
	if s, ok := b.Suspect(fault); !ok || s.Entry != 2 {
		t.Errorf("suspected is %+v, %v", s, ok)
	}
	o.commits(t, clearKey("b1", `["bob"]`), setMember("b2", "ann", "3"))
	equal(t, server, "SELECT board, player, score FROM items ORDER BY 1, 2", "b1|bob|2", "b2|ann|3")
}

func TestFieldsOfAHashAreColumns(t *testing.T) {
	t.Parallel()
	const schema = `CREATE TABLE items (id text PRIMARY KEY, name text NOT NULL, price numeric(10,2), tags text[], doc jsonb, raw json,
  live boolean, data bytea, created timestamptz DEFAULT '2001-02-03+00', count integer NOT NULL DEFAULT 0)`
	server, o := openEncoded(t, schema, hashes("items"))
	const all = "SELECT id, name, price, tags, doc, raw, live, data, created = '2001-02-03+00', count FROM items ORDER BY id"
	o.commits(t, set("1", `{"name":"lamp","price":"9.50","tags":"{a,\"b c\"}","doc":"{\"a\": [1]}","raw":"[1, 2]","live":"yes","data":"\\x4142","count":"5","unknown":"x"}`),
		set("2", `{"name":""}`))
	equal(t, server, all, `1|lamp|9.50|{a,"b c"}|{"a": [1]}|[1, 2]|t|\x4142|t|5`, "2||NULL|NULL|NULL|NULL|NULL|NULL|t|0")
	// What is not named stays; a field that is gone takes the default.
	o.commits(t, set("1", `{"price":"1","count":null}`), set("2", `{"price":"2","tags":null}`))
	equal(t, server, all, `1|lamp|1.00|{a,"b c"}|{"a": [1]}|[1, 2]|t|\x4142|t|0`, "2||2.00|NULL|NULL|NULL|NULL|NULL|t|0")
	// Of a hash that was read whole what it does not name is gone, but for what the table gives.
	server.Exec(t, "UPDATE items SET created = '2020-01-01', count = 8")
	o.commits(t, whole(set("1", `{"name":"lamp"}`)), whole(set("2", `{"name":"x","count":"3"}`)), whole(set("3", `{"name":"new"}`)))
	equal(t, server, all, "1|lamp|NULL|NULL|NULL|NULL|NULL|NULL|f|8", "2|x|NULL|NULL|NULL|NULL|NULL|NULL|f|3", "3|new|NULL|NULL|NULL|NULL|NULL|NULL|t|0")
	o.commits(t, remove("1", ""), remove("3", ""))
	equal(t, server, "SELECT id FROM items", "2")
	o.unfit(t, set("1", "{\"name\":\"\xff\"}"), false, "not valid UTF-8")
	o.unfit(t, set("1", `{"name":"a\u0000b"}`), false, "column name: a field holds the character U+0000")
	o.unfit(t, set("1", `{"name":5}`), false, "column name: a field is no text")
	o.unfit(t, set("1", `x`), false, "not valid JSON")
	for _, value := range []string{`{"price":"many"}`, `{"count":""}`, `{"tags":"a"}`, `{"doc":"{"}`, `{"live":"maybe"}`} {
		if _, fault := o.refuses(t, set("2", value)); fault.Kind != entry.Row || !strings.HasPrefix(fault.SQLSTATE, "22") {
			t.Errorf("%s gives %+v; want a row's fault of class 22", value, fault)
		}
	}
}

// Where the mapping lists a column its default is what a hash without the field has.
func TestAListedColumnTakesItsDefaultWhereTheHashHasNoField(t *testing.T) {
	t.Parallel()
	server, o := openEncoded(t, "CREATE TABLE items (id text PRIMARY KEY, a text NOT NULL DEFAULT 'none', b text, c text DEFAULT 'own')",
		hashes("items", config.Column{Field: "A", Column: "a"}, config.Column{Field: "B", Column: "b"}))
	o.commits(t, set("1", `{"A":"x","B":"y"}`))
	server.Exec(t, "UPDATE items SET c = 'mine'")
	o.commits(t, whole(set("1", `{"B":"z"}`)))
	equal(t, server, "SELECT a, b, c FROM items", "none|z|mine")
	o.commits(t, whole(set("1", `{"A":"q"}`)))
	equal(t, server, "SELECT a, b, c FROM items", "q|NULL|mine")
}

// A row that is compared is written only if it differs.
func TestARowThatIsAsItIsToBeIsLeftAlone(t *testing.T) {
	t.Parallel()
	const all = "CREATE TABLE items (id text PRIMARY KEY, a text, n numeric(10,2), j json, b jsonb, p point, d text DEFAULT 'x')"
	const document = `{"a":"x","n":1.001,"j":{"k": 1},"b":{"k": 1},"p":"(1,2)"}`
	const fields = `{"a":"x","n":"1.001","j":"{\"k\": 1}","b":"{\"k\": 1}","p":"(1,2)"}`
	for name, test := range map[string]struct {
		schema      string
		mapping     config.Mapping
		first, then entry.Entry
	}{
		"a document":          {all, mapping("items"), set("1", document), set("1", strings.Replace(document, "1.001", "2", 1))},
		"part of a document":  {all, mapping("items"), set("1", `{"a":"x"}`), set("1", `{"a":"y"}`)},
		"json is text":        {all, mapping("items"), set("1", document), set("1", strings.Replace(document, `"j":{"k": 1}`, `"j":{"k":1}`, 1))},
		"a hash":              {all, hashes("items"), set("1", fields), set("1", strings.Replace(fields, "1.001", "2", 1))},
		"a whole hash":        {all, hashes("items"), whole(set("1", fields)), whole(set("1", `{"a":"x"}`))},
		"a number":            {numberSchema, counters("items"), set("1", "5"), set("1", "6")},
		"a member":            {boardSchema, boards("items"), setMember("b", "m", "5"), setMember("b", "m", "6")},
		"a null of a listed":  {all, hashes("items", config.Column{Field: "a", Column: "a"}), set("1", `{"a":"x"}`), set("1", `{"a":null}`)},
		"a listed with a def": {all, hashes("items", config.Column{Field: "d", Column: "d"}), set("1", `{"d":"y"}`), set("1", `{"d":null}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, o := openEncoded(t, test.schema, test.mapping)
			write := func(e entry.Entry) string {
				t.Helper()
				outcome, err := o.d.Write(t.Context(), o.table, o.next(o.at.Version+1), o.entries(t, e))
				if err != nil || outcome != entry.Committed {
					t.Fatalf("Write = %v, %v: %s", outcome, err, detail(err))
				}
				return server.Value(t, "SELECT concat(xmin, ctid) FROM items")
			}
			first := write(compared(test.first))
			if again := write(compared(test.first)); again != first {
				t.Errorf("a row that is as it is to be was written: %s, %s", first, again)
			}
			if next := write(compared(test.then)); next == first {
				t.Error("a row that differs was left alone")
			}
			if back := write(test.first); back == first {
				t.Error("a row that is not compared was left alone")
			}
		})
	}
}

func TestEntriesOfAStreamAreRowsThatNeverChange(t *testing.T) {
	t.Parallel()
	server, o := openEncoded(t, streamSchema, streams("items"))
	const all = "SELECT source, id, kind, n FROM items ORDER BY 1, 2"
	o.commits(t, appended("s1", "1-0", `{"kind":"in","n":"5"}`), appended("s1", "1-1", `{"kind":"in"}`), appended("s2", "1-0", `{"n":"6","other":"x"}`), appended("s1", "2-0", `{}`))
	equal(t, server, all, "s1|1-0|in|5", "s1|1-1|in|7", "s1|2-0|NULL|7", "s2|1-0|NULL|6")
	o.commits(t, appended("s1", "1-0", `{"kind":"other","n":"9"}`), appended("s1", "3-0", `{"kind":"new"}`), appended("s1", "3-0", `{"kind":"new"}`))
	equal(t, server, all, "s1|1-0|in|5", "s1|1-1|in|7", "s1|2-0|NULL|7", "s1|3-0|new|7", "s2|1-0|NULL|6")
	o.unfit(t, set("s1", "{}"), false, "the operation set is none that encoding Stream takes")
	o.unfit(t, remove("s1", ""), false, "the operation delete is none that encoding Stream takes")
	if _, fault := o.refuses(t, appended("s1", "4-0", `{"n":"many"}`)); fault.Kind != entry.Row {
		t.Errorf("the fault is %+v", fault)
	}
}

// A role that may only add is enough, and so is a publication that asks for an identity.
func TestAStreamNeedsNoMoreThanToAdd(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	role, url := server.NewRole(t)
	server.Exec(t, streamSchema+"; ALTER TABLE items REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE items; "+
		"GRANT SELECT, INSERT ON items TO "+role+"; GRANT CREATE ON DATABASE "+server.Name()+" TO "+role)
	d := openURL(t, url)
	o := own(t, d, readTable(t, d, streams("items")), 0)
	o.commits(t, appended("s1", "1-0", `{"kind":"in"}`))
	b, fault := o.refuses(t, appended("s1", "2-0", `{"kind":"bad"}`))
	if trial := d.Control(t.Context(), o.table, b); fault.Kind != entry.Row || trial != entry.RowTaken {
		t.Errorf("the fault is %+v, the trial %v; want that the table takes another row", fault, trial)
	}
	equal(t, server, "SELECT source, id FROM items", "s1|1-0")
}

// A row that is refused is pointed at, and others are seen to get through.
func TestARefusedRowOfEachEncodingIsIsolated(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		schema  string
		mapping config.Mapping
		good    []entry.Entry
		bad     entry.Entry
	}{
		"number": {numberSchema, counters("items"), []entry.Entry{set("a", "1"), set("b", "2"), set("13", "4")}, set("c", "13")},
		"hash": {
			"CREATE TABLE items (id text PRIMARY KEY, n integer CHECK (n <> 13), a text)", hashes("items"),
			[]entry.Entry{set("a", `{"n":"1"}`), set("b", `{"n":"2","a":"x"}`), whole(set("d", `{"n":"4"}`))},
			set("c", `{"n":"13"}`),
		},
		"sorted set": {
			boardSchema, boards("items"),
			[]entry.Entry{setMember("b1", "ann", "1"), setMember("b1", "bob", "2"), setMember("b2", "cat", "3"), clearKey("b2", `["cat"]`)},
			setMember("b1", "cat", "13"),
		},
		"stream": {
			streamSchema, streams("items"),
			[]entry.Entry{appended("s1", "1-0", `{"kind":"in"}`), appended("s1", "1-2", `{"kind":"in"}`), appended("s2", "1-1", `{}`)},
			appended("s1", "1-1", `{"kind":"bad"}`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, o := openEncoded(t, test.schema, test.mapping)
			b, fault := o.refuses(t, append(append([]entry.Entry{}, test.good[0]), append([]entry.Entry{test.bad}, test.good[1:]...)...)...)
			if fault.Kind != entry.Row || fault.SQLSTATE != "23514" || !fault.AtRows {
				t.Errorf("the fault is %+v", fault)
			}
			if s, ok := b.Suspect(fault); !ok || s.Entry != 1 || len(s.Before)+len(s.After) != len(test.good) {
				t.Errorf("suspected is %+v, %v; want entry 1", s, ok)
			}
			equal(t, server, "SELECT count(*) FROM items", "0")
			alone, _ := o.refuses(t, test.bad)
			if trial := o.d.ControlOfRows(t.Context(), o.table, alone); trial != entry.NoneTaken {
				t.Errorf("an empty table shows %v", trial)
			}
			o.commits(t, test.good...)
			if trial := o.d.ControlOfRows(t.Context(), o.table, alone); trial != entry.RowTaken {
				t.Errorf("a table with rows shows %v; want that it takes another one", trial)
			}
		})
	}
}

func TestABatchOfEachEncodingIsFenced(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		schema  string
		mapping config.Mapping
		before  []entry.Entry
		late    []entry.Entry
	}{
		"number":     {numberSchema, counters("items"), []entry.Entry{set("a", "1")}, []entry.Entry{set("a", "2"), set("b", "2"), compared(set("c", "2"))}},
		"hash":       {"CREATE TABLE items (id text PRIMARY KEY, a text, b text)", hashes("items"), []entry.Entry{set("a", `{"a":"x"}`)}, []entry.Entry{whole(set("a", `{"b":"x"}`)), remove("a", "")}},
		"sorted set": {boardSchema, boards("items"), []entry.Entry{setMember("b", "m", "1")}, []entry.Entry{clearKey("b", ""), setMember("b", "n", "2"), remove("b", "m")}},
		"stream":     {streamSchema, streams("items"), []entry.Entry{appended("s", "1-0", "{}")}, []entry.Entry{appended("s", "2-0", "{}"), appended("s", "1-0", "{}")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, o := openEncoded(t, test.schema, test.mapping)
			o.commits(t, test.before...)
			before := server.Value(t, "SELECT string_agg(i::text, ' ') FROM items i")
			if _, err := o.d.Acquire(t.Context(), "j1", "products", 0); err != nil {
				t.Fatal(err)
			}
			outcome, err := o.d.Write(t.Context(), o.table, o.next(99), o.entries(t, test.late...))
			if outcome != entry.Fenced || err != nil {
				t.Errorf("Write = %v, %v; want Fenced", outcome, err)
			}
			equal(t, server, "SELECT string_agg(i::text, ' ') FROM items i", before)
		})
	}
}

// Keys and members of other types than text are found by their canonical text.
func TestMembersOfOtherTypes(t *testing.T) {
	t.Parallel()
	server, o := openEncoded(t, `CREATE TABLE items (board bigint, player uuid, score numeric, UNIQUE (player, board)) PARTITION BY HASH (board);
CREATE TABLE p0 PARTITION OF items FOR VALUES WITH (MODULUS 1, REMAINDER 0)`, boards("items"))
	const ann, bob = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
	o.commits(t, setMember("10", ann, "1"), setMember("9", bob, "2"), setMember("10", bob, "3"))
	o.commits(t, clearKey("10", `["`+bob+`","none"]`), setMember("9", ann, "4"))
	equal(t, server, "SELECT board, player, score FROM items ORDER BY 1, 2", "9|"+ann+"|4", "9|"+bob+"|2", "10|"+bob+"|3")
	o.unfit(t, setMember("10", strings.ToUpper(ann), "1"), true, "member")
	o.unfit(t, setMember("010", ann, "1"), true, "key")
}

// A value that is unique beside the pair points at its row by the member alone.
func TestAMemberThatIsUniqueElsewhereIsPointedAt(t *testing.T) {
	t.Parallel()
	_, o := openEncoded(t, boardSchema+"; CREATE UNIQUE INDEX ON items (player)", boards("items"))
	o.commits(t, setMember("b1", "ann", "1"))
	b, fault := o.refuses(t, setMember("b1", "bob", "2"), setMember("b2", "ann", "2"), setMember("b2", "cat", "2"))
	if s, ok := b.Suspect(fault); !ok || s.Entry != 1 || fault.SQLSTATE != "23505" {
		t.Errorf("suspected is %+v, %v of %+v; want entry 1", s, ok, fault)
	}
}
