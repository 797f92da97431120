// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"

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
		numbers := w.seated(ctx, client, first+step)
		if numbers == nil {
			return nil
		}
		err := await(ctx, flowTime, func(ctx context.Context) error {
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

// seated writes all rows of the chain in one step, each before the one that has to come
// first, with values that begin at first. It returns the numbers of the writes, or none
// where some were not taken: then a row may wait in vain, and be a dead letter.
func (w *world) seated(ctx context.Context, client *redis.Client, first int64) (numbers []int64) {
	c := w.crowd
	calls := make([]call, chainKeys)
	pipe := client.TxPipeline()
	for i := range calls {
		calls[i] = call{id: firstOfChain + int64(i), number: c.numbers.Add(1)}
		numbers = append(numbers, calls[i].number)
		text := document(calls[i].number)
		text = fmt.Sprintf(`%s,"seat":%d}`, text[:len(text)-1], first+int64(i))
		c.history.sent(calls[i].id, calls[i].number, set)
		pipe.Do(ctx, "FCALL", "wb_set", 1, prefix+fmt.Sprint(calls[i].id), queue, text)
	}
	answers, _ := pipe.Exec(context.WithoutCancel(ctx))
	taken := 0
	for i := range calls {
		version, err := answers[i].(*redis.Cmd).Int64()
		c.record(&calls[i], version, err)
		if err == nil {
			taken++
		}
	}
	if taken == chainKeys {
		return numbers
	}
	for _, one := range calls {
		c.history.trap(one.id, microseconds())
	}
	return nil
}
