// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// holdsBytes is the expression for whether a type has bytea within: as what it is an array,
// a domain or a range of, or as the type of one of its fields, however deep.
func holdsBytes(root string) string {
	return `EXISTS (WITH RECURSIVE inside (oid) AS (
    SELECT ` + root + `
    UNION
    SELECT q.oid FROM inside JOIN pg_catalog.pg_type p ON p.oid = inside.oid CROSS JOIN LATERAL (
      SELECT p.typelem WHERE p.typelem <> 0
      UNION ALL SELECT p.typbasetype WHERE p.typbasetype <> 0
      UNION ALL SELECT f.atttypid FROM pg_catalog.pg_attribute f WHERE f.attrelid = p.typrelid AND p.typrelid <> 0 AND f.attnum > 0 AND NOT f.attisdropped
      UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = p.oid
      UNION ALL SELECT y.refobjid FROM pg_catalog.pg_depend y WHERE p.typtype = 'm' AND y.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
        AND y.objid = p.oid AND y.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass) q (oid))
  SELECT FROM inside WHERE inside.oid = 'pg_catalog.bytea'::pg_catalog.regtype)`
}

// bytesSQL is whether a type has bytea within, and of a composite, or an array of one, what
// its fields are: see noBytes.
var bytesSQL = holdsBytes("b.oid") + `,
  ARRAY(SELECT CASE WHEN NOT ` + holdsBytes("f.atttypid") + ` THEN 0
      WHEN ft.oid = 'pg_catalog.bytea'::pg_catalog.regtype OR ft.typbasetype = 'pg_catalog.bytea'::pg_catalog.regtype THEN 1 ELSE 2 END::pg_catalog.int4
    FROM pg_catalog.pg_type ct
    JOIN pg_catalog.pg_type dt ON dt.oid = CASE WHEN ct.typbasetype <> 0 THEN ct.typbasetype ELSE ct.oid END
    JOIN pg_catalog.pg_attribute f ON f.attrelid = dt.typrelid AND f.attnum > 0 AND NOT f.attisdropped
    JOIN pg_catalog.pg_type ft ON ft.oid = f.atttypid
    WHERE ct.oid = CASE WHEN b.typcategory = 'A' AND b.typelem <> 0 THEN b.typelem ELSE b.oid END AND dt.typtype = 'c' ORDER BY f.attnum)`

// What a field of a composite is.
const (
	noBytes int32 = iota
	isBytes
	hasBytes
)

// hexLeaves is a text, of something with bytes within a composite, of which every part is
// NULL or in hexadecimal digits, with the backslash doubled, since a single one takes the
// meaning from the x there.
var hexLeaves = regexp.MustCompile(`^([\[\](){},"\s]|\b(empty|[Nn][Uu][Ll][Ll])\b|\\\\x[0-9A-Fa-f]*)*$`)

// hexWithin reports whether a text of a type that has bytes within gives them all as \x and
// hexadecimal digits. PostgreSQL would take anything else for the bytes themselves, base64
// among it, in silence. What cannot be told counts as no.
func (c *column) hexWithin(text []byte, array bool) bool {
	switch {
	case array:
		leaves, ok := arrayLeaves(text)
		return ok && !slices.ContainsFunc(leaves, func(leaf []byte) bool {
			if c.binaryElements {
				return !isHex(leaf)
			}
			return leaf != nil && !c.hexWithin(leaf, false)
		})
	case len(c.record) == 0 && bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")):
		return hexLeaves.Match(text)
	case len(c.record) == 0:
		bounds, ok := fieldsOf(text, "[(", "])")
		return bytes.EqualFold(bytes.TrimSpace(text), []byte("empty")) || ok && !slices.ContainsFunc(bounds, func(bound []byte) bool { return !isHex(bound) })
	}
	fields, ok := fieldsOf(text, "(", ")")
	if !ok {
		return true // PostgreSQL refuses it.
	}
	for i, field := range fields {
		switch {
		case field == nil || i >= len(c.record) || c.record[i] == noBytes:
		case c.record[i] == isBytes && !isHex(field):
			return false
		case c.record[i] == hasBytes && !hexLeaves.Match(field):
			return false
		}
	}
	return true
}

// isHex reports whether PostgreSQL takes a text for bytes in hexadecimal digits, or refuses
// it. No bytes at all are the same in every form.
func isHex(text []byte) bool {
	return len(text) == 0 || bytes.HasPrefix(text, []byte(hexPrefix))
}

