// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

var _ flusher.Database = (*Database)(nil)

// Database is a database in memory, with its ledger. Its keys are integers and its
// documents JSON objects.
type Database struct {
	mu     sync.Mutex
	home   entry.Home
	looked bool
	ledger map[entry.Shard]*entry.Mark
	ended  map[[2]string]bool
	tables map[string]*rows
	writes map[*entry.Operation]Write
	silent bool
}

// rows is a table as it is now.
type rows struct {
	documents map[string]string
	// form changes when the table is altered.
	form int
	// rule says why a row is refused, or nil.
	rule Rule
}

// Rule says why a table refuses what a row is to become, or nil where it takes it. document
// is nil where the row is to go.
type Rule func(key string, document []byte) *entry.Fault

// RefuseRow is the fault of a row that a CHECK constraint refuses.
func RefuseRow() *entry.Fault {
	return &entry.Fault{
		Kind: entry.Row, SQLSTATE: "23514", Constraint: "checked", AtRows: true,
		Reason: cachev1alpha1.ReasonStatementFailed, Message: "the row violates a check constraint (SQLSTATE 23514)",
	}
}

// NewDatabase makes a database with the tables, all of them empty.
func NewDatabase(tables ...string) *Database {
	d := &Database{
		home: entry.Home{ID: "1.1", Name: "memory"}, ledger: make(map[entry.Shard]*entry.Mark),
		ended: make(map[[2]string]bool), tables: make(map[string]*rows),
		writes: map[*entry.Operation]Write{entry.Set: newest, entry.Delete: none},
	}
	for _, name := range tables {
		d.tables[name] = &rows{documents: make(map[string]string)}
	}
	return d
}

// Rows are those of the table, by key.
func (d *Database) Rows(table string) map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.tables[table].documents)
}

// Rule sets what the table refuses from now on.
func (d *Database) Rule(table string, rule Rule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tables[table].rule = rule
}

// Alter makes what was read of the table out of date.
func (d *Database) Alter(table string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tables[table].form++
}

// Silence keeps the database from pointing at the row that it refuses.
func (d *Database) Silence() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent = true
}

// Check finds nothing wrong, and looks at what the database is.
func (d *Database) Check(ctx context.Context) config.Check {
	if err := ctx.Err(); err != nil {
		return config.Check{Reason: cachev1alpha1.ReasonConnectionFailed, Message: err.Error()}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked = true
	return config.Check{OK: true}
}

// gaveUp is the fault of a call whose caller has given up.
func gaveUp(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &entry.Fault{Kind: entry.Transient, Reason: cachev1alpha1.ReasonConnectionFailed, Message: err.Error(), Err: err}
	}
	return nil
}

