// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"encoding/binary"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// step is one statement of a batch's pipeline.
type step int

const (
	stepBegin step = iota
	stepSettings
	stepTimeout
	stepLedger
	stepRows
	stepConstraints
	stepGone
	stepCommit
)

// pipeline is a batch in PostgreSQL's protocol.
type pipeline struct {
	// bulk holds everything that is long: it begins the transaction and binds
	// every statement to a portal, and locks nothing.
	bulk []byte
	// tail runs the portals and commits.
	tail []byte
	// steps are the statements in the order in which they are bound and run.
	steps []step
	// members are the entries that each statement writes, in the order of its rows.
	members [][]int32
}

// beginSQL leaves the access mode alone: an administrator who switches
// default_transaction_read_only on means it.
const beginSQL = "BEGIN ISOLATION LEVEL READ COMMITTED"

// newPrologue is what every pipeline begins with. The name of the session, which is
// the partition's, follows.
func newPrologue(statementTimeout time.Duration) []byte {
	var p pipeline
	p.parse(stepBegin, beginSQL, nil, nil)
	p.bind("", nil, func() {})
	p.bulk = appendExecute(p.bulk, "")
	p.parse(stepSettings, batchSettingsSQL(statementTimeout), []uint32{oidText}, nil)
	return p.bulk
}

func (p *pipeline) parse(s step, sql string, types []uint32, members []int32) {
	p.bulk = must((&pgproto3.Parse{Query: sql, ParameterOIDs: types}).Encode(p.bulk))
	p.steps = append(p.steps, s)
	p.members = append(p.members, members)
}

// bind binds the statement that was parsed last to a portal, which the tail
// will run. Every parameter is binary; values appends them after the ledger's
// own.
func (p *pipeline) bind(portal string, types []uint32, values func()) {
	p.bulk = append(p.bulk, 'B')
	start := len(p.bulk)
	p.bulk = append(p.bulk, 0, 0, 0, 0)
	p.bulk = append(p.bulk, portal...)
	p.bulk = append(p.bulk, 0, 0)
	p.bulk = append(p.bulk, 0, 1, 0, 1)
	p.bulk = binary.BigEndian.AppendUint16(p.bulk, uint16(len(types)))
	values()
	p.bulk = append(p.bulk, 0, 0)
	binary.BigEndian.PutUint32(p.bulk[start:], uint32(len(p.bulk)-start))
	if portal != "" {
		p.tail = appendExecute(p.tail, portal)
	}
}

func appendExecute(dst []byte, portal string) []byte {
	return must((&pgproto3.Execute{Portal: portal}).Encode(dst))
}

// must is for messages whose encoding can only fail by their size, which is
// bounded before.
func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func (p *pipeline) text(s string) {
	p.bulk = binary.BigEndian.AppendUint32(p.bulk, uint32(len(s)))
	p.bulk = append(p.bulk, s...)
}

func (p *pipeline) int8(n int64) {
	p.bulk = append(p.bulk, 0, 0, 0, 8)
	p.bulk = binary.BigEndian.AppendUint64(p.bulk, uint64(n))
}

// ledgerTypes are the types of the parameters that name the ledger row and the
// batch.
var ledgerTypes = []uint32{oidText, oidText, oidInt4, oidInt8, oidInt8}

func (p *pipeline) ledger(at entry.Place) {
	p.text(at.Incarnation)
	p.text(at.Queue)
	p.bulk = append(p.bulk, 0, 0, 0, 4)
	p.bulk = binary.BigEndian.AppendUint32(p.bulk, uint32(at.Partition))
	p.int8(at.Epoch)
	p.int8(at.Flush)
}

// texts appends a parameter that is an array of texts, one of each member.
func (p *pipeline) texts(b *Batch, members []int32, cell func(*row) cell) {
	start := p.array(len(members))
	for _, at := range members {
		p.cell(b, cell(&b.rows[at]))
	}
	p.end(start)
}

// array begins a parameter that is an array of so many texts, and end ends it.
func (p *pipeline) array(length int) (start int) {
	start = len(p.bulk)
	p.bulk = append(p.bulk, 0, 0, 0, 0)
	p.bulk = append(p.bulk, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, oidText)
	p.bulk = binary.BigEndian.AppendUint32(p.bulk, uint32(length))
	p.bulk = append(p.bulk, 0, 0, 0, 1)
	return start
}

func (p *pipeline) end(start int) {
	binary.BigEndian.PutUint32(p.bulk[start:], uint32(len(p.bulk)-start-4))
}

func (p *pipeline) keys(b *Batch, members []int32) {
	p.texts(b, members, func(r *row) cell { return r.key })
}

