// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// of are the settings of a queue of that name and prefix.
func of(name, prefix string) func(*config.QueueSettings) {
	return func(s *config.QueueSettings) { s.Mapping.Name, s.Mapping.KeyPrefix = name, prefix }
}

// by are the settings of an owner's revision, with a table.
func by(owner string, revision int64, table string) func(*config.QueueSettings) {
	return func(s *config.QueueSettings) { s.Owner, s.Revision, s.Mapping.Table = owner, revision, table }
}

// opens tries to open a queue and returns why it cannot.
func (f *fixture) opens(change ...func(*config.QueueSettings)) config.Check {
	f.t.Helper()
	if _, err := f.j.Open(f.t.Context(), settings(change...), "journal-2", false); err != nil {
		return journal.Explain(err)
	}
	return config.Check{OK: true}
}

// beats tries to renew the member's leases and returns why that cannot be.
func (f *fixture) beats(member string, change ...func(*config.QueueSettings)) config.Check {
	f.t.Helper()
	if _, err := f.j.Beat(f.t.Context(), settings(change...), member, leaseTime, entry.Seen{}); err != nil {
		return journal.Explain(err)
	}
	return config.Check{OK: true}
}

func (f *fixture) conflicts(check config.Check, says ...string) {
	f.t.Helper()
	said(f.t, check, cachev1alpha1.ReasonQueueConflict, says...)
}

// forget makes the queue one whose last flusher was seen long ago.
func (f *fixture) forget(name string) {
	f.t.Helper()
	f.check(f.rdb.Del(f.t.Context(), "wb:{"+name+"}:members").Result())
	f.check(f.rdb.HSet(f.t.Context(), "wb:{"+name+"}:queue", "seen", time.Now().Add(-time.Minute).UnixMilli()).Result())
}

func TestAQueueWithKeysOfAnotherIsNotMade(t *testing.T) {
	f := open(t, journaltest.New(t))
	before := dump(t, f.rdb)
	for _, prefix := range []string{"product:", "p", "product", "product:1", "product:\x00", "product:\xff"} {
		f.conflicts(f.opens(of("late", prefix)), "queue late (keyPrefix "+strings.ToValidUTF8(strings.ReplaceAll(prefix, "\x00", "?"), ""), "queue products (keyPrefix product:)")
		f.conflicts(f.opens(of("late", prefix), func(s *config.QueueSettings) { s.State = config.StatePaused }), "queue products")
	}
	if after := dump(t, f.rdb); !maps.Equal(before, after) {
		t.Error("a queue that is refused has changed Redis")
	}
	for i, prefix := range []string{"produce:", "q", "Product:", "product;", "product", "a", "\x00", "\xff"} {
		if prefix == "product" {
			continue
		}
		said(t, f.opens(of(fmt.Sprintf("other%d", i), prefix)), "")
	}
	said(t, f.opens(), "")
}

func TestAConflictEndsWithTheOtherQueue(t *testing.T) {
	late := of("late", "product:1")
	for name, end := range map[string]func(f *fixture){
		"it is lost":     func(f *fixture) { f.check(f.rdb.Del(f.t.Context(), "wb:{products}:queue").Result()) },
		"it is empty":    func(f *fixture) { f.forget(queue) },
		"another prefix": func(f *fixture) { said(f.t, f.opens(of(queue, "item:"), by("test", 2, "")), "") },
		"all is lost":    func(f *fixture) { f.check(f.rdb.FlushAll(f.t.Context()).Result()) },
		"an older clock": func(f *fixture) {
			f.check(f.rdb.HSet(f.t.Context(), "wb:{products}:queue", "seen", time.Now().Add(time.Hour).UnixMilli()).Result())
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, journaltest.New(t))
			f.conflicts(f.opens(late), "queue products")
			end(f)
			said(t, f.opens(late), "")
			said(t, f.beats("b", late), "")
		})
	}
	t.Run("not while it holds something", func(t *testing.T) {
		f := open(t, journaltest.New(t), onePartition)
		f.set("product:1", "{}")
		f.forget(queue)
		f.conflicts(f.opens(late), "queue products")
		l := f.lease("a", 0, 1)
		f.acknowledge(f.claim(l, 10), entry.Dead)
		f.forget(queue)
		f.conflicts(f.opens(late), "queue products")
		f.check(nil, f.j.Discard(t.Context(), queue, f.deadLetters()["product:1"]))
		said(t, f.opens(late), "")
		f.conflicts(f.opens(), "queue late (keyPrefix product:1)")
		f.conflicts(f.beats("a"), "queue late (keyPrefix product:1)")
	})
}

