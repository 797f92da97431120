// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

const (
	// pageOfKeys is how many keys, or rows, are looked at in one step at most: it takes either
	// server a few milliseconds.
	pageOfKeys = 200
	// firstPage is how many are looked at before it is known how large they are.
	firstPage = 10
	// mostBytes is about how much a page may hold. A page is in memory several times over, and the
	// command has that of a flusher, beside it.
	mostBytes = 4 << 20
	// stepOfScan is what one step of a scan, or a page of rows, costs, in keys that are compared:
	// where few keys have the prefix, steps are what there is to be bounded.
	stepOfScan = 10
)

// pages compares keys, each once, in pages that fit the memory.
func (v *verification) pages(ctx context.Context, m *config.Mapping, keys []string) error {
	slices.Sort(keys)
	for keys = slices.Compact(keys); len(keys) > 0; {
		n := min(len(keys), v.size)
		if err := v.page(ctx, m, keys[:n]); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// fit makes the next page as large as one that holds mostBytes would be.
func (v *verification) fit(looks []known) {
	// What a row takes beside its texts.
	const row = 200
	if len(looks) == 0 {
		return
	}
	bytes := 0
	for i := range looks {
		for j := range looks[i].entries {
			bytes += row + len(looks[i].entries[j].Member) + len(looks[i].entries[j].Value)
		}
	}
	v.size = max(1, min(2*v.size, pageOfKeys, len(looks)*mostBytes/max(bytes, 1)))
}

// page compares some keys, tells what differs, and waits as the rate says.
func (v *verification) page(ctx context.Context, m *config.Mapping, keys []string) error {
	t, err := v.table(ctx, m)
	if err != nil {
		return v.failed(m, databaseError{err})
	}
	looks, err := v.look(ctx, m, keys)
	if err != nil {
		return v.failed(m, err)
	}
	v.summary.Keys += int64(len(looks))
	v.fit(looks)
	suspects, err := v.suspects(ctx, m, t, looks)
	if err == nil {
		err = v.confirm(ctx, m, t, suspects)
	}
	if err != nil {
		return v.failed(m, err)
	}
	v.scope.Progress(m.Name, &v.summary)
	return v.pace(ctx, len(keys))
}

// pace waits as long as so many keys take at the rate. What took longer, as while a server was
// away, is not made up for.
func (v *verification) pace(ctx context.Context, keys int) error {
	if v.scope.Rate > 0 {
		now := time.Now()
		if v.due.Before(now) {
			v.due = now
		}
		v.due = v.due.Add(time.Duration(float64(keys) / float64(v.scope.Rate) * float64(time.Second)))
		select {
		case <-ctx.Done():
		case <-time.After(v.due.Sub(now)):
		}
	}
	if ctx.Err() != nil {
		return errors.New(interrupted)
	}
	return nil
}
