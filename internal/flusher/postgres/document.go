// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/writebehind/operator/internal/flusher/entry"
)

const (
	// wholeDocument is the field that stands for the document itself.
	wholeDocument = "$"
	// maxDocument bounds one document. PostgreSQL takes at most 1 GiB for one
	// message, and a jsonb of a quarter of that.
	maxDocument = 128 << 20
)

// byteOrderMark is what some editors and encoders put before a text.
const byteOrderMark = "\ufeff"

// SQLSTATEs that PostgreSQL itself gives for the same faults.
const (
	stateInvalidText    = "22P02"
	stateInvalidChar    = "22021"
	stateUntranslatable = "22P05"
	stateOutOfRange     = "22003"
	stateTooLong        = "22001"
	stateLimit          = "54000"
	stateUnsupported    = "0A000"
)

// cell is one value of a row: a piece of the batch's arena, or one of those below in
// place of its length.
type cell struct {
	start  int
	length int32
}

const (
	isNull   = -1
	isAbsent = -2
	// isDefault stands for the default of the column, whatever the row has.
	isDefault = -3
)

// decode reads a document into the row's cells, which are absent to begin with,
// and appends the values to the arena. It gives the number of columns that the
// document names.
func (b *Batch) decode(cells []cell, document []byte) (named int, err error) {
	t := b.table
	if t.number {
		return b.decodeNumber(&cells[0], document)
	}
	if len(document) > maxDocument {
		return 0, &entry.Unfit{SQLSTATE: stateLimit, Message: fmt.Sprintf("the document is longer than %d bytes", maxDocument)}
	}
	if !utf8.Valid(document) {
		return 0, &entry.Unfit{SQLSTATE: stateInvalidChar, Message: "the document is not valid UTF-8"}
	}
	s := scanner{data: document}
	if s.next() != '{' {
		if bytes.HasPrefix(document, []byte(byteOrderMark)) {
			return 0, &entry.Unfit{
				SQLSTATE: stateInvalidText,
				Message:  "the document begins with a byte order mark (the bytes EF BB BF), which is no part of JSON: write it without",
			}
		}
		if word := s.stranger(); word != "" {
			return 0, invalidJSON(s.fail(word))
		}
		if _, err := s.value(0); err == nil && s.next() == 0 && s.pos == len(document) {
			return 0, &entry.Unfit{SQLSTATE: stateInvalidText, Message: "the document is valid JSON but not an object"}
		}
		return 0, invalidJSON(s.fail("an object is missing"))
	}
	start := s.pos
	odd, err := b.fields(&s, cells, &named)
	if err != nil {
		return 0, err
	}
	end := s.pos
	if s.space(); s.pos != len(document) {
		return 0, invalidJSON(s.fail("something follows the object"))
	}
	for _, i := range t.whole {
		whole := jsonValue{text: document[start:end], kind: jsonObject, odd: odd}
		if err := b.store(cells, i, whole, true, &named); err != nil {
			return 0, err
		}
	}
	return named, nil
}

// fields reads the fields of the object that s stands on.
func (b *Batch) fields(s *scanner, cells []cell, named *int) (oddity, error) {
	var all oddity
	s.pos++
	if s.next() == '}' {
		s.pos++
		return 0, nil
	}
	previous := 0
	for {
		name, err := s.name()
		if err != nil {
			return 0, invalidJSON(err)
		}
		v, err := s.value(1)
		if err != nil {
			return 0, invalidJSON(err)
		}
		all |= name.odd | v.odd
		f := b.field(name, previous)
		if f >= 0 {
			previous = f + 1
			for _, i := range b.table.fields[f].columns {
				if b.table.texts {
					err = b.storeText(cells, i, v, named)
				} else {
					err = b.store(cells, i, v, false, named)
				}
				if err != nil {
					return 0, err
				}
			}
		}
		done, err := s.separator('}')
		if err != nil {
			return 0, invalidJSON(err)
		}
		if done {
			return all, nil
		}
	}
}

// field finds a field by its name; previous is the one before it in the
// document, counted from 1. It counts a field that no column takes and gives -1
// for it. The documents of one table mostly name their fields in the same order, so the one
// that followed last time is tried first.
func (b *Batch) field(name jsonValue, previous int) int {
	text := name.text
	if name.odd != 0 {
		b.scratch = unescape(b.scratch[:0], text)
		text = b.scratch
	}
	if f := b.follows[previous]; f >= 0 && string(text) == b.table.fields[f].name {
		return f
	}
	f, ok := b.table.byName[string(text)]
	if !ok {
		b.ignore(text)
		return -1
	}
	b.follows[previous] = f
	return f
}

func invalidJSON(err error) error {
	if _, ok := errors.AsType[*entry.Unfit](err); ok {
		return err
	}
	return &entry.Unfit{SQLSTATE: stateInvalidText, Message: err.Error()}
}

