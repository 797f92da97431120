// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"errors"
	"testing"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// Sample is what an operation comes to in a DatabaseUnderTest.
type Sample struct {
	Operation *entry.Operation
	// Value makes of a row of the name Before, and of none, a row of the name Makes, or no
	// row where that is empty.
	Value, Before, Makes string
	// Refused is a value that makes a row of the name Refused, Unfit one that cannot be a
	// row. They are empty where the operation has none.
	Refused, Unfit string
}

// samples are those of the operations that every database knows.
var samples = []Sample{
	{Operation: entry.Set, Value: named("after"), Before: "before", Makes: "after", Refused: named(Refused), Unfit: `[1]`},
	{Operation: entry.Delete, Before: "before"},
}

// OperationConforms proves that a database does with the entries of an operation what the
// engine expects of any. make makes an empty database for each test. A new operation needs a
// sample, and passes.
func OperationConforms(t *testing.T, make func(t *testing.T) DatabaseUnderTest, sample Sample) {
	for name, test := range map[string]func(*operationTest){
		"makes of a row, and of none, what it says":  (*operationTest).makes,
		"comes to the same when it is written again": (*operationTest).once,
		"takes no effect out of its epoch":           (*operationTest).fenced,
		"takes no effect in a batch that fails":      (*operationTest).rolledBack,
		"adds nothing that cannot be a row":          (*operationTest).unfit,
		"gives way to what comes after":              (*operationTest).ordered,
	} {
		t.Run(name, func(t *testing.T) {
			o := &operationTest{startDatabase(t, make), sample, 0}
			o.epoch = o.acquire("life").Epoch
			o.writes(o.batch(sample.Before, "1", "2"), place("life", o.epoch, 1, 1), entry.Committed)
			test(o)
		})
	}
}

// operationTest begins with the rows 1 and 2, which have the name Before.
type operationTest struct {
	*databaseTest
	Sample
	epoch int64
}

// untouched is the table as it was in the beginning.
func (o *operationTest) untouched() map[string]string {
	return map[string]string{"1": o.Before, "2": o.Before}
}

// made is the table after the operation at the rows 1 and 3.
func (o *operationTest) made() map[string]string {
	rows := map[string]string{"2": o.Before}
	if o.Makes != "" {
		rows["1"], rows["3"] = o.Makes, o.Makes
	}
	return rows
}

// entries is a batch of the operation at the rows of the keys.
func (o *operationTest) entries(keys ...string) flusher.Batch {
	o.t.Helper()
	b := o.table.NewBatch()
	for _, key := range keys {
		o.must(add(b, o.Operation, key, o.Value))
	}
	return b
}

func (o *operationTest) makes() {
	o.writes(o.entries("1", "3"), place("life", o.epoch, 2, 2), entry.Committed)
	o.has(o.made())
}

func (o *operationTest) once() {
	b := o.entries("1", "3")
	o.writes(b, place("life", o.epoch, 2, 2), entry.Committed)
	o.writes(b, place("life", o.epoch, 2, 2), entry.AlreadyCommitted)
	o.writes(o.entries("1", "3"), place("life", o.epoch, 2, 2), entry.AlreadyCommitted)
	o.has(o.made())
	// A new epoch does not know that, and writes it at the next place.
	o.epoch = o.acquire("life").Epoch
	o.writes(o.entries("1", "3"), place("life", o.epoch, 3, 2), entry.Committed)
	o.has(o.made())
}

func (o *operationTest) fenced() {
	o.acquire("life")
	o.writes(o.entries("1", "3"), place("life", o.epoch, 2, 2), entry.Fenced)
	o.has(o.untouched())
}

func (o *operationTest) rolledBack() {
	bad := map[*entry.Operation]string{entry.Set: named(Refused)}
	if o.Refused != "" {
		bad[o.Operation] = o.Refused
	}
	for operation, value := range bad {
		b := o.entries("1", "3")
		o.must(add(b, operation, "4", value))
		fault := o.fault(b, place("life", o.epoch, 2, 2))
		if fault.Kind != entry.Row || !fault.AtRows || fault.Unsettled {
			o.t.Errorf("the fault of %s %s is %+v", operation.Name, value, fault)
		}
		if s, ok := b.Suspect(fault); ok && (s.Entry != 2 || len(s.Before)+len(s.After) != 2) {
			o.t.Errorf("suspected is %+v", s)
		}
		o.has(o.untouched())
	}
	o.writes(o.entries("1", "3"), place("life", o.epoch, 2, 2), entry.Committed)
	o.has(o.made())
}

func (o *operationTest) unfit() {
	b := o.entries("1")
	unfit, ok := errors.AsType[*entry.Unfit](add(b, o.Operation, "x", o.Value))
	if !ok || !unfit.OfKey {
		o.t.Errorf("a key that is no integer is %+v", unfit)
	}
	if o.Unfit != "" {
		unfit, ok := errors.AsType[*entry.Unfit](add(b, o.Operation, "2", o.Unfit))
		if !ok || unfit.OfKey || unfit.Message == "" {
			o.t.Errorf("the value %s is %+v", o.Unfit, unfit)
		}
	}
	o.must(add(b, o.Operation, "3", o.Value))
	o.writes(b, place("life", o.epoch, 2, 2), entry.Committed)
	o.has(o.made())
}

func (o *operationTest) ordered() {
	o.writes(o.entries("1", "3"), place("life", o.epoch, 2, 2), entry.Committed)
	o.writes(o.batch("newer", "1", "3"), place("life", o.epoch, 3, 3), entry.Committed)
	o.has(map[string]string{"1": "newer", "2": o.Before, "3": "newer"})
}
