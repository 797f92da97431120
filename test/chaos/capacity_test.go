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

// fullDepth is the capacity to which a full queue is cut: less than what the writers
// make dirty within a moment.
const fullDepth = 50

// firstSpare is the first of the keys that only this fault writes.
const firstSpare = ownKeys + sharedKeys

// conclusiveTime is how long a full queue may take to show what it does: longer than
// Redis ever stands still.
const conclusiveTime = 30 * time.Second

// queueFull stops the flushers and cuts the capacity, so that the queue is full, and
// looks what it refuses and what it takes.
func queueFull(ctx context.Context, w *world, f fault) error {
	defer func() {
		err := w.reconfigure(func(c *config.Config) { c.Suspend, c.Backpressure.MaxQueueDepth = false, capacity })
		if err != nil {
			w.findings.add(harness, "open the queue again: %v", err)
		}
	}()
	if err := w.reconfigure(func(c *config.Config) { c.Suspend = true }); err != nil {
		return err
	}
	client := w.crowd.client()
	defer client.Close()
	look := &full{w: w, client: client, dirty: firstSpare + int64(f.target)%spareKeys}
	err := await(ctx, conclusiveTime, func(ctx context.Context) error {
		look.once(ctx)
		if look.written == 0 {
			return errors.New("no write is taken")
		}
		return w.suspended(ctx)
	})
	if err == nil {
		look.clean = look.dirty
		err = w.reconfigure(func(c *config.Config) { c.Backpressure.MaxQueueDepth = fullDepth })
	}
	if err == nil {
		timer := time.NewTimer(f.duration)
		defer timer.Stop()
		err = await(ctx, conclusiveTime, func(ctx context.Context) error {
			look.once(ctx)
			select {
			case <-timer.C:
				look.over = true
			default:
			}
			if !look.over || look.refused == 0 || look.taken == 0 && !look.cleaned {
				return fmt.Errorf("it took %d writes of a dirty key and refused %d of a clean one", look.taken, look.refused)
			}
			return nil
		})
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// suspended complains while a flusher that answers has not stopped flushing.
func (w *world) suspended(ctx context.Context) error {
	for _, f := range w.flushers {
		if status, err := f.status(ctx); err == nil && !status.Suspended {
			return fmt.Errorf("flusher %d is not suspended", f.number)
		}
	}
	return nil
}

// full watches a queue at its capacity.
type full struct {
	w *world
	// client makes one attempt: a second one could not tell what became of the first.
	client *redis.Client
	// dirty is a key that is kept dirty. clean is another one, and another one every
	// time; 0 while none is written.
	dirty, clean int64
	// written, taken and refused count writes: of the dirty key that were taken at all,
	// of it while the queue was full, and of the clean one that were refused then.
	written, taken, refused int
	// cleaned says that a flusher which was not told in time has flushed the dirty key.
	cleaned, over bool
	// depth is what the full queue held when last looked at.
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
	if q.clean != 0 {
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
	if dirtySet.Err() == nil {
		q.written++
	}
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
	if errors.Is(dirtyBefore.Err(), redis.Nil) {
		q.cleaned = true
	} else if _, err := dirtyBefore.Int64(); err == nil {
		q.taken++
		if err := dirtySet.Err(); err != nil {
			q.w.findings.add(counters, "a full queue refused a key that was dirty: %v", err)
		}
	}
	if cleanSet != nil && errors.Is(cleanBefore.Err(), redis.Nil) {
		q.refused++
		if err := cleanSet.Err(); err == nil || !strings.HasPrefix(err.Error(), "WBFULL ") {
			q.w.findings.add(counters, "a queue with %d entries of %d took a new key: %v", depth, most, err)
		}
	}
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
