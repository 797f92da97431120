// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// The databases that flushers of these tests write to.
var (
	here  = entry.Home{ID: "71/5", Name: "shop", Owner: config.OwnerFile, Since: 1000}
	there = entry.Home{ID: "72/5", Name: "shop", Owner: config.OwnerFile, Since: 2000}
)

// ofOwner is the home of a flusher of that owner, whose URL is of that time.
func ofOwner(h entry.Home, owner string, since int64) entry.Home {
	h.Owner, h.Since = owner, since
	return h
}

// at are the settings of a flusher that writes to the home.
func at(h entry.Home, member string) func(*config.QueueSettings) {
	return func(s *config.QueueSettings) { s.Home, s.Member = h, member }
}

// enters tries to begin an epoch at the home and returns the verdict and why it cannot.
func (f *fixture) enters(h entry.Home, member string, partition int, epoch, committed int64) (entry.Agreement, config.Check) {
	f.t.Helper()
	l := lease(partition, member, epoch)
	l.Home, l.Incarnation = h, f.stats().Incarnation
	verdict, err := f.j.Begin(f.t.Context(), l, 0, committed, nil, false)
	if err != nil {
		return verdict, journal.Explain(err)
	}
	return verdict, config.Check{OK: true}
}

// renews renews the member's leases and returns the partitions that it holds.
func (f *fixture) renews(h entry.Home, member string) map[int]int64 {
	f.t.Helper()
	beat, err := f.j.Beat(f.t.Context(), settings(at(h, member)), member, leaseTime, entry.Seen{})
	f.check(nil, err)
	return beat.Held
}

// starts has a member take its share and begin its epochs at the home.
func (f *fixture) starts(h entry.Home, member string) {
	f.t.Helper()
	for p := range f.renews(h, member) {
		_, check := f.enters(h, member, p, 1, 0)
		said(f.t, check, "")
	}
}

// ofTwo are the words about two databases of one name.
var ofTwo = []string{"(keyPrefix product:) is flushed into database shop (71/5) by other flushers", "leads to another database, shop (72/5)", "system_identifier", "URL of one database"}

