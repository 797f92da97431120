// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// DatabaseUnderTest is a database with an empty table, of an integer key and a text column
// name that must not be "refused".
type DatabaseUnderTest struct {
	flusher.Database
	Mapping config.Mapping
	// Names are those of the rows, by key.
	Names func() map[string]string
	// Alter changes the table, so that what was read of it is out of date.
	Alter func()
}

// Refused is the name that the table of a DatabaseUnderTest refuses.
const Refused = "refused"

// InMemory is a Database in memory, ready for these tests.
func InMemory(t *testing.T) (*Database, DatabaseUnderTest) {
	t.Helper()
	const items = "items"
	d := NewDatabase(items)
	d.Rule(items, func(_ string, document []byte) *entry.Fault {
		if strings.Contains(string(document), Refused) {
			return RefuseRow()
		}
		return nil
	})
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Table, m.KeyColumn = "products", "product:", items, "id"
	return d, DatabaseUnderTest{
		Database: d, Mapping: m, Alter: func() { d.Alter(items) },
		Names: func() map[string]string {
			names := make(map[string]string)
			for key, document := range d.Rows(items) {
				var row struct{ Name string }
				if err := json.Unmarshal([]byte(document), &row); err != nil {
					t.Fatal(err)
				}
				names[key] = row.Name
			}
			return names
		},
	}
}

// DatabaseConforms proves that a database does what the engine expects of one. make makes an
// empty one for each test.
func DatabaseConforms(t *testing.T, make func(t *testing.T) DatabaseUnderTest) {
	for name, test := range map[string]func(*databaseTest){
		"an epoch is given out once":                 (*databaseTest).epochs,
		"a batch commits once":                       (*databaseTest).commitsOnce,
		"only the owner writes, in its epoch":        (*databaseTest).fences,
		"a batch is written whole or not at all":     (*databaseTest).refuses,
		"what cannot be a row is not added":          (*databaseTest).unfit,
		"an altered table takes nothing":             (*databaseTest).alters,
		"a table that is missing is a misfit":        (*databaseTest).misfit,
		"a control tries another row":                (*databaseTest).controls,
		"the ledger knows earlier lives":             (*databaseTest).earlier,
		"a database is known when it was looked at":  (*databaseTest).known,
		"a call of somebody who has given up fails":  (*databaseTest).givenUp,
		"a batch that is reset is as good as new":    (*databaseTest).resets,
		"what endangers rows is told of table, too":  (*databaseTest).durability,
		"the last of two writes of one key is taken": (*databaseTest).lastWins,
	} {
		t.Run(name, func(t *testing.T) { test(startDatabase(t, make)) })
	}
	for _, sample := range samples {
		t.Run(sample.Operation.Name, func(t *testing.T) { OperationConforms(t, make, sample) })
	}
}

func startDatabase(t *testing.T, make func(t *testing.T) DatabaseUnderTest) *databaseTest {
	t.Helper()
	d := &databaseTest{DatabaseUnderTest: make(t), t: t}
	t.Cleanup(d.Close)
	if check := d.Check(t.Context()); !check.OK {
		t.Fatalf("the database is %+v", check)
	}
	table, err := d.Table(t.Context(), d.Mapping)
	d.must(err)
	d.table = table
	return d
}

type databaseTest struct {
	DatabaseUnderTest
	t     *testing.T
	table flusher.Table
}

func (d *databaseTest) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *databaseTest) acquire(incarnation string) entry.Mark {
	d.t.Helper()
	mark, err := d.Acquire(d.t.Context(), incarnation, suiteQueue, 0)
	d.must(err)
	return mark
}

func place(incarnation string, epoch, flush, version int64) entry.Place {
	return entry.Place{Shard: entry.Shard{Queue: suiteQueue, Incarnation: incarnation}, Epoch: epoch, Flush: flush, Version: version}
}

func named(name string) string { return `{"name":"` + name + `"}` }

