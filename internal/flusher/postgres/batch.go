// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"cmp"
	"slices"
)

const (
	// keptBuffer is how much memory an emptied batch holds on to. One batch of
	// exceptional size must not stay for good.
	keptBuffer = 16 << 20
	// keptGroups is how many sets of columns an emptied batch remembers.
	keptGroups = 64
	// heaviest bounds the values of one batch: PostgreSQL takes at most 1 GiB
	// for one message.
	heaviest = 512 << 20
	// mostNames is how many unknown fields a batch names: enough to see what they
	// are, and few enough to look through for every field.
	mostNames = 8
	// longestName is the length of PostgreSQL's longest name. What is longer is no
	// column, and never will be.
	longestName = 63
)

// Batch collects the entries of one transaction. It is for one goroutine.
type Batch struct {
	table *Table
	// arena holds the texts of all values and keys.
	arena []byte
	// cells holds, for every row that is set, one cell a column.
	cells []cell
	rows  []row
	// groups are the sets of columns that documents have named so far; the
	// first is all of them.
	groups []group
	// follows predicts the field that comes after each field.
	follows []int
	scratch []byte
	// unknown counts the fields that no column takes, and names are some of them.
	unknown int
	names   []string
	// fed counts the documents of which a field feeds a column, strange those whose
	// fields feed none.
	fed, strange int
	// removed, order and wire are of use while the batch is written.
	removed []int32
	order   []int32
	wire    []byte
}

// row is one entry: its key, also as a number if it is one, and where its cells
// begin.
type row struct {
	number  int64
	version int64
	key     cell
	cells   int
	group   int32
}

// deleted stands for the group of a row that is to be deleted.
const deleted = -1

// group is a set of columns and the statements that write them: the plain one and
// the comparing one.
type group struct {
	mask    []byte
	columns []int
	sql     [2]string
	members []int32
}

func (g *group) statement(t *Table, comparing bool) string {
	sql := &g.sql[0]
	if comparing {
		sql = &g.sql[1]
	}
	if *sql == "" {
		*sql = t.write(g.columns, comparing)
	}
	return *sql
}

// NewBatch begins an empty batch for the table.
func (t *Table) NewBatch() *Batch {
	b := &Batch{table: t, follows: make([]int, len(t.fields)+1)}
	for i := range b.follows {
		b.follows[i] = -1
	}
	b.groups = b.initialGroups()
	return b
}

func (b *Batch) initialGroups() []group {
	all := make([]int, len(b.table.columns))
	for i := range all {
		all[i] = i
	}
	return []group{{columns: all}}
}

// Set adds the row of a document. An error is a *entry.Unfit, and then nothing was
// added. Of several entries with one key the last one counts.
func (b *Batch) Set(rowKey string, document []byte) error {
	number, err := b.table.key.check(rowKey)
	if err != nil {
		return err
	}
	arena, cells, unknown, names := len(b.arena), len(b.cells), b.unknown, len(b.names)
	for range b.table.columns {
		b.cells = append(b.cells, cell{length: isAbsent})
	}
	named, err := b.decode(b.cells[cells:], document)
	if err != nil {
		b.arena, b.cells, b.unknown = b.arena[:arena], b.cells[:cells], unknown
		b.names = b.names[:names]
		return err
	}
	switch {
	case named > 0:
		b.fed++
	case b.unknown > unknown:
		b.strange++
	}
	r := row{number: number, cells: cells}
	if named < len(b.table.columns) {
		r.group = b.group(b.cells[cells:])
	}
	b.add(r, rowKey)
	return nil
}

// Delete adds the deletion of a row. An error is a *entry.Unfit, and then nothing
// was added.
func (b *Batch) Delete(rowKey string) error {
	number, err := b.table.key.check(rowKey)
	if err != nil {
		return err
	}
	b.add(row{number: number, group: deleted}, rowKey)
	return nil
}

// Version gives the entry that was added last the version of its write, which a
// version column takes.
func (b *Batch) Version(version int64) {
	b.rows[len(b.rows)-1].version = version
}

func (b *Batch) add(r row, rowKey string) {
	r.key = cell{start: len(b.arena), length: int32(len(rowKey))}
	b.arena = append(b.arena, rowKey...)
	b.rows = append(b.rows, r)
}

// group finds the group of a row that does not name every column.
func (b *Batch) group(cells []cell) int32 {
	b.scratch = b.scratch[:0]
	for i := range cells {
		if i%8 == 0 {
			b.scratch = append(b.scratch, 0)
		}
		if cells[i].length != isAbsent {
			b.scratch[i/8] |= 1 << (i % 8)
		}
	}
	for i := 1; i < len(b.groups); i++ {
		if bytes.Equal(b.groups[i].mask, b.scratch) {
			return int32(i)
		}
	}
	g := group{mask: bytes.Clone(b.scratch)}
	for i := range cells {
		if cells[i].length != isAbsent {
			g.columns = append(g.columns, i)
		}
	}
	b.groups = append(b.groups, g)
	return int32(len(b.groups) - 1)
}

// Len is the number of entries.
func (b *Batch) Len() int {
	return len(b.rows)
}

// Size is the number of bytes of all keys and values, so that a caller can
// bound a batch.
func (b *Batch) Size() int {
	return len(b.arena)
}

// Ignored is the number of fields that the documents named and no column takes.
func (b *Batch) Ignored() int {
	return b.unknown
}

// ignore counts a field that no column takes. The names matter only while no document
// of the batch feeds a column.
func (b *Batch) ignore(name []byte) {
	b.unknown++
	if b.fed > 0 || len(b.names) == mostNames || len(name) > longestName {
		return
	}
	if !slices.ContainsFunc(b.names, func(known string) bool { return known == string(name) }) {
		b.names = append(b.names, string(name))
	}
}

// Reset empties the batch and keeps its memory for the next one.
func (b *Batch) Reset() {
	if cap(b.arena)+cap(b.wire) > keptBuffer {
		b.arena, b.wire, b.cells, b.rows = nil, nil, nil, nil
	}
	if len(b.groups) > keptGroups {
		b.groups = b.initialGroups()
	}
	b.arena, b.cells, b.rows, b.unknown = b.arena[:0], b.cells[:0], b.rows[:0], 0
	b.names, b.fed, b.strange = b.names[:0], 0, 0
}

func (b *Batch) text(c cell) []byte {
	return b.arena[c.start : c.start+int(c.length)]
}

// arrange sorts the entries by key, so that all transactions lock in one order
// and the index is walked in its own, and shares them out to their groups. Of
// several entries with one key only the last one is kept.
func (b *Batch) arrange() {
	b.order = b.order[:0]
	for i := range b.rows {
		b.order = append(b.order, int32(i))
	}
	compare := func(x, y int32) int { return cmp.Compare(b.rows[x].number, b.rows[y].number) }
	if !b.table.key.integer() {
		compare = func(x, y int32) int { return bytes.Compare(b.text(b.rows[x].key), b.text(b.rows[y].key)) }
	}
	slices.SortFunc(b.order, func(x, y int32) int {
		if c := compare(x, y); c != 0 {
			return c
		}
		return cmp.Compare(x, y)
	})
	b.removed = b.removed[:0]
	for i := range b.groups {
		b.groups[i].members = b.groups[i].members[:0]
	}
	for i, at := range b.order {
		if i+1 < len(b.order) && compare(at, b.order[i+1]) == 0 {
			continue
		}
		if g := b.rows[at].group; g == deleted {
			b.removed = append(b.removed, at)
		} else {
			b.groups[g].members = append(b.groups[g].members, at)
		}
	}
}