func TestAQueueGoesToOneDatabase(t *testing.T) {
	server := journaltest.New(t)
	start := func(t *testing.T) *fixture {
		if err := server.Client(t).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return open(t, server)
	}
	t.Run("who is there stays", func(t *testing.T) {
		f := start(t)
		f.starts(here, "a")
		before := dump(t, f.rdb)
		f.conflicts(f.opens(by("other", 9, ""), at(there, "b")), ofTwo...)
		f.conflicts(f.beats("b", at(there, "b")), ofTwo...)
		if after := dump(t, f.rdb); !maps.Equal(before, after) {
			t.Error("what is refused has changed Redis")
		}
		if held := f.renews(here, "a"); len(held) != 4 {
			t.Errorf("the first holds %v", held)
		}
	})
	t.Run("who comes at the same time, before the database was looked at", func(t *testing.T) {
		f := start(t)
		f.set("product:1", "{}")
		f.renews(here, "a")
		f.check(nil, f.j.Release(t.Context(), queue, "a", 2, 3))
		f.renews(entry.Home{}, "b")
		_, check := f.enters(here, "a", 0, 1, 0)
		said(t, check, "")
		before := dump(t, f.rdb)
		// Neither less nor more in that database is a loss.
		for _, committed := range []int64{0, 1 << 50} {
			_, check = f.enters(there, "b", 2, 1, committed)
			f.conflicts(check, ofTwo...)
		}
		if after := dump(t, f.rdb); !maps.Equal(before, after) {
			t.Error("an epoch that is refused has changed Redis")
		}
		if n := f.stats().DataLoss; n != 0 {
			t.Errorf("%d data-loss events", n)
		}
		f.check(nil, f.j.Leave(t.Context(), queue, "b"))
		if held := f.renews(here, "a"); len(held) != 4 {
			t.Errorf("the first holds %v", held)
		}
	})
	t.Run("it moves when nobody is left", func(t *testing.T) {
		for name, end := range map[string]func(f *fixture){
			"stopped": func(f *fixture) { f.check(nil, f.j.Leave(t.Context(), queue, "a")) },
			"dead": func(f *fixture) {
				for p := range 4 {
					f.check(f.rdb.HSet(t.Context(), fmt.Sprintf("wb:{products:%d}:lease", p), "expiry", time.Now().Add(-time.Second).UnixMilli()).Result())
				}
			},
			"before the clock was put back": func(f *fixture) {
				for p := range 4 {
					f.check(f.rdb.HSet(t.Context(), fmt.Sprintf("wb:{products:%d}:lease", p), "expiry", time.Now().Add(time.Hour).UnixMilli()).Result())
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				f := start(t)
				f.starts(here, "a")
				f.conflicts(f.beats("b", at(there, "b")))
				end(f)
				said(t, f.opens(at(there, "b")), "")
				f.starts(there, "b")
				f.conflicts(f.beats("a", at(here, "a")), "database shop (72/5)")
			})
		}
	})
	t.Run("a member alone moves from one to the other", func(t *testing.T) {
		f := start(t)
		f.starts(here, "a")
		said(t, f.opens(at(there, "a")), "")
		f.renews(there, "a")
		_, check := f.enters(there, "a", 0, 2, 0)
		said(t, check, "")
		// Another that has moved too is not held up by what is yet to begin again.
		said(t, f.beats("b", at(there, "b")), "")
		f.conflicts(f.beats("c", at(here, "c")), "database shop (72/5)")
	})
	t.Run("what was only leased holds nobody up", func(t *testing.T) {
		f := start(t)
		f.starts(here, "a")
		f.check(nil, f.j.Leave(t.Context(), queue, "a"))
		f.renews(here, "a")
		f.starts(there, "b")
		_, check := f.enters(here, "a", 0, 2, 0)
		said(t, check, "")
	})
	t.Run("nor does who took over what another held", func(t *testing.T) {
		f := start(t)
		f.starts(here, "dead")
		for p := range 4 {
			f.check(f.rdb.HSet(t.Context(), fmt.Sprintf("wb:{products:%d}:lease", p), "expiry", 1).Result())
		}
		f.renews(entry.Home{}, "a")
		said(t, f.beats("b", at(there, "b")), "")
	})
	t.Run("where it is not known it is let through", func(t *testing.T) {
		f := start(t)
		f.starts(here, "a")
		for _, s := range []entry.Home{{}, {Name: "shop", Owner: "other", Since: 1}} {
			said(t, f.opens(at(s, "b")), "")
			said(t, f.beats("b", at(s, "b")), "")
		}
		f.check(nil, f.j.Release(t.Context(), queue, "a", 0, 1))
		f.renews(entry.Home{}, "b")
		_, check := f.enters(entry.Home{}, "b", 0, 2, 0)
		said(t, check, "")
		// And holds nobody up.
		f.check(nil, f.j.Leave(t.Context(), queue, "a"))
		said(t, f.beats("c", at(there, "c")), "")
	})
	t.Run("where it was not looked at yet, others come first", func(t *testing.T) {
		f := start(t)
		awaited := entry.Home{Awaited: true}
		said(t, f.opens(at(awaited, "b")), "")
		said(t, f.beats("b", at(awaited, "b")), "")
		f.check(nil, f.j.Leave(t.Context(), queue, "b"))
		f.starts(here, "a")
		before := dump(t, f.rdb)
		if _, err := f.j.Open(t.Context(), settings(by("other", 9, ""), at(awaited, "b")), "j", false); !errors.Is(err, entry.ErrHomeAwaited) {
			t.Errorf("Open = %v", err)
		}
		if _, err := f.j.Beat(t.Context(), settings(at(awaited, "b")), "b", leaseTime, entry.Seen{}); !errors.Is(err, entry.ErrHomeAwaited) {
			t.Errorf("Beat = %v", err)
		}
		if after := dump(t, f.rdb); !maps.Equal(before, after) {
			t.Error("who waits has changed Redis")
		}
		said(t, f.opens(at(awaited, "a")), "")
	})
	t.Run("one database by two names", func(t *testing.T) {
		f := start(t)
		f.starts(here, "a")
		other := ofOwner(here, "other", 7)
		other.Name = "another"
		said(t, f.opens(at(other, "b")), "")
		said(t, f.beats("b", at(other, "b")), "")
	})
	t.Run("any letters in its name", func(t *testing.T) {
		f := start(t)
		odd := here
		odd.Name = "a\nb\x00c\x1b[2J\n"
		f.starts(odd, "a")
		f.conflicts(f.beats("b", at(there, "b")), "database a?b?c?[2J? (71/5)")
	})
}