// store puts a value into a column's cell, in the text form that PostgreSQL
// reads for the column's type. A later value replaces an earlier one. whole says
// that it is the document itself.
func (b *Batch) store(cells []cell, i int, v jsonValue, whole bool, named *int) error {
	c := &b.table.columns[i]
	if cells[i].length == isAbsent {
		*named++
	}
	if v.kind == jsonNull {
		cells[i] = cell{length: isNull}
		return nil
	}
	if v.odd&(hasNul|hasSurrogate) != 0 {
		if err := c.check(v); err != nil {
			return err
		}
	}
	start := len(b.arena)
	switch {
	case c.json && v.kind == jsonString:
		b.arena = append(b.arena, '"')
		b.arena = append(b.arena, v.text...)
		b.arena = append(b.arena, '"')
	case c.binary:
		if err := b.binary(c, v, whole); err != nil {
			b.arena = b.arena[:start]
			return err
		}
	case c.bytesWithin && v.kind == jsonString && !c.hexWithin(v.value(), c.array):
		return c.notHexWithin()
	case v.kind == jsonString && v.odd&hasEscape != 0:
		b.arena = unescape(b.arena, v.text)
	case v.kind == jsonArray && c.array:
		var err error
		if b.arena, err = c.appendArray(b.arena, v.text, maxDimensions); err != nil {
			b.arena = b.arena[:start]
			return err
		}
	case v.odd&hasPoint != 0 && c.whole && v.kind == jsonNumber:
		b.arena = appendWhole(b.arena, v.text)
	default:
		b.arena = append(b.arena, v.text...)
	}
	cells[i] = cell{start: start, length: int32(len(b.arena) - start)}
	return nil
}

// check refuses what the column cannot hold.
func (c *column) check(v jsonValue) error {
	verbatim := c.json || v.kind == jsonObject || v.kind == jsonArray && !c.array
	switch {
	case v.odd&hasSurrogate != 0 && (c.json || !verbatim):
		return &entry.Unfit{
			SQLSTATE: stateUntranslatable, Column: c.name,
			Message: fmt.Sprintf("column %s: a string holds half a surrogate pair, which is no character", c.name),
		}
	case v.odd&hasNul != 0 && !verbatim:
		return &entry.Unfit{
			SQLSTATE: stateInvalidChar, Column: c.name,
			Message: fmt.Sprintf("column %s: a string holds the character U+0000, which PostgreSQL cannot store", c.name),
		}
	case v.odd&hasNul != 0 && c.binaryJSON:
		return &entry.Unfit{
			SQLSTATE: stateUntranslatable, Column: c.name,
			Message: fmt.Sprintf("column %s: a string holds the character U+0000, which jsonb cannot store", c.name),
		}
	}
	return nil
}

// maxDimensions is how many dimensions PostgreSQL's arrays can have.
const maxDimensions = 6

// appendArray writes a JSON array as the text of a PostgreSQL array. Within
// arrays of json the elements stay JSON; otherwise nested arrays are further
// dimensions, of which as many as are left are written. An array that has more is an
// error: its innermost brackets would be taken for text.
func (c *column) appendArray(dst, text []byte, left int) ([]byte, error) {
	s := scanner{data: text, pos: 1}
	dst = append(dst, '{')
	if s.next() == ']' {
		return append(dst, '}'), nil
	}
	for {
		v, _ := s.value(0)
		var err error
		switch {
		case v.kind == jsonNull:
			dst = append(dst, "NULL"...)
		case c.jsonElements && v.kind == jsonString:
			raw := text[s.pos-len(v.text)-2 : s.pos]
			dst = appendQuoted(dst, raw)
		case c.jsonElements:
			dst = appendQuoted(dst, v.text)
		case v.kind == jsonArray && left == 1:
			return dst, &entry.Unfit{
				SQLSTATE: stateLimit, Column: c.name,
				Message: fmt.Sprintf("column %s: an array has more than %d dimensions", c.name, maxDimensions),
			}
		case v.kind == jsonArray:
			dst, err = c.appendArray(dst, v.text, left-1)
		case c.binaryElements:
			dst, err = c.appendBinaryElement(dst, v)
		case v.kind == jsonObject:
			dst = appendQuoted(dst, v.text)
		case c.bytesWithin && v.kind == jsonString && !c.hexWithin(v.value(), false):
			return dst, c.notHexWithin()
		case v.kind == jsonString:
			dst = appendQuoted(dst, v.value())
		case v.odd&hasPoint != 0 && c.wholeElements:
			dst = appendWhole(dst, v.text)
		default:
			dst = append(dst, v.text...)
		}
		if err != nil {
			return dst, err
		}
		if s.next() == ']' {
			return append(dst, '}'), nil
		}
		s.pos++
		dst = append(dst, ',')
	}
}

// appendQuoted writes one element of a PostgreSQL array in quotation marks.
func appendQuoted(dst, value []byte) []byte {
	dst = append(dst, '"')
	for {
		i := bytes.IndexAny(value, "\"\\")
		if i < 0 {
			dst = append(dst, value...)
			return append(dst, '"')
		}
		dst = append(dst, value[:i]...)
		dst = append(dst, '\\', value[i])
		value = value[i+1:]
	}
}