// Acquire raises the epoch. The first acquisition of an incarnation fences the others.
func (d *Database) Acquire(ctx context.Context, incarnation, queue string, partition int) (entry.Mark, error) {
	if err := gaveUp(ctx); err != nil {
		return entry.Mark{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked = true
	shard := entry.Shard{Queue: queue, Partition: partition, Incarnation: incarnation}
	known := false
	for other := range d.ledger {
		known = known || other.Queue == queue && other.Incarnation == incarnation
	}
	mark := d.ledger[shard]
	if mark == nil {
		mark = &entry.Mark{Home: d.home}
		d.ledger[shard] = mark
	}
	mark.Epoch = next(mark.Epoch)
	answer := *mark
	for other, m := range d.ledger {
		if other.Queue != queue {
			continue
		}
		answer.Queue = max(answer.Queue, m.Shard)
		if other.Incarnation != incarnation {
			answer.Earlier = answer.Earlier || m.Flush > 0 && !d.ended[[2]string{other.Incarnation, queue}]
			if !known {
				m.Epoch = next(m.Epoch)
			}
		}
	}
	return answer, nil
}

// next is the epoch that follows.
func next(epoch int64) int64 { return max(epoch+1, time.Now().UnixMicro()) }

// Epochs are those of the shards of the incarnation.
func (d *Database) Epochs(ctx context.Context, incarnation, queue string) (map[int]int64, error) {
	if err := gaveUp(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	epochs := make(map[int]int64)
	for shard, mark := range d.ledger {
		if shard.Queue == queue && shard.Incarnation == incarnation {
			epochs[shard.Partition] = mark.Epoch
		}
	}
	return epochs, nil
}

// End notes the end of the incarnation.
func (d *Database) End(ctx context.Context, incarnation, queue string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended[[2]string{incarnation, queue}] = true
	return gaveUp(ctx)
}

// Ended tells whether the queue of the incarnation was drained to its end.
func (d *Database) Ended(incarnation, queue string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended[[2]string{incarnation, queue}]
}

// Durability claims more than memory keeps.
func (d *Database) Durability(ctx context.Context) (config.Check, error) {
	return config.Check{OK: true}, gaveUp(ctx)
}

// Home is empty before the first look.
func (d *Database) Home() entry.Home {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.looked {
		return entry.Home{}
	}
	return d.home
}

// Since is never: there is no URL.
func (d *Database) Since() int64 { return 0 }

// Known is true after the first look.
func (d *Database) Known() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.looked
}

// Close has nothing to close.
func (d *Database) Close() {}

// Table reads the table, or says that there is none.
func (d *Database) Table(ctx context.Context, m config.Mapping) (flusher.Table, error) {
	if err := gaveUp(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.tables[m.Table]
	if r == nil {
		return nil, &entry.Misfit{
			Reason: cachev1alpha1.ReasonSchemaMismatch, Message: fmt.Sprintf("mapping %s: table %s does not exist", m.Name, m.Table),
		}
	}
	return &table{database: d, rows: r, form: r.form}, nil
}

type table struct {
	database *Database
	rows     *rows
	form     int
}

func (t *table) NewBatch() flusher.Batch  { return &batch{table: t, refused: -1} }
func (t *table) Durability() config.Check { return config.Check{OK: true} }
func (t *table) Hides() string            { return "" }

func (t *table) Current(ctx context.Context) (bool, error) {
	t.database.mu.Lock()
	defer t.database.mu.Unlock()
	return t.form == t.rows.form, gaveUp(ctx)
}

type batch struct {
	table *table
	rows  []row
	// refused is the row at which the last Write ended, if it ended at one.
	refused int
}

func (b *batch) Add(rowKey string, e *entry.Entry) error {
	b.table.database.mu.Lock()
	defer b.table.database.mu.Unlock()
	r := row{key: rowKey, write: b.table.database.writes[e.Operation], value: []byte(e.Value)}
	if r.write == nil {
		panic("enginetest: the database has not learned to " + e.Operation.Name)
	}
	if _, err := strconv.ParseInt(rowKey, 10, 64); err != nil {
		return &entry.Unfit{SQLSTATE: "22P02", OfKey: true, Message: "the key is no integer"}
	}
	if _, err := r.write(nil, r.value); err != nil {
		return &entry.Unfit{SQLSTATE: "22P02", Message: err.Error()}
	}
	b.rows = append(b.rows, r)
	return nil
}

func (b *batch) Ignored() int { return 0 }
func (b *batch) Reset()       { b.rows, b.refused = b.rows[:0], -1 }

func (b *batch) Write(ctx context.Context, at entry.Place) (entry.Commit, error) {
	if err := gaveUp(ctx); err != nil {
		return 0, err
	}
	d, rows := b.table.database, b.table.rows
	d.mu.Lock()
	defer d.mu.Unlock()
	b.refused = -1
	mark := d.ledger[at.Shard]
	switch {
	case mark == nil || mark.Epoch != at.Epoch:
		return entry.Fenced, nil
	case mark.Flush == at.Flush:
		return entry.AlreadyCommitted, nil
	case mark.Flush != at.Flush-1:
		return 0, &entry.Fault{Kind: entry.Transient, Reason: cachev1alpha1.ReasonStatementFailed, Message: "the ledger is out of step"}
	case b.table.form != rows.form:
		return entry.Altered, nil
	}
	after := maps.Clone(rows.documents)
	for i, r := range b.rows {
		document := r.becomes(bytesOf(after, r.key))
		if rows.rule != nil {
			if fault := rows.rule(r.key, document); fault != nil {
				b.refused = i
				return 0, fault
			}
		}
		if document == nil {
			delete(after, r.key)
		} else {
			after[r.key] = string(document)
		}
	}
	rows.documents = after
	mark.Flush, mark.Shard = at.Flush, max(mark.Shard, at.Version)
	return entry.Committed, nil
}

// bytesOf is the row of the key, or nil where there is none.
func bytesOf(documents map[string]string, key string) []byte {
	document, ok := documents[key]
	if !ok {
		return nil
	}
	return []byte(document)
}

// Suspect knows the row, and may keep it to itself.
func (b *batch) Suspect(*entry.Fault) (entry.Suspicion, bool) {
	b.table.database.mu.Lock()
	defer b.table.database.mu.Unlock()
	if b.refused < 0 || b.table.database.silent {
		return entry.Suspicion{}, false
	}
	s := entry.Suspicion{Entry: b.refused}
	for i := range b.rows {
		switch {
		case i < b.refused:
			s.Before = append(s.Before, i)
		case i > b.refused:
			s.After = append(s.After, i)
		}
	}
	return s, true
}

func (b *batch) Control(ctx context.Context) entry.Trial { return b.ControlOfRows(ctx) }

func (b *batch) ControlOfRows(context.Context) entry.Trial {
	d, rows := b.table.database, b.table.rows
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, document := range rows.documents {
		if key != b.rows[0].key && (rows.rule == nil || rows.rule(key, []byte(document)) == nil) {
			return entry.RowTaken
		}
	}
	return entry.NoneTaken
}
