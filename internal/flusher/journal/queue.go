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
)

// Settings are what the capture functions need to know of a queue.
type Settings struct {
	// Owner and Revision order the writes of settings: another owner replaces,
	// within one owner the highest revision wins.
	Owner    string
	Revision int64
	Mapping  config.Mapping
	// MaxDepth is the most dirty entries and dead letters.
	MaxDepth int
	WhenFull string
	// State is config.StateOpen or config.StatePaused.
	State string
	// Alone says that nobody watches the flushers, who would notice that a queue was
	// lost while none of them ran.
	Alone bool
	// Member is the flusher that opens the queue, Home the database that it flushes to.
	Member string
	Home   Home
}

// Seen is what a flusher has seen last of a life of the queue.
type Seen struct {
	Journal string
	// Since names the time over which Redis has kept what it confirmed: another
	// one begins with a restart, a fail-over, or an older copy. 0 before the first look.
	Since int64
	// Writes are those that the queue had counted, Losses its data-loss events.
	Writes, Losses int64
}

// Opened is a queue as it stands in Redis.
type Opened struct {
	// Journal is the random id of this life of the queue.
	Journal string
	// Partitions is the number that the queue was made with, whatever the
	// settings say: a key must never change its partition.
	Partitions int
	// Made says that this call made the queue.
	Made bool
	// Revision is that of the settings in force, which is higher than the one given
	// when newer ones of the same owner are there.
	Revision int64
}

// Open makes the queue if Redis has none of its name, under the offered journal
// id, and writes the settings unless newer ones of the same owner are there. lost
// says that the caller knew an earlier life of the queue: then a queue that is made
// begins with a data-loss event. Where nobody but the ledger remembers earlier lives,
// Begin tells. Where another queue has keys of the prefix, or flushers of another config
// live at the queue with another prefix, table, key column, columns or database, the error is of reason
// QueueConflict and nothing is written.
func (j *Journal) Open(ctx context.Context, s Settings, offered string, lost bool) (Opened, error) {
	before := 0
	switch {
	case lost:
		before = 1
	case s.Alone:
		before = 2
	}
	m := s.Mapping
	reply, err := j.call(ctx, "wb_engine_open", m.Name, s.Owner, s.Revision, offered,
		m.KeyPrefix, m.Partitions, m.Mode, m.Encoding, m.TimeToLiveSeconds*1000,
		s.MaxDepth, s.WhenFull, s.State, before, j.target(&s), s.Home.text(), s.Member).Slice()
	if err != nil {
		return Opened{}, fmt.Errorf("open queue %s: %w", m.Name, err)
	}
	r := reader{values: reply}
	opened := Opened{Journal: r.text(), Partitions: int(r.number()), Made: r.number() == 1, Revision: r.number()}
	return opened, r.done("open queue " + m.Name)
}

// Beat is the answer to a heartbeat.
type Beat struct {
	// Library is the version of the function library in Redis.
	Library int64
	Journal string
	// Partitions is the number of the whole queue, Share how many of them this
	// member should hold.
	Partitions int
	Share      int
	// Held maps the partitions whose lease this member holds to their epoch; 0
	// is a lease just taken, which Begin has to follow.
	Held map[int]int64
	// Seen is the queue as it is now.
	Seen Seen
	// LostWrites is how many writes that the member had seen are gone; the journal has
	// counted that as a data-loss event.
	LostWrites int64
}

// Beat keeps the member alive for ttl milliseconds, renews its leases and takes
// free ones up to its share. It fails when the queue has got another prefix, mode or
// encoding than the mapping's, or another target, or others flush it into another database,
// and the member is none then. seen is what the beat before told:
// writes that are gone since then are counted as a data-loss event, by the first member
// that notices.
func (j *Journal) Beat(ctx context.Context, s Settings, member string, ttlMilliseconds int64, seen Seen) (Beat, error) {
	m := s.Mapping
	queue := m.Name
	reply, err := j.call(ctx, "wb_engine_beat", queue, member, ttlMilliseconds, m.KeyPrefix, m.Mode, m.Encoding, j.target(&s),
		seen.Journal, seen.Since, seen.Writes, seen.Losses, s.Home.text()).Slice()
	if err != nil {
		return Beat{}, fmt.Errorf("renew leases of queue %s: %w", queue, err)
	}
	r := reader{values: reply}
	beat := Beat{
		Library: r.number(), Journal: r.text(), Partitions: int(r.number()), Share: int(r.number()),
		Held: make(map[int]int64),
	}
	if beat.Library >= libraryOfSeen {
		beat.Seen = Seen{Journal: beat.Journal, Since: r.number(), Writes: r.number()}
		beat.LostWrites = r.number()
	}
	for r.more() {
		p := int(r.number())
		beat.Held[p] = r.number()
	}
	return beat, r.done("renew leases of queue " + queue)
}

