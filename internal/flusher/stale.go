// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"slices"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// staleMessage is what a dead letter says whose row is newer in the table.
const staleMessage = "the row in the table has a higher version than this write, so the row keeps that version"

// withoutStale makes dead letters of the entries whose rows are newer in the table, since
// no retry can change that, and writes the others. An entry that was written again
// meanwhile goes back by the acknowledgement's own comparison.
func (f *flush) withoutStale(ctx context.Context, rows []int, failure *entry.Fault) error {
	stale := slices.Clone(failure.Stale)
	slices.Sort(stale)
	rest := make([]int, 0, len(rows))
	for n, i := range rows {
		if _, found := slices.BinarySearch(stale, n); !found {
			rest = append(rest, i)
			continue
		}
		f.dead(i, entry.CauseStale, staleMessage, &entry.DeadLetter{Message: staleMessage})
	}
	return f.commit(ctx, rest)
}
