// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Table is a mapping's table as the catalogue had it: its key, its columns and
// the statements to write them. It never changes and is safe for concurrent
// use.
type Table struct {
	// name is the quoted name, shown the one that the mapping has.
	name, shown string
	// mapping names the table and the fields that feed it.
	mapping string
	key     key
	columns []column
	// keyPosition is the place of the key among all columns of the table.
	keyPosition int
	// fields are the fields that documents may name. The key's own feeds nothing,
	// since the key comes from the entry, nor do those of generated columns.
	fields []field
	byName map[string]int
	// listed says that the mapping lists its columns, so that a column more in the
	// table would change nothing.
	listed bool
	// whole are the columns that take the whole document.
	whole []int
	// deferrable says that a constraint may be left for the commit to check.
	deferrable bool
	// suppresses says that a row may be left alone because it would not change.
	suppresses bool
	mine       string
	remove     string
	overriding string
	durable    config.Check
}

// Durability says whether the table is logged; of a partitioned one, whether all
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
	if f.relation.kind == "p" {
		what = fmt.Sprintf("mapping %s: partition %s of table %s", f.mapping.Name, names[0], f.mapping.Table)
	}
	check := unlogged(what, names...)
	if more := count - len(names); more > 0 {
		check.Message += fmt.Sprintf(" so are %d more partitions", more)
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
	// json says that its values are JSON texts; binaryJSON that they are jsonb.
	json, binaryJSON bool
	// whole says that its values are whole numbers, binary that they are bytes.
	whole, binary bool
	// array says that it takes arrays; the others say of what.
	array, jsonElements, wholeElements, binaryElements bool
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
	}
}

func newTable(f *fit, keyColumn *attribute, columns []fed, ledger ledgerStatements) *Table {
	t := &Table{
		name:       f.name,
		shown:      f.mapping.Table,
		mapping:    fmt.Sprintf("%s %s %q", f.mapping.Name, f.name, f.mapping.Columns),
		key:        key{column: newColumn(keyColumn), kind: keyKinds[keyColumn.base], length: int(keyColumn.length)},
		byName:     make(map[string]int, len(columns)+1),
		deferrable: f.relation.deferrable,
		suppresses: f.relation.suppresses,
		listed:     len(f.mapping.Columns) > 0,
		mine:       ledger.mine,
		durable:    f.durability(),
	}
	for i := range f.attributes {
		if &f.attributes[i] == keyColumn {
			t.keyPosition = i
		}
	}
	if keyColumn.always {
		t.overriding = " OVERRIDING SYSTEM VALUE"
	}
	for _, c := range columns {
		i := len(t.columns)
		t.columns = append(t.columns, newColumn(c.attribute))
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
	t.remove = fmt.Sprintf("DELETE FROM %s t USING ROWS FROM (%s) AS u (k) WHERE t.%s = u.k::%s AND %s",
		t.name, unnest(firstArray), quote(t.key.name), t.key.cast, t.mine)
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

// firstArray is the number of the first parameter behind those that name the
// ledger row.
const firstArray = 6

// unnest turns an array of texts into rows. Typed arrays were measured to be no
// faster.
func unnest(parameter int) string {
	return fmt.Sprintf("pg_catalog.unnest($%d::pg_catalog.text[])", parameter)
}

// insert is the statement that writes rows which name the given columns. The
// columns that are not named keep what they have, or get their default.
func (t *Table) insert(named []int) string {
	names := []string{quote(t.key.name)}
	values := []string{"u.k::" + t.key.cast}
	arrays := []string{unnest(firstArray)}
	aliases := []string{"k"}
	var sets []string
	for n, i := range named {
		c := &t.columns[i]
		quoted := quote(c.name)
		names = append(names, quoted)
		values = append(values, fmt.Sprintf("u.c%d::%s", n, c.cast))
		arrays = append(arrays, unnest(firstArray+1+n))
		aliases = append(aliases, fmt.Sprintf("c%d", n))
		sets = append(sets, quoted+" = excluded."+quoted)
	}
	action := "DO NOTHING"
	if len(sets) > 0 {
		action = "DO UPDATE SET " + strings.Join(sets, ", ")
	}
	list := func(items []string) string { return strings.Join(items, ", ") }
	sql := fmt.Sprintf("INSERT INTO %s AS t (%s)%s SELECT %s FROM ROWS FROM (%s) AS u (%s) WHERE %s ON CONFLICT (%s) %s",
		t.name, list(names), t.overriding, list(values), list(arrays), list(aliases), t.mine, quote(t.key.name), action)
	if len(sets) > 0 && !t.suppresses {
		sql = t.counted(sql)
	}
	return sql
}

// counted makes a statement that writes every row, or leaves every row alone
// because this is not its batch, fail when it does neither: the transaction must
// not commit then. PostgreSQL raises no error of a chosen kind from an
// expression, so a text that is no number, and that failure knows, stands for it.
func (t *Table) counted(insert string) string {
	return fmt.Sprintf(`WITH w AS (%s RETURNING true)
SELECT CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.=) pg_catalog.cardinality($%d) OR %s IS NOT TRUE THEN 0
  ELSE pg_catalog.concat('%s', pg_catalog.count(*))::pg_catalog.int4 END FROM w`, insert, firstArray, t.mine, keptOut)
}

// keptOut is what the server says when a statement wrote fewer rows than it was
// given.
const keptOut = "writebehind: rows that were written: "
