// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/replica"
)

// StoreConforms proves that a database keeps of sources what they rely on. make makes an
// empty one for each test.
func StoreConforms(t *testing.T, make func(t *testing.T) replica.Store) {
	for name, test := range map[string]func(*storeTest){
		"one member reads a source":                      (*storeTest).leases,
		"a lease that is over goes to the next member":   (*storeTest).leaseOver,
		"a lease that is released is free at once":       (*storeTest).released,
		"of many members one reads":                      (*storeTest).manyMembers,
		"sources know nothing of each other":             (*storeTest).sourcesApart,
		"a position comes back as it was written":        (*storeTest).position,
		"only the reader moves the position":             (*storeTest).moveFenced,
		"a history has a number of its own":              (*storeTest).histories,
		"what waits aside comes back as it was written":  (*storeTest).aside,
		"a letter comes back as it was written":          (*storeTest).letters,
		"a letter takes the place of its retry":          (*storeTest).letterAfterRetry,
		"what is gone takes retries and letters along":   (*storeTest).gone,
		"a whole key takes its members along":            (*storeTest).wholeKey,
		"what is gone comes before what is new":          (*storeTest).goneFirst,
		"letters are read by pages":                      (*storeTest).pages,
		"names are bytes":                                (*storeTest).names,
		"a call that is repeated changes nothing":        (*storeTest).repeated,
		"of two that have one name the last one counts":  (*storeTest).twice,
		"a letter is read whole":                         (*storeTest).whole,
		"a letter that is asked for stays until settled": (*storeTest).asked,
		"a letter is asked for unless it has changed":    (*storeTest).askedInVain,
		"a letter that is discarded is gone":             (*storeTest).discarded,
		"a key is read anew unless it is aside":          (*storeTest).reread,
		"only the reader settles":                        (*storeTest).settleFenced,
		"a call of somebody who has given up fails":      (*storeTest).givenUp,
	} {
		t.Run(name, func(t *testing.T) { test(&storeTest{Store: make(t), t: t}) })
	}
}

const (
	suiteSource = "shop/cache"
	suiteQueue  = "products"
	// long is a lease that does not run out within a test.
	long = time.Hour
)

type storeTest struct {
	replica.Store
	t *testing.T
}

func (s *storeTest) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// lease asks for the suite's source.
func (s *storeTest) lease(member string, ttl time.Duration) replica.Hold {
	s.t.Helper()
	hold, err := s.Lease(s.t.Context(), suiteSource, member, ttl)
	s.must(err)
	return hold
}

// read makes a member the reader, and gives its epoch.
func (s *storeTest) read() int64 {
	s.t.Helper()
	hold := s.lease("reader", long)
	if hold.Member != "reader" || hold.Epoch <= 0 {
		s.t.Fatalf("The lease of a source that nobody reads is %+v", hold)
	}
	return hold.Epoch
}

// deposed wants the error of whoever does not read the source any more.
func (s *storeTest) deposed(what string, err error) {
	s.t.Helper()
	if !errors.Is(err, replica.ErrDeposed) {
		s.t.Errorf("%s = %v; want ErrDeposed", what, err)
	}
}

func (s *storeTest) at(source string) replica.Position {
	s.t.Helper()
	p, err := s.Position(s.t.Context(), source)
	s.must(err)
	return plain(p)
}

// plain makes empty what may as well be missing.
func plain(p replica.Position) replica.Position {
	if len(p.Scanned) == 0 {
		p.Scanned = nil
	}
	for _, of := range []*map[string]int64{&p.Losses, &p.Writes, &p.Coalesced, &p.Flushed} {
		if len(*of) == 0 {
			*of = nil
		}
	}
	return p
}

func (s *storeTest) settle(epoch int64, settled replica.Settled) int64 {
	s.t.Helper()
	superseded, err := s.Settle(s.t.Context(), suiteSource, epoch, settled)
	s.must(err)
	return superseded
}

func (s *storeTest) superseded(got, want int64) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%d letters are superseded; want %d", got, want)
	}
}

// waits wants these to wait aside.
func (s *storeTest) waits(want ...replica.Retry) {
	s.t.Helper()
	got, err := s.Aside(s.t.Context(), suiteSource)
	s.must(err)
	same(s, "Aside", got, want)
}

// dead wants these letters of the suite's queue, and their number.
func (s *storeTest) dead(want ...replica.Letter) {
	s.t.Helper()
	got, err := s.Letters(s.t.Context(), suiteSource, replica.Name{Queue: suiteQueue}, 100)
	s.must(err)
	same(s, "Letters", got, want)
	counts, err := s.Dead(s.t.Context(), suiteSource)
	s.must(err)
	if counts[suiteQueue] != int64(len(want)) {
		s.t.Errorf("Dead = %v; want %d of %s", counts, len(want), suiteQueue)
	}
}

// same compares lists, of which times may be in any place.
func same[E any](s *storeTest, what string, got, want []E) {
	s.t.Helper()
	if len(got) != len(want) {
		s.t.Errorf("%s gives %d: %+v; want %d: %+v", what, len(got), got, len(want), want)
		return
	}
	for i := range got {
		if g, w := inUTC(got[i]), inUTC(want[i]); !reflect.DeepEqual(g, w) {
			s.t.Errorf("%s gives, at %d,\n%+v; want\n%+v", what, i, g, w)
		}
	}
}

func inUTC(v any) any {
	switch v := v.(type) {
	case replica.Retry:
		v.FirstRefused, v.Due = v.FirstRefused.UTC(), v.Due.UTC()
		return v
	case replica.Letter:
		v.FirstFailure, v.LastFailure = v.FirstFailure.UTC(), v.LastFailure.UTC()
		return v
	}
	return v
}

func named(key, member string) replica.Name {
	return replica.Name{Queue: suiteQueue, Key: key, Member: member}
}

// clock is a time as a database keeps it, to the µs.
var clock = time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)

func retry(n replica.Name, attempts int) replica.Retry {
	return replica.Retry{
		Name: n, Word: replica.Deleted, Attempts: attempts, FirstRefused: clock, Due: clock.Add(time.Duration(attempts) * time.Second), History: 3, Offset: 1 << 40,
	}
}

func letter(n replica.Name, version int64) replica.Letter {
	return replica.Letter{Name: n, DeadLetter: entry.DeadLetter{
		Key: n.Key, Operation: entry.Set.Name, Version: version, Attempts: 4, Cause: entry.CauseRefused, SQLState: "23514",
		Constraint: "price_check", Column: "price", Message: "the row\n\"violates\" Käse",
		FirstFailure: clock, LastFailure: clock.Add(time.Minute),
	}}
}
