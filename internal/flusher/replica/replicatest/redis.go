// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
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
	keys map[string]value
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
	down, held  bool
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

// value is that of a key: a text or a hash.
type value struct {
	text string
	hash map[string]string
}

// step is one command of the stream.
type step struct {
	effects []replica.Effect
	end     int64
	safe    replica.Point
	undo    map[string]*value
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
		keys: make(map[string]value), changed: make(chan struct{}), streams: make(map[*stream]struct{}), cursors: make(map[uint64]string), lapsed: make(map[string]bool),
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
		s.closed = true
	}
	r.wake()
}

// Away takes the server away, or brings it back.
func (r *Redis) Away(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down = away; away {
		r.cut()
	}
}

// Hold keeps the streams from moving.
func (r *Redis) Hold(held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = held
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

// Restart is that of a server which kept its keys, and no history.
func (r *Redis) Restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut()
	r.begin("")
	r.offset, r.first, r.branch, r.log = 0, 0, 0, nil
}

// FailOver makes a replica the primary that had not read the last steps.
func (r *Redis) FailOver(missing int) (lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut()
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
	r.branch = r.offset
	r.begin(r.id)
	return lost
}

// Acknowledged has a function called with whatever is acknowledged.
func (r *Redis) Acknowledged(call func(id string, offset int64)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acknowledge = call
}

// Text is the text of a key, Hash a hash.
func (r *Redis) Text(key string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.keys[key]
	return v.text, ok
}

// Hash is that of the key, or nil.
func (r *Redis) Hash(key string) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.keys[key].hash)
}

// End is the history and its offset.
func (r *Redis) End() (id string, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id, r.offset
}

var errAway = errors.New("nobody is there")

// stream is a replica's.
type stream struct {
	of        *Redis
	interest  replica.Interest
	id        string
	continued bool
	start     replica.Point
	at        int64
	acked     int64
	closed    bool
}

// Attach goes on with a stream, or begins another one.
func (r *Redis) Attach(_ context.Context, id string, at replica.Point) (replica.Replication, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil, errAway
	}
	s := &stream{of: r, id: r.id, start: at, at: at.Offset}
	s.continued = at.Offset >= r.first && (id == r.id && at.Offset <= r.offset || id != "" && id == r.before && at.Offset <= r.branch)
	if !s.continued {
		s.start, s.at = replica.Point{Offset: r.offset}, r.offset
	}
	r.streams[s] = struct{}{}
	if !s.continued && r.resynced != nil {
		resynced := r.resynced
		r.mu.Unlock()
		resynced()
		r.mu.Lock()
	}
	return s, nil
}

// Resynced has a function called with every full resync.
func (r *Redis) Resynced(call func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resynced = call
}

func (s *stream) ID() string               { return s.id }
func (s *stream) Continued() bool          { return s.continued }
func (s *stream) Start() replica.Point     { return s.start }
func (s *stream) Watch(i replica.Interest) { s.interest = i }

func (s *stream) Next() (replica.Batch, error) {
	for {
		s.of.mu.Lock()
		if s.closed {
			s.of.mu.Unlock()
			return replica.Batch{}, errAway
		}
		i, _ := slices.BinarySearchFunc(s.of.log, s.at+1, func(st step, at int64) int { return int(st.end - at) })
		if i < len(s.of.log) && !s.of.held {
			st := s.of.log[i]
			s.at = st.end
			s.of.mu.Unlock()
			return s.batch(st), nil
		}
		changed := s.of.changed
		s.of.mu.Unlock()
		<-changed
	}
}

// batch has the effects of interest.
func (s *stream) batch(st step) replica.Batch {
	b := replica.Batch{Safe: st.safe, Read: st.end}
	for _, e := range st.effects {
		if e.Prefix >= 0 {
			e.Prefix = slices.IndexFunc(s.interest.Prefixes, func(p string) bool { return strings.HasPrefix(string(e.Key), p) })
			if e.Prefix < 0 {
				continue
			}
		}
		b.Effects = append(b.Effects, e)
	}
	return b
}

func (s *stream) Acknowledge(offset int64) {
	s.of.mu.Lock()
	call := s.of.acknowledge
	raised := !s.closed && offset > s.acked
	if raised {
		s.acked = offset
	}
	s.of.mu.Unlock()
	if raised && call != nil {
		call(s.id, offset)
	}
}

func (s *stream) Close() error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	delete(s.of.streams, s)
	s.closed = true
	s.of.wake()
	return nil
}

