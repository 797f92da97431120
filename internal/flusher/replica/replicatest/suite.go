// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest

import (
	"context"
	"errors"
	"reflect"
	"sync"
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

func (s *storeTest) leases() {
	epoch := s.read()
	for range 2 {
		if hold := s.lease("other", long); hold != (replica.Hold{Member: "reader", Epoch: epoch}) {
			s.t.Errorf("Another member's lease is %+v; want the hold of reader at %d", hold, epoch)
		}
		if hold := s.lease("reader", long); hold != (replica.Hold{Member: "reader", Epoch: epoch}) {
			s.t.Errorf("The reader's lease renewed is %+v; want the same epoch %d", hold, epoch)
		}
	}
}

func (s *storeTest) leaseOver() {
	first := s.lease("reader", 0)
	if again := s.lease("reader", 0); again != first {
		s.t.Errorf("A lease that is over, renewed before anybody else came, is %+v; want %+v", again, first)
	}
	second := s.lease("other", long)
	if second.Member != "other" || second.Epoch <= first.Epoch {
		s.t.Errorf("After %+v, which is over, the next lease is %+v", first, second)
	}
	if hold := s.lease("reader", long); hold != second {
		s.t.Errorf("The reader before gets %+v; want %+v", hold, second)
	}
}

func (s *storeTest) released() {
	epoch := s.read()
	for range 2 {
		s.must(s.Release(s.t.Context(), suiteSource, epoch))
	}
	other := s.lease("other", long)
	if other.Member != "other" || other.Epoch <= epoch {
		s.t.Errorf("After a release at %d the next lease is %+v", epoch, other)
	}
	s.must(s.Release(s.t.Context(), suiteSource, epoch))
	if hold := s.lease("reader", long); hold != other {
		s.t.Errorf("A release at an epoch before ended %+v: it is %+v", other, hold)
	}
	s.must(s.Release(s.t.Context(), suiteSource, other.Epoch))
	if again := s.lease("other", long); again.Member != "other" || again.Epoch <= other.Epoch {
		s.t.Errorf("A member that has released the source at %d takes it by %+v", other.Epoch, again)
	}
	s.must(s.Release(s.t.Context(), "unknown", 7))
}

func (s *storeTest) manyMembers() {
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	holds := make([]replica.Hold, len(names))
	var group sync.WaitGroup
	for i, member := range names {
		group.Go(func() {
			var err error
			if holds[i], err = s.Lease(s.t.Context(), suiteSource, member, long); err != nil {
				s.t.Error(err)
			}
		})
	}
	group.Wait()
	for i := range holds {
		if holds[i] != holds[0] || holds[i].Member == "" {
			s.t.Fatalf("Members that come at once hold %+v; want one reader for all", holds)
		}
	}
}

func (s *storeTest) sourcesApart() {
	epoch := s.read()
	other, err := s.Lease(s.t.Context(), "another", "other", long)
	s.must(err)
	if other.Member != "other" {
		s.t.Errorf("The lease of another source is %+v", other)
	}
	s.must(s.Move(s.t.Context(), suiteSource, epoch, replica.Position{History: 1, Offset: 5}))
	s.settle(epoch, replica.Settled{Retries: []replica.Retry{retry(named("r", ""), 1)}, Letters: []replica.Letter{letter(named("l", ""), 1)}})
	if got := s.at("another"); !reflect.DeepEqual(got, replica.Position{}) {
		s.t.Errorf("The position of another source is %+v", got)
	}
	retries, err := s.Aside(s.t.Context(), "another")
	s.must(err)
	letters, err := s.Letters(s.t.Context(), "another", replica.Name{Queue: suiteQueue}, 10)
	s.must(err)
	counts, err := s.Dead(s.t.Context(), "another")
	s.must(err)
	if len(retries)+len(letters)+len(counts) != 0 {
		s.t.Errorf("Another source has %+v, %+v and %v", retries, letters, counts)
	}
	_, err = s.Settle(s.t.Context(), "another", other.Epoch, replica.Settled{Gone: []replica.Name{named("r", ""), named("l", "")}})
	s.must(err)
	s.waits(retry(named("r", ""), 1))
	s.dead(letter(named("l", ""), 1))
	others, err := s.Letters(s.t.Context(), suiteSource, replica.Name{Queue: "orders"}, 10)
	s.must(err)
	if len(others) != 0 {
		s.t.Errorf("Another queue has %+v", others)
	}
}

func (s *storeTest) position() {
	for _, source := range []string{suiteSource, "unknown"} {
		if got := s.at(source); !reflect.DeepEqual(got, replica.Position{}) {
			s.t.Errorf("The position of %s, which never moved, is %+v", source, got)
		}
	}
	epoch := s.read()
	if got := s.at(suiteSource); !reflect.DeepEqual(got, replica.Position{}) {
		s.t.Errorf("The position of a source that is leased is %+v", got)
	}
	for _, want := range []replica.Position{
		{History: 1, ReplicationID: "8f7c0e", Offset: 42},
		{
			History: 1<<62 + 1, ReplicationID: "0123456789abcdef0123456789abcdef01234567", Offset: 1<<62 + 3, Database: 15,
			Scanned: []string{"products:1", "a,b", `{"c"}`, ""}, Witness: 1<<62 + 5,
			Losses: map[string]int64{suiteQueue: 1}, Writes: map[string]int64{suiteQueue: 1<<62 + 7, "orders": 2},
			Coalesced: map[string]int64{suiteQueue: 3}, Flushed: map[string]int64{"orders": 4},
		},
		{History: 2, Writes: map[string]int64{"orders": 3}},
		{},
	} {
		for range 2 {
			s.must(s.Move(s.t.Context(), suiteSource, epoch, want))
			if got := s.at(suiteSource); !reflect.DeepEqual(got, want) {
				s.t.Errorf("The position is %+v; want %+v", got, want)
			}
		}
	}
}

func (s *storeTest) moveFenced() {
	s.deposed("Move of a source that nobody reads", s.Move(s.t.Context(), suiteSource, 1, replica.Position{Offset: 1}))
	first := s.lease("reader", 0)
	want := replica.Position{History: 1, Offset: 10}
	s.must(s.Move(s.t.Context(), suiteSource, first.Epoch, want)) // nobody else has come
	second := s.lease("other", long)
	s.deposed("Move of the reader before", s.Move(s.t.Context(), suiteSource, first.Epoch, replica.Position{History: 1, Offset: 20}))
	s.deposed("Move at an epoch to come", s.Move(s.t.Context(), suiteSource, second.Epoch+1, replica.Position{History: 1, Offset: 30}))
	if got := s.at(suiteSource); !reflect.DeepEqual(got, want) {
		s.t.Errorf("The next reader finds %+v; want %+v", got, want)
	}
	want.Offset = 40
	s.must(s.Move(s.t.Context(), suiteSource, second.Epoch, want))
	s.must(s.Release(s.t.Context(), suiteSource, second.Epoch))
	s.deposed("Move after the release", s.Move(s.t.Context(), suiteSource, second.Epoch, replica.Position{History: 1, Offset: 50}))
	s.read()
	if got := s.at(suiteSource); !reflect.DeepEqual(got, want) {
		s.t.Errorf("After all that the position is %+v; want %+v", got, want)
	}
}

func (s *storeTest) histories() {
	const members, each = 4, 5
	var mu sync.Mutex
	seen := make(map[int64]bool)
	var group sync.WaitGroup
	for range members {
		group.Go(func() {
			var last int64
			for range each {
				next, err := s.NextHistory(s.t.Context())
				if err != nil {
					s.t.Error(err)
					return
				}
				if next <= last {
					s.t.Errorf("After history %d comes %d", last, next)
				}
				last = next
				mu.Lock()
				seen[next] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(seen) != members*each || seen[0] {
		s.t.Errorf("%d histories have %d numbers", members*each, len(seen))
	}
}

func (s *storeTest) aside() {
	s.waits()
	epoch := s.read()
	first, second, third := named("a", ""), named("a", "m"), replica.Name{Queue: "orders", Key: "z"}
	s.superseded(s.settle(epoch, replica.Settled{Retries: []replica.Retry{retry(second, 1), retry(third, 2), retry(first, 3)}}), 0)
	s.waits(retry(third, 2), retry(first, 3), retry(second, 1))
	s.settle(epoch, replica.Settled{Retries: []replica.Retry{retry(first, 4)}})
	s.settle(epoch, replica.Settled{})
	s.waits(retry(third, 2), retry(first, 4), retry(second, 1))
	s.lease("reader", 0)
	s.lease("other", long)
	s.waits(retry(third, 2), retry(first, 4), retry(second, 1))
}

func (s *storeTest) letters() {
	s.dead()
	epoch := s.read()
	full := letter(named("a", "m"), 7)
	full.Payload = "payload\x00\xff"
	other := replica.Letter{Name: named("b", ""), DeadLetter: entry.DeadLetter{
		Key: "b", Operation: entry.Delete.Name, Cause: entry.CauseNotAKey, Message: "\xff", FirstFailure: clock, LastFailure: clock,
	}}
	s.superseded(s.settle(epoch, replica.Settled{Letters: []replica.Letter{other, full}}), 0)
	full.Payload = ""
	s.dead(full, other)
	later := letter(named("a", "m"), 8)
	s.superseded(s.settle(epoch, replica.Settled{Letters: []replica.Letter{later}}), 1)
	s.dead(later, other)
}

func (s *storeTest) letterAfterRetry() {
	epoch := s.read()
	n, other := named("a", "m"), named("a", "n")
	s.settle(epoch, replica.Settled{Retries: []replica.Retry{retry(n, 3), retry(other, 1)}})
	s.settle(epoch, replica.Settled{Letters: []replica.Letter{letter(n, 7)}})
	s.waits(retry(other, 1))
	s.dead(letter(n, 7))
	// A later write of the key waits while the letter of the earlier one is there.
	s.superseded(s.settle(epoch, replica.Settled{Retries: []replica.Retry{retry(n, 1)}}), 0)
	s.waits(retry(n, 1), retry(other, 1))
	s.dead(letter(n, 7))
}

func (s *storeTest) gone() {
	epoch := s.read()
	a, b, c := named("a", ""), named("b", ""), named("c", "m")
	s.settle(epoch, replica.Settled{
		Retries: []replica.Retry{retry(a, 1), retry(b, 1), retry(c, 1)},
	})
	s.settle(epoch, replica.Settled{Letters: []replica.Letter{letter(named("b", "m"), 1), letter(named("d", ""), 1)}})
	s.superseded(s.settle(epoch, replica.Settled{Gone: []replica.Name{a, named("d", ""), named("unknown", "")}}), 1)
	s.waits(retry(b, 1), retry(c, 1))
	s.dead(letter(named("b", "m"), 1))
	s.superseded(s.settle(epoch, replica.Settled{Gone: []replica.Name{c, named("b", "other")}}), 0)
	s.waits(retry(b, 1))
}

func (s *storeTest) wholeKey() {
	epoch := s.read()
	s.settle(epoch, replica.Settled{Letters: []replica.Letter{letter(named("a", ""), 1), letter(named("a", "x"), 1), letter(named("ab", "x"), 1)}})
	s.settle(epoch, replica.Settled{Retries: []replica.Retry{retry(named("a", "y"), 1), retry(named("", "y"), 1)}})
	orders := replica.Name{Queue: "orders", Key: "a", Member: "x"}
	s.settle(epoch, replica.Settled{Letters: []replica.Letter{letter(orders, 1)}})
	s.superseded(s.settle(epoch, replica.Settled{Gone: []replica.Name{named("a", "")}}), 2)
	s.waits(retry(named("", "y"), 1))
	s.dead(letter(named("ab", "x"), 1))
	counts, err := s.Dead(s.t.Context(), suiteSource)
	s.must(err)
	if want := map[string]int64{suiteQueue: 1, "orders": 1}; !reflect.DeepEqual(counts, want) {
		s.t.Errorf("Dead = %v; want %v", counts, want)
	}
}

func (s *storeTest) goneFirst() {
	epoch := s.read()
	key, member := named("a", ""), named("a", "m")
	s.settle(epoch, replica.Settled{Letters: []replica.Letter{letter(member, 1)}, Retries: []replica.Retry{retry(named("a", "n"), 1)}})
	s.superseded(s.settle(epoch, replica.Settled{
		Gone: []replica.Name{key}, Retries: []replica.Retry{retry(named("a", "o"), 2)}, Letters: []replica.Letter{letter(member, 2)},
	}), 1)
	s.waits(retry(named("a", "o"), 2))
	s.dead(letter(member, 2))
}

func (s *storeTest) pages() {
	epoch := s.read()
	all := []replica.Letter{
		letter(named("a", ""), 1), letter(named("a", "m"), 1), letter(named("a", "n"), 1), letter(named("b", ""), 1),
		letter(named("b", "a"), 1), letter(named("c", ""), 1), letter(named("ä", ""), 1),
	}
	s.settle(epoch, replica.Settled{Letters: append([]replica.Letter{letter(replica.Name{Queue: "orders", Key: "b"}, 1)}, all...)})
	s.dead(all...)
	after := replica.Name{Queue: suiteQueue}
	var walked []replica.Letter
	for {
		page, err := s.Letters(s.t.Context(), suiteSource, after, 2)
		s.must(err)
		if len(page) == 0 {
			break
		}
		if len(page) > 2 {
			s.t.Fatalf("A page of two has %d letters", len(page))
		}
		walked, after = append(walked, page...), page[len(page)-1].Name
	}
	same(s, "a walk", walked, all)
}

func (s *storeTest) names() {
	epoch := s.read()
	odd := []replica.Name{
		named("", "\x00"), named("\x00", ""), named("\x00\xff", "\xfe"), named(`\x00`, ""), named("a'b", `"`), named("Ä", "\u2028"), named("\xff", ""),
	}
	var retries []replica.Retry
	var letters []replica.Letter
	for i, n := range odd {
		retries = append(retries, retry(n, i+1))
		letters = append(letters, letter(n, int64(i)))
	}
	s.settle(epoch, replica.Settled{Retries: retries})
	s.waits(retries...)
	s.settle(epoch, replica.Settled{Letters: letters})
	s.waits()
	s.dead(letters...)
	s.superseded(s.settle(epoch, replica.Settled{Gone: odd}), int64(len(odd)))
	s.dead()
}

func (s *storeTest) repeated() {
	epoch := s.read()
	s.settle(epoch, replica.Settled{Letters: []replica.Letter{letter(named("gone", ""), 1), letter(named("dead", ""), 1)}})
	settled := replica.Settled{
		Gone: []replica.Name{named("gone", "")}, Retries: []replica.Retry{retry(named("waits", ""), 2)}, Letters: []replica.Letter{letter(named("dead", ""), 2)},
	}
	for _, want := range []int64{2, 0} {
		s.superseded(s.settle(epoch, settled), want)
		s.waits(settled.Retries...)
		s.dead(settled.Letters...)
	}
}

func (s *storeTest) twice() {
	epoch := s.read()
	a, b := named("a", ""), named("b", "")
	s.superseded(s.settle(epoch, replica.Settled{
		Gone:    []replica.Name{a, a},
		Retries: []replica.Retry{retry(a, 1), retry(a, 2)},
		Letters: []replica.Letter{letter(b, 1), letter(b, 2)},
	}), 0)
	s.waits(retry(a, 2))
	s.dead(letter(b, 2))
}

// requests is how often somebody has asked something of the suite's source.
func (s *storeTest) requests() int64 {
	s.t.Helper()
	return s.lease("reader", long).Requests
}

func (s *storeTest) whole() {
	epoch := s.read()
	want := letter(named("a", "m"), 1)
	want.Payload = "\x00 payload \xff"
	s.settle(epoch, replica.Settled{Letters: []replica.Letter{want, letter(named("a", ""), 2)}})
	got, err := s.Letter(s.t.Context(), suiteSource, want.Name)
	s.must(err)
	same(s, "Letter", []replica.Letter{got}, []replica.Letter{want})
	for _, n := range []replica.Name{named("b", ""), named("a", "n"), {Queue: "orders", Key: "a"}} {
		if _, err := s.Letter(s.t.Context(), suiteSource, n); !errors.Is(err, entry.ErrNoLetter) {
			s.t.Errorf("Letter of %+v = %v; want ErrNoLetter", n, err)
		}
	}
	if _, err := s.Letter(s.t.Context(), "another", want.Name); !errors.Is(err, entry.ErrNoLetter) {
		s.t.Errorf("Letter of another source = %v; want ErrNoLetter", err)
	}
}

func (s *storeTest) asked() {
	epoch := s.read()
	a, b, c := letter(named("a", ""), 1), letter(named("b", ""), 2), letter(named("c", "m"), 3)
	s.settle(epoch, replica.Settled{Letters: []replica.Letter{a, b, c}})
	before := s.requests()
	for _, l := range []replica.Letter{a, b, c, c} {
		s.must(s.Ask(s.t.Context(), suiteSource, l.Name, l.Version))
	}
	if n := s.requests() - before; n != 4 {
		s.t.Errorf("4 requests are counted as %d", n)
	}
	a.Asked, b.Asked, c.Asked = true, true, true
	s.dead(a, b, c)
	s.settle(epoch, replica.Settled{Unasked: []replica.Name{a.Name, named("unknown", "")}})
	a.Asked = false
	s.dead(a, b, c)
	c.Asked, c.Version = false, 4
	s.superseded(s.settle(epoch, replica.Settled{Gone: []replica.Name{b.Name}, Letters: []replica.Letter{c}}), 2)
	s.dead(a, c)
}

func (s *storeTest) askedInVain() {
	n := named("a", "")
	ask := func(source string, n replica.Name, version int64, want error) {
		s.t.Helper()
		if err := s.Ask(s.t.Context(), source, n, version); !errors.Is(err, want) {
			s.t.Errorf("Ask for %+v of version %d of %s = %v; want %v", n, version, source, err, want)
		}
	}
	ask(suiteSource, n, 1, entry.ErrNoLetter)
	epoch := s.read()
	s.settle(epoch, replica.Settled{Letters: []replica.Letter{letter(n, 1)}})
	ask(suiteSource, n, 2, entry.ErrNoLetter)
	ask(suiteSource, named("a", "m"), 1, entry.ErrNoLetter)
	ask("another", n, 1, entry.ErrNoLetter)
	s.settle(epoch, replica.Settled{Retries: []replica.Retry{retry(n, 1)}})
	ask(suiteSource, n, 1, entry.ErrSuperseded)
	s.dead(letter(n, 1))
}

func (s *storeTest) discarded() {
	epoch := s.read()
	a, b := letter(named("a", ""), 1), letter(named("a", "m"), 2)
	s.settle(epoch, replica.Settled{Letters: []replica.Letter{a, b}})
	before := s.requests()
	for version, want := range map[int64]error{2: entry.ErrNoLetter, 0: entry.ErrNoLetter} {
		if err := s.Discard(s.t.Context(), suiteSource, a.Name, version); !errors.Is(err, want) {
			s.t.Errorf("Discard of version %d = %v; want %v", version, err, want)
		}
	}
	s.must(s.Discard(s.t.Context(), suiteSource, a.Name, 1))
	s.dead(b)
	if err := s.Discard(s.t.Context(), suiteSource, a.Name, 1); !errors.Is(err, entry.ErrNoLetter) {
		s.t.Errorf("Discard of a letter that is gone = %v; want ErrNoLetter", err)
	}
	if s.requests() == before {
		s.t.Error("A discard is not told to the reader")
	}
}

func (s *storeTest) settleFenced() {
	settled := replica.Settled{
		Gone: []replica.Name{named("a", "")}, Retries: []replica.Retry{retry(named("b", ""), 1)}, Letters: []replica.Letter{letter(named("c", ""), 1)},
	}
	_, err := s.Settle(s.t.Context(), suiteSource, 1, settled)
	s.deposed("Settle of a source that nobody reads", err)
	first := s.lease("reader", 0)
	s.settle(first.Epoch, replica.Settled{Letters: []replica.Letter{letter(named("a", ""), 1)}})
	second := s.lease("other", long)
	_, err = s.Settle(s.t.Context(), suiteSource, first.Epoch, settled)
	s.deposed("Settle of the reader before", err)
	s.waits()
	s.dead(letter(named("a", ""), 1))
	s.must(s.Release(s.t.Context(), suiteSource, second.Epoch))
	_, err = s.Settle(s.t.Context(), suiteSource, second.Epoch, settled)
	s.deposed("Settle after the release", err)
	s.dead(letter(named("a", ""), 1))
}

func (s *storeTest) givenUp() {
	epoch := s.read()
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	calls := map[string]func() error{
		"Lease":       func() error { _, err := s.Lease(ctx, suiteSource, "reader", long); return err },
		"Release":     func() error { return s.Release(ctx, suiteSource, epoch) },
		"Position":    func() error { _, err := s.Position(ctx, suiteSource); return err },
		"Move":        func() error { return s.Move(ctx, suiteSource, epoch, replica.Position{Offset: 9}) },
		"NextHistory": func() error { _, err := s.NextHistory(ctx); return err },
		"Settle":      func() error { _, err := s.Settle(ctx, suiteSource, epoch, replica.Settled{}); return err },
		"Aside":       func() error { _, err := s.Aside(ctx, suiteSource); return err },
		"Dead":        func() error { _, err := s.Dead(ctx, suiteSource); return err },
		"Letters":     func() error { _, err := s.Letters(ctx, suiteSource, replica.Name{}, 1); return err },
		"Letter":      func() error { _, err := s.Letter(ctx, suiteSource, replica.Name{}); return err },
		"Ask":         func() error { return s.Ask(ctx, suiteSource, replica.Name{}, 1) },
		"Discard":     func() error { return s.Discard(ctx, suiteSource, replica.Name{}, 1) },
	}
	for call, do := range calls {
		err := do()
		if _, ok := errors.AsType[*entry.Fault](err); !ok || !errors.Is(err, context.Canceled) {
			s.t.Errorf("%s of somebody who has given up gives %v; want a fault that wraps the reason", call, err)
		}
	}
	if got := s.at(suiteSource); !reflect.DeepEqual(got, replica.Position{}) {
		s.t.Errorf("Somebody who has given up moved the position to %+v", got)
	}
	if hold := s.lease("other", long); hold.Epoch != epoch {
		s.t.Errorf("Somebody who has given up released the source: it is %+v", hold)
	}
}
