// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// CreateTable makes the table that the products go to. Its defaults are for what a
// person writes, who need not name every field; that of updated_at is no moment that
// the load writes, so that a row in which a field was lost still differs.
const CreateTable = `CREATE TABLE products (
	id bigint PRIMARY KEY,
	name text NOT NULL,
	price numeric(10,2) NOT NULL,
	stock integer NOT NULL DEFAULT 0,
	updated_at timestamptz NOT NULL DEFAULT now()
)`

// Difference is a row that is not what was last acknowledged.
type Difference struct {
	ID        int64
	Want, Got string
}

func (d Difference) String() string {
	return fmt.Sprintf("product %d: acknowledged %s; in PostgreSQL %s", d.ID, d.Want, d.Got)
}

// Compare reads every row of the table products, every field of it, and returns
// the number of rows and each key whose row differs from its last acknowledged
// write, be it missing, stale or there although it was deleted.
func Compare(ctx context.Context, db *pgx.Conn, last map[int64]Write) (rows int, differences []Difference, err error) {
	found := make(map[int64]Product, len(last))
	result, err := db.Query(ctx, `SELECT id, name, (price * 100)::bigint, stock, updated_at FROM products`)
	if err != nil {
		return 0, nil, fmt.Errorf("read products: %w", err)
	}
	var id int64
	var p Product
	if _, err := pgx.ForEachRow(result, []any{&id, &p.Name, &p.PriceCents, &p.Stock, &p.UpdatedAt}, func() error {
		found[id] = p
		return nil
	}); err != nil {
		return 0, nil, fmt.Errorf("read products: %w", err)
	}
	for id, want := range last {
		got, ok := found[id]
		if want.describe() != describe(got, ok) {
			differences = append(differences, Difference{ID: id, Want: want.describe(), Got: describe(got, ok)})
		}
	}
	for id, got := range found {
		if _, ok := last[id]; !ok {
			differences = append(differences, Difference{ID: id, Want: "nothing", Got: describe(got, true)})
		}
	}
	slices.SortFunc(differences, func(a, b Difference) int { return int(a.ID - b.ID) })
	return len(found), differences, nil
}

func (w Write) describe() string { return describe(w.Product, !w.Deleted) }

// describe names every field, so that equal texts are equal rows.
func describe(p Product, exists bool) string {
	if !exists {
		return "no row"
	}
	return fmt.Sprintf("{name: %q, price: %s, stock: %d, updated_at: %s}",
		p.Name, p.price(), p.Stock, p.UpdatedAt.UTC().Format(time.RFC3339Nano))
}
