// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"fmt"
	"regexp"
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

// hexLeaves is a text, of an array or a range of bytes, of which every part is NULL or in
// hexadecimal digits, with the backslash doubled, since a single one takes the meaning from
// the x there.
var hexLeaves = regexp.MustCompile(`^(empty|[\[\](){},"\s]|[Nn][Uu][Ll][Ll]|\\\\x[0-9A-Fa-f]*)*$`)

// hexWithin says whether a text of a type that has bytes within gives them all as \x and
// hexadecimal digits. PostgreSQL would take anything else for the bytes themselves, base64
// among it, in silence. What cannot be told counts as no.
func (c *column) hexWithin(text []byte, array bool) bool {
	if len(c.record) == 0 || array {
		return hexLeaves.Match(text)
	}
	fields, ok := recordFields(text)
	if !ok {
		return true // PostgreSQL refuses it.
	}
	for i, field := range fields {
		switch {
		case field == nil || i >= len(c.record) || c.record[i] == noBytes:
		case c.record[i] == isBytes && !bytes.HasPrefix(field, []byte(hexPrefix)) && len(field) > 0:
			return false
		case c.record[i] == hasBytes && !hexLeaves.Match(field):
			return false
		}
	}
	return true
}

// recordFields takes the text of a composite apart, as PostgreSQL does: a field in
// quotation marks may hold anything, with quotation marks doubled, and a backslash takes
// the meaning from what follows. A field of nothing is null.
func recordFields(text []byte) (fields [][]byte, ok bool) {
	text = bytes.TrimSpace(text)
	if len(text) < 2 || text[0] != '(' {
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
		case quoted || at != ',' && at != ')':
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
		allowed = `give a JSON array of strings in base64, or of "\x" and hexadecimal digits`
	case c.array && len(c.record) > 0:
		allowed = `give a JSON array of texts of the composite, with bytes only as "\x" and hexadecimal digits`
	}
	return &RowError{
		SQLSTATE: stateInvalidText, Column: c.name,
		Message: fmt.Sprintf("column %s: the type %s has bytea within, and a string stands for one as PostgreSQL writes it: %s", c.name, c.shown, allowed),
	}
}
