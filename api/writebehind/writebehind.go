// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package writebehind is a small client of the capture functions, for
// applications in Go. It adds types and errors to what any Redis client can call
// by FCALL:
//
//	products := writebehind.NewQueue(rdb, "products")
//	version, err := products.Set(ctx, "product:123", `{"name":"lamp"}`)
//
// Reading is plain Redis: rdb.Get(ctx, "product:123"). To fill the cache from the database,
// use Get and Fill:
//
//	value, token, err := products.Get(ctx, "product:123")
//	if err == nil && token != "" { // a miss
//		value = ... // from the database
//		_, err = products.Fill(ctx, "product:123", value, token)
//	}
package writebehind

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Errors of the capture functions. After any of them nothing has changed.
var (
	// ErrFull means that the queue is at its capacity. Writes to keys that are
	// dirty already are still taken.
	ErrFull = errors.New("the queue is full")
	// ErrPaused means that writes are refused while the queue is drained or
	// retired.
	ErrPaused = errors.New("the queue is paused")
	// ErrNoQueue means that no flusher has opened a queue of that name.
	ErrNoQueue = errors.New("there is no such queue")
	// ErrMode means that the call does not fit the queue's mode or encoding.
	ErrMode = errors.New("the call does not fit the queue")
	// ErrArguments means that the arguments are wrong or that the key is outside
	// the queue's prefix.
	ErrArguments = errors.New("the arguments are wrong")
	// ErrDead means that the newest write of a key is a dead letter: the database has
	// refused it, and it is not tried again by itself. Only Pending returns it.
	ErrDead = errors.New("the newest write is a dead letter")
	// ErrNoToken means that a key is not cached and that nothing may be cached for it
	// either, since Redis refuses the note that a token stands for: go to the database,
	// without Fill. The error that it comes with is Redis' reason.
	ErrNoToken = errors.New("the key is not cached, and there is no token")
)

var errorsByCode = map[string]error{
	"WBFULL": ErrFull, "WBPAUSED": ErrPaused, "WBNOQUEUE": ErrNoQueue, "WBMODE": ErrMode, "WBARGS": ErrArguments,
	"WBDEAD": ErrDead,
}

// Caller is what a Queue needs of a Redis client; the clients of go-redis have it.
type Caller interface {
	FCall(ctx context.Context, function string, keys []string, args ...any) *redis.Cmd
	FCallRO(ctx context.Context, function string, keys []string, args ...any) *redis.Cmd
}

// Queue writes to the keys of one mapping. It is safe for concurrent use if its
// client is.
type Queue struct {
	rdb  Caller
	name string
}

// NewQueue returns the queue of the mapping of that name.
func NewQueue(rdb Caller, name string) *Queue {
	return &Queue{rdb: rdb, name: name}
}

// Set sets key to value, a JSON object, and marks it dirty. It returns the
// version of the write: µs since 1970, growing with every write of the key.
func (q *Queue) Set(ctx context.Context, key, value string) (version int64, err error) {
	return q.number(q.rdb.FCall(ctx, "wb_set", []string{key}, q.name, value))
}

// Del deletes key and marks the deletion dirty. It returns the version of the
// deletion.
func (q *Queue) Del(ctx context.Context, key string) (version int64, err error) {
	return q.number(q.rdb.FCall(ctx, "wb_del", []string{key}, q.name))
}

// Token stands for the moment of a read that missed. Fill takes it to find out whether
// the key was written or deleted since; it is good for that alone, and for half a minute
// at least, unless more than a thousand keys of its partition are being read: then the
// oldest tokens end first.
type Token string

// Get reads key for a reader that goes to the database on a miss and caches what it
// finds there with Fill. A miss is not an error: the token tells it, which is empty
// when the value was there. The call may leave a note in Redis, so it goes to the
// primary; a read without Fill is rdb.Get. Where Redis refuses to write (a replica,
// MISCONF, NOREPLICAS, a user without the right), the value is read all the same, and a
// miss is ErrNoToken.
func (q *Queue) Get(ctx context.Context, key string) (value string, token Token, err error) {
	cmd := q.rdb.FCall(ctx, "wb_get", []string{key}, q.name)
	switch reply := cmd.Val().(type) {
	case string:
		return reply, "", nil
	case []any:
		if len(reply) == 2 {
			if text, ok := reply[1].(string); ok && text != "" {
				return "", Token(text), nil
			}
		}
	}
	if err := cmd.Err(); err != nil {
		if plain, ok := q.rdb.(reader); ok && refusesWrites(err) {
			return q.read(ctx, plain, key, known(cmd.Name(), err))
		}
		return "", "", known(cmd.Name(), err)
	}
	return "", "", fmt.Errorf("%s: the answer is of another release than this client", cmd.Name())
}

// reader is what Get needs beyond a Caller where Redis refuses writes.
type reader interface {
	Get(ctx context.Context, key string) *redis.StringCmd
}

// read is Get without a token. Where the value cannot be read either, it is refusal that
// tells why.
func (*Queue) read(ctx context.Context, rdb reader, key string, refusal error) (string, Token, error) {
	value, err := rdb.Get(ctx, key).Result()
	switch {
	case err == nil:
		return value, "", nil
	case errors.Is(err, redis.Nil):
		return "", "", fmt.Errorf("%w: %w", ErrNoToken, refusal)
	}
	return "", "", refusal
}

// refusesWrites reports whether a call was refused because it may write. A right that is
// missing within a function has no code, and other words since Redis 7.2 and in Valkey.
func refusesWrites(err error) bool {
	switch code, _, _ := strings.Cut(err.Error(), " "); code {
	case "READONLY", "MISCONF", "NOREPLICAS", "NOPERM", "OOM":
		return true
	}
	return strings.Contains(err.Error(), "The user executing the script can't") || strings.Contains(err.Error(), "ACL failure in script")
}

// Fill caches value, read from the database, unless the key is present or dirty. With
// the token of the Get that missed it caches nothing either if the key was written or
// deleted since that Get. It reports whether it cached the value; that it did not is no
// error.
//
// Without a token, a value that was read before a deletion or a newer write is cached
// all the same if that has been flushed by now: it is served until its time to live has
// passed.
func (q *Queue) Fill(ctx context.Context, key, value string, token ...Token) (bool, error) {
	args := []any{q.name, value}
	for _, t := range token {
		args = append(args, string(t))
	}
	filled, err := q.number(q.rdb.FCall(ctx, "wb_fill", []string{key}, args...))
	return filled == 1, err
}

// Pending returns the lowest version of key that may still be missing from the
// database, and whether there is one. Every lower version is in it. While the newest
// write of key is a dead letter, it returns ErrDead.
func (q *Queue) Pending(ctx context.Context, key string) (version int64, pending bool, err error) {
	version, err = q.number(q.rdb.FCallRO(ctx, "wb_pending", []string{key}, q.name))
	if errors.Is(err, redis.Nil) {
		return 0, false, nil
	}
	return version, err == nil, err
}

func (q *Queue) number(cmd *redis.Cmd) (int64, error) {
	number, err := cmd.Int64()
	if err == nil || errors.Is(err, redis.Nil) {
		return number, err
	}
	return 0, known(cmd.Name(), err)
}

// known gives an error of the capture functions its name.
func known(function string, err error) error {
	code, _, _ := strings.Cut(err.Error(), " ")
	if named, ok := errorsByCode[code]; ok {
		err = fmt.Errorf("%w: %w", named, err)
	}
	return fmt.Errorf("%s: %w", function, err)
}
