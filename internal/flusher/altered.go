// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// errAltered means that the table was altered since it was read. Nothing of the batch was
// written.
var errAltered = errors.New("the table was altered since it was read")

// mostAlterations bounds how often one claim begins again. A table that is altered all
// the time gets its rows with the next sweep.
const mostAlterations = 10

// carry writes a claim, and begins again with the table as it is now when it was altered
// meanwhile: no row is at fault, and none waits. What had got through is not written
// again.
func (q *queue) carry(ctx context.Context, p *partition, table Table, claim *entry.Claim, policy policy, prefix string) (*flush, error) {
	f := newFlush(q, p, table, claim, policy, prefix)
	for again := 0; ; again++ {
		err := f.write(ctx)
		if !errors.Is(err, errAltered) || again == mostAlterations {
			return f, err
		}
		if table, err = q.renewed(ctx, table); err != nil {
			return f, err
		}
		before := f
		f = newFlush(q, p, table, claim, policy, prefix)
		f.taken, f.start = before.taken, before.start
		for i, s := range before.settlements {
			if s.Outcome == entry.Done {
				f.settlements[i] = s
			}
		}
	}
}

// renewed is the table as it is now. Another partition may have read it already.
func (q *queue) renewed(ctx context.Context, before Table) (Table, error) {
	if table := q.gate.now().table; table != nil && table != before {
		return table, nil
	}
	table, err := q.f.database.Table(ctx, q.settings.Load().Mapping)
	if err != nil {
		return nil, err
	}
	q.gate.after(func(p *passage) {
		if p.table == before {
			p.table, p.read = table, time.Now()
		}
	})
	return table, nil
}

// current is errAltered where the table is not what it was read as: what cannot become a
// row of that may be one of what it is now. It asks once for a claim, since that holds
// the values already.
func (f *flush) current(ctx context.Context) error {
	if f.isCurrent {
		return nil
	}
	current, err := f.table.Current(ctx)
	switch {
	case err != nil:
		return err
	case !current:
		return errAltered
	}
	f.isCurrent = true
	return nil
}
