// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/postgres"
	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/plural"
)

// streamSource is the stream of replication, and what the database keeps of it.
type streamSource struct {
	rdb      *redis.Client
	client   *replica.Client
	records  *postgres.Sources
	name     string
	patience patience
}

// beat is how often the position is looked at. The source moves it once a second.
const beat = 200 * time.Millisecond

func newStream(c *config.Config, d *postgres.Database) *streamSource {
	rdb := journal.Dial(c.Redis.External, 1)
	return &streamSource{
		rdb: rdb, client: replica.NewClient(c.Redis.External, rdb), records: d.Sources(), name: replica.NameOf(c),
		patience: patience{long: min(2*c.Flush.Interval()+5*time.Second, longestPatience)},
	}
}

func (s *streamSource) close() { _ = s.client.Close() }

func (s *streamSource) explain(err error) string {
	if errors.Is(err, context.Canceled) {
		return interrupted
	}
	return s.client.Explain(err).Message
}

func (s *streamSource) look(ctx context.Context, m *config.Mapping, keys []string) ([]known, error) {
	surveys, err := s.client.Survey(ctx, m, keys)
	if err != nil {
		return nil, err
	}
	// What is set aside is read after the values: what was refused of them is there by then, or
	// the stream was not carried to it.
	looks := make([]known, len(keys))
	at := make(map[string]*known, len(keys))
	for i := range surveys {
		looks[i] = surveyed(keys[i], &surveys[i])
		at[keys[i]] = &looks[i]
	}
	retries, letters, err := s.aside(ctx, m, keys)
	if err != nil {
		return nil, databaseError{err}
	}
	for i := range retries {
		if k := at[retries[i].Key]; k != nil {
			k.waits = true
		}
	}
	for i := range letters {
		if k := at[letters[i].Name.Key]; k != nil {
			k.dead = k.dead || !letters[i].Rereads()
			k.waits = k.waits || letters[i].Rereads()
		}
	}
	return looks, nil
}

// aside is what the database has aside of keys.
func (s *streamSource) aside(ctx context.Context, m *config.Mapping, keys []string) (retries []replica.Retry, letters []replica.Letter, err error) {
	retries, err = patiently(ctx, func() (some []replica.Retry, err error) {
		some, letters, err = s.records.Of(ctx, s.name, m.Name, keys)
		return some, err
	})
	return retries, letters, err
}

func (s *streamSource) position(ctx context.Context) (replica.Position, error) {
	return patiently(ctx, func() (replica.Position, error) { return s.records.Position(ctx, s.name) })
}

// databaseError marks what a source asked of the database.
type databaseError struct{ error }

func (e databaseError) Unwrap() error { return e.error }

func surveyed(key string, of *replica.Survey) known {
	k := known{key: key, entries: of.Entries, members: of.Members, id: of.ID, offset: of.Offset}
	switch of.Found {
	case replica.There:
		k.found = present
	case replica.OfAnotherType:
		k.found, k.kind = ofAnotherType, of.Type
	}
	return k
}

// settled moves the stream on by the witness, and waits until it was carried to where the keys
// were read.
func (s *streamSource) settled(ctx context.Context, looks []known) (bool, error) {
	var id string
	var offset int64
	for i := range looks {
		if id != "" && looks[i].id != id {
			return false, nil
		}
		id, offset = looks[i].id, max(offset, looks[i].offset)
	}
	if id == "" {
		return true, nil
	}
	if _, err := s.client.Testify(ctx, replica.WitnessOf(s.name), id, 0); err != nil {
		if errors.Is(err, replica.ErrOtherServer) {
			return false, nil
		}
		return false, err
	}
	began := time.Now()
	for {
		position, err := s.position(ctx)
		switch {
		case err != nil:
			return false, databaseError{err}
		case position.ReplicationID == id && position.Offset >= offset:
			return true, nil
		case s.patience.over(time.Since(began), position.ReplicationID, position.Offset):
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(beat):
		}
	}
}

