// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// What the engine calls for each entry does as Set and Delete do, and keeps the version.
func TestAnEntryIsAddedByItsOperation(t *testing.T) {
	t.Parallel()
	b := fakeTable().NewBatch()
	for _, e := range []entry.Entry{
		{Operation: entry.Set, Version: 7, Value: `{"a":"x","j":1,"k":2,"l":[],"m":[]}`}, {Operation: entry.Delete, Version: 8}, {Operation: entry.Set, Version: 9, Value: `{"a":"y"}`},
	} {
		if err := b.Add("1"+strings.Repeat("0", b.Len()), &e); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []struct {
		version int64
		group   int32
	}{{7, everyColumn}, {8, removed}, {9, otherColumns}} {
		if r := b.rows[i]; r.version != want.version || r.group != want.group {
			t.Errorf("row %d has version %d and is in group %d, want %+v", i, r.version, r.group, want)
		}
	}
	if got := show(b, 2); got["a"] != "y" {
		t.Errorf("the document gives %v", got)
	}
	if _, ok := errors.AsType[*entry.Unfit](b.Add("2", &entry.Entry{Value: `{"a":2}`})); !ok || b.Len() != 3 {
		t.Errorf("an entry without an operation is added: %d rows", b.Len())
	}
	unknown := entry.Entry{Operation: &entry.Operation{Letter: 'x', Name: "multiply"}, Value: `{"a":2}`}
	unfit, ok := errors.AsType[*entry.Unfit](b.Add("2", &unknown))
	if !ok || !strings.Contains(unfit.Message, "the operation multiply") || b.Len() != 3 {
		t.Errorf("an operation that has no kind is %+v, %d rows", unfit, b.Len())
	}
}

// BenchmarkBatchAdd is what the engine pays for each entry before it is sent.
func BenchmarkBatchAdd(b *testing.B) {
	batch := fakeTable().NewBatch()
	e := entry.Entry{Operation: entry.Set, Version: 1, Value: `{"a":"Product number 1","j":{"x":1},"k":[2],"l":["a"],"m":[]}`}
	const rows = 1000
	b.ReportAllocs()
	for i := range b.N {
		if i%rows == 0 {
			batch.Reset()
		}
		if err := batch.Add("17", &e); err != nil {
			b.Fatal(err)
		}
	}
}
