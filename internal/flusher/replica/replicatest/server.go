// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/replica"
)

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

// kinds are the types of keys that questions are about.
var kinds = map[replica.Question]string{
	replica.Text: "string", replica.SureText: "string", replica.Fields: "hash", replica.Hash: "hash", replica.Score: "zset", replica.Board: "zset",
	replica.OneEntry: "stream", replica.Entries: "stream",
}

func (r *Redis) answer(ask replica.Ask) replica.Answer {
	v, ok := r.keys[ask.Key]
	ok = ok && !r.lapsed[ask.Key]
	switch kind := v.kind(); {
	case ask.Question == replica.Text && (!ok || kind != "string"):
		return replica.Answer{Found: replica.Unsure}
	case ask.Question == replica.Nothing:
		return replica.Answer{Found: replica.There}
	case !ok:
		return replica.Answer{Found: replica.Gone}
	case kind != kinds[ask.Question]:
		return replica.Answer{Found: replica.OfAnotherType, Type: kind}
	}
	a := replica.Answer{Found: replica.There, Value: v.Text}
	switch ask.Question {
	case replica.Score:
		score, there := v.Board[ask.Members[0]]
		if a.Value = score; !there {
			return replica.Answer{Found: replica.Gone}
		}
	case replica.Board:
		a.Pairs = slices.Sorted(maps.Keys(v.Board))
	case replica.OneEntry:
		n, there := v.Stream[ask.Members[0]]
		if a.Pairs = []string{"n", n}; !there {
			return replica.Answer{Found: replica.Gone}
		}
	case replica.Entries:
		entries(&a, v.Stream, ask.Members)
	case replica.Fields:
		tell(&a, v.Hash, ask.Members)
	case replica.Hash:
		tell(&a, v.Hash, slices.Sorted(maps.Keys(v.Hash)))
	}
	return a
}

// entriesAtOnce is how many entries of a stream an answer has.
const entriesAtOnce = 2

// entries answers with ids from one on, or behind one.
func entries(a *replica.Answer, stream map[string]string, from []string) {
	for _, id := range slices.Sorted(maps.Keys(stream)) {
		if len(from) > 0 && id <= strings.TrimPrefix(from[0], "(") {
			continue
		}
		if a.Pairs = append(a.Pairs, id); len(a.Pairs) == entriesAtOnce {
			a.More = true
			return
		}
	}
	if len(a.Pairs) == 0 {
		a.Found = replica.Gone
	}
}

// tell answers with fields of a hash.
func tell(a *replica.Answer, hash map[string]string, fields []string) {
	for _, field := range fields {
		if text, ok := hash[field]; ok {
			a.Pairs = append(a.Pairs, field, text)
		} else {
			a.Absent = append(a.Absent, field)
		}
	}
	a.Whole = len(a.Pairs) == 2*len(hash)
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
	n, _ := strconv.ParseInt(r.keys[key].Text, 10, 64)
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
	count, _ := strconv.ParseInt(r.keys[key].Text, 10, 64)
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
