// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest

import (
	"fmt"
	"maps"
	"math"
	"sync"

	"github.com/writebehind/operator/internal/flusher/replica"
)

var (
	_ replica.Primary = (*Redis)(nil)
	_ replica.Server  = (*Redis)(nil)
)

// Redis is a server in memory, of one database: keys, a stream with its backlog, and what may
// happen to either. Every command is a step of a few bytes.
type Redis struct {
	mu   sync.Mutex
	keys map[string]Value
	// id names the history, offset is its end, first where the backlog begins.
	id            string
	offset, first int64
	before        string
	branch        int64
	backlog       int64
	log           []step
	// transaction is the point before one that is being made.
	transaction *replica.Point
	histories   int
	down        bool
	// until is where the streams are held.
	until       int64
	changed     chan struct{}
	streams     map[*stream]struct{}
	cursors     map[uint64]string
	acknowledge func(id string, offset int64)
	// lapsed are keys whose time has passed: they are gone for whoever reads them.
	lapsed     map[string]bool
	beforehand func()
	meanwhile  func()
	resynced   func()
}

// Value is that of a key: a text, or a hash, a sorted set or a stream where there is one. The
// entries of a stream have one field, n.
type Value struct {
	Text                string
	Hash, Board, Stream map[string]string
}

// kind is its type, as a server calls it.
func (v *Value) kind() string {
	switch {
	case v.Hash != nil:
		return "hash"
	case v.Board != nil:
		return "zset"
	case v.Stream != nil:
		return "stream"
	}
	return "string"
}

// step is one command of the stream.
type step struct {
	effects []replica.Effect
	end     int64
	safe    replica.Point
	undo    map[string]*Value
	// open says that the transaction that it is part of goes on.
	open bool
}

// commandBytes is how long a command is, pingBytes how long a PING.
const (
	commandBytes = 10
	pingBytes    = 14
)

// NewRedis is an empty server.
func NewRedis() *Redis {
	r := &Redis{
		keys: make(map[string]Value), changed: make(chan struct{}), streams: make(map[*stream]struct{}), cursors: make(map[uint64]string), lapsed: make(map[string]bool),
		until: math.MaxInt64,
	}
	r.begin("")
	return r
}

// begin gives the history another name.
func (r *Redis) begin(before string) {
	r.histories++
	r.id, r.before = fmt.Sprintf("history-%d", r.histories), before
}

func (r *Redis) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Ping adds to the stream what changes nothing.
func (r *Redis) Ping() {
	r.mu.Lock()
	defer r.mu.Unlock()
	safe := replica.Point{Offset: r.offset}
	if n := len(r.log); n > 0 {
		safe = r.log[n-1].safe
	}
	r.ping(pingBytes, safe)
}

func (r *Redis) ping(bytes int64, safe replica.Point) {
	r.offset += bytes
	r.log = append(r.log, step{nil, r.offset, safe, nil, false})
	r.wake()
}

// Cut ends all streams.
func (r *Redis) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut()
}

func (r *Redis) cut() {
	for s := range r.streams {
		s.closed = s.closed || !s.deaf
	}
	r.wake()
}

// Deafen has the streams of now hear nothing any more, not even that they have ended.
func (r *Redis) Deafen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.streams {
		s.deaf = true
	}
}

// Away takes the server away, or brings it back.
func (r *Redis) Away(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down = away; away {
		r.cut()
	}
}

// Hold keeps the streams from moving, or has them move on.
func (r *Redis) Hold(held bool) {
	if held {
		r.HoldAt(0)
		return
	}
	r.HoldAt(math.MaxInt64)
}

// HoldAt keeps the streams from moving beyond the offset.
func (r *Redis) HoldAt(offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until = offset
	r.wake()
}

// Keep says how many bytes of the stream are kept, as far as the server tells: they are all
// kept until it is overrun.
func (r *Redis) Keep(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.backlog = bytes
}

// Overrun empties the backlog.
func (r *Redis) Overrun() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first = r.offset
}

// Restart is that of a server which kept its keys but for what the last steps made of them, and
// no history.
func (r *Redis) Restart(missing int) (lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut()
	lost = r.lose(missing)
	r.begin("")
	r.offset, r.first, r.branch, r.log = 0, 0, 0, nil
	return lost
}

// FailOver makes a replica the primary that had not read the last steps.
func (r *Redis) FailOver(missing int) (lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut()
	lost = r.lose(missing)
	r.branch = r.offset
	r.begin(r.id)
	return lost
}

// lose takes back what the last steps did, and all of a transaction that one is part of.
func (r *Redis) lose(missing int) (lost int) {
	for ; len(r.log) > 0 && r.log[len(r.log)-1].end > r.first && (lost < missing || r.log[len(r.log)-1].open); lost++ {
		last := r.log[len(r.log)-1]
		for key, v := range last.undo {
			if v == nil {
				delete(r.keys, key)
			} else {
				r.keys[key] = *v
			}
		}
		r.log = r.log[:len(r.log)-1]
		if r.offset = r.first; len(r.log) > 0 {
			r.offset = r.log[len(r.log)-1].end
		}
	}
	return lost
}

// Acknowledged has a function called with whatever is acknowledged.
func (r *Redis) Acknowledged(call func(id string, offset int64)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acknowledge = call
}

// Text is the text of a key.
func (r *Redis) Text(key string) (string, bool) {
	v, ok := r.get(key)
	return v.Text, ok && v.kind() == "string"
}

// Hash is that of the key, or nil.
func (r *Redis) Hash(key string) map[string]string {
	v, _ := r.get(key)
	return maps.Clone(v.Hash)
}

// Board is the sorted set of the key, or nil.
func (r *Redis) Board(key string) map[string]string {
	v, _ := r.get(key)
	return maps.Clone(v.Board)
}

// Stream has the entries of the key by their ids, or is nil.
func (r *Redis) Stream(key string) map[string]string {
	v, _ := r.get(key)
	return maps.Clone(v.Stream)
}

// Type is what a key holds: empty if it is not there.
func (r *Redis) Type(key string) string {
	if v, ok := r.get(key); ok {
		return v.kind()
	}
	return ""
}

func (r *Redis) get(key string) (Value, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.keys[key]
	return v, ok
}

// End is the history and its offset.
func (r *Redis) End() (id string, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id, r.offset
}