// memberTexts appends the second halves of the keys.
func (p *pipeline) memberTexts(b *Batch, members []int32) {
	start := p.array(len(members))
	for _, at := range members {
		p.cell(b, b.members[at].text)
	}
	p.end(start)
}

// stays appends the keys and the members of the rows that stay where those of their key go.
func (p *pipeline) stays(b *Batch, members []int32) {
	of := make(map[int32]bool, len(members))
	for _, at := range members {
		of[at] = true
	}
	var all []stay
	for _, s := range b.stays {
		if of[s.row] {
			all = append(all, s)
		}
	}
	for _, part := range []func(stay) cell{
		func(s stay) cell { return b.rows[s.row].key },
		func(s stay) cell { return s.member },
	} {
		start := p.array(len(all))
		for _, s := range all {
			p.cell(b, part(s))
		}
		p.end(start)
	}
}

func (p *pipeline) column(b *Batch, members []int32, i int) {
	p.texts(b, members, func(r *row) cell { return b.cells[r.cells+i] })
}

// versions appends the versions of the entries as an array of texts.
func (p *pipeline) versions(b *Batch, members []int32) {
	p.texts(b, members, func(r *row) cell {
		start := len(b.arena)
		b.arena = strconv.AppendInt(b.arena, r.version, 10)
		return cell{start: start, length: int32(len(b.arena) - start)}
	})
}

func (p *pipeline) cell(b *Batch, c cell) {
	if c.length == isNull {
		p.bulk = append(p.bulk, 0xff, 0xff, 0xff, 0xff)
		return
	}
	p.bulk = binary.BigEndian.AppendUint32(p.bulk, uint32(c.length))
	p.bulk = append(p.bulk, b.text(c)...)
}

// pipeline puts the batch into protocol: the statements of the groups in their order, and
// then what some of them have to be looked at for, when all that may undo it has run.
func (d *Database) pipeline(t *Table, at entry.Place, b *Batch) *pipeline {
	b.arrange()
	p := &pipeline{
		bulk: append(b.wire[:0], d.prologue...), steps: []step{stepBegin, stepSettings}, members: make([][]int32, prologueSteps),
	}
	p.bind("", []uint32{oidText}, func() { p.text(sessionName(at)) })
	p.bulk = appendExecute(p.bulk, "")
	p.parse(stepTimeout, statementTimeoutSQL(d.settings.StatementTimeout), nil, nil)
	p.bind("t", nil, func() {})
	moveTypes := append(slices.Clip(ledgerTypes), oidInt8, oidText, oidText)
	p.parse(stepLedger, d.ledger.move, moveTypes, nil)
	p.bind("l", moveTypes, func() {
		p.ledger(at)
		p.int8(at.Version)
		p.text(t.name)
		p.text(t.form)
	})
	comparing := t.comparing.Load()
	for n := range b.groups {
		g := &b.groups[n]
		if len(g.members) > 0 {
			p.rows(stepRows, "u"+strconv.Itoa(n), g.statement(t, comparing), at, b, g)
		}
	}
	if t.deferrable {
		p.parse(stepConstraints, "SET CONSTRAINTS ALL IMMEDIATE", nil, nil)
		p.bind("s", nil, func() {})
	}
	for n := range b.groups {
		g := &b.groups[n]
		if look := g.kind.look(t); look != "" && len(g.members) > 0 {
			p.rows(stepGone, "g"+strconv.Itoa(n), look, at, b, g)
		}
	}
	p.parse(stepCommit, "COMMIT", nil, nil)
	p.bind("c", nil, func() {})
	p.tail = must((&pgproto3.Sync{}).Encode(p.tail))
	b.wire = p.bulk
	return p
}

// rows adds a statement on the rows of a group: the ledger's parameters, the keys and what
// else tells rows apart, and one array for each column.
func (p *pipeline) rows(s step, portal, sql string, at entry.Place, b *Batch, g *group) {
	columns := b.table.versioned(g.columns)
	clears := g.kind == (clearing{})
	arrays := len(b.table.ids) + len(columns)
	if clears {
		arrays = 3
	}
	types := slices.Clip(ledgerTypes)
	for range arrays {
		types = append(types, oidTextArray)
	}
	p.parse(s, sql, types, g.members)
	p.bind(portal, types, func() {
		p.ledger(at)
		p.keys(b, g.members)
		switch {
		case clears:
			p.stays(b, g.members)
			return
		case b.table.member != nil:
			p.memberTexts(b, g.members)
		}
		for _, i := range columns {
			if i == atVersion {
				p.versions(b, g.members)
			} else {
				p.column(b, g.members, i)
			}
		}
	})
}
