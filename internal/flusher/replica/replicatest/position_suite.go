// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest

import (
	"reflect"
	"sync"

	"github.com/writebehind/operator/internal/flusher/replica"
)

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
			Scanned: []string{"products:1", "a,b", `{"c"}`, ""}, Witness: 1<<62 + 5, Told: "it was \"emptied\" at noon",
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