// arrayBounds is what may stand before an array's text where it does not begin at 1.
var arrayBounds = regexp.MustCompile(`^\s*((\[[+-]?\d+(:[+-]?\d+)?\]\s*)+=)?\s*`)

// arrayLeaves takes the text of an array apart, of whatever depth, as PostgreSQL does. An
// element in quotation marks may hold anything, and a backslash takes the meaning from
// what follows; a null is nil. It is false for a text that PostgreSQL refuses.
func arrayLeaves(text []byte) (leaves [][]byte, ok bool) {
	text = text[len(arrayBounds.Find(text)):]
	depth, ended, comma := 0, false, false
	for i := 0; i < len(text); i++ {
		switch at := text[i]; {
		case bytes.IndexByte([]byte(arraySpace), at) >= 0:
		case at == '{' && !ended:
			depth++
			comma = false
		case at == '}' && depth > 0 && !comma:
			depth--
			ended = true
			if depth == 0 {
				return leaves, len(bytes.Trim(text[i+1:], arraySpace)) == 0
			}
		case at == ',' && ended && depth > 0:
			ended, comma = false, true
		case ended || depth == 0 || at == ',' || at == '}':
			return nil, false
		default:
			leaf, length := arrayLeaf(text[i:])
			if length == 0 {
				return nil, false
			}
			leaves = append(leaves, leaf)
			i += length - 1
			ended, comma = true, false
		}
	}
	return nil, false
}

// arraySpace is what may stand around the elements of an array.
const arraySpace = " \t\n\r\v\f"

// arrayLeaf reads the element that a text begins with, and gives its length there, or 0
// where it is none.
func arrayLeaf(text []byte) (leaf []byte, length int) {
	leaf = []byte{}
	quoted := text[0] == '"'
	// end is how much of the element is not space at its end.
	i, end, escaped := 0, 0, false
	if quoted {
		i = 1
	}
	for ; i < len(text); i++ {
		switch at := text[i]; {
		case at == '\\' && i+1 < len(text):
			i++
			leaf = append(leaf, text[i])
			end, escaped = len(leaf), true
		case quoted && at == '"':
			return leaf, i + 1
		case quoted:
			leaf = append(leaf, at)
		case at == ',' || at == '}':
			if leaf = leaf[:end]; !escaped && bytes.EqualFold(leaf, []byte("NULL")) {
				return nil, i
			}
			return leaf, i
		case at == '"' || at == '{':
			return nil, 0
		default:
			leaf = append(leaf, at)
			if bytes.IndexByte([]byte(arraySpace), at) < 0 {
				end = len(leaf)
			}
		}
	}
	return nil, 0
}

// fieldsOf takes the text of a composite, or of a range, apart, as PostgreSQL does: what
// is in quotation marks may hold anything, with quotation marks doubled, and a backslash
// takes the meaning from what follows. A field of nothing is null.
func fieldsOf(text []byte, opening, closing string) (fields [][]byte, ok bool) {
	text = bytes.TrimSpace(text)
	if len(text) < 2 || !strings.Contains(opening, string(text[:1])) {
		return nil, false
	}
	var field []byte
	quoted := false
	for i := 1; i < len(text); i++ {
		switch at := text[i]; {
		case at == '\\' && i+1 < len(text):
			i++
			field = append(field, text[i])
		case at == '"' && quoted && i+1 < len(text) && text[i+1] == '"':
			i++
			field = append(field, '"')
		case at == '"':
			quoted = !quoted
			if field == nil {
				field = []byte{}
			}
		case quoted || at != ',' && !strings.Contains(closing, string(text[i:i+1])):
			field = append(field, at)
		case at == ',':
			fields, field = append(fields, field), nil
		default:
			return append(fields, field), i == len(text)-1
		}
	}
	return nil, false
}

func (c *column) notHexWithin() error {
	allowed := `its text may have bytes only as "\x" and hexadecimal digits, with the backslash quoted as the type asks for`
	switch {
	case c.binaryElements:
		allowed = `give a JSON array of strings in base64, or of "\x" and hexadecimal digits; ` +
			`in the text of an array each element is NULL or "\x" and hexadecimal digits, with the backslash doubled`
	case c.array && len(c.record) > 0:
		allowed = `give a JSON array of texts of the composite, with bytes only as "\x" and hexadecimal digits`
	}
	return &entry.Unfit{
		SQLSTATE: stateInvalidText, Column: c.name,
		Message: fmt.Sprintf("column %s: the type %s has bytea within, and a string stands for one as PostgreSQL writes it: %s", c.name, c.shown, allowed),
	}
}
