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

// onConflict is what an INSERT does with a row that is there.
func (r rows) onConflict() string {
	action := "DO NOTHING"
	if len(r.named) > 0 {
		action = "DO UPDATE SET " + r.sets(func(_ int, c *column) string { return "excluded." + quote(c.name) })
		if r.t.version != nil {
			action += " WHERE " + r.t.guard("excluded."+quote(r.t.version.name))
		}
	}
	return fmt.Sprintf("ON CONFLICT (%s) %s", quote(r.t.key.name), action)
}

// write is the statement that writes rows which name the given columns. It fails
// when a row was neither written nor left alone because this is not its batch: the
// transaction must not commit then. A comparing statement holds the rows that it did
// not write against what is there, and fails only for one that differs.
func (t *Table) write(named []int, comparing bool) string {
	r := rows{t: t, named: t.versioned(named)}
	switch {
	case len(r.named) == 0:
		return r.present()
	case len(named) < len(t.columns):
		return r.updateOrInsert(comparing)
	}
	return r.upsert(comparing)
}

// upsert is the statement for documents that name every column.
func (r rows) upsert(comparing bool) string {
	t := r.t
	with := fmt.Sprintf("w AS (INSERT INTO %s AS t (%s)%s SELECT %s FROM %s WHERE %s %s RETURNING t.%s AS k)",
		t.name, r.names(), t.overriding, r.values(""), r.from(""), t.mine, r.onConflict(), quote(t.key.name))
	return r.counted(with, "(SELECT pg_catalog.count(*) FROM w)", comparing, "w")
}

// updateOrInsert is the statement for documents that do not name every column:
// PostgreSQL checks what must not be null before it looks for a conflict, so rows
// that are there are updated, and only the others inserted. The sub-select of those
// is not merged into its surroundings, so that only rows which were not updated are
// looked for in the table once more.
func (r rows) updateOrInsert(comparing bool) string {
	t := r.t
	key := quote(t.key.name)
	var guard string
	if t.version != nil {
		guard = " AND (" + t.guard(fmt.Sprintf("v.c%d", len(r.named)-1)) + ")"
	}
	with := fmt.Sprintf(`v AS MATERIALIZED (SELECT %s FROM %s WHERE %s),
w AS (UPDATE %s t SET %s FROM v WHERE t.%s = v.k%s RETURNING t.%s AS k),
i AS (INSERT INTO %s AS t (%s)%s SELECT %s FROM (SELECT * FROM v WHERE NOT EXISTS (SELECT FROM w WHERE w.k = v.k) OFFSET 0) r
  WHERE (SELECT true FROM %s x WHERE x.%s = r.k) IS NULL %s RETURNING t.%s AS k)`,
		r.values(" AS ?"), r.from(""), t.mine,
		t.only, r.sets(func(n int, _ *column) string { return fmt.Sprintf("v.c%d", n) }), key, guard, key,
		t.name, r.names(), t.overriding, r.list("r.k", func(n int, _ *column) string { return fmt.Sprintf("r.c%d", n) }),
		t.only, key, r.onConflict(), key)
	return r.counted(with, "(SELECT pg_catalog.count(*) FROM w) OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM i)", comparing, "w", "i")
}

// present is the statement for documents that name no column: it makes the rows that
// are missing and changes nothing.
func (r rows) present() string {
	t := r.t
	key := quote(t.key.name)
	with := fmt.Sprintf(`v AS MATERIALIZED (SELECT %s FROM %s WHERE %s),
i AS (INSERT INTO %s AS t (%s)%s SELECT v.k FROM v WHERE (SELECT true FROM %s x WHERE x.%s = v.k) IS NULL %s RETURNING t.%s AS k)`,
		r.values(" AS ?"), r.from(""), t.mine, t.name, r.names(), t.overriding, t.only, key, r.onConflict(), key)
	return r.counted(with, "(SELECT pg_catalog.count(*) FROM i)", true, "i")
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

// remove is the statement that deletes rows.
func (t *Table) remove() string {
	var guard string
	if t.version != nil {
		guard = " AND (" + t.guard("u.c0::"+t.version.cast) + ")"
	}
	return fmt.Sprintf("DELETE FROM %s t USING %s WHERE t.%s = u.k::%s AND %s%s",
		t.only, rows{t: t, named: t.versioned(nil)}.from(""), quote(t.key.name), t.key.cast, t.mine, guard)
}

// gone is the statement that looks whether the deleted rows are gone, in a snapshot
// of its own. The part that changes nothing is what makes PostgreSQL take that only
// when the statement is run, and not when it is bound.
func (t *Table) gone(ledger string) string {
	source := fmt.Sprintf("%s JOIN %s t ON t.%s = u.k::%s", rows{t: t, named: t.versioned(nil)}.from("WITH ORDINALITY"), t.only, quote(t.key.name), t.key.cast)
	return fmt.Sprintf("WITH s AS (UPDATE %s SET flush = flush WHERE false)\nSELECT CASE WHEN %s IS NOT TRUE THEN 0 ELSE %s END", ledger, t.mine, firstKept(source))
}
