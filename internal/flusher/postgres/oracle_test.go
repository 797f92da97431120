// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// oddColumn is a column's name that has to be quoted in SQL and escaped in JSON.
const oddColumn = `w"e i.rd`

// oddField is its name in a document.
const oddField = `"w\"e i.rd"`

// columnType is a type that a column may have, and a table that has one.
type columnType struct {
	shown string
	table *Table
	name  string
	row   string // the row under test as it was left
}

// builtinTypes are all types of PostgreSQL itself that a table may have. The rows of
// the catalogues are types too; one composite type stands for all of them. The two
// vectors are the catalogues' own kind of array.
const builtinTypes = `
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname)
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE n.nspname IN ('pg_catalog', 'information_schema') AND t.typisdefined
  AND t.typtype IN ('b', 'e', 'd', 'r', 'm') AND coalesce(e.typtype, 'b') NOT IN ('c', 'p')
  AND t.typname !~ '^_?(int2|oid)vector$'
ORDER BY t.typname`

// ownTypes are types as an application makes them, and types with a modifier.
const ownTypes = `
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
CREATE TYPE mood AS ENUM ('good', 'bad', 'it''s "so" \ so'); CREATE TYPE pair AS (a integer, b text);
CREATE TYPE floatrange AS RANGE (subtype = float8);
CREATE DOMAIN positive AS integer CHECK (value > 0); CREATE DOMAIN needed AS text NOT NULL;
CREATE DOMAIN short AS varchar(3); CREATE DOMAIN shorter AS short; CREATE DOMAIN wide AS char(3); CREATE DOMAIN bits AS bit(3);
CREATE DOMAIN bytes AS bytea; CREATE DOMAIN count AS bigint;
CREATE DOMAIN cents AS numeric(4,2); CREATE DOMAIN seconds AS time(0);
CREATE DOMAIN doc AS jsonb CHECK (value <> '1'); CREATE DOMAIN tags AS text[]; CREATE DOMAIN inverse AS integer CHECK (1 / value >= 0)`

var ownTypeNames = []string{
	"hstore", "citext", "citext[]", "ltree", "mood", "mood[]", "pair", "pair[]", "floatrange", "floatmultirange", "positive", "positive[]", "needed",
	"doc", "tags", "inverse", "varchar(3)", "char(3)", "varchar(3)[]", "bit(4)", "varbit(4)", "numeric(6,2)", "numeric(3,-2)", "numeric(4,1)[]",
	"bytes", "bytes[]", "count", "count[]", "doc[]", "short", "short[]", "shorter", "wide", "bits", "cents", "seconds", "timestamptz(0)", "time(2)", "bpchar", "jsonb[]", "json[]",
}

// columnTypes makes a table for every type, or for the named ones, each with a
// generated and an identity column beside the column under test.
func columnTypes(t testing.TB, server *postgrestest.Database, d *Database, names ...string) []*columnType {
	t.Helper()
	server.Exec(t, ownTypes)
	if len(names) == 0 {
		names = append(server.Column(t, builtinTypes), ownTypeNames...)
	}
	// Multiranges came with 14, negative scales with 15, and from 17 on json is a word
	// that is quoted.
	release := major(t, server)
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return release < 14 && name == "floatmultirange" || release < 15 && name == "numeric(3,-2)"
	})
	var script strings.Builder
	var types []*columnType
	for _, shown := range names {
		shown = strings.ReplaceAll(shown, `"json"`, "json")
		c := &columnType{shown: shown, name: fmt.Sprintf("t%d", len(types))}
		fmt.Fprintf(&script, `CREATE TABLE %s (id bigint PRIMARY KEY, %s %s, n bigint, g bigint GENERATED ALWAYS AS (n + 1) STORED, i bigint GENERATED ALWAYS AS IDENTITY);`,
			c.name, quote(oddColumn), shown)
		types = append(types, c)
	}
	server.Exec(t, script.String())
	ready(t, d)
	for _, c := range types {
		c.table = readTable(t, d, mapping(c.name))
	}
	return types
}

