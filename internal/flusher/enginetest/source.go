// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

var _ flusher.Source = (*Source)(nil)

// Source is a source of entries in memory. Set, Delete and Write are what an application calls.
type Source struct {
	mu     sync.Mutex
	queues map[string]*queue
	began  int64
}

// queue is one life of a queue.
type queue struct {
	settings    config.QueueSettings
	incarnation string
	// fresh is set until a term has begun, in a queue whose loss nobody would notice.
	fresh      bool
	members    map[string]time.Time
	partitions []*partition
	left       int64
	stats      entry.Stats
	onlooker   string
	onlooks    time.Time
}

type partition struct {
	holder string
	expiry time.Time
	// epoch, step and incarnation are those of the term that has begun.
	epoch, step int64
	incarnation string
	// order are the rows that are claimed next, by entry.Row as all below, due the times of
	// those that wait aside.
	order   []string
	due     map[string]time.Time
	entries map[string]*entry.Entry
	letters map[string]*entry.DeadLetter
	// floor is the lowest version that may be given out, top the highest that was settled as
	// Done.
	floor, top int64
	// claim is the number given out last, out how many entries of it are not acknowledged.
	claim, acknowledged int64
	out                 int
}

// NewSource makes an empty source.
func NewSource() *Source {
	return &Source{queues: make(map[string]*queue), began: time.Now().UnixMicro()}
}

// Set writes a key as an application does, and returns the version.
func (s *Source) Set(name, key, value string) int64 {
	return s.Write(name, entry.Entry{Key: key, Operation: entry.Set, Value: value}, nil)
}

// Delete deletes a key as an application does, and returns the version.
func (s *Source) Delete(name, key string) int64 {
	return s.Write(name, entry.Entry{Key: key, Operation: entry.Delete}, nil)
}

// Write makes the key of the entry dirty with its operation and value, and returns the
// version. Where an entry of the same operation waits, merge says what the two values come
// to; without it the newer one counts. It may be called for a value that is being flushed.
func (s *Source) Write(name string, e entry.Entry, merge func(waits, value string) string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	if q == nil {
		panic("enginetest: there is no queue " + name)
	}
	p := q.partitions[partitionOf(e.Key, len(q.partitions))]
	p.floor = max(p.floor+1, time.Now().UnixMicro())
	e.Version, e.First, e.Writes = p.floor, p.floor, 1
	row := e.Row()
	if before := p.entries[row]; before != nil {
		if merge != nil && before.Operation == e.Operation {
			e.Value = merge(before.Value, e.Value)
		}
		e.First, e.Writes = before.First, before.Writes+1
		if _, aside := p.due[row]; aside {
			delete(p.due, row)
			p.order = append(p.order, row)
		}
	} else {
		p.order = append(p.order, row)
	}
	p.entries[row] = &e
	q.stats.Writes++
	return e.Version
}

// LoseValue takes the value of a dirty key away behind the source's back.
func (s *Source) LoseValue(name, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	e := q.partitions[partitionOf(key, len(q.partitions))].entries[key]
	e.Value, e.Lost = "", true
}

// Wipe loses everything, as a server without persistence does that restarts.
func (s *Source) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queues, s.began = make(map[string]*queue), time.Now().UnixMicro()
}

// Forget makes the source count so many writes less, as a server does that comes back with
// older data.
func (s *Source) Forget(name string, writes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queues[name].stats.Writes -= writes
}

// DeadLetters are those of the queue, by entry.Row.
func (s *Source) DeadLetters(name string) map[string]entry.DeadLetter {
	s.mu.Lock()
	defer s.mu.Unlock()
	letters := make(map[string]entry.DeadLetter)
	for _, p := range s.queues[name].partitions {
		for key, letter := range p.letters {
			letters[key] = *letter
		}
	}
	return letters
}

func partitionOf(key string, partitions int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(partitions)) //nolint:gosec // There are a few partitions.
}

// Check finds nothing wrong.
func (s *Source) Check(ctx context.Context) config.Check {
	if err := ctx.Err(); err != nil {
		return s.Explain(err)
	}
	return config.Check{OK: true}
}

// Prove makes a connection that needs no credentials.
func (s *Source) Prove(ctx context.Context) error { return ctx.Err() }

// Durability claims more than memory keeps.
func (s *Source) Durability(context.Context) (persistence, eviction config.Check) {
	return config.Check{OK: true}, config.Check{OK: true}
}

// Explain takes every error for one of the connection.
func (s *Source) Explain(err error) config.Check {
	return config.Check{Reason: cachev1alpha1.ReasonConnectionFailed, Message: err.Error()}
}

// Close has nothing to close.
func (s *Source) Close() error { return nil }