// libraryOfSeen is the first library that tells what it has seen.
const libraryOfSeen = 5

// Verdict says whether the journal and the ledger agree on what was flushed last.
type Verdict int

// Verdicts of Begin.
const (
	// Agreed says that nothing is known to be lost.
	Agreed Verdict = iota
	// RedisWentBack says that the ledger knows of a flush that the journal does
	// not: Redis came back with older data.
	RedisWentBack
	// DatabaseWentBack says that the journal knows of a flush that the ledger does
	// not: PostgreSQL came back with older data.
	DatabaseWentBack
	// RedisWentBackAsTold is RedisWentBack, of which the queue's members know already:
	// it has not been counted once more.
	RedisWentBackAsTold
	// EarlierLifeLost says that the queue was made anew although the ledger knows of
	// flushes in an earlier life of it: Redis was wiped while nobody looked.
	EarlierLifeLost
)

// Begin enters the epoch that the ledger gave to a partition just leased. Claims
// of the predecessor are void from here on, and no version below floor will be
// given out. committed is the ledger's position of this very partition; held is the
// lease that the caller had of it before, or nil: a journal that is not as far came back
// with older data. earlier says that the ledger knows an earlier life of the queue. A
// verdict other than Agreed has been counted as a data-loss event. While others hold
// partitions at another database than the lease's Home, the error is of reason QueueConflict
// and nothing is compared.
func (j *Journal) Begin(ctx context.Context, l *Lease, floor, committed int64, held *Lease, earlier bool) (Verdict, error) {
	if held == nil || held.Journal != l.Journal {
		held = &Lease{}
	}
	verdict, err := j.call(ctx, "wb_engine_begin", l.Queue, l.Partition, l.Member, l.Epoch, l.Journal,
		floor, committed, held.Epoch, held.step, earlier, l.Home.text()).Int()
	if err != nil {
		return Agreed, fmt.Errorf("begin epoch %d of partition %d: %w", l.Epoch, l.Partition, err)
	}
	l.step = 0
	return Verdict(verdict), nil
}

// Holds tells whether the lease is in force in Redis as the caller has it.
func (j *Journal) Holds(ctx context.Context, l *Lease) (bool, error) {
	key := fmt.Sprintf("wb:{%s:%d}:lease", l.Queue, l.Partition)
	values, err := j.rdb.HMGet(ctx, key, "owner", "epoch", "journal").Result()
	if err != nil {
		return false, fmt.Errorf("look at the lease of partition %d: %w", l.Partition, err)
	}
	return values[0] == l.Member && values[1] == strconv.FormatInt(l.Epoch, 10) && values[2] == l.Journal, nil
}

// Free are the partitions that nobody holds.
func (j *Journal) Free(ctx context.Context, queue string) ([]int, error) {
	partitions, err := j.rdb.HGet(ctx, "wb:{"+queue+"}:queue", "partitions").Int()
	var now time.Time
	if err == nil {
		now, err = j.rdb.Time(ctx).Result()
	}
	if err != nil {
		return nil, fmt.Errorf("look at the leases of queue %s: %w", queue, err)
	}
	leases := make([]*redis.StringCmd, partitions)
	_, err = j.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for p := range leases {
			leases[p] = pipe.HGet(ctx, fmt.Sprintf("wb:{%s:%d}:lease", queue, p), "expiry")
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("look at the leases of queue %s: %w", queue, err)
	}
	var free []int
	for p, lease := range leases {
		if expiry, err := lease.Int64(); err != nil || expiry <= now.UnixMilli() {
			free = append(free, p)
		}
	}
	return free, nil
}

