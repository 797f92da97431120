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
	// reset are the columns that take their default in a row that is there.
	reset []int
	// equal says that a row which is as it is to be is left alone, there that one which is
	// there is as it is to be, whatever its columns are.
	equal, there bool
}

// idAliases are what statements call the columns by which a row is found.
var idAliases = []string{"k", "m"}

// eachID joins what f makes of the columns by which a row is found.
func (t *Table) eachID(separator string, f func(k *key, alias string) string) string {
	items := make([]string, len(t.ids))
	for n, k := range t.ids {
		items[n] = f(k, idAliases[n])
	}
	return strings.Join(items, separator)
}

// found is the condition that a row of the table, by its alias, is the one of the
// parameters, as typed says as texts or not.
func (t *Table) found(row, parameters string, typed bool) string {
	return t.eachID(" AND ", func(k *key, alias string) string {
		cast := "::" + k.cast
		if typed {
			cast = ""
		}
		return fmt.Sprintf("%s.%s = %s.%s%s", row, quote(k.name), parameters, alias, cast)
	})
}

// idNames are the columns by which a row is found, and returning gives them their aliases.
func (t *Table) idNames() string {
	return t.eachID(", ", func(k *key, _ string) string { return quote(k.name) })
}

func (t *Table) returning() string {
	return "RETURNING " + t.eachID(", ", func(k *key, alias string) string { return "t." + quote(k.name) + " AS " + alias })
}

// list gives one item for each column by which a row is found, unless id is nil, and one
// for every column that is named.
func (r rows) list(id func(k *key, alias string) string, each func(n int, c *column) string) string {
	items := make([]string, 0, len(idAliases)+len(r.named))
	if id != nil {
		items = append(items, r.t.eachID(", ", id))
	}
	for n, i := range r.named {
		items = append(items, each(n, r.t.column(i)))
	}
	return strings.Join(items, ", ")
}

// from is the parameters as a table u with the columns k, m if a row is found by two, c0,
// c1 …; with gives the rows their numbers as n.
func (r rows) from(with string) string {
	parameter := firstArray - 1
	next := func() string {
		parameter++
		return unnest(parameter)
	}
	arrays := r.list(func(*key, string) string { return next() }, func(int, *column) string { return next() })
	names := r.list(func(_ *key, alias string) string { return alias }, func(n int, _ *column) string { return fmt.Sprintf("c%d", n) })
	if with != "" {
		with, names = " "+with, names+", n"
	}
	return fmt.Sprintf("ROWS FROM (%s)%s AS u (%s)", arrays, with, names)
}

func (r rows) names() string {
	return r.list(func(k *key, _ string) string { return quote(k.name) }, func(_ int, c *column) string { return quote(c.name) })
}

// values are the parameters cast to what the columns take.
func (r rows) values(as string) string {
	named := func(c *column, name string) string {
		return "u." + name + "::" + c.cast + strings.ReplaceAll(as, "?", name)
	}
	return r.list(func(k *key, alias string) string { return named(&k.column, alias) },
		func(n int, c *column) string { return named(c, fmt.Sprintf("c%d", n)) })
}

func (r rows) sets(source func(n int, c *column) string) string {
	sets := make([]string, 0, len(r.named)+len(r.reset))
	for n, i := range r.named {
		c := r.t.column(i)
		sets = append(sets, quote(c.name)+" = "+source(n, c))
	}
	for _, i := range r.reset {
		sets = append(sets, quote(r.t.columns[i].name)+" = DEFAULT")
	}
	return strings.Join(sets, ", ")
}

// differs is the condition that the row t is not as it is to be. What the default of a
// column comes to is not known, so that such a row always counts as another one.
func (r rows) differs(source func(n int, c *column) string) string {
	var conditions []string
	for n, i := range r.named {
		c := r.t.column(i)
		conditions = append(conditions, "NOT ("+c.same("t."+quote(c.name), source(n, c)+"::"+c.shown)+")")
	}
	for _, i := range r.reset {
		if c := &r.t.columns[i]; c.defaulted {
			conditions = append(conditions, "true")
		} else {
			conditions = append(conditions, "t."+quote(c.name)+" IS NOT NULL")
		}
	}
	return strings.Join(conditions, " OR ")
}

// same is the condition that two values of the column are the same. Where a type knows no
// equality its binary form is compared.
func (c *column) same(here, value string) string {
	if c.equality {
		return here + " IS NOT DISTINCT FROM " + value
	}
	return fmt.Sprintf("pg_catalog.record_image_eq(ROW(%s), ROW(%s))", here, value)
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
// it was given.
func (r rows) differing(written []string) string {
	t := r.t
	var conditions strings.Builder
	for _, w := range written {
		fmt.Fprintf(&conditions, "NOT EXISTS (SELECT FROM %s WHERE %s) AND ", w,
			t.eachID(" AND ", func(k *key, alias string) string { return fmt.Sprintf("%s.%s = u.%[2]s::%[3]s", w, alias, k.cast) }))
	}
	same := []string{t.found("x", "u", false)}
	for n, i := range r.named {
		if r.there {
			break
		}
		c := t.column(i)
		same = append(same, c.same("x."+quote(c.name), fmt.Sprintf("u.c%d::%s", n, c.shown)))
	}
	for _, i := range r.reset {
		if c := &t.columns[i]; !c.defaulted {
			same = append(same, "x."+quote(c.name)+" IS NULL")
		}
	}
	return firstKept(fmt.Sprintf("%s WHERE %sNOT EXISTS (SELECT FROM %s x WHERE %s)",
		r.from("WITH ORDINALITY"), conditions.String(), t.only, strings.Join(same, " AND ")))
}

// firstKept fails with the number of the first row of the source.
func firstKept(source string) string {
	return fmt.Sprintf("(SELECT CASE WHEN pg_catalog.min(u.n) IS NULL THEN 0 ELSE pg_catalog.concat('%s', pg_catalog.min(u.n))::pg_catalog.int4 END FROM %s)", kept, source)
}
