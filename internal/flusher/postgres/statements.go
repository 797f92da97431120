// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// firstArray is the number of the first parameter behind those that name the
// ledger row.
const firstArray = 6

// unnest turns an array of texts into rows. Typed arrays were measured to be no
// faster.
func unnest(parameter int) string {
	return fmt.Sprintf("pg_catalog.unnest($%d::pg_catalog.text[])", parameter)
}

// PostgreSQL raises no error of a chosen kind from an expression, so a text that is
// no number, and that failure knows, stands for it: fewer is what the server says
// when a statement wrote fewer rows than it was given, and kept, with the number of
// the first such row, when it is known which. Each process has words of its own, which no
// document and no trigger can hold.
var (
	fewer = "writebehind " + rand.Text() + ": rows that were written: "
	kept  = "writebehind " + rand.Text() + ": a row that was kept: "
)

// rows is the source of a statement that writes the given columns: the parameters
// as rows, in the batch's order.
type rows struct {
	t     *Table
	named []int
}

// list gives one item for the key and one for every column that is named.
func (r rows) list(key string, each func(n int, c *column) string) string {
	items := make([]string, 0, 1+len(r.named))
	if key != "" {
		items = append(items, key)
	}
	for n, i := range r.named {
		items = append(items, each(n, r.t.column(i)))
	}
	return strings.Join(items, ", ")
}

// from is the parameters as a table u with the columns k, c0, c1 …; with gives the
// rows their numbers as n.
func (r rows) from(with string) string {
	arrays := r.list(unnest(firstArray), func(n int, _ *column) string { return unnest(firstArray + 1 + n) })
	names := r.list("k", func(n int, _ *column) string { return fmt.Sprintf("c%d", n) })
	if with != "" {
		with, names = " "+with, names+", n"
	}
	return fmt.Sprintf("ROWS FROM (%s)%s AS u (%s)", arrays, with, names)
}

func (r rows) names() string {
	return r.list(quote(r.t.key.name), func(_ int, c *column) string { return quote(c.name) })
}

// values are the parameters cast to what the columns take.
func (r rows) values(as string) string {
	alias := func(name string) string { return strings.ReplaceAll(as, "?", name) }
	return r.list("u.k::"+r.t.key.cast+alias("k"), func(n int, c *column) string {
		name := fmt.Sprintf("c%d", n)
		return "u." + name + "::" + c.cast + alias(name)
	})
}

func (r rows) sets(source func(n int, c *column) string) string {
	return r.list("", func(n int, c *column) string { return quote(c.name) + " = " + source(n, c) })
}

// counted compares the number of rows that were written with the number that was
// given. written are the statements that tell which ones were.
func (r rows) counted(with, count string, comparing bool, written ...string) string {
	otherwise := fmt.Sprintf("pg_catalog.concat('%s', %s)::pg_catalog.int4", fewer, count)
	if comparing {
		otherwise = r.differing(written)
	}
	return fmt.Sprintf(`WITH %s
SELECT CASE WHEN %s OPERATOR(pg_catalog.=) pg_catalog.cardinality($%d) OR %s IS NOT TRUE THEN 0
  ELSE %s END`, with, count, firstArray, r.t.mine, otherwise)
}

// differing fails for the first row that was not written and is not in the table as
// it was given. Where a type knows no equality its binary form is compared.
func (r rows) differing(written []string) string {
	t := r.t
	key := fmt.Sprintf("u.k::%s", t.key.cast)
	var conditions strings.Builder
	for _, w := range written {
		fmt.Fprintf(&conditions, "NOT EXISTS (SELECT FROM %s WHERE %s.k = %s) AND ", w, w, key)
	}
	var same strings.Builder
	fmt.Fprintf(&same, "x.%s = %s", quote(t.key.name), key)
	for n, i := range r.named {
		c := t.column(i)
		value, here := fmt.Sprintf("u.c%d::%s", n, c.shown), "x."+quote(c.name)
		if c.equality {
			fmt.Fprintf(&same, " AND %s IS NOT DISTINCT FROM %s", here, value)
		} else {
			fmt.Fprintf(&same, " AND pg_catalog.record_image_eq(ROW(%s), ROW(%s))", here, value)
		}
	}
	return firstKept(fmt.Sprintf("%s WHERE %sNOT EXISTS (SELECT FROM %s x WHERE %s)", r.from("WITH ORDINALITY"), conditions.String(), t.only, same.String()))
}

// firstKept fails with the number of the first row of the source.
func firstKept(source string) string {
	return fmt.Sprintf("(SELECT CASE WHEN pg_catalog.min(u.n) IS NULL THEN 0 ELSE pg_catalog.concat('%s', pg_catalog.min(u.n))::pg_catalog.int4 END FROM %s)", kept, source)
}