// named is the home whose URL is at a place that settings of that revision named first.
func named(h entry.Home, revision int64) entry.Home {
	h.Revision = revision
	return h
}

func TestOfOneConfigTheNewestURLCounts(t *testing.T) {
	server := journaltest.New(t)
	for name, c := range map[string]struct {
		before, after entry.Home
		moves         bool
	}{
		"newer":                              {ofOwner(here, "uid", 9), ofOwner(there, "uid", 10), true},
		"of the same time":                   {ofOwner(here, "uid", 10), ofOwner(there, "uid", 10), false},
		"older":                              {ofOwner(here, "uid", 10), ofOwner(there, "uid", 9), false},
		"another config's":                   {ofOwner(here, "uid", 9), ofOwner(there, "other", 10), false},
		"of a config with no owner":          {ofOwner(here, config.OwnerFile, 9), ofOwner(there, config.OwnerFile, 10), false},
		"of a time that is not told":         {ofOwner(here, "uid", 9), ofOwner(there, "uid", -1), false},
		"older, at a newer place":            {named(ofOwner(here, "uid", 1<<60), 9), named(ofOwner(there, "uid", 1), 10), true},
		"newer, at an older place":           {named(ofOwner(here, "uid", 1), 10), named(ofOwner(there, "uid", 1<<60), 9), false},
		"newer, at the same place":           {named(ofOwner(here, "uid", 9), 10), named(ofOwner(there, "uid", 10), 10), true},
		"at the first place told":            {ofOwner(here, "uid", 1<<60), named(ofOwner(there, "uid", 1), 1), true},
		"of a place that is not told":        {named(ofOwner(here, "uid", 1), 1), ofOwner(there, "uid", 1<<60), false},
		"at a newer place of another config": {named(ofOwner(here, "uid", 9), 1), named(ofOwner(there, "other", 9), 2), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, server)
			f.check(f.rdb.FlushAll(t.Context()).Result())
			said(t, f.opens(at(c.before, "a")), "")
			f.set("product:1", "{}")
			f.starts(c.before, "a")
			if !c.moves {
				f.conflicts(f.opens(at(c.after, "b")), "database shop (71/5)")
				f.conflicts(f.beats("b", at(c.after, "b")), "database shop (71/5)")
				return
			}
			said(t, f.opens(at(c.after, "b")), "")
			f.renews(c.after, "b")
			f.check(nil, f.j.Release(t.Context(), queue, "a", 0, 1))
			if held := f.renews(c.after, "b"); len(held) != 2 {
				t.Fatalf("the newer one holds %v", held)
			}
			_, check := f.enters(c.after, "b", 0, 2, 0)
			said(t, check, "")
			// What the other had in hand is not acknowledged, and written again.
			old := lease(2, "a", 1)
			old.Incarnation = f.stats().Incarnation
			if holds, err := f.j.Holds(t.Context(), old); err != nil || holds {
				t.Errorf("the older one holds its partitions: %v, %v", holds, err)
			}
			f.conflicts(f.beats("a", at(c.before, "a")), "database shop (72/5)")
			f.check(nil, f.j.Leave(t.Context(), queue, "a"))
			if held := f.renews(c.after, "b"); len(held) != 4 {
				t.Errorf("the newer one holds %v", held)
			}
		})
	}
}