// Queues of a release that kept no list may overlap already. The first to be seen goes on,
// the other one is not flushed until it is drained, and its keys get no time to live.
func TestQueuesOfBeforeAreListedAsTheyAreSeen(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.check(f.rdb.Del(t.Context(), "wb:queues").Result())
	late := func(s *config.QueueSettings) { onePartition(s); of("late", "product:1")(s) }
	said(t, f.opens(late), "")
	f.check(f.rdb.Del(t.Context(), "wb:queues").Result())
	said(t, f.beats("a"), "")
	f.conflicts(f.beats("b", late), "queue late (keyPrefix product:1)", "queue products (keyPrefix product:)")
	f.conflicts(f.opens(late), "queue products")

	f.check(f.rdb.FCall(t.Context(), "wb_set", []string{"product:11"}, "late", "{}").Result())
	said(t, f.opens(late, func(s *config.QueueSettings) { s.Revision, s.State = 2, config.StatePaused }), "")
	said(t, f.beats("b", late), "")
	l := &entry.Term{Shard: entry.Shard{Queue: "late", Partition: 0, Incarnation: "journal-2"}, Member: "b", Epoch: 1}
	_, err := f.j.Begin(t.Context(), l, 0, 0, nil, false)
	f.check(nil, err)
	claim, err := f.j.Claim(t.Context(), l, "product:1", upTo(10))
	f.check(nil, err)
	f.set("product:11", `{"of":"products"}`)
	f.check(f.j.Acknowledge(t.Context(), claim, all(claim, entry.Done, 0)))
	if ttl := f.rdb.TTL(t.Context(), "product:11").Val(); ttl != -1 {
		t.Errorf("a key that is dirty in the other queue has the TTL %v", ttl)
	}
}

// However queues come and go, no two that are flushed share a key.
func TestNoTwoQueuesShareKeys(t *testing.T) {
	server := journaltest.New(t)
	rdb := server.Client(t)
	j := journal.New(rdb)
	if _, err := j.EnsureLibrary(t.Context()); err != nil {
		t.Fatal(err)
	}
	names := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	prefixes := rapid.StringOfN(rapid.SampledFrom([]rune("xy\x01ÿ")), 1, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		ctx := t.Context()
		if err := rdb.FlushAll(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		held := map[string]string{}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				name, prefix := names.Draw(t, "name"), prefixes.Draw(t, "prefix")
				met := ""
				for other, theirs := range held {
					if other != name && (strings.HasPrefix(theirs, prefix) || strings.HasPrefix(prefix, theirs)) {
						met = other
					}
				}
				_, err := j.Open(ctx, settings(of(name, prefix)), "journal", false)
				if (err != nil) != (met != "") {
					t.Fatalf("queue %s with %q beside %q: %v", name, prefix, held, err)
				}
				if err == nil {
					held[name] = prefix
				}
			},
			"end": func(t *rapid.T) {
				name := names.Draw(t, "name")
				if err := rdb.Del(ctx, "wb:{"+name+"}:queue").Err(); err != nil {
					t.Fatal(err)
				}
				delete(held, name)
			},
		})
	})
}