// Read answers as of now.
func (r *Redis) Read(ctx context.Context, asks []replica.Ask) (replica.Reading, error) {
	r.mu.Lock()
	beforehand := r.beforehand
	r.beforehand = nil
	r.mu.Unlock()
	if beforehand != nil {
		beforehand()
	}
	reading, err := r.Look(ctx)
	if err != nil {
		return reading, err
	}
	r.mu.Lock()
	reading.ID, reading.Offset, reading.Before, reading.Branch = r.id, r.offset, r.before, r.branch
	for _, ask := range asks {
		reading.Answers = append(reading.Answers, r.answer(ask))
	}
	meanwhile := r.meanwhile
	r.meanwhile = nil
	r.mu.Unlock()
	r.lapse(asks)
	if meanwhile != nil {
		meanwhile()
	}
	return reading, nil
}

// lapse has keys gone that were read after their time.
func (r *Redis) lapse(asks []replica.Ask) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ask := range asks {
		if r.lapsed[ask.Key] {
			delete(r.lapsed, ask.Key)
			(&Commands{r}).Expire(ask.Key)
			r.wake()
		}
	}
}

// Beforehand has something happen when keys are read next, before the server sees that.
func (r *Redis) Beforehand(happens func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.beforehand = happens
}

// Meanwhile has something happen when keys are read next, before the answer arrives.
func (r *Redis) Meanwhile(happens func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meanwhile = happens
}

func (r *Redis) answer(ask replica.Ask) replica.Answer {
	v, ok := r.keys[ask.Key]
	ok = ok && !r.lapsed[ask.Key]
	isText := ask.Question == replica.Text || ask.Question == replica.SureText
	switch {
	case ask.Question == replica.Text && (!ok || v.hash != nil):
		return replica.Answer{Found: replica.Unsure}
	case !ok:
		return replica.Answer{Found: replica.Gone}
	case isText != (v.hash == nil):
		return replica.Answer{Found: replica.OfAnotherType, Type: map[bool]string{true: "hash", false: "string"}[v.hash != nil]}
	case isText:
		return replica.Answer{Found: replica.There, Value: v.text}
	}
	a := replica.Answer{Found: replica.There}
	fields := ask.Members
	if ask.Question == replica.Hash {
		fields = slices.Sorted(maps.Keys(v.hash))
	}
	for _, field := range fields {
		if text, ok := v.hash[field]; ok {
			a.Pairs = append(a.Pairs, field, text)
		} else {
			a.Absent = append(a.Absent, field)
		}
	}
	a.Whole = len(a.Pairs) == 2*len(v.hash)
	return a
}

// Look reads nothing.
func (r *Redis) Look(ctx context.Context) (replica.Reading, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return replica.Reading{}, errAway
	}
	return replica.Reading{ID: r.id, Offset: r.offset, Before: r.before, Branch: r.branch, Backlog: r.backlog}, ctx.Err()
}

// scanned is how many keys a page of a scan has.
const scanned = 3

// Scan lists keys in their order.
func (r *Redis) Scan(_ context.Context, prefix string, cursor uint64) (keys []string, next uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil, 0, errAway
	}
	behind := r.cursors[cursor]
	for _, key := range slices.Sorted(maps.Keys(r.keys)) {
		if key <= behind || !strings.HasPrefix(key, prefix) {
			continue
		}
		if len(keys) == scanned {
			next = uint64(len(r.cursors) + 1)
			r.cursors[next] = keys[scanned-1]
			return keys, next, nil
		}
		keys = append(keys, key)
	}
	return keys, 0, nil
}

// Witness reads a count.
func (r *Redis) Witness(_ context.Context, key string) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return 0, errAway
	}
	n, _ := strconv.ParseInt(r.keys[key].text, 10, 64)
	return n, nil
}

// Testify raises a count.
func (r *Redis) Testify(_ context.Context, key, id string, least int64) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.down:
		return 0, errAway
	case r.id != id:
		return 0, replica.ErrOtherServer
	}
	count, _ := strconv.ParseInt(r.keys[key].text, 10, 64)
	count = max(count+1, least)
	(&Commands{r}).Set(key, strconv.FormatInt(count, 10))
	r.wake()
	return count, nil
}

// Check tells whether the server is there.
func (r *Redis) Check(ctx context.Context) config.Check {
	if _, err := r.Look(ctx); err != nil {
		return r.Explain(err)
	}
	return config.Check{OK: true}
}

// Prove makes a connection that needs no credentials.
func (r *Redis) Prove(ctx context.Context) error { return ctx.Err() }

// Durability claims more than memory keeps.
func (r *Redis) Durability(context.Context) (persistence, eviction config.Check) {
	return config.Check{OK: true}, config.Check{OK: true}
}

// Explain takes every error for one of the connection.
func (r *Redis) Explain(err error) config.Check {
	return config.Check{Reason: cachev1alpha1.ReasonConnectionFailed, Message: err.Error()}
}

// Close has nothing to close.
func (r *Redis) Close() error { return nil }
