// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/plural"
)

// journalSource is the journal in Redis.
type journalSource struct {
	rdb     *redis.Client
	journal *journal.Journal
	// most is how many entries a queue takes, 0 where a full one takes more.
	most int64
}

func newJournal(c *config.Config) *journalSource {
	rdb := journal.Dial(c.Redis.External, 1)
	s := &journalSource{rdb: rdb, journal: journal.New(rdb).WithMappings(c.Mappings).WithMaster(c.Redis.External.MasterName)}
	if c.Backpressure.WhenFull == config.WhenFullReject {
		s.most = int64(c.Backpressure.MaxQueueDepth)
	}
	return s
}

func (s *journalSource) close() { _ = s.rdb.Close() }

func (s *journalSource) explain(err error) string {
	switch check := s.journal.Explain(err); {
	case errors.Is(err, context.Canceled):
		return interrupted
	case errors.Is(err, entry.ErrNoQueue):
		return "the queue is not in this Redis: no flusher has opened it here yet"
	case errors.Is(err, entry.ErrNoFunctions):
		return "this Redis lacks the function library, or has an older one: start a flusher of this release"
	case check.Reason != cachev1alpha1.ReasonCommandFailed:
		return check.Message
	}
	return err.Error()
}

func (s *journalSource) look(ctx context.Context, m *config.Mapping, keys []string) ([]known, error) {
	// The prefix alone is no key of the queue.
	asked := make([]string, 0, len(keys))
	for _, key := range keys {
		if len(key) > len(m.KeyPrefix) {
			asked = append(asked, key)
		}
	}
	facts, err := s.journal.Facts(ctx, m.Name, asked...)
	if err != nil {
		return nil, err
	}
	looks := make([]known, 0, len(keys))
	for i := range facts {
		looks = append(looks, knownOf(&facts[i]))
	}
	return looks, nil
}

func knownOf(f *journal.Facts) known {
	k := known{key: f.Key, waits: f.Entry != nil, dead: f.Letter != nil}
	switch f.Kind {
	case journal.KindNone:
	case journal.KindString:
		k.found = present
		k.entries = []entry.Entry{{Key: f.Key, Operation: entry.Set, Value: f.Value}}
	default:
		k.found, k.kind = ofAnotherType, f.Kind
	}
	return k
}

// settled has nothing to wait for: each look tells what waits.
func (s *journalSource) settled(context.Context, []known) (bool, error) { return true, nil }

// again fills no more than half of a queue: the rest is for the application, whose writes a full
// one refuses.
func (s *journalSource) again(ctx context.Context, m *config.Mapping, keys []string) ([]bool, error) {
	facts, err := s.journal.Facts(ctx, m.Name, keys[0])
	if err != nil {
		return nil, err
	}
	done := make([]bool, 0, len(keys))
	for depth := facts[0].Depth; len(done) < len(keys); depth++ {
		if s.most > 0 && depth >= max(s.most/2, 1) {
			return done, &busyError{fmt.Sprintf("the queue holds %s of at most %d, and a repair fills half of it alone: run it again when they are flushed",
				plural.Of(depth, "entry", "entries"), s.most)}
		}
		version, err := s.journal.Again(ctx, m.Name, keys[len(done)])
		if err != nil {
			return done, err
		}
		done = append(done, version > 0)
	}
	return done, nil
}

func (s *journalSource) scan(ctx context.Context, prefix string, cursor uint64) (scanned, error) {
	return scan(ctx, s.rdb, prefix, cursor)
}

func (s *journalSource) tell(ctx context.Context, m *config.Mapping, key string, e *Explanation) []entry.Entry {
	partition := journal.Partition(key, m.Partitions)
	e.Partition = &partition
	facts, err := s.journal.Facts(ctx, m.Name, key)
	if err != nil {
		e.State = StateUnknown
		e.problem("Redis: " + s.explain(err))
		return nil
	}
	f := &facts[0]
	e.Partition = &f.Partition
	if f.Owner != "" {
		e.Holder = &Holder{Flusher: f.Owner, Epoch: f.Epoch, Until: f.Expiry, Runs: f.Held()}
	}
	e.Versions = &Versions{Committed: f.Top, Floor: f.Floor}
	s.tellState(e, f)
	s.tellRefusal(e, f)
	e.Redis = Held{Asked: true, There: f.Kind != journal.KindNone, Type: f.Kind}
	if !e.Redis.There {
		e.Redis.Type = ""
	}
	// Not every user may ask for it, and nothing depends on it.
	if left, err := s.rdb.PTTL(ctx, key).Result(); err == nil && left > 0 {
		seconds := left.Seconds()
		e.Redis.ExpiresInSeconds = &seconds
	}
	k := knownOf(f)
	if k.found == ofAnotherType {
		e.problem(otherType(m, k.kind))
	}
	for i := range k.entries {
		e.Redis.setValue(k.entries[i].Value)
	}
	if f.Entry != nil && f.Entry.Operation == entry.Delete {
		return nil
	}
	return k.entries
}

// tellRefusal tells why the next write of the key is refused.
func (s *journalSource) tellRefusal(e *Explanation, f *journal.Facts) {
	switch {
	case f.State != config.StateOpen:
		e.Refuses = "WBPAUSED: the queue is being drained, since the resource is being deleted or the mapping was removed"
	case f.Entry == nil && s.most > 0 && f.Depth >= s.most:
		e.Refuses = fmt.Sprintf("WBFULL: the queue holds %s of at most %d (backpressure.maxQueueDepth), dead letters among them",
			plural.Of(f.Depth, "entry", "entries"), s.most)
	}
}

// tellState tells what waits of the key. A newer write goes before a dead letter, which it will
// replace.
func (s *journalSource) tellState(e *Explanation, f *journal.Facts) {
	e.State = StateClean
	if f.Letter != nil {
		e.State = StateDead
		e.Letters = []Letter{LetterOf(f.Letter)}
	}
	if f.Entry == nil {
		return
	}
	e.State = StateDirty
	if f.Entry.Attempts > 0 {
		e.State = StateWaiting
	}
	if f.Entry.Garbled {
		e.problem("the entry of the key in the journal was written by no capture function: it is dropped, and counted as EntryForged")
		return
	}
	e.Versions.Pending, e.Versions.First = f.Entry.Version, f.Entry.First
	e.Attempts, e.Writes = f.Entry.Attempts, f.Entry.Writes
	e.DirtySince, e.Refused = microseconds(f.Entry.First), microseconds(f.Entry.FirstRefused)
	if !f.Due.IsZero() {
		e.Due = &f.Due
	}
}

func microseconds(since int64) *time.Time {
	if since == 0 {
		return nil
	}
	at := time.UnixMicro(since).UTC()
	return &at
}

// LetterOf is a dead letter in short.
func LetterOf(l *entry.DeadLetter) Letter {
	return Letter{
		Member: l.Member, MemberBase64: Bytes(l.Member), Cause: l.Cause, SQLState: l.SQLState, Constraint: l.Constraint, Column: l.Column, Operation: l.Operation,
		Version: l.Version, Attempts: l.Attempts, FirstFailure: l.FirstFailure, LastFailure: l.LastFailure,
	}
}
