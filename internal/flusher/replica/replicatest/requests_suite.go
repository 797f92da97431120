// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest

import (
	"context"
	"errors"
	"reflect"
	"strconv"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/replica"
)

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

// A wish to have a key read anew is among the letters, and is none: it is not counted, and goes with
// whatever comes of it.
func (s *storeTest) reread() {
	ctx := s.t.Context()
	if _, err := s.Reread(ctx, "another", suiteQueue, []string{"a"}); !errors.Is(err, entry.ErrNoQueue) {
		s.t.Errorf("Reread of a source that was never read = %v; want ErrNoQueue", err)
	}
	epoch := s.read()
	s.settle(epoch, replica.Settled{Letters: []replica.Letter{letter(named("dead", "m"), 1)}, Retries: []replica.Retry{retry(named("waits", ""), 1)}})
	before := s.requests()
	again := func(want ...bool) {
		s.t.Helper()
		done, err := s.Reread(ctx, suiteSource, suiteQueue, []string{"a", "dead", "b\xff", "waits"})
		s.must(err)
		if !reflect.DeepEqual(done, want) {
			s.t.Errorf("Reread = %v; want %v", done, want)
		}
	}
	again(true, false, true, false)
	again(false, false, false, false)
	if s.requests() == before {
		s.t.Error("A wish is not told to the reader")
	}
	wished := func(want ...string) {
		s.t.Helper()
		letters, err := s.Letters(ctx, suiteSource, replica.Name{Queue: suiteQueue}, 100)
		s.must(err)
		var keys []string
		for i := range letters {
			if letters[i].Rereads() && letters[i].Asked {
				keys = append(keys, letters[i].Name.Key)
			}
		}
		counts, err := s.Dead(ctx, suiteSource)
		s.must(err)
		if !reflect.DeepEqual(keys, want) || counts[suiteQueue] != int64(len(letters)-len(want)) {
			s.t.Errorf("The wishes are %q, of %d letters %d are dead; want %q", keys, len(letters), counts[suiteQueue], want)
		}
	}
	wished("a", "b\xff")
	// A row that is written, and nothing to write, end it; a letter takes its place.
	s.superseded(s.settle(epoch, replica.Settled{Gone: []replica.Name{named("a", "")}}), 0)
	wished("b\xff")
	s.settle(epoch, replica.Settled{Unasked: []replica.Name{named("b\xff", ""), named("dead", "m")}})
	wished()
	again(true, false, true, false)
	s.superseded(s.settle(epoch, replica.Settled{Letters: []replica.Letter{letter(named("a", ""), 5)}}), 0)
	wished("b\xff")
	// The reader lists them all, so there is an end.
	many := make([]string, replica.MostRereads)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	_, err := s.Reread(ctx, suiteSource, suiteQueue, many)
	s.must(err)
	if _, err := s.Reread(ctx, suiteSource, suiteQueue, []string{"one more"}); !errors.Is(err, replica.ErrManyRereads) {
		s.t.Errorf("Reread beyond what the reader holds = %v; want ErrManyRereads", err)
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
