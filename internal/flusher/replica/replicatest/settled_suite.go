// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest

import (
	"reflect"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/replica"
)

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
