// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// operations are those that a table of each encoding takes.
var operations = map[string][]*entry.Operation{
	"":                       {entry.Set, entry.Delete},
	config.EncodingJSON:      {entry.Set, entry.Delete},
	config.EncodingHash:      {entry.Set, entry.Delete},
	config.EncodingNumber:    {entry.Set, entry.Delete},
	config.EncodingSortedSet: {entry.Set, entry.Delete, entry.Clear},
	config.EncodingStream:    {entry.Append},
}

// takes refuses an operation that means nothing in the table's encoding.
func (t *Table) takes(e *entry.Entry) error {
	if slices.Contains(t.operations, e.Operation) {
		return nil
	}
	return &entry.Unfit{SQLSTATE: stateUnsupported, Message: fmt.Sprintf("the operation %s is none that encoding %s takes", e.Operation.Name, t.encoding)}
}

// storeText puts a field into a column's cell as the text that it is: the column's own
// type reads it. A field that is gone gives its column the default.
func (b *Batch) storeText(cells []cell, i int, v jsonValue, named *int) error {
	c := &b.table.columns[i]
	if cells[i].length == isAbsent {
		*named++
	}
	switch {
	case v.kind == jsonNull:
		cells[i] = cell{length: isDefault}
		return nil
	case v.kind != jsonString:
		return &entry.Unfit{SQLSTATE: stateInvalidText, Column: c.name, Message: fmt.Sprintf("column %s: a field is no text", c.name)}
	case v.odd&hasSurrogate != 0:
		return &entry.Unfit{
			SQLSTATE: stateUntranslatable, Column: c.name,
			Message: fmt.Sprintf("column %s: a field holds half a surrogate pair, which is no character", c.name),
		}
	case v.odd&hasNul != 0:
		return &entry.Unfit{
			SQLSTATE: stateInvalidChar, Column: c.name,
			Message: fmt.Sprintf("column %s: a field holds the character U+0000, which PostgreSQL cannot store", c.name),
		}
	}
	start := len(b.arena)
	if v.odd&hasEscape != 0 {
		b.arena = unescape(b.arena, v.text)
	} else {
		b.arena = append(b.arena, v.text...)
	}
	cells[i] = cell{start: start, length: int32(len(b.arena) - start)}
	return nil
}

// resetAbsent gives the columns that a whole value does not name their default. A default
// that the mapping does not know of stays the table's own business: a time of creation
// must not move each time that a key is read.
func (t *Table) resetAbsent(cells []cell) {
	for i := range cells {
		if cells[i].length == isAbsent && !t.columns[i].own {
			cells[i] = cell{length: isDefault}
		}
	}
}

// numberForm is a number as Redis writes one, and as an application may.
var numberForm = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,9})?$`)

// endless are the numbers without an end that a score may be.
var endless = []string{"inf", "+inf", "-inf"}

// longestNumber is how many bytes a number may have. Redis writes at most a few hundred.
const longestNumber = 1024

// decodeNumber reads a value that is one number into the cell of its column.
func (b *Batch) decodeNumber(at *cell, value []byte) (named int, err error) {
	c := &b.table.columns[0]
	unfit := func(state, what string) (int, error) {
		return 0, &entry.Unfit{SQLSTATE: state, Column: c.name, Message: fmt.Sprintf("column %s: the value is %s", c.name, what)}
	}
	infinite := slices.Contains(endless, string(value))
	switch {
	case len(value) > longestNumber:
		return unfit(stateOutOfRange, fmt.Sprintf("longer than the %d bytes that a number may have", longestNumber))
	case !infinite && !numberForm.Match(value):
		return unfit(stateInvalidText, "no number")
	case infinite && c.whole:
		return unfit(stateOutOfRange, "infinite, which "+c.shown+" cannot be")
	}
	start := len(b.arena)
	switch {
	case !c.whole:
		b.arena = append(b.arena, value...)
	case bytes.ContainsAny(value, ".eE"):
		b.arena = appendWhole(b.arena, bytes.TrimPrefix(value, []byte("+")))
	default:
		b.arena = append(b.arena, value...)
	}
	if text := b.arena[start:]; c.whole {
		if _, err := strconv.ParseInt(string(text), 10, c.bits); err != nil {
			b.arena = b.arena[:start]
			if f, _ := strconv.ParseFloat(string(value), 64); math.Abs(f) < math.Ldexp(1, c.bits-1) {
				return unfit(stateInvalidText, "no whole number, which "+c.shown+" has to be")
			}
			return unfit(stateOutOfRange, "out of the range of "+c.shown)
		}
	}
	*at = cell{start: start, length: int32(len(b.arena) - start)}
	return 1, nil
}