// column is what the catalogue said about the column under test.
func (c *columnType) column(t testing.TB) *column {
	t.Helper()
	for i := range c.table.columns {
		if c.table.columns[i].name == oddColumn {
			return &c.table.columns[i]
		}
	}
	t.Fatalf("Table %s has no column %s", c.name, oddColumn)
	return nil
}

// oracle is what PostgreSQL itself makes of a field's JSON value, by a way that the
// flusher does not take:
//
//   - a column of json or jsonb holds the value as it stands in the document;
//   - an array of json or jsonb holds the elements of a JSON array, as
//     json_array_elements gives them, and null where one is null;
//   - a JSON array for an array, and every scalar, is what json_populate_record makes
//     of it, which knows the column's length and dimensions;
//   - any other object or array is the string of its text, as json_populate_record
//     has it, except that a string never had the power to be a composite.
//
// A column of whole numbers takes a number that is whole however it is written, and a
// column of bytes takes a string in base64 or in PostgreSQL's hexadecimal form, and the
// elements of an array of either likewise.
//
// JSON null is null everywhere. An error means that PostgreSQL refuses the value.
func (c *columnType) oracle(ctx context.Context, db *postgrestest.Database, col *column, raw string) (string, error) {
	const populate = `SELECT (pg_catalog.json_populate_record(null::%s, $1::pg_catalog.json)).` + `"w""e i.rd"`
	if col.whole || col.wholeElements && raw[0] == '[' {
		raw = numbers.ReplaceAllStringFunc(raw, wholeNumber)
	}
	if col.binary && raw[0] == '[' {
		return "", errors.New("an array is no bytes")
	}
	var within string
	if col.bytesWithin && json.Unmarshal([]byte(raw), &within) == nil && !hexLeaves.MatchString(within) {
		return "", errors.New("bytes within a text are hexadecimal")
	}
	if col.binary || col.binaryElements && raw[0] == '[' {
		var err error
		if raw, err = inHexadecimal(ctx, db, raw); err != nil {
			return "", err
		}
	}
	whole := func(value string) string { return "{" + oddField + ":" + value + "}" }
	switch {
	case col.json && raw == "null":
		return values(ctx, db, "SELECT null::"+c.shown)
	case col.json:
		return values(ctx, db, "SELECT $1::"+c.shown, raw)
	case col.jsonElements && raw[0] == '[':
		element := strings.TrimSuffix(strings.TrimPrefix(c.shown, "pg_catalog._"), "[]")
		return values(ctx, db, fmt.Sprintf(`SELECT coalesce((SELECT pg_catalog.array_agg(
			CASE pg_catalog.json_typeof(e) WHEN 'null' THEN null ELSE e::text::%s END ORDER BY o)
			FROM pg_catalog.json_array_elements($1::json) WITH ORDINALITY u (e, o)), '{}')`, element), raw)
	case raw[0] == '{' || raw[0] == '[' && !col.array:
		text, err := json.Marshal(raw)
		if err != nil {
			return "", err
		}
		return values(ctx, db, fmt.Sprintf(populate, c.name), whole(string(text)))
	}
	return values(ctx, db, fmt.Sprintf(populate, c.name), whole(raw))
}

// numbers are the strings and numbers of a JSON text.
var numbers = regexp.MustCompile(`"(\\.|[^"\\])*"|-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?`)

