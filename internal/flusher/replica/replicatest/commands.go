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
		r.keys[key] = value{text: text}
		return []replica.Effect{{Key: []byte(key), Word: replica.Written, Value: []byte(text), HasValue: true}}
	}, key)
}

// Increment adds one to a number.
func (r *Commands) Increment(key string) {
	r.do("INCR", func() []replica.Effect {
		n, _ := strconv.Atoi(r.keys[key].text)
		r.keys[key] = value{text: strconv.Itoa(n + 1)}
		return []replica.Effect{{Key: []byte(key), Word: replica.Written}}
	}, key)
}

// SetField writes a field of a hash.
func (r *Commands) SetField(key, field, text string) {
	r.do("HSET", func() []replica.Effect {
		hash := maps.Clone(r.keys[key].hash)
		if hash == nil {
			hash = make(map[string]string)
		}
		hash[field] = text
		r.keys[key] = value{hash: hash}
		return []replica.Effect{{Key: []byte(key), Word: replica.Written, Members: [][]byte{[]byte(field)}}}
	}, key)
}

// DeleteField takes a field away, and the hash with the last one.
func (r *Commands) DeleteField(key, field string) {
	r.do("HDEL", func() []replica.Effect {
		hash := maps.Clone(r.keys[key].hash)
		if _, ok := hash[field]; !ok {
			return nil
		}
		delete(hash, field)
		if r.keys[key] = (value{hash: hash}); len(hash) == 0 {
			delete(r.keys, key)
		}
		return []replica.Effect{{Key: []byte(key), Word: replica.Written, Members: [][]byte{[]byte(field)}}}
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
	undo := make(map[string]*value, len(keys))
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
