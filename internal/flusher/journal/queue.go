// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// Open makes the queue if Redis has none of its name, under the offered journal
// id, and writes the settings unless newer ones of the same owner are there. lost
// says that the caller knew an earlier life of the queue: then a queue that is made
// begins with a data-loss event. Where nobody but the ledger remembers earlier lives,
// Begin tells. Where another queue has keys of the prefix, or flushers of another config
// live at the queue with another prefix, table, key column, columns or database, the error is of reason
// QueueConflict and nothing is written.
func (j *Journal) Open(ctx context.Context, s config.QueueSettings, offered string, lost bool) (entry.Opened, error) {
	var earlier int64 = noEarlierLife
	switch {
	case lost:
		earlier = knownEarlierLife
	case s.Alone:
		earlier = askLedger
	}
	action := "open queue " + s.Mapping.Name
	reply, err := j.call(ctx, "wb_engine_open", j.openSettings(&s, offered, earlier).argument()).Slice()
	if err != nil {
		return entry.Opened{}, fmt.Errorf("%s: %w", action, err)
	}
	r := reader{values: reply}
	opened := entry.Opened{Incarnation: r.text(), Partitions: int(r.number()), Made: r.number() == 1, Revision: r.number()}
	return opened, r.done(action)
}

// Beat keeps the member alive for ttl milliseconds, renews its leases and takes
// free ones up to its share. It fails when the queue has got another prefix, mode or
// encoding than the mapping's, or another target, or others flush it into another database,
// and the member is none then. seen is what the beat before reported:
// writes that are gone since then are counted as a data-loss event, by the first member
// that notices.
func (j *Journal) Beat(ctx context.Context, s config.QueueSettings, member string, ttlMilliseconds int64, seen entry.Seen) (entry.Membership, error) {
	queue := s.Mapping.Name
	reply, err := j.call(ctx, "wb_engine_beat", j.beatSettings(&s, member, ttlMilliseconds, seen).argument()).Slice()
	if err != nil {
		return entry.Membership{}, fmt.Errorf("renew leases of queue %s: %w", queue, err)
	}
	r := reader{values: reply}
	library := r.number()
	beat := entry.Membership{
		Outdated: library < LibraryVersion, Incarnation: r.text(), Partitions: int(r.number()), Share: int(r.number()),
		Held: make(map[int]int64),
	}
	if library >= libraryOfSeen {
		beat.Seen = entry.Seen{Incarnation: beat.Incarnation, Since: r.number(), Writes: r.number()}
		beat.LostWrites = r.number()
	}
	for r.more() {
		p := int(r.number())
		beat.Held[p] = r.number()
	}
	return beat, r.done("renew leases of queue " + queue)
}

// libraryOfSeen is the first library that reports what it has seen.
const libraryOfSeen = 5

// Begin enters the epoch that the ledger gave to a partition just leased. Claims
// of the predecessor are void from here on, and no version below floor will be
// given out. committed is the ledger's position of this very partition; held is the
// lease that the caller had of it before, or nil: a journal that is not as far came back
// with older data. earlier says that the ledger knows an earlier life of the queue. A
// agreement other than Agreed has been counted as a data-loss event. While others hold
// partitions at another database than the lease's Home, the error is of reason QueueConflict
// and nothing is compared.
func (j *Journal) Begin(ctx context.Context, t *entry.Term, floor, committed int64, held *entry.Term, earlier bool) (entry.Agreement, error) {
	if held == nil || held.Incarnation != t.Incarnation {
		held = &entry.Term{}
	}
	agreement, err := j.call(ctx, "wb_engine_begin", beginSettings(t, floor, committed, held, earlier).argument()).Int()
	if err != nil {
		return entry.Agreed, fmt.Errorf("begin epoch %d of partition %d: %w", t.Epoch, t.Partition, err)
	}
	t.Step = 0
	return entry.Agreement(agreement), nil
}

// Holds reports whether Redis has the caller's lease.
func (j *Journal) Holds(ctx context.Context, t *entry.Term) (bool, error) {
	key := fmt.Sprintf("wb:{%s:%d}:lease", t.Queue, t.Partition)
	values, err := j.rdb.HMGet(ctx, key, "owner", "epoch", "journal").Result()
	if err != nil {
		return false, fmt.Errorf("read the lease of partition %d: %w", t.Partition, err)
	}
	return values[0] == t.Member && values[1] == strconv.FormatInt(t.Epoch, 10) && values[2] == t.Incarnation, nil
}

