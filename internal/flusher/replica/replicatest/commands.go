// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest

import (
	"maps"
	"slices"
	"strconv"

	"github.com/writebehind/operator/internal/flusher/replica"
)

// Commands are what an application does.
type Commands struct{ *Redis }

// Do does it, each command for itself.
func (r *Redis) Do(commands func(c *Commands)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	commands(&Commands{r})
	r.wake()
}

// Transaction makes one step of it.
func (r *Redis) Transaction(commands func(c *Commands)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.transaction = &replica.Point{Offset: r.offset}
	commands(&Commands{r})
	r.transaction = nil
	r.ping(commandBytes, replica.Point{Offset: r.offset + commandBytes})
}

// Half begins a transaction of which the stream has not told the end when the server fails.
func (r *Redis) Half(commands func(c *Commands)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.transaction = &replica.Point{Offset: r.offset}
	commands(&Commands{r})
	r.transaction = nil
	r.wake()
}

// Offset is that of the stream by now.
func (r *Commands) Offset() int64 { return r.offset }

// Set writes a text.
func (r *Commands) Set(key, text string) {
	r.do("SET", func() []replica.Effect {
		r.keys[key] = Value{Text: text}
		return []replica.Effect{{Key: []byte(key), Word: replica.Written, Value: []byte(text), HasValue: true}}
	}, key)
}

// Increment adds one to a number.
func (r *Commands) Increment(key string) {
	r.do("INCR", func() []replica.Effect {
		v := r.keys[key]
		if v.kind() != "string" {
			return nil
		}
		n, _ := strconv.Atoi(v.Text)
		r.keys[key] = Value{Text: strconv.Itoa(n + 1)}
		return []replica.Effect{{Key: []byte(key), Word: replica.Written}}
	}, key)
}

// Restore makes of the key whatever it is given, as RESTORE does: the stream names the key alone.
func (r *Commands) Restore(key string, v Value) {
	r.do("RESTORE", func() []replica.Effect {
		r.keys[key] = v
		return []replica.Effect{{Key: []byte(key), Word: replica.Written}}
	}, key)
}

// SetField writes a field of a hash.
func (r *Commands) SetField(key, field, text string) {
	r.change("HSET", key, field, "hash", func(hash map[string]string) bool {
		hash[field] = text
		return true
	})
}

// DeleteField takes a field away, and the hash with the last one.
func (r *Commands) DeleteField(key, field string) {
	r.change("HDEL", key, field, "hash", func(hash map[string]string) bool {
		_, there := hash[field]
		delete(hash, field)
		return there
	})
}

// SetScore gives a member of a sorted set a score.
func (r *Commands) SetScore(key, member, score string) {
	r.change("ZADD", key, member, "zset", func(board map[string]string) bool {
		board[member] = score
		return true
	})
}

// DeleteMember takes a member away, and the sorted set with the last one.
func (r *Commands) DeleteMember(key, member string) {
	r.change("ZREM", key, member, "zset", func(board map[string]string) bool {
		_, there := board[member]
		delete(board, member)
		return there
	})
}

// Append adds an entry to a stream.
func (r *Commands) Append(key, id, n string) {
	r.do("XADD", func() []replica.Effect {
		v, ok := r.keys[key]
		if ok && v.Stream == nil {
			return nil
		}
		all := maps.Clone(v.Stream)
		if all == nil {
			all = make(map[string]string)
		}
		all[id] = n
		r.keys[key] = Value{Stream: all}
		return []replica.Effect{{Key: []byte(key), Word: replica.Appended, ID: []byte(id), Fields: [][]byte{[]byte("n"), []byte(n)}}}
	}, key)
}

// Trim takes the oldest entry out of a stream, of which nobody has to be told.
func (r *Commands) Trim(key string) {
	r.do("XTRIM", func() []replica.Effect {
		all := maps.Clone(r.keys[key].Stream)
		if len(all) == 0 {
			return nil
		}
		delete(all, slices.Min(slices.Collect(maps.Keys(all))))
		r.keys[key] = Value{Stream: all}
		return []replica.Effect{}
	}, key)
}

// change changes a member of a key of that type. A key of another type stays, and so does one
// of which how says that nothing has changed.
func (r *Commands) change(command, key, member, kind string, how func(all map[string]string) bool) {
	r.do(command, func() []replica.Effect {
		v, ok := r.keys[key]
		if ok && v.kind() != kind {
			return nil
		}
		all := maps.Clone(v.Hash)
		if kind == "zset" {
			all = maps.Clone(v.Board)
		}
		if all == nil {
			all = make(map[string]string)
		}
		if !how(all) {
			return nil
		}
		if v = (Value{Hash: all}); kind == "zset" {
			v = Value{Board: all}
		}
		if r.keys[key] = v; len(all) == 0 {
			delete(r.keys, key)
		}
		return []replica.Effect{{Key: []byte(key), Word: replica.Written, Members: [][]byte{[]byte(member)}, OfHash: kind == "hash"}}
	}, key)
}

// Delete deletes a key.
func (r *Commands) Delete(key string) { r.take("DEL", replica.Deleted, key) }

// Expire has a key gone by itself.
func (r *Commands) Expire(key string) { r.take("UNLINK", replica.Unlinked, key) }

// Lapse has the time of a key pass: whoever reads it next has it gone, and the word of that
// comes behind the reading.
func (r *Commands) Lapse(key string) { r.lapsed[key] = true }

func (r *Commands) take(command string, word replica.Word, key string) {
	r.do(command, func() []replica.Effect {
		if _, ok := r.keys[key]; !ok {
			return nil
		}
		delete(r.keys, key)
		return []replica.Effect{{Key: []byte(key), Word: word}}
	}, key)
}

// Flush empties the database.
func (r *Commands) Flush() {
	all := slices.Collect(maps.Keys(r.keys))
	r.do("FLUSHALL", func() []replica.Effect {
		clear(r.keys)
		return []replica.Effect{{Prefix: -1, Word: replica.Flushed}}
	}, all...)
}

// do makes a command a step. One without an effect leaves no trace in the stream.
func (r *Commands) do(command string, change func() []replica.Effect, keys ...string) {
	undo := make(map[string]*Value, len(keys))
	for _, key := range keys {
		undo[key] = nil
		if v, ok := r.keys[key]; ok {
			undo[key] = &v
		}
	}
	effects := change()
	if effects == nil {
		return
	}
	before := replica.Point{Offset: r.offset}
	if r.transaction != nil {
		before = *r.transaction
	}
	r.offset += commandBytes
	for i := range effects {
		effects[i].Command, effects[i].Offset, effects[i].Before = command, r.offset, before
	}
	safe := replica.Point{Offset: r.offset}
	if r.transaction != nil {
		safe = before
	}
	r.log = append(r.log, step{effects, r.offset, safe, undo, r.transaction != nil})
}
