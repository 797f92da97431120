// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package writebehind

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Errors of Flushed.
var (
	// ErrNotFlushed means that what was written may not be in the database yet. Redis has it
	// all the same, and it gets there unless Redis loses it.
	ErrNotFlushed = errors.New("what was written may not be in the database yet")
	// ErrNoFlusher means that no flusher of capture Replication reads the stream of this
	// Redis. It comes with ErrNotFlushed.
	ErrNoFlusher = errors.New("no flusher reads the replication stream of this Redis")
	// ErrMoved means that another Redis has taken over, or that this one has begun another
	// history: whether it has what was written is not known. Read it, or write it again.
	ErrMoved = errors.New("another Redis has taken over, or this one has begun another history, so that what was written may be lost")
)

// Flushed waits until all that conn has written is in the database, or a dead letter: a
// barrier for the few writes that have to be there before the application goes on. It is for
// capture Replication; with the functions, Pending tells it for each key.
//
//	conn := rdb.Conn()
//	defer conn.Close()
//	err := conn.Set(ctx, "product:123", `{"name":"lamp"}`, 0).Err()
//	...
//	err = writebehind.Flushed(ctx, conn)
//
// conn is one connection, that of the writes: another one of a pool may lead to another
// server by then. Whatever others wrote before the call is waited for too. The wait lasts an
// interval of the flusher and a batch, and for a row that is refused until it gets through or
// is a dead letter. It ends with ctx, and its error says then how far the flusher has come,
// and wraps ErrNotFlushed and ctx.Err(). A refusal of the server comes as it is.
//
// The user of conn needs +info and +wait, and +waitaof where the server knows it.
func Flushed(ctx context.Context, conn *redis.Conn) error {
	var start replication
	told := false
	for round := 0; ; round++ {
		now, err := replicationOf(ctx, conn)
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("%w: %w: %w", ErrNotFlushed, ctx.Err(), err)
		case err != nil:
			return fmt.Errorf("ask Redis what is flushed: %w", err)
		case round == 0:
			start = now
		case now.id != start.id:
			return ErrMoved
		}
		if now.flushers > 0 && now.flushed >= start.offset {
			return nil
		}
		// What the server has told may be less than what is waited for here.
		if told, err = now.pause(ctx, conn, told, round); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w: %w", ErrNotFlushed, err, now.missing(start.offset))
		}
	}
}

// flusherPort is the port that a flusher says it listens on, which is none: so Sentinel takes
// it for no replica.
const flusherPort = "65536"

// replication is what Redis says of itself and of its replicas.
type replication struct {
	id     string
	offset int64
	// replicas counts all, flushers those that write to a database, and flushed is the
	// offset that all of these have acknowledged.
	replicas, flushers int
	flushed            int64
}

func replicationOf(ctx context.Context, conn *redis.Conn) (replication, error) {
	text, err := conn.Info(ctx, "replication").Result()
	if err != nil {
		return replication{}, err
	}
	var r replication
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		number, isReplica := strings.CutPrefix(name, "slave")
		_, err := strconv.Atoi(number)
		switch {
		case name == "role" && value != "master":
			return replication{}, errors.New("conn leads to a replica: give a connection to the primary")
		case name == "master_replid":
			r.id = value
		case name == "master_repl_offset":
			r.offset, _ = strconv.ParseInt(value, 10, 64)
		case isReplica && err == nil:
			r.add(value)
		}
	}
	if r.id == "" {
		return replication{}, errors.New("INFO replication does not name the history: this is no Redis, or one behind a proxy")
	}
	return r, nil
}

// add counts a replica in the words of INFO, as in ip=10.0.0.1,port=6379,offset=42.
func (r *replication) add(told string) {
	r.replicas++
	isFlusher, offset := false, int64(0)
	for field := range strings.SplitSeq(told, ",") {
		switch name, value, _ := strings.Cut(field, "="); name {
		case "port":
			isFlusher = value == flusherPort
		case "offset":
			offset, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	if !isFlusher {
		return
	}
	if r.flushers == 0 || offset < r.flushed {
		r.flushed = offset
	}
	r.flushers++
}

// Bounds of one wait in the server. It is short, since go-redis does not end it with its
// context.
const (
	longestWait   = 100 * time.Millisecond
	shortestPause = 2 * time.Millisecond
)

// pause waits until something may have been flushed. The server tells of the connection's own
// writes at once, by WAITAOF or WAIT; where it has told that already, or others replicate as
// well, whose word may come too early, time is what is left.
func (r *replication) pause(ctx context.Context, conn *redis.Conn, told bool, round int) (tells bool, err error) {
	limit := longestWait
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, max(time.Until(deadline), time.Millisecond))
	}
	if !told && r.flushers > 0 && r.flushers == r.replicas {
		return r.wait(ctx, conn, limit)
	}
	select {
	case <-ctx.Done():
	case <-time.After(min(limit, shortestPause<<min(round, 6))):
	}
	return false, nil
}

func (r *replication) wait(ctx context.Context, conn *redis.Conn, limit time.Duration) (tells bool, err error) {
	var acknowledged int64
	counts, err := conn.WaitAOF(ctx, 0, r.flushers, limit).Result()
	switch {
	case err == nil && len(counts) == 2:
		acknowledged = counts[1]
	case err != nil && strings.Contains(strings.ToLower(err.Error()), "unknown command"):
		acknowledged, err = conn.Wait(ctx, r.flushers, limit).Result()
	}
	if err != nil && ctx.Err() == nil {
		return false, fmt.Errorf("wait for what is flushed: %w", err)
	}
	return acknowledged >= int64(r.flushers), nil
}

// missing says what is not flushed, and who would flush it.
func (r *replication) missing(offset int64) error {
	switch {
	case r.flushers == 0 && r.replicas == 0:
		return ErrNoFlusher
	case r.flushers == 0:
		return fmt.Errorf("%w: it has other replicas: %d", ErrNoFlusher, r.replicas)
	}
	return fmt.Errorf("acknowledged are %d bytes of the stream, and %d are needed", r.flushed, offset)
}