// Free returns the partitions that nobody holds.
func (j *Journal) Free(ctx context.Context, queue string) ([]int, error) {
	partitions, err := j.rdb.HGet(ctx, "wb:{"+queue+"}:queue", "partitions").Int()
	var now time.Time
	if err == nil {
		now, err = j.rdb.Time(ctx).Result()
	}
	if err != nil {
		return nil, fmt.Errorf("read the leases of queue %s: %w", queue, err)
	}
	leases := make([]*redis.StringCmd, partitions)
	_, err = j.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for p := range leases {
			leases[p] = pipe.HGet(ctx, fmt.Sprintf("wb:{%s:%d}:lease", queue, p), "expiry")
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read the leases of queue %s: %w", queue, err)
	}
	var free []int
	for p, lease := range leases {
		if expiry, err := lease.Int64(); err != nil || expiry <= now.UnixMilli() {
			free = append(free, p)
		}
	}
	return free, nil
}

// Onlooks reports whether the member is the queue's onlooker: the one flusher, among those
// that may not flush the queue, that reports its free partitions. If there is no onlooker, the
// member becomes it for the time of ttl. The key wb:{Q}:onlooker is no part of the journal: it
// may be evicted, and expires by itself.
func (j *Journal) Onlooks(ctx context.Context, queue, member string, ttl time.Duration) (bool, error) {
	key := "wb:{" + queue + "}:onlooker"
	one, err := j.rdb.SetArgs(ctx, key, member, redis.SetArgs{Mode: "NX", Get: true, TTL: ttl}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return true, nil
	case err == nil && one == member:
		var still bool
		if still, err = j.rdb.PExpire(ctx, key, ttl).Result(); err == nil {
			return still, nil
		}
	case err == nil:
		return false, nil
	}
	return false, fmt.Errorf("become the onlooker of queue %s: %w", queue, err)
}

// Release releases partitions, so that another member can take them at once.
func (j *Journal) Release(ctx context.Context, queue, member string, partitions ...int) error {
	if len(partitions) == 0 {
		return nil
	}
	args := []any{queue, member}
	for _, p := range partitions {
		args = append(args, p)
	}
	if err := j.call(ctx, "wb_engine_leave", args...).Err(); err != nil {
		return fmt.Errorf("release partitions of queue %s: %w", queue, err)
	}
	return nil
}

// Leave releases all partitions and ends the membership.
func (j *Journal) Leave(ctx context.Context, queue, member string) error {
	if err := j.call(ctx, "wb_engine_leave", queue, member).Err(); err != nil {
		return fmt.Errorf("leave queue %s: %w", queue, err)
	}
	return nil
}

// Poll returns what waits in the partitions.
func (j *Journal) Poll(ctx context.Context, queue string, partitions []int) (entry.Loads, error) {
	args := make([]any, 0, 1+len(partitions))
	args = append(args, queue)
	for _, p := range partitions {
		args = append(args, p)
	}
	reply, err := j.callRO(ctx, "wb_engine_poll", args...).Slice()
	if err != nil {
		return entry.Loads{}, fmt.Errorf("poll queue %s: %w", queue, err)
	}
	r := reader{values: reply}
	const known, withSeen = 8, 10
	loads := entry.Loads{Left: r.number(), Of: make([]entry.Load, len(partitions))}
	numbers := r.number()
	more := numbers - known
	if numbers >= withSeen {
		more = numbers - withSeen
	}
	for i := range loads.Of {
		loads.Of[i] = entry.Load{
			Entries: r.number(), Fresh: r.number(), Due: r.number(),
			HeadMilliseconds: r.number(), HeadUndated: r.number() == 1,
			OldestMilliseconds: r.number(), DeadLetters: r.number(), Step: r.number(),
		}
		if numbers >= withSeen {
			loads.Since, loads.Writes = max(loads.Since, r.number()), max(loads.Writes, r.number())
		}
		// A newer library may report more than this release knows of.
		for range more {
			r.next()
		}
	}
	return loads, r.done("poll queue " + queue)
}

// Stats reads the numbers that applications see as wb_stats.
func (j *Journal) Stats(ctx context.Context, queue string) (entry.Stats, error) {
	reply, err := j.callRO(ctx, "wb_stats", queue).Slice()
	if err != nil {
		return entry.Stats{}, fmt.Errorf("read stats of queue %s: %w", queue, err)
	}
	var s entry.Stats
	numbers := map[string]*int64{
		"depth": &s.Depth, "dead": &s.Dead, "oldest_ms": &s.OldestMilliseconds,
		"writes": &s.Writes, "flushed": &s.Flushed, "coalesced": &s.Coalesced, "data_loss": &s.DataLoss,
		"max": &s.Max, "revision": &s.Revision, "library": &s.Library, "refused": &s.Refused,
	}
	texts := map[string]*string{"state": &s.State, "journal": &s.Incarnation}
	r := reader{values: reply}
	for r.more() {
		name := r.text()
		switch {
		case numbers[name] != nil:
			*numbers[name] = r.number()
		case texts[name] != nil:
			*texts[name] = r.text()
		default:
			// A newer library may report more than this release knows of.
			r.next()
		}
	}
	return s, r.done("read stats of queue " + queue)
}