func TestOneQueueHasOneTable(t *testing.T) {
	const operator = "uid"
	other := []func(*config.QueueSettings){by("other", 9, "public.others")}
	newer := []func(*config.QueueSettings){by(operator, 2, "others")}
	of := func(s []func(*config.QueueSettings)) []func(*config.QueueSettings) {
		return append([]func(*config.QueueSettings){onePartition}, s...)
	}
	first := of([]func(*config.QueueSettings){by(operator, 1, "products")})
	start := func(t *testing.T) *fixture {
		f := open(t, journaltest.New(t), first...)
		f.j = f.j.WithLedger("writebehind")
		said(t, f.opens(first...), "")
		said(t, f.beats("a", first...), "")
		return f
	}
	t.Run("another owner waits until the first has gone", func(t *testing.T) {
		f := start(t)
		before := dump(t, f.rdb)
		f.conflicts(f.opens(of(other)...), "into table public.products (ledger in schema writebehind) by another config (owner uid)", "another name and keyPrefix")
		if after := dump(t, f.rdb); !maps.Equal(before, after) {
			t.Error("what is refused has changed Redis")
		}
		said(t, f.beats("a", first...), "")
		f.check(nil, f.j.Leave(t.Context(), queue, "a"))
		said(t, f.opens(of(other)...), "")
		said(t, f.beats("b", of(other)...), "")
		f.conflicts(f.opens(first...), "into table public.others", "owner other")
		f.conflicts(f.beats("a", first...), "into table public.others")
	})
	t.Run("a newer revision takes over at once", func(t *testing.T) {
		f := start(t)
		f.set("product:1", "{}")
		l := f.lease("a", 0, 1)
		claim := f.claim(l, 10)
		said(t, f.opens(of(newer)...), "")
		// What the older one has in hand is not acknowledged, and written again.
		if _, err := f.j.Acknowledge(t.Context(), claim, all(claim, entry.Done, 0)); err == nil {
			t.Error("a flusher of the table of before acknowledges")
		}
		f.conflicts(f.beats("a", first...), "revision 2 of this config")
		beat, err := f.j.Beat(t.Context(), settings(of(newer)...), "b", leaseTime, entry.Seen{})
		if err != nil || len(beat.Held) != 1 || beat.Share != 1 {
			t.Errorf("the newer one holds %+v, %v", beat, err)
		}
		f.conflicts(f.opens(first...), "into table public.others", "revision 2 of this config", "bring every flusher to one revision")
		// And the one that undoes it, in turn.
		said(t, f.opens(of([]func(*config.QueueSettings){by(operator, 3, "public.products")})...), "")
	})
	t.Run("the same revision does not", func(t *testing.T) {
		f := start(t)
		f.conflicts(f.opens(of([]func(*config.QueueSettings){by(operator, 1, "others")})...), "revision 1 of this config")
	})
	t.Run("an older one works where none is left, until a newer comes back", func(t *testing.T) {
		f := start(t)
		said(t, f.opens(of(newer)...), "")
		said(t, f.opens(first...), "")
		said(t, f.beats("a", first...), "")
		said(t, f.opens(of(newer)...), "")
		said(t, f.beats("b", of(newer)...), "")
		f.conflicts(f.beats("a", first...), "table public.others")
	})
	t.Run("files without an owner may be two configs", func(t *testing.T) {
		f := open(t, journaltest.New(t), by(config.OwnerFile, 1, "products"))
		f.j = f.j.WithLedger("writebehind")
		said(t, f.opens(by(config.OwnerFile, 1, "products")), "")
		said(t, f.beats("a", by(config.OwnerFile, 1, "products")), "")
		f.conflicts(f.opens(by(config.OwnerFile, 2, "others")), "another config (owner file)")
		said(t, f.opens(by(config.OwnerFile, 2, "public.products")), "")
	})
	t.Run("another ledger is another target", func(t *testing.T) {
		f := start(t)
		f.j = f.j.WithLedger("elsewhere")
		f.conflicts(f.opens(first...), "ledger in schema writebehind")
		// Nor does it change when no flusher lives, whoever asks: the ledger is the fence.
		f.forget(queue)
		before := dump(t, f.rdb)
		f.conflicts(f.opens(first...), "ledgerSchema is elsewhere", "set ledgerSchema to writebehind")
		f.conflicts(f.opens(of(other)...), "ledgerSchema is elsewhere")
		if after := dump(t, f.rdb); !maps.Equal(before, after) {
			t.Error("a ledger that is refused has changed Redis")
		}
	})
	t.Run("another key column is another target", func(t *testing.T) {
		f := start(t)
		key := func(s *config.QueueSettings) { s.Mapping.KeyColumn = "number" }
		f.conflicts(f.opens(of([]func(*config.QueueSettings){by("other", 9, "products"), key})...), "(ledger in schema writebehind) with key column  by another config (owner uid)")
		f.conflicts(f.beats("b", append(first, key)...), "with key column ")
		said(t, f.opens(append(first, by(operator, 2, "products"), key)...), "")
		f.conflicts(f.beats("a", first...), "with key column number by revision 2 of this config")
	})
	t.Run("another prefix is another queue", func(t *testing.T) {
		f := start(t)
		f.conflicts(f.opens(by("other", 9, "products"), func(s *config.QueueSettings) { s.Mapping.KeyPrefix = "item:" }), "keyPrefix product:")
		said(t, f.beats("a", first...), "")
	})
	t.Run("the release before tells no target", func(t *testing.T) {
		f := start(t)
		said(t, f.opens(of([]func(*config.QueueSettings){by(operator, 1, "")})...), "")
		said(t, f.beats("old", of([]func(*config.QueueSettings){by(operator, 1, "")})...), "")
		f.conflicts(f.opens(of(other)...), "into table public.products")
	})
	t.Run("columns that the operator rolls do not count", func(t *testing.T) {
		f := start(t)
		said(t, f.opens(append(first, feeding("name", "title"))...), "")
		said(t, f.beats("b", append(first, feeding("name", "title"))...), "")
		said(t, f.beats("a", first...), "")
	})
	t.Run("a lost list or queue begins anew", func(t *testing.T) {
		f := start(t)
		f.check(f.rdb.FlushAll(t.Context()).Result())
		said(t, f.opens(of(other)...), "")
	})
}

