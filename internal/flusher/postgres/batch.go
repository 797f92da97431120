// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/writebehind/operator/internal/flusher/entry"
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
	// document is the one that was added last.
	document []byte
	// cells holds, for every row that has values, one cell a column.
	cells []cell
	rows  []row
	// members are the second halves of the rows' keys, where the table has such.
	members []member
	// stays are the members whose rows stay where those of their key go.
	stays []stay
	// groups share the rows out to statements, in the order of those: cleared, removed,
	// everyColumn, and one for each other way in which values have named columns so far.
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
	// order and wire are of use while the batch is written.
	order []int32
	wire  []byte
}

// row is one entry: its key, also as a number if it is one, and where its cells
// begin, or noCells.
type row struct {
	number  int64
	version int64
	key     cell
	cells   int
	group   int32
}

// member is what tells the rows of one key apart, also as a number if it is one.
type member struct {
	number int64
	text   cell
}

// noCells stands in place of where the cells begin of a row that has none.
const noCells = -1

// The groups that every batch has.
const (
	// cleared and removed are the first, so that a unique value that moves from a row that
	// goes to another one is free.
	cleared = iota
	removed
	everyColumn
	// otherColumns is where the groups begin that name some of the columns.
	otherColumns
)

// group are the rows that one statement writes.
type group struct {
	kind kind
	// mask tells columns from those of other groups. It is nil where the group is one that
	// every batch has.
	mask []byte
	// columns are those that the statement writes, shape those that have to be written to
	// meet what it may be refused for, and reset those that take their default in a row that
	// is there.
	columns, shape, reset []int
	// equal says that a row which is as it is to be is left alone.
	equal bool
	// sql is the statement, plain and comparing.
	sql     [2]string
	members []int32
}

func (g *group) statement(t *Table, comparing bool) string {
	sql := &g.sql[0]
	if comparing {
		sql = &g.sql[1]
	}
	if *sql == "" {
		*sql = g.kind.statement(t, g, comparing)
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
	all := b.table.everyColumn()
	return []group{cleared: {kind: clearing{}, shape: all}, removed: {kind: removal{}, shape: all}, everyColumn: {kind: upsert{}, columns: all, shape: all}}
}

// Add adds what the entry does to the row of that key. An error is a *entry.Unfit, and then
// nothing was added. Of several entries with one key the last one counts.
func (b *Batch) Add(rowKey string, e *entry.Entry) error {
	k, ok := kinds[e.Operation]
	switch {
	case e.Operation == nil:
		return &entry.Unfit{SQLSTATE: stateUnsupported, Message: "the entry has no operation"}
	case !ok:
		return &entry.Unfit{SQLSTATE: stateUnsupported, Message: fmt.Sprintf("the operation %s is none that a table of PostgreSQL takes", e.Operation.Name)}
	}
	if err := b.table.takes(e); err != nil {
		return err
	}
	var m int64
	if b.table.member != nil && e.Operation != entry.Clear {
		var err error
		if m, err = b.table.checkMember(e.Member); err != nil {
			return err
		}
	}
	if err := k.add(b, rowKey, e); err != nil {
		return err
	}
	b.rows[len(b.rows)-1].version = e.Version
	if b.table.member != nil {
		b.members = append(b.members, member{m, b.keep(e.Member)})
	}
	return nil
}

// keep copies a text into the arena.
func (b *Batch) keep(text string) cell {
	b.arena = append(b.arena, text...)
	return cell{start: len(b.arena) - len(text), length: int32(len(text))}
}

func (b *Batch) add(r row, rowKey string) {
	r.key = b.keep(rowKey)
	b.rows = append(b.rows, r)
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
		b.arena, b.wire, b.cells, b.rows, b.members, b.stays = nil, nil, nil, nil, nil, nil
	}
	if len(b.groups) > keptGroups {
		b.groups = b.initialGroups()
	}
	b.arena, b.cells, b.rows, b.unknown = b.arena[:0], b.cells[:0], b.rows[:0], 0
	b.members, b.stays, b.names, b.fed, b.strange = b.members[:0], b.stays[:0], b.names[:0], 0, 0
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
	compare := b.comparison()
	slices.SortFunc(b.order, func(x, y int32) int {
		if c := compare(x, y); c != 0 {
			return c
		}
		return cmp.Compare(x, y)
	})
	for i := range b.groups {
		b.groups[i].members = b.groups[i].members[:0]
	}
	for i, at := range b.order {
		if i+1 < len(b.order) && compare(at, b.order[i+1]) == 0 {
			continue
		}
		g := &b.groups[b.rows[at].group]
		g.members = append(g.members, at)
	}
}

// comparison orders the rows by their keys: by number where they are numbers.
func (b *Batch) comparison() func(x, y int32) int {
	byKey := func(x, y int32) int { return cmp.Compare(b.rows[x].number, b.rows[y].number) }
	if !b.table.key.integer() {
		byKey = func(x, y int32) int { return bytes.Compare(b.text(b.rows[x].key), b.text(b.rows[y].key)) }
	}
	if b.table.member == nil {
		return byKey
	}
	return func(x, y int32) int {
		if c := byKey(x, y); c != 0 {
			return c
		}
		// What is done to all rows of a key is no row of it.
		switch first, second := b.rows[x].group == cleared, b.rows[y].group == cleared; {
		case first && second:
			return 0
		case first:
			return -1
		case second:
			return 1
		}
		return cmp.Or(cmp.Compare(b.members[x].number, b.members[y].number), bytes.Compare(b.text(b.members[x].text), b.text(b.members[y].text)))
	}
}
