// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/replica"
)

var _ replica.Store = (*Store)(nil)

// Store keeps in memory what a database keeps of sources. Its zero value is empty.
type Store struct {
	mu      sync.Mutex
	sources map[string]*source
	history int64
}

// source is what is kept of one source.
type source struct {
	// member reads, or nobody, until the time.
	member   string
	until    time.Time
	epoch    int64
	position replica.Position
	requests int64
	retries  map[replica.Name]replica.Retry
	letters  map[replica.Name]replica.Letter
}

// gaveUp is the fault of a call whose caller has given up.
func gaveUp(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &entry.Fault{Kind: entry.Transient, Reason: cachev1alpha1.ReasonConnectionFailed, Message: err.Error(), Err: err}
	}
	return nil
}

// open locks the store for a call that has not given up.
func (s *Store) open(ctx context.Context) (unlock func(), err error) {
	if err := gaveUp(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	return s.mu.Unlock, nil
}

// readBy finds the source for its reader.
func (s *Store) readBy(name string, epoch int64) (*source, error) {
	of := s.sources[name]
	if of == nil || of.member == "" || of.epoch != epoch {
		return nil, replica.ErrDeposed
	}
	return of, nil
}

// Lease gives the source to the member, or tells who has it.
func (s *Store) Lease(ctx context.Context, name, member string, ttl time.Duration) (replica.Hold, error) {
	unlock, err := s.open(ctx)
	if err != nil {
		return replica.Hold{}, err
	}
	defer unlock()
	now := time.Now()
	of := s.sources[name]
	if of == nil {
		of = &source{retries: make(map[replica.Name]replica.Retry), letters: make(map[replica.Name]replica.Letter)}
		if s.sources == nil {
			s.sources = make(map[string]*source)
		}
		s.sources[name] = of
	}
	switch {
	case of.member == member:
		of.until = now.Add(ttl)
	case of.member == "" || !now.Before(of.until):
		of.member, of.until, of.epoch = member, now.Add(ttl), max(of.epoch+1, now.UnixMicro())
	}
	return replica.Hold{Member: of.member, Epoch: of.epoch, Requests: of.requests}, nil
}

// Release ends the lease of the epoch.
func (s *Store) Release(ctx context.Context, name string, epoch int64) error {
	unlock, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if of, err := s.readBy(name, epoch); err == nil {
		of.member = ""
	}
	return nil
}

// Position copies the position of the source.
func (s *Store) Position(ctx context.Context, name string) (replica.Position, error) {
	unlock, err := s.open(ctx)
	if err != nil {
		return replica.Position{}, err
	}
	defer unlock()
	if of := s.sources[name]; of != nil {
		return copied(of.position), nil
	}
	return replica.Position{}, nil
}

// copied shares nothing with the position.
func copied(p replica.Position) replica.Position {
	p.Scanned = slices.Clone(p.Scanned)
	p.Losses, p.Writes = maps.Clone(p.Losses), maps.Clone(p.Writes)
	p.Coalesced, p.Flushed = maps.Clone(p.Coalesced), maps.Clone(p.Flushed)
	return p
}

// Move takes the position from the source's reader.
func (s *Store) Move(ctx context.Context, name string, epoch int64, to replica.Position) error {
	unlock, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	of, err := s.readBy(name, epoch)
	if err != nil {
		return err
	}
	of.position = copied(to)
	return nil
}

// NextHistory counts the histories of all sources.
func (s *Store) NextHistory(ctx context.Context) (int64, error) {
	unlock, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	s.history = max(s.history+1, time.Now().UnixMicro())
	return s.history, nil
}

// Settle takes from the source's reader what became of entries that are not rows.
func (s *Store) Settle(ctx context.Context, name string, epoch int64, settled replica.Settled) (superseded int64, err error) {
	unlock, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	of, err := s.readBy(name, epoch)
	if err != nil {
		return 0, err
	}
	before := of.dead()
	for _, gone := range settled.Gone {
		covers := func(n replica.Name) bool {
			return n == gone || gone.Member == "" && n.Queue == gone.Queue && n.Key == gone.Key
		}
		maps.DeleteFunc(of.retries, func(n replica.Name, _ replica.Retry) bool { return covers(n) })
		maps.DeleteFunc(of.letters, func(n replica.Name, _ replica.Letter) bool { return covers(n) })
	}
	superseded = int64(before - of.dead())
	for _, n := range settled.Unasked {
		letter, ok := of.letters[n]
		switch {
		case !ok:
		case letter.Rereads():
			delete(of.letters, n)
		default:
			letter.Asked = false
			of.letters[n] = letter
		}
	}
	for _, retry := range settled.Retries {
		of.retries[retry.Name] = retry
	}
	last := make(map[replica.Name]replica.Letter, len(settled.Letters))
	for _, letter := range settled.Letters {
		letter.DeadLetter.Key, letter.Raw, letter.Partition, letter.Asked = letter.Name.Key, "", "", false
		last[letter.Name] = letter
	}
	for n, letter := range last {
		if earlier, ok := of.letters[n]; ok && !earlier.Rereads() && earlier.Version != letter.Version {
			superseded++
		}
		of.letters[n] = letter
		delete(of.retries, n)
	}
	return superseded, nil
}

func compareNames(a, b replica.Name) int {
	return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Member, b.Member))
}