// add adds an entry to a batch.
func add(b flusher.Batch, operation *entry.Operation, key, value string) error {
	return b.Add(key, &entry.Entry{Key: "product:" + key, Operation: operation, Version: 1, Value: value})
}

// batch has a row of the name for each key.
func (d *databaseTest) batch(name string, keys ...string) flusher.Batch {
	d.t.Helper()
	b := d.table.NewBatch()
	for _, key := range keys {
		d.must(add(b, entry.Set, key, named(name)))
	}
	return b
}

func (d *databaseTest) writes(b flusher.Batch, at entry.Place, want entry.Commit) {
	d.t.Helper()
	if got, err := b.Write(d.t.Context(), at); got != want || err != nil {
		d.t.Errorf("%v: %v, %v, want %v", at, got, err, want)
	}
}

// fault is why the batch is not taken.
func (d *databaseTest) fault(b flusher.Batch, at entry.Place) *entry.Fault {
	d.t.Helper()
	got, err := b.Write(d.t.Context(), at)
	fault, ok := errors.AsType[*entry.Fault](err)
	if !ok {
		d.t.Fatalf("%v: %v, %v, want a fault", at, got, err)
	}
	return fault
}

func (d *databaseTest) has(want map[string]string) {
	d.t.Helper()
	if got := d.Names(); !maps.Equal(got, want) {
		d.t.Errorf("the table has %v, want %v", got, want)
	}
}

func (d *databaseTest) epochs() {
	first := d.acquire("life")
	if first.Epoch <= 0 || first.Flush != 0 || first.Queue != 0 || first.Shard != 0 || first.Earlier {
		d.t.Errorf("a ledger that knows nothing says %+v", first)
	}
	d.writes(d.batch("a", "1"), place("life", first.Epoch, 1, 77), entry.Committed)
	second := d.acquire("life")
	if second.Epoch <= first.Epoch || second.Flush != 1 || second.Queue != 77 || second.Shard != 77 || second.Earlier {
		d.t.Errorf("after %+v the ledger says %+v", first, second)
	}
	other, err := d.Acquire(d.t.Context(), "life", suiteQueue, 3)
	d.must(err)
	if other.Flush != 0 || other.Queue != 77 || other.Shard != 0 {
		d.t.Errorf("of another partition the ledger says %+v", other)
	}
	epochs, err := d.Epochs(d.t.Context(), "life", suiteQueue)
	d.must(err)
	if want := map[int]int64{0: second.Epoch, 3: other.Epoch}; !maps.Equal(epochs, want) {
		d.t.Errorf("the epochs are %v, want %v", epochs, want)
	}
	if epochs, err := d.Epochs(d.t.Context(), "another", suiteQueue); len(epochs) != 0 || err != nil {
		d.t.Errorf("an incarnation of which nothing is known has epochs %v, %v", epochs, err)
	}
}

func (d *databaseTest) commitsOnce() {
	epoch := d.acquire("life").Epoch
	b := d.batch("a", "1", "2")
	d.writes(b, place("life", epoch, 1, 1), entry.Committed)
	d.writes(d.batch("b", "1"), place("life", epoch, 2, 2), entry.Committed)
	d.writes(b, place("life", epoch, 2, 1), entry.AlreadyCommitted)
	d.has(map[string]string{"1": "b", "2": "a"})
	if fault := d.fault(b, place("life", epoch, 9, 9)); fault.Kind != entry.Transient {
		d.t.Errorf("a batch out of step is %+v", fault)
	}
	d.has(map[string]string{"1": "b", "2": "a"})
}

func (d *databaseTest) fences() {
	before := d.acquire("life").Epoch
	after := d.acquire("life").Epoch
	d.writes(d.batch("old", "1"), place("life", before, 1, 1), entry.Fenced)
	d.writes(d.batch("new", "1"), place("life", after, 1, 1), entry.Committed)
	d.writes(d.batch("none", "1"), place("unknown", after, 1, 1), entry.Fenced)
	// The first epoch of another life of the queue ends those of this one.
	next := d.acquire("next life").Epoch
	d.writes(d.batch("old", "1"), place("life", after, 2, 2), entry.Fenced)
	d.writes(d.batch("newest", "1"), place("next life", next, 1, 3), entry.Committed)
	d.has(map[string]string{"1": "newest"})
}