// wholeNumber writes a number that is whole as digits, as far as that is sensible.
func wholeNumber(text string) string {
	digits, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	switch {
	case text[0] != '"' && strings.Trim(digits, "-0.") == "":
		return "0"
	case text[0] == '"' || !strings.ContainsAny(text, ".eE") || len(exponent) > 4:
		return text
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok || !n.IsInt() {
		return text
	}
	return n.Num().String()
}

// decodeSQL reads a JSON string as bytes, by PostgreSQL's own decoder, which knows one
// alphabet, wants the padding, and overlooks bits that belong to no byte.
const decodeSQL = `WITH j AS (SELECT $1::json AS j, $1::json #>> '{}' AS t),
s AS (SELECT *, pg_catalog.translate(t, E'-_\r\n', '+/') AS s FROM j),
d AS (SELECT *, pg_catalog.rtrim(s, '=') AS d FROM s),
p AS (SELECT *, pg_catalog.rpad(d, (length(d) + 3) / 4 * 4, '=') AS p FROM d)
SELECT CASE WHEN pg_catalog.json_typeof(j) <> 'string' THEN ('no string' || t)::int::text::bytea
WHEN pg_catalog.left(t, 2) = E'\\x' THEN t::bytea
WHEN t ~ '[-_]' AND t ~ '[+/]' OR s ~ '[ \t\f\v]' THEN ('odd' || t)::int::text::bytea
WHEN length(s) <> length(d) AND (length(s) > length(d) + 2 OR length(s) % 4 <> 0) THEN ('padding' || t)::int::text::bytea
WHEN pg_catalog.rtrim(pg_catalog.translate(pg_catalog.encode(pg_catalog.decode(p, 'base64'), 'base64'), E'\n', ''), '=') <> d THEN ('bits' || t)::int::text::bytea
ELSE pg_catalog.decode(p, 'base64') END FROM p`

// inHexadecimal writes every string of a JSON text as PostgreSQL's hexadecimal form of
// the bytes that it stands for. Anything but strings, nulls and arrays of them is an
// error.
func inHexadecimal(ctx context.Context, db *postgrestest.Database, raw string) (string, error) {
	var decode func(v any) (any, error)
	decode = func(v any) (any, error) {
		if list, ok := v.([]any); ok {
			for i := range list {
				var err error
				if list[i], err = decode(list[i]); err != nil {
					return nil, err
				}
			}
			return list, nil
		}
		if v == nil {
			return nil, nil
		}
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		shown, err := values(ctx, db, decodeSQL, string(text))
		return strings.TrimSuffix(strings.TrimPrefix(shown, "="), "\n"), err
	}
	var v any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		return "", err
	}
	v, err := decode(v)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(v)
	return string(text), err
}

// values gives the values of a query's rows in PostgreSQL's text form, one after the
// other, each marked as null or as not null.
func values(ctx context.Context, db *postgrestest.Database, sql string, args ...any) (string, error) {
	rows, err := db.Pool().Query(ctx, sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var all strings.Builder
	for rows.Next() {
		for _, value := range rows.RawValues() {
			if value == nil {
				all.WriteString("null\n")
			} else {
				fmt.Fprintf(&all, "=%s\n", value)
			}
		}
	}
	return all.String(), rows.Err()
}

// bisect commits what the database takes of the entries, as a flusher does: after an
// error of the rows the halves are tried apart, down to the row that is at fault. It
// gives the reasons of those that were refused. Any other outcome fails the test: the
// fault of one row must never be taken for another's.
func (o *owner) bisect(t testing.TB, refused map[string]error, pairs ...string) {
	t.Helper()
	b := o.table.NewBatch()
	var in []string
	for i := 0; i < len(pairs); i += 2 {
		err := b.Set(pairs[i], []byte(pairs[i+1]))
		if row, ok := errors.AsType[*entry.Unfit](err); ok && len(row.SQLSTATE) == 5 {
			refused[pairs[i]] = err
			continue
		}
		if err != nil {
			t.Fatalf("Set gives %T %v", err, err)
		}
		in = append(in, pairs[i], pairs[i+1])
	}
	if len(in) == 0 {
		return
	}
	outcome, err := o.d.Write(context.WithoutCancel(t.Context()), o.table, o.next(o.at.Version+1), b)
	if err == nil && outcome == entry.Committed {
		return
	}
	o.at.Flush--
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Unsettled || e.Kind != entry.Row && e.Kind != entry.Order && e.Kind != entry.TooHeavy {
		t.Fatalf("Write = %v, %v: %s; want an error that is one row's own", outcome, err, detail(err))
	}
	if len(in) == 2 {
		refused[in[0]] = err
		return
	}
	half := len(in) / 4 * 2
	o.bisect(t, refused, in[:half]...)
	o.bisect(t, refused, in[half:]...)
}