// Onlooks tells whether the member is the one that tells of the queue's free partitions, of
// all those that may not flush it. It becomes that for the time of ttl if there is none. The
// key wb:{Q}:onlooker is no part of the journal: it may be evicted, and goes by itself.
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
	return false, fmt.Errorf("look on at queue %s: %w", queue, err)
}

// Release gives partitions back, so that another member can take them at once.
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

// Leave gives back all partitions and the membership.
func (j *Journal) Leave(ctx context.Context, queue, member string) error {
	if err := j.call(ctx, "wb_engine_leave", queue, member).Err(); err != nil {
		return fmt.Errorf("leave queue %s: %w", queue, err)
	}
	return nil
}

// Load is what waits in one partition.
type Load struct {
	// Entries are the dirty entries. Fresh is how many of them the database never
	// refused, Due how many it refused that are due for another try.
	Entries, Fresh, Due int64
	// HeadMilliseconds is the age of the first fresh entry; HeadUndated says that it
	// tells nothing, since the entry's version lies ahead of the clock.
	HeadMilliseconds int64
	HeadUndated      bool
	// OldestMilliseconds is the age of the oldest entry, refused ones included.
	OldestMilliseconds int64
	DeadLetters        int64
	// Step is that of the partition's epoch; see Lease.
	Step int64
}

// Loads are what a queue tells when it is looked at.
type Loads struct {
	// Left is how many partitions were ever given back: when it has grown, there may
	// be free ones.
	Left int64
	// Since and Writes are as in Seen.
	Since, Writes int64
	// Of is what waits in each of the partitions asked for, in their order.
	Of []Load
}

// Poll tells what waits in the partitions.
func (j *Journal) Poll(ctx context.Context, queue string, partitions []int) (Loads, error) {
	args := make([]any, 0, 1+len(partitions))
	args = append(args, queue)
	for _, p := range partitions {
		args = append(args, p)
	}
	reply, err := j.callRO(ctx, "wb_engine_poll", args...).Slice()
	if err != nil {
		return Loads{}, fmt.Errorf("poll queue %s: %w", queue, err)
	}
	r := reader{values: reply}
	const known, withSeen = 8, 10
	loads := Loads{Left: r.number(), Of: make([]Load, len(partitions))}
	told := r.number()
	more := told - known
	if told >= withSeen {
		more = told - withSeen
	}
	for i := range loads.Of {
		loads.Of[i] = Load{
			Entries: r.number(), Fresh: r.number(), Due: r.number(),
			HeadMilliseconds: r.number(), HeadUndated: r.number() == 1,
			OldestMilliseconds: r.number(), DeadLetters: r.number(), Step: r.number(),
		}
		if told >= withSeen {
			loads.Since, loads.Writes = max(loads.Since, r.number()), max(loads.Writes, r.number())
		}
		// A newer library may tell more than this release knows of.
		for range more {
			r.next()
		}
	}
	return loads, r.done("poll queue " + queue)
}

// Stats are the numbers of a whole queue.
type Stats struct {
	Depth, Dead, OldestMilliseconds      int64
	Writes, Flushed, Coalesced, DataLoss int64
	Max, Revision, Library               int64
	Refused                              int64
	State, Journal                       string
}

// Stats reads the numbers that applications see as wb_stats.
func (j *Journal) Stats(ctx context.Context, queue string) (Stats, error) {
	reply, err := j.callRO(ctx, "wb_stats", queue).Slice()
	if err != nil {
		return Stats{}, fmt.Errorf("read stats of queue %s: %w", queue, err)
	}
	var s Stats
	numbers := map[string]*int64{
		"depth": &s.Depth, "dead": &s.Dead, "oldest_ms": &s.OldestMilliseconds,
		"writes": &s.Writes, "flushed": &s.Flushed, "coalesced": &s.Coalesced, "data_loss": &s.DataLoss,
		"max": &s.Max, "revision": &s.Revision, "library": &s.Library, "refused": &s.Refused,
	}
	texts := map[string]*string{"state": &s.State, "journal": &s.Journal}
	r := reader{values: reply}
	for r.more() {
		name := r.text()
		switch {
		case numbers[name] != nil:
			*numbers[name] = r.number()
		case texts[name] != nil:
			*texts[name] = r.text()
		default:
			// A newer library may tell more than this release knows of.
			r.next()
		}
	}
	return s, r.done("read stats of queue " + queue)
}