func (d *databaseTest) refuses() {
	epoch := d.acquire("life").Epoch
	b := d.batch("a", "1", "2")
	d.must(add(b, entry.Set, "3", named(Refused)))
	d.must(add(b, entry.Set, "4", named("a")))
	fault := d.fault(b, place("life", epoch, 1, 1))
	if fault.Kind != entry.Row || !fault.AtRows || fault.Unsettled || fault.SessionEnded || len(fault.SQLSTATE) != 5 || fault.Constraint == "" {
		d.t.Errorf("a row that is refused is %+v", fault)
	}
	if fault.Reason == "" || fault.Message == "" || fault.Error() == "" {
		d.t.Errorf("nobody can read %+v", fault)
	}
	if s, ok := b.Suspect(fault); ok {
		found := slices.Sorted(slices.Values(append(append([]int{s.Entry}, s.Before...), s.After...)))
		if s.Entry != 2 || !slices.Equal(found, []int{0, 1, 2, 3}) {
			d.t.Errorf("suspected is %+v", s)
		}
	}
	d.has(nil)
	// The place is free for another batch.
	d.writes(d.batch("a", "1", "2"), place("life", epoch, 1, 1), entry.Committed)
	d.has(map[string]string{"1": "a", "2": "a"})
}

func (d *databaseTest) unfit() {
	b := d.table.NewBatch()
	for name, add := range map[string]func() error{
		"a key":      func() error { return add(b, entry.Set, "x", named("a")) },
		"a deletion": func() error { return add(b, entry.Delete, "x", "") },
		"a document": func() error { return add(b, entry.Set, "1", `[1]`) },
		"no JSON":    func() error { return add(b, entry.Set, "1", `{`) },
	} {
		unfit, ok := errors.AsType[*entry.Unfit](add())
		if !ok || unfit.Message == "" || unfit.OfKey != (name == "a key" || name == "a deletion") {
			d.t.Errorf("%s: %+v", name, unfit)
		}
	}
	d.must(add(b, entry.Set, "1", named("a")))
	d.writes(b, place("life", d.acquire("life").Epoch, 1, 1), entry.Committed)
	d.has(map[string]string{"1": "a"})
}

func (d *databaseTest) alters() {
	epoch := d.acquire("life").Epoch
	current := func(want bool) {
		d.t.Helper()
		if got, err := d.table.Current(d.t.Context()); got != want || err != nil {
			d.t.Errorf("that the table is current is %v, %v", got, err)
		}
	}
	current(true)
	b := d.batch("a", "1")
	d.Alter()
	current(false)
	d.writes(b, place("life", epoch, 1, 1), entry.Altered)
	d.has(nil)
	var err error
	d.table, err = d.Table(d.t.Context(), d.Mapping)
	d.must(err)
	current(true)
	d.writes(d.batch("a", "1"), place("life", epoch, 1, 1), entry.Committed)
}

func (d *databaseTest) misfit() {
	m := d.Mapping
	m.Table = "missing"
	table, err := d.Table(d.t.Context(), m)
	misfit, ok := errors.AsType[*entry.Misfit](err)
	if !ok || misfit.Reason == "" || misfit.Message == "" || table != nil {
		d.t.Errorf("a table that is missing is %v, %+v", table, err)
	}
}

