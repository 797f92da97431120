// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/writebehind/operator/internal/flusher/replica"
)

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
	// deaf says that nothing of the server arrives.
	deaf bool
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
		if i < len(s.of.log) && s.of.log[i].end <= s.of.until && !s.deaf {
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
