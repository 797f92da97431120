// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/plural"
)

// Table is a mapping's table as the catalogue had it: its key, its columns and
// the statements to write them. It is safe for concurrent use.
type Table struct {
	// name is the quoted name, shown the one that the mapping has.
	name, shown string
	// mapping names the table and the fields that feed it.
	mapping string
	// only stands for the table's own rows where other tables may inherit from it.
	only string
	// schema and relation are the parts of the name, and form is what the table was when
	// it was read.
	schema, relation, form string

	key key
	// member tells the rows of one key apart, or is nil where a key has one row. ids are
	// both.
	member  *key
	ids     []*key
	columns []column
	// encoding is the mapping's. texts says that the fields of a value are texts in the form
	// that their column reads, number that a value is a number.
	encoding string
	// appends says that a row never changes.
	texts, number, appends bool
	operations             []*entry.Operation
	// version takes the version of a row's write, or is nil.
	version *column
	// idPositions are the places of ids among all columns of the table.
	idPositions []int
	// fields are the fields that documents may name. The key's own feeds nothing,
	// since the key comes from the entry, nor do those of generated columns.
	fields []field
	byName map[string]int
	// listed means that the mapping lists its columns.
	listed bool
	// whole are the columns that take the whole document.
	whole []int
	// deferrable means that a constraint may be left for the commit to check.
	deferrable bool
	// comparing means that what a statement did not write is to be held against what
	// is there: a trigger leaves rows alone because they would not change, or keeps
	// rows out. It is set for good once that was seen.
	comparing  atomic.Bool
	mine       string
	deletes    string
	looks      string
	clears     string
	clearLooks string
	overriding string
	durable    config.Check
	hiding     []string
	// references and keepers are what was asked lately about what refuses its rows.
	references learned[reference]
	keepers    learned[string]
}

// Durability reports whether the table is logged; of a partitioned one, whether all
// of its partitions are.
func (t *Table) Durability() config.Check {
	return t.durable
}

// durability names the mapping and its tables that a crash empties.
func (f *fit) durability() config.Check {
	names, count := f.relation.unlogged, f.relation.unloggedCount
	if count == 0 {
		return config.Check{OK: true}
	}
	what := fmt.Sprintf("mapping %s: table %s", f.mapping.Name, f.mapping.Table)
	if f.relation.kind == partitioned {
		what = fmt.Sprintf("mapping %s: partition %s of table %s", f.mapping.Name, names[0], f.mapping.Table)
	}
	check := unlogged(what+" is", names...)
	if more := count - len(names); more > 0 {
		check.Message += " " + plural.Of(more, "more partition is", "more partitions are") + " UNLOGGED too"
	}
	return check
}

// column is a column that documents feed.
type column struct {
	name string
	// cast is the full name of its type, without a length.
	cast string
	// shown is the type as a person writes it.
	shown string
	// json means that its values are JSON texts; binaryJSON that they are jsonb.
	json, binaryJSON bool
	// whole means that its values are whole numbers, binary that they are bytes.
	whole, binary bool
	// array means that it takes arrays; the others say of what.
	array, jsonElements, wholeElements, binaryElements bool
	// bytesWithin means that bytes are part of its values; record is as an attribute has it.
	bytesWithin bool
	record      []int32
	// equality means that values of the type can be compared.
	equality bool
	// bits are those of a whole number, 0 of another type.
	bits int
	// defaulted says that the column has a default, and own that this is the table's own
	// business, since the mapping does not list the column.
	defaulted, own bool
}

// field is a field of the documents and the columns that it feeds.
type field struct {
	name    string
	columns []int
}

// The types of the parameters, by their numbers in pg_type.
const (
	oidInt8      = 20
	oidInt4      = 23
	oidText      = 25
	oidTextArray = 1009
)

func newColumn(a *attribute) column {
	return column{
		name: a.name, cast: a.cast, shown: a.shown,
		json: a.base == "json" || a.base == "jsonb", binaryJSON: a.base == "jsonb",
		whole: wholeTypes[a.base], binary: a.base == binaryType,
		array: a.array, jsonElements: a.array && (a.element == "json" || a.element == "jsonb"),
		wholeElements: a.array && wholeTypes[a.element], binaryElements: a.array && a.element == binaryType,
		bytesWithin: a.bytes && a.base != binaryType, record: a.record,
		equality: a.equality, defaulted: a.defaulted, bits: integerBits[keyKinds[a.base]],
	}
}

func newTable(f *fit, keyColumn, version *attribute, columns []fed, ledger ledgerStatements) *Table {
	t := &Table{
		name:       f.name,
		shown:      f.mapping.Table,
		mapping:    fmt.Sprintf("%s %s %s %q", f.mapping.Name, f.name, f.mapping.Encoding, f.mapping.Columns),
		only:       f.name,
		schema:     f.schema,
		relation:   f.table,
		form:       f.form,
		key:        newKey(keyColumn, "key"),
		encoding:   f.mapping.Encoding,
		operations: operations[f.mapping.Encoding],
		appends:    f.appends(),
		texts:      f.mapping.Encoding == config.EncodingHash || f.mapping.Encoding == config.EncodingStream,
		number:     f.mapping.Encoding == config.EncodingNumber || f.mapping.Encoding == config.EncodingSortedSet,
		byName:     make(map[string]int, len(columns)+1),
		deferrable: f.relation.deferrable,
		listed:     len(f.mapping.Columns) > 0,
		mine:       ledger.mine,
		durable:    f.durability(),
		hiding:     f.policies.hiding,
	}
	t.comparing.Store(f.relation.suppresses)
	if version != nil {
		c := newColumn(version)
		t.version = &c
	}
	if f.relation.kind != partitioned {
		t.only = "ONLY " + f.name
	}
	identifying := []*attribute{keyColumn}
	t.ids = []*key{&t.key}
	if f.member != nil {
		m := newKey(f.member, f.memberRole().shown)
		t.member, t.ids, identifying = &m, append(t.ids, &m), append(identifying, f.member)
	}
	for _, a := range identifying {
		t.idPositions = append(t.idPositions, max(slices.IndexFunc(f.attributes, func(other attribute) bool { return other.number == a.number }), 0))
		if a.always {
			t.overriding = " OVERRIDING SYSTEM VALUE"
		}
	}
	for _, c := range columns {
		i := len(t.columns)
		t.columns = append(t.columns, newColumn(c.attribute))
		t.columns[i].own = c.defaulted && !t.listed
		if c.field == wholeDocument {
			t.whole = append(t.whole, i)
			continue
		}
		at, ok := t.byName[c.field]
		if !ok {
			at = t.addField(c.field)
		}
		t.fields[at].columns = append(t.fields[at].columns, i)
	}
	if _, ok := t.byName[keyColumn.name]; !ok {
		t.addField(keyColumn.name)
	}
	if !t.listed {
		// What PostgreSQL makes itself is no unknown field.
		for i := range f.attributes {
			if _, ok := t.byName[f.attributes[i].name]; !ok {
				t.addField(f.attributes[i].name)
			}
		}
	}
	t.deletes, t.looks = t.remove(), t.gone(ledger.table)
	if t.member != nil {
		t.clears, t.clearLooks = t.clear(), t.cleared(ledger.table)
	}
	return t
}

func (t *Table) addField(name string) int {
	t.fields = append(t.fields, field{name: name})
	t.byName[name] = len(t.fields) - 1
	return len(t.fields) - 1
}

func quote(name string) string {
	return pgx.Identifier{name}.Sanitize()
}