func (d *databaseTest) controls() {
	epoch := d.acquire("life").Epoch
	bad := d.batch(Refused, "9")
	_ = d.fault(bad, place("life", epoch, 1, 1))
	if trial := bad.ControlOfRows(d.t.Context()); trial != entry.NoneTaken {
		d.t.Errorf("a table without rows shows %d", trial)
	}
	d.writes(d.batch("a", "1"), place("life", epoch, 1, 1), entry.Committed)
	bad = d.batch(Refused, "9")
	_ = d.fault(bad, place("life", epoch, 2, 2))
	for n, trial := range []entry.Trial{bad.ControlOfRows(d.t.Context()), bad.Control(d.t.Context())} {
		if trial != entry.RowTaken {
			d.t.Errorf("control %d shows %d", n, trial)
		}
	}
	d.has(map[string]string{"1": "a"})
}

func (d *databaseTest) earlier() {
	ctx := d.t.Context()
	first := d.acquire("first").Epoch
	if d.acquire("second").Earlier {
		d.t.Error("a life in which nothing was flushed counts")
	}
	first = max(first, d.acquire("first").Epoch)
	d.writes(d.batch("a", "1"), place("first", first, 1, 5), entry.Committed)
	mark := d.acquire("third")
	if !mark.Earlier || mark.Queue != 5 || mark.Shard != 0 {
		d.t.Errorf("of a life after another the ledger says %+v", mark)
	}
	d.must(d.End(ctx, "first", suiteQueue))
	if mark := d.acquire("fourth"); mark.Earlier || mark.Queue != 5 {
		d.t.Errorf("after a life that was drained to its end the ledger says %+v", mark)
	}
}

func (d *databaseTest) known() {
	home := d.Home()
	if !d.Known() || home.Name == "" {
		d.t.Errorf("a database that was looked at is %+v, known %v", home, d.Known())
	}
	if mark := d.acquire("life"); mark.Home.ID != home.ID || mark.Home.Name != home.Name {
		d.t.Errorf("the ledger is in %+v, the database is %+v", mark.Home, home)
	}
}

func (d *databaseTest) givenUp() {
	epoch := d.acquire("life").Epoch
	ctx, cancel := context.WithCancel(d.t.Context())
	cancel()
	_, err := d.batch("a", "1").Write(ctx, place("life", epoch, 1, 1))
	_, isFault := errors.AsType[*entry.Fault](err)
	if !isFault || !errors.Is(err, context.Canceled) {
		d.t.Errorf("a batch: %v", err)
	}
	_, err = d.Acquire(ctx, "life", suiteQueue, 0)
	if _, isFault := errors.AsType[*entry.Fault](err); !isFault || !errors.Is(err, context.Canceled) {
		d.t.Errorf("an epoch: %v", err)
	}
	if table, err := d.Table(ctx, d.Mapping); err == nil || table != nil {
		d.t.Errorf("a table: %v, %v", table, err)
	}
	d.has(nil)
}

func (d *databaseTest) resets() {
	epoch := d.acquire("life").Epoch
	b := d.batch(Refused, "1", "2", "3")
	_ = d.fault(b, place("life", epoch, 1, 1))
	b.Reset()
	d.must(add(b, entry.Set, "4", named("a")))
	d.writes(b, place("life", epoch, 1, 1), entry.Committed)
	b.Reset()
	d.must(add(b, entry.Set, "5", named("a")))
	d.writes(b, place("life", epoch, 2, 2), entry.Committed)
	d.has(map[string]string{"4": "a", "5": "a"})
}

func (d *databaseTest) durability() {
	if check := d.table.Durability(); !check.OK || d.table.Hides() != "" {
		d.t.Errorf("the table is %+v, and hides %q", check, d.table.Hides())
	}
	if check, err := d.Durability(d.t.Context()); !check.OK || err != nil {
		d.t.Errorf("the ledger is %+v, %v", check, err)
	}
}

func (d *databaseTest) lastWins() {
	b := d.batch("first", "1")
	d.must(add(b, entry.Set, "1", named("second")))
	d.must(add(b, entry.Set, "2", named("third")))
	d.must(add(b, entry.Delete, "2", ""))
	d.writes(b, place("life", d.acquire("life").Epoch, 1, 1), entry.Committed)
	d.has(map[string]string{"1": "second"})
}