// feeding are settings with columns, each fed by the field behind it.
func feeding(pairs ...string) func(*config.QueueSettings) {
	return func(s *config.QueueSettings) {
		for i := 0; i < len(pairs); i += 2 {
			s.Mapping.Columns = append(s.Mapping.Columns, config.Column{Column: pairs[i], Field: pairs[i+1]})
		}
	}
}

// Two config files that nobody watches share the keys out, and each would write what its
// own columns say.
func TestTwoFilesWriteTheSameColumns(t *testing.T) {
	alone := func(owner string, revision int64, change ...func(*config.QueueSettings)) []func(*config.QueueSettings) {
		all := []func(*config.QueueSettings){by(owner, revision, "products"), func(s *config.QueueSettings) { s.Alone = true }}
		return append(all, change...)
	}
	version := func(s *config.QueueSettings) { s.Mapping.VersionColumn = "ver" }
	server := journaltest.New(t)
	for name, c := range map[string]struct {
		before, after []func(*config.QueueSettings)
		says          string
	}{
		"none, twice":          {alone(config.OwnerFile, 1), alone(config.OwnerFile, 2), ""},
		"in another order":     {alone(config.OwnerFile, 1, feeding("a", "x", "b", "y")), alone("other", 2, feeding("b", "y", "a", "x")), ""},
		"another field":        {alone(config.OwnerFile, 1, feeding("name", "name")), alone(config.OwnerFile, 2, feeding("name", "title")), "with columns name from name by another config"},
		"exchanged fields":     {alone(config.OwnerFile, 1, feeding("a", "x", "b", "y")), alone(config.OwnerFile, 2, feeding("a", "y", "b", "x")), "with columns a from x, b from y by"},
		"fewer":                {alone(config.OwnerFile, 1, feeding("a", "x", "b", "y")), alone("other", 2, feeding("a", "x")), "with columns a from x, b from y by"},
		"none and some":        {alone(config.OwnerFile, 1), alone(config.OwnerFile, 2, feeding("a", "a")), "with every column from the field of its name by"},
		"with a version":       {alone(config.OwnerFile, 1), alone(config.OwnerFile, 2, version), "with every column from the field of its name by"},
		"odd letters":          {alone(config.OwnerFile, 1, feeding("a\x00\n\x1b", "x")), alone(config.OwnerFile, 2), "with columns a? ? from x by"},
		"very many":            {alone(config.OwnerFile, 1, feeding(strings.Repeat("a", 9000), "x")), alone(config.OwnerFile, 2), "aaa... by another"},
		"an operator's beside": {alone(config.OwnerFile, 1, feeding("a", "x")), []func(*config.QueueSettings){by("uid", 1, "public.products")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, server)
			f.j = f.j.WithLedger("writebehind")
			f.check(f.rdb.FlushAll(t.Context()).Result())
			said(t, f.opens(c.before...), "")
			said(t, f.beats("a", c.before...), "")
			if c.says == "" {
				said(t, f.opens(c.after...), "")
				said(t, f.beats("b", c.after...), "")
				said(t, f.beats("a", c.before...), "")
				return
			}
			f.conflicts(f.opens(c.after...), c.says)
			f.conflicts(f.beats("b", c.after...), c.says)
			said(t, f.beats("a", c.before...), "")
			f.check(nil, f.j.Leave(t.Context(), queue, "a"))
			said(t, f.opens(c.after...), "")
			said(t, f.beats("b", c.after...), "")
			f.conflicts(f.beats("a", c.before...))
		})
	}
	t.Run("a newer revision of one owner takes over", func(t *testing.T) {
		f := open(t, server)
		f.j = f.j.WithLedger("writebehind")
		f.check(f.rdb.FlushAll(t.Context()).Result())
		before, after := alone("shop", 1, feeding("a", "x")), alone("shop", 2, feeding("a", "y"))
		said(t, f.opens(before...), "")
		said(t, f.beats("a", before...), "")
		said(t, f.opens(after...), "")
		f.conflicts(f.beats("a", before...), "by revision 2 of this config")
	})
}
