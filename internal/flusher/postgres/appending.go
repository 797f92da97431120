// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// appending is the kind of a row that never changes: one that is there stays as it is.
type appending struct{}

func (appending) add(b *Batch, rowKey string, e *entry.Entry) error {
	return b.set(rowKey, []byte(e.Value), way{kind: appending{}})
}

// statement has no plain form: that a row is there already is nothing unusual.
func (appending) statement(t *Table, g *group, _ bool) string {
	r := rows{t: t, named: g.columns, there: true}
	with := fmt.Sprintf("w AS (INSERT INTO %s AS t (%s)%s SELECT %s FROM %s WHERE %s ON CONFLICT (%s) DO NOTHING %s)",
		t.name, r.names(), t.overriding, r.values(""), r.from(""), t.mine, t.idNames(), t.returning())
	return r.counted(with, "(SELECT pg_catalog.count(*) FROM w)", true, "w")
}

func (appending) look(*Table) string { return "" }

func (appending) fate() string { return "be there" }
