// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import "github.com/writebehind/operator/internal/flusher/entry"

// kind is what the entries of one operation become: rows of a batch and the statement that
// writes them. Each is a file of its own.
type kind interface {
	// add adds an entry to the batch. An error is a *entry.Unfit, and then nothing was added.
	add(b *Batch, rowKey string, e *entry.Entry) error
	// statement writes the rows of a group. A comparing one looks at rows that it did
	// not write, and leaves alone those that are as they should be.
	statement(t *Table, g *group, comparing bool) string
	// look is the statement that sees, when all others have run, whether the rows are as they
	// should be. It is empty where statement sees that itself.
	look(t *Table) string
	// fate is what the statement does to a row that others refer to.
	fate() string
}

// kinds are all there are.
var kinds = map[*entry.Operation]kind{
	entry.Set:    upsert{},
	entry.Delete: removal{},
	entry.Clear:  clearing{},
	entry.Append: appending{},
}
