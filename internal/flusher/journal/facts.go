// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"crypto/sha1" //nolint:gosec // It spreads keys over partitions, as the library does.
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// Facts are all that the journal knows of one key, as of one moment.
type Facts struct {
	Key       string
	Partition int
	// State is that of the queue, Depth its entries and dead letters, and TTL how long a clean
	// value stays.
	State string
	Depth int64
	TTL   time.Duration
	// Journal is the incarnation.
	Journal string
	// Now is the time of Redis. Owner holds the partition until Expiry in the ledger's Epoch; it
	// is empty where nobody ever did.
	Now, Expiry time.Time
	Owner       string
	Epoch       int64
	// Floor is the highest version of the partition that is committed or dead, Top the highest
	// that is committed.
	Floor, Top int64
	// Waiting is how many keys of the partition stand in its order.
	Waiting int64
	// Entry is what waits to be flushed of the key, or nil. Due is when another attempt may be
	// made of one that was refused; it is zero where the entry stands in the order.
	Entry *entry.Entry
	Due   time.Time
	// Letter is the key's dead letter without its payload, or nil.
	Letter *entry.DeadLetter
	// Kind is the type of the key, none where it is not there. Value is the string it holds.
	Kind, Value string
}

// Kinds of a key that a queue of documents tells apart.
const (
	KindNone   = "none"
	KindString = "string"
)

// Held reports whether the owner's lease runs.
func (f *Facts) Held() bool { return f.Owner != "" && f.Expiry.After(f.Now) }

// Clean reports whether nothing of the key waits, in whatever way.
func (f *Facts) Clean() bool { return f.Entry == nil && f.Letter == nil }

// Partition is where a key of the queue falls.
func Partition(key string, partitions int) int {
	sum := sha1.Sum([]byte(key)) //nolint:gosec // As above.
	return int(uint64(binary.BigEndian.Uint32(sum[:4])) % uint64(partitions))
}

// Facts tells what the journal knows of keys of one queue: of each as of one moment.
func (j *Journal) Facts(ctx context.Context, queue string, keys ...string) ([]Facts, error) {
	answers := make([]*redis.Cmd, len(keys))
	_, err := j.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range keys {
			answers[i] = pipe.FCallRO(ctx, "wb_engine_facts", []string{key}, queue)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask about keys of queue %s: %w", queue, interpret(err))
	}
	all := make([]Facts, len(keys))
	for i, key := range keys {
		if all[i], err = factsOf(key, answers[i].Val()); err != nil {
			return nil, fmt.Errorf("ask about a key of queue %s: %w: %w", queue, errOtherRelease, err)
		}
	}
	return all, nil
}

func factsOf(key string, answer any) (Facts, error) {
	f := Facts{Key: key}
	list, ok := answer.([]any)
	if !ok || len(list)%2 != 0 {
		return f, fmt.Errorf("%T is no list of names and values", answer)
	}
	told := make(map[string]string, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		name, _ := list[i].(string)
		value, isText := list[i+1].(string)
		if !isText {
			return f, fmt.Errorf("%s: %T is no text", name, list[i+1])
		}
		told[name] = value
	}
	var failed error
	number := func(name string) int64 {
		text, there := told[name]
		if !there {
			return 0
		}
		// A score is a number with a fraction to Redis.
		n, err := strconv.ParseFloat(text, 64)
		failed = errors.Join(failed, err)
		return int64(n)
	}
	moment := func(name string) time.Time {
		if n := number(name); n > 0 {
			return time.UnixMilli(n).UTC()
		}
		return time.Time{}
	}
	f.Partition, f.State, f.Depth, f.Journal = int(number("partition")), told["state"], number("depth"), told["journal"]
	f.TTL = time.Duration(number("ttl")) * time.Millisecond
	f.Now, f.Owner, f.Epoch, f.Expiry = moment("now"), told["owner"], number("epoch"), moment("expiry")
	f.Floor, f.Top, f.Waiting = number("floor"), number("top"), number("waiting")
	f.Due, f.Kind, f.Value = moment("due"), told["kind"], told["value"]
	if packed, dirty := told["entry"]; dirty {
		e := entry.Entry{Key: key, Value: f.Value}
		e.Garbled = !unpack(&e, packed)
		f.Entry = &e
	}
	if known, dead := told["letter"]; dead {
		f.Letter = parseLetter(key, known)
	}
	return f, failed
}

// Again has the value that the key holds flushed once more, as a new write with a new version
// that it returns. It is 0 where there is nothing to flush anew: the key is dirty, has a dead
// letter, or is not there.
func (j *Journal) Again(ctx context.Context, queue, key string) (int64, error) {
	version, err := j.rdb.FCall(ctx, "wb_engine_again", []string{key}, queue).Int64()
	if err != nil {
		return 0, fmt.Errorf("flush %s again: %w", key, interpret(err))
	}
	return version, nil
}