// Aside lists the source's retries.
func (s *Store) Aside(ctx context.Context, name string) ([]replica.Retry, error) {
	unlock, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	of := s.sources[name]
	if of == nil {
		return nil, nil
	}
	return slices.SortedFunc(maps.Values(of.retries), func(a, b replica.Retry) int { return compareNames(a.Name, b.Name) }), nil
}

// Dead counts the source's letters.
func (s *Store) Dead(ctx context.Context, name string) (map[string]int64, error) {
	unlock, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	dead := make(map[string]int64)
	if of := s.sources[name]; of != nil {
		for n, letter := range of.letters {
			if !letter.Rereads() {
				dead[n.Queue]++
			}
		}
	}
	return dead, nil
}

// Letters lists letters of the source without their payloads.
func (s *Store) Letters(ctx context.Context, name string, after replica.Name, most int) ([]replica.Letter, error) {
	unlock, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	of := s.sources[name]
	if of == nil {
		return nil, nil
	}
	var found []replica.Letter
	for n, letter := range of.letters {
		if n.Queue == after.Queue && compareNames(n, after) > 0 {
			letter.Payload = ""
			found = append(found, letter)
		}
	}
	slices.SortFunc(found, func(a, b replica.Letter) int { return compareNames(a.Name, b.Name) })
	return found[:min(most, len(found))], nil
}

// Letter finds a letter of the source.
func (s *Store) Letter(ctx context.Context, name string, of replica.Name) (replica.Letter, error) {
	unlock, err := s.open(ctx)
	if err != nil {
		return replica.Letter{}, err
	}
	defer unlock()
	if source := s.sources[name]; source != nil {
		if letter, ok := source.letters[of]; ok {
			return letter, nil
		}
	}
	return replica.Letter{}, entry.ErrNoLetter
}

// Ask notes that a letter is to be tried again.
func (s *Store) Ask(ctx context.Context, name string, of replica.Name, version int64) error {
	return s.request(ctx, name, of, version, func(source *source, letter replica.Letter) error {
		if _, ok := source.retries[of]; ok {
			return entry.ErrSuperseded
		}
		letter.Asked = true
		source.letters[of] = letter
		return nil
	})
}

// dead counts what is no wish to have a key read anew.
func (s *source) dead() (n int) {
	for _, letter := range s.letters {
		if !letter.Rereads() {
			n++
		}
	}
	return n
}

// Reread notes that keys are to be read anew.
func (s *Store) Reread(ctx context.Context, name, queue string, keys []string) ([]bool, error) {
	unlock, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	of := s.sources[name]
	if of == nil {
		return nil, entry.ErrNoQueue
	}
	if len(of.letters)-of.dead() >= replica.MostRereads {
		return nil, replica.ErrManyRereads
	}
	of.requests++
	aside := make(map[string]bool)
	for _, names := range []iter.Seq[replica.Name]{maps.Keys(of.letters), maps.Keys(of.retries)} {
		for n := range names {
			aside[n.Key] = aside[n.Key] || n.Queue == queue
		}
	}
	done := make([]bool, len(keys))
	for i, key := range keys {
		if aside[key] {
			continue
		}
		aside[key] = true
		n := replica.Name{Queue: queue, Key: key}
		of.letters[n] = replica.Letter{Name: n, DeadLetter: entry.DeadLetter{Key: key, Operation: replica.OperationReread}, Asked: true}
		done[i] = true
	}
	return done, nil
}

// Discard takes a letter away.
func (s *Store) Discard(ctx context.Context, name string, of replica.Name, version int64) error {
	return s.request(ctx, name, of, version, func(source *source, _ replica.Letter) error {
		delete(source.letters, of)
		return nil
	})
}

func (s *Store) request(ctx context.Context, name string, of replica.Name, version int64, do func(*source, replica.Letter) error) error {
	unlock, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	source := s.sources[name]
	if source == nil {
		return entry.ErrNoLetter
	}
	letter, ok := source.letters[of]
	if !ok || letter.Version != version {
		return entry.ErrNoLetter
	}
	source.requests++
	return do(source, letter)
}
