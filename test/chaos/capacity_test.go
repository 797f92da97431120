// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
)

// fullDepth is the capacity to which a full queue is cut: more than what mostly waits,
// so that it is seen to fill to the last entry, and less than what the writers make
// dirty in a few seconds.
const fullDepth = 2000

// firstSpare is the first of the keys that only this fault writes.
const firstSpare = ownKeys + sharedKeys

// conclusiveTime is how long a full queue may take to show what it does: longer than
// Redis ever stands still.
const conclusiveTime = 30 * time.Second

// queueFull stops the flushers and cuts the capacity, so that the queue becomes full,
// and looks what it refuses and what it takes.
func queueFull(ctx context.Context, w *world, f fault) error {
	defer func() {
		err := w.reconfigure(func(c *config.Config) { c.Suspend, c.Backpressure.MaxQueueDepth = false, capacity })
		if err != nil {
			w.findings.add(harness, "open the queue again: %v", err)
		}
	}()
	if err := w.reconfigure(func(c *config.Config) { c.Suspend, c.Backpressure.MaxQueueDepth = true, fullDepth }); err != nil {
		return err
	}
	client := w.crowd.client()
	defer client.Close()
	look := &full{w: w, client: client, dirty: firstSpare + int64(f.target)%spareKeys}
	look.clean = look.dirty
	timer := time.NewTimer(f.duration)
	defer timer.Stop()
	err := await(ctx, conclusiveTime, func(ctx context.Context) error {
		look.once(ctx)
		select {
		case <-timer.C:
			look.over = true
		default:
		}
		if !look.over || look.refused == 0 || look.taken == 0 && !look.cleaned {
			return fmt.Errorf("it took %d writes of a dirty key and refused %d of a clean one, with %d entries", look.taken, look.refused, look.depth)
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// full watches a queue at its capacity.
type full struct {
	w *world
	// client makes one attempt: a second one could not tell what became of the first.
	client *redis.Client
	// dirty is a key that is kept dirty; clean is another one every time.
	dirty, clean int64
	// taken and refused count, while the queue was full, the writes of the dirty key
	// that were taken and those of clean ones that were refused.
	taken, refused int
	// cleaned means that a flusher which was not told in time has flushed the dirty key.
	cleaned, over bool
	// depth is what the queue held when last looked at, under the lower capacity.
	depth int64
}

// once asks in one step whether the keys are dirty, how full the queue is, and writes
// both: then the answers belong together.
func (q *full) once(ctx context.Context) {
	c := q.w.crowd
	dirty := call{id: q.dirty, number: c.numbers.Add(1)}
	pipe := q.client.TxPipeline()
	key := func(of call) string { return prefix + fmt.Sprint(of.id) }
	set := func(of call) *redis.Cmd {
		c.history.sent(of.id, of.number, of.operation)
		return pipe.Do(ctx, "FCALL", "wb_set", 1, key(of), queue, document(of.number))
	}
	pending := func(of call) *redis.Cmd { return pipe.Do(ctx, "FCALL_RO", "wb_pending", 1, key(of), queue) }
	dirtyBefore, statsBefore := pending(dirty), pipe.Do(ctx, "FCALL_RO", "wb_stats", 0, queue)
	dirtySet := set(dirty)
	var clean call
	var cleanBefore, cleanSet *redis.Cmd
	if q.depth >= fullDepth {
		q.clean = firstSpare + (q.clean-firstSpare+1)%spareKeys
		clean = call{id: q.clean, number: c.numbers.Add(1)}
		cleanBefore, cleanSet = pending(clean), set(clean)
	}
	_, _ = pipe.Exec(context.WithoutCancel(ctx))
	version, err := dirtySet.Int64()
	c.record(&dirty, version, err)
	if cleanSet != nil {
		version, err := cleanSet.Int64()
		c.record(&clean, version, err)
	}
	stats, err := numbers(statsBefore)
	if err != nil {
		return
	}
	depth, most := stats["depth"]+stats["dead"], stats["max"]
	if most != fullDepth {
		return
	}
	if q.depth > 0 && depth > max(q.depth, most) {
		q.w.findings.add(counters, "the queue grew from %d to %d entries, with a capacity of %d", q.depth, depth, most)
	}
	q.depth = depth
	if depth < most {
		return
	}
	_, dirtyErr := dirtyBefore.Int64()
	switch {
	case errors.Is(dirtyErr, redis.Nil):
		q.cleaned = true
	case dirtyErr != nil:
	case dirtySet.Err() == nil:
		q.taken++
	case isFull(dirtySet):
		q.w.findings.add(counters, "a full queue refused a key that was dirty: %v", dirtySet.Err())
	}
	// Anything else that refuses a write says nothing of the capacity.
	switch {
	case cleanSet == nil || !errors.Is(cleanBefore.Err(), redis.Nil):
	case cleanSet.Err() == nil:
		q.w.findings.add(counters, "a queue with %d entries of %d took a new key", depth, most)
	case isFull(cleanSet):
		q.refused++
	}
}

func isFull(answer *redis.Cmd) bool {
	return answer.Err() != nil && strings.HasPrefix(answer.Err().Error(), "WBFULL ")
}

// numbers reads the numbers of a flat list of names and values.
func numbers(reply *redis.Cmd) (map[string]int64, error) {
	list, err := reply.Slice()
	if err != nil {
		return nil, err
	}
	all := make(map[string]int64)
	for i := 0; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		if n, ok := list[i+1].(int64); ok {
			all[name] = n
		}
	}
	return all, nil
}
