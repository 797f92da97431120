// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// alterations change the table's columns one after another, and lead back to where
// they began. What a document says fits each of the types.
var alterations = []string{
	"ALTER TABLE items ALTER quality TYPE bigint",
	"ALTER TABLE items ADD extra bigint",
	"ALTER TABLE items ALTER at TYPE timestamptz",
	"ALTER TABLE items ALTER quality TYPE numeric",
	"ALTER TABLE items ALTER name TYPE varchar(64)",
	"ALTER TABLE items ALTER extra TYPE text",
	"ALTER TABLE items ALTER at TYPE timestamp",
	"ALTER TABLE items ALTER quality TYPE integer",
	"ALTER TABLE items DROP extra",
	"ALTER TABLE items ALTER name TYPE text",
	"ALTER TABLE items ALTER at TYPE date",
}

// tableAltered makes the next change, as a migration would, while everything flows.
func tableAltered(ctx context.Context, w *world, f fault) error {
	if err := w.exec(ctx, alterations[w.altered%len(alterations)]); err != nil {
		return err
	}
	w.altered++
	hold(ctx, f.duration)
	return nil
}

// firstOfChain is the first of the keys that only uniqueChain writes.
const firstOfChain = ownKeys + sharedKeys + spareKeys

// uniqueChain gives each of some rows a value that no other may have, and then each the
// value that the next gives up, in one step.
func uniqueChain(ctx context.Context, w *world, _ fault) error {
	client := w.crowd.client()
	defer client.Close()
	first := w.crowd.numbers.Add(2 * chainKeys)
	for step := range int64(2) {
		numbers, err := w.seated(ctx, client, first+step)
		if numbers == nil || err != nil {
			return err
		}
		err = await(ctx, flowTime, func(ctx context.Context) error {
			var seated int
			err := w.db.Pool().QueryRow(ctx, "SELECT count(*) FROM items WHERE n = ANY($1)", numbers).Scan(&seated)
			if err == nil && seated != chainKeys {
				err = fmt.Errorf("%d of %d rows have theirs", seated, chainKeys)
			}
			return err
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			w.findings.add(stuck, "unique values that move on: not within %v: %v", flowTime, err)
			return nil
		}
	}
	return nil
}

// seated writes all rows of the chain in one call, with values that begin at first. It
// returns the numbers of the writes, or none where the answer was lost.
func (w *world) seated(ctx context.Context, client *redis.Client, first int64) (numbers []int64, err error) {
	c := w.crowd
	calls := make([]call, chainKeys)
	arguments := []any{"FCALL", "wb_mset", chainKeys}
	for i := range calls {
		calls[i] = call{id: firstOfChain + int64(i), number: c.numbers.Add(1)}
		arguments = append(arguments, prefix+fmt.Sprint(calls[i].id))
		numbers = append(numbers, calls[i].number)
	}
	arguments = append(arguments, queue)
	for i, one := range calls {
		text := document(one.number)
		arguments = append(arguments, fmt.Sprintf(`%s,"seat":%d}`, text[:len(text)-1], first+int64(i)))
	}
	// A queue that is full, or a Redis that is away, takes it later.
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		for _, one := range calls {
			c.history.sent(one.id, one.number, one.operation)
		}
		version, err := client.Do(context.WithoutCancel(ctx), arguments...).Int64()
		for i := range calls {
			c.record(&calls[i], version, err)
		}
		var refusal redis.Error
		switch {
		case err == nil:
			return numbers, nil
		case !errors.As(err, &refusal):
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-ticker.C:
		}
	}
}