func (s *streamSource) again(ctx context.Context, m *config.Mapping, keys []string) ([]bool, error) {
	done, err := s.records.Reread(ctx, s.name, m.Name, keys)
	if errors.Is(err, replica.ErrManyRereads) {
		return nil, &busyError{fmt.Sprintf("the flusher has %s to read anew, and takes none: see whether one runs, and what its log says",
			plural.Of(replica.MostRereads, "key", "keys"))}
	}
	if err != nil {
		return nil, databaseError{err}
	}
	return done, nil
}

func (s *streamSource) scan(ctx context.Context, prefix string, cursor uint64) (scanned, error) {
	return scan(ctx, s.rdb, prefix, cursor)
}

func (s *streamSource) tell(ctx context.Context, m *config.Mapping, key string, e *Explanation) []entry.Entry {
	partition := replica.Partition(m, key)
	e.Partition = &partition
	e.State = StateUnknown
	entries, carried := s.tellValue(ctx, m, key, e)
	retries, letters, err := s.aside(ctx, m, []string{key})
	var reader postgres.Reader
	if err == nil {
		reader, err = patiently(ctx, func() (postgres.Reader, error) { return s.records.Reader(ctx, s.name) })
	}
	if err != nil {
		e.problem("PostgreSQL: " + ofDatabase(err))
		e.State = StateUnknown
		return entries
	}
	if reader.Member != "" {
		e.Holder = &Holder{Flusher: reader.Member, Epoch: reader.Epoch, Until: reader.Until.UTC(), Runs: reader.Runs}
	}
	switch {
	case carried:
		e.State = StateClean
	case e.Stream != nil:
		e.State = StateOnItsWay
	}
	for i := range letters {
		l := letters[i]
		if l.Rereads() {
			e.State = StateDirty
			continue
		}
		l.DeadLetter.Member = l.Name.Member
		e.Letters = append(e.Letters, LetterOf(&l.DeadLetter))
		if e.State == StateClean {
			e.State = StateDead
		}
	}
	for i := range retries {
		r := &retries[i]
		e.State = StateWaiting
		if refused := r.FirstRefused.UTC(); e.Refused == nil || refused.Before(*e.Refused) {
			e.Refused = &refused
		}
		if due := r.Due.UTC(); e.Due == nil || due.Before(*e.Due) {
			e.Due = &due
		}
		e.Attempts = max(e.Attempts, r.Attempts)
	}
	return entries
}

// tellValue tells what Redis holds, and whether the stream was carried to where it was read.
func (s *streamSource) tellValue(ctx context.Context, m *config.Mapping, key string, e *Explanation) (entries []entry.Entry, carried bool) {
	surveys, err := s.client.Survey(ctx, m, []string{key})
	if err != nil {
		e.problem("Redis: " + s.explain(err))
		return nil, false
	}
	k := surveyed(key, &surveys[0])
	e.Redis = Held{Asked: true, There: k.found != absent, Type: k.kind}
	if k.found == present {
		e.Redis.Type = kindOf(m)
	}
	// Not every user may ask for it, and nothing depends on it.
	if left, err := s.rdb.PTTL(ctx, key).Result(); err == nil && left > 0 {
		seconds := left.Seconds()
		e.Redis.ExpiresInSeconds = &seconds
	}
	switch {
	case k.found == ofAnotherType:
		e.problem(otherType(m, k.kind))
	case k.found == present && hasMembers(m):
		e.Redis.Members = new(max(k.members, len(k.entries)))
	case k.found == present:
		e.Redis.setValue(k.entries[0].Value)
	}
	carried, err = s.settled(ctx, []known{k})
	if of, ok := errors.AsType[databaseError](err); ok {
		e.problem("PostgreSQL: " + ofDatabase(of.error))
		return k.entries, false
	}
	if err != nil {
		e.problem("Redis: " + s.explain(err))
		return k.entries, false
	}
	position, err := s.position(ctx)
	if err != nil {
		e.problem("PostgreSQL: " + ofDatabase(err))
		return k.entries, false
	}
	if surveys, err = s.client.Survey(ctx, m, []string{key}); err == nil && carried {
		// It may have been written meanwhile.
		now := surveyed(key, &surveys[0])
		carried = k.same(&now)
	}
	e.Stream = &Stream{Redis: k.offset, Carried: position.Offset, SameHistory: position.ReplicationID == k.id}
	return k.entries, carried
}
