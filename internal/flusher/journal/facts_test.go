// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"errors"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// facts are those of one key.
func (f *fixture) facts(key string) journal.Facts {
	f.t.Helper()
	all, err := f.j.Facts(f.t.Context(), queue, key)
	f.check(all, err)
	return all[0]
}

func TestFactsFollowAKeyThroughItsLife(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	key := "product:1"
	if facts := f.facts(key); !facts.Clean() || facts.Kind != journal.KindNone || facts.Held() || facts.Partition != 0 || facts.State != config.StateOpen {
		t.Errorf("of a key that nobody wrote it knows %+v", facts)
	}
	l := f.lease("a", 0, 1)
	first := f.set(key, "one")
	version := f.set(key, "two")
	facts := f.facts(key)
	if e := facts.Entry; e == nil || e.Version != version || e.First != first || e.Writes != 2 || facts.Value != "two" || facts.Kind != journal.KindString ||
		!facts.Held() || facts.Owner != "a" || facts.Epoch != 1 || facts.Waiting != 1 {
		t.Errorf("of a dirty key it knows %+v with %+v", facts, facts.Entry)
	}
	f.settle(f.claim(l, 10), entry.Refused, time.Minute)
	if facts = f.facts(key); facts.Entry.Attempts != 1 || !facts.Due.After(facts.Now) || facts.Waiting != 0 {
		t.Errorf("of a refused key it knows %+v with %+v", facts, facts.Entry)
	}
	f.set(key, "three")
	f.acknowledge(f.claim(l, 10), entry.Done)
	if facts = f.facts(key); !facts.Clean() || facts.Top < version {
		t.Errorf("of a flushed key it knows %+v", facts)
	}
	f.set(key, "four")
	f.acknowledge(f.claim(l, 10), entry.Dead)
	if facts = f.facts(key); facts.Letter == nil || facts.Entry != nil || facts.Value != "four" {
		t.Errorf("of a dead key it knows %+v", facts)
	}
}

func TestEveryKeyIsWhereTheLibraryPutsIt(t *testing.T) {
	f := open(t, journaltest.New(t))
	for _, key := range []string{"product:1", "product:2", "product:\xff\x00", "product:ä", "product:0123456789"} {
		if facts := f.facts(key); journal.Partition(key, settings().Mapping.Partitions) != facts.Partition {
			t.Errorf("%q is in partition %d, not in %d", key, facts.Partition, journal.Partition(key, settings().Mapping.Partitions))
		}
	}
}

// What is flushed again is a new write of the value that is there, and only where nothing of the key
// waits.
func TestAgainFlushesWhatIsThere(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	key := "product:1"
	again := func(key string) int64 {
		t.Helper()
		version, err := f.j.Again(t.Context(), queue, key)
		f.check(version, err)
		return version
	}
	if again(key) != 0 {
		t.Error("a key that is not there is flushed")
	}
	l := f.lease("a", 0, 1)
	before := f.set(key, "one")
	if again(key) != 0 {
		t.Error("a dirty key is written again")
	}
	f.acknowledge(f.claim(l, 10), entry.Done)
	version := again(key)
	claim := f.claim(l, 10)
	if version <= before || len(claim.Entries) != 1 || claim.Entries[0].Value != "one" || claim.Entries[0].Version != version {
		t.Errorf("version %d after %d is claimed as %+v", version, before, claim.Entries)
	}
	if ttl := f.rdb.PTTL(t.Context(), key).Val(); ttl >= 0 {
		t.Errorf("a dirty key expires in %v", ttl)
	}
	f.acknowledge(claim, entry.Dead)
	if again(key) != 0 {
		t.Error("a key with a dead letter is flushed past it")
	}
	f.check(f.rdb.SAdd(t.Context(), "product:set", "x").Result())
	if _, err := f.j.Again(t.Context(), queue, "product:set"); err == nil {
		t.Error("a key of another type is flushed")
	}
	if _, err := f.j.Again(t.Context(), "nope", key); !errors.Is(err, entry.ErrNoQueue) {
		t.Errorf("of a queue that is not there it says %v", err)
	}
	f.check(f.j.Open(t.Context(), settings(onePartition, func(s *config.QueueSettings) { s.State, s.Revision = config.StatePaused, s.Revision+1 }), "journal-1", false))
	f.check(f.rdb.Set(t.Context(), "product:2", "{}", 0).Result())
	if _, err := f.j.Again(t.Context(), queue, "product:2"); err == nil {
		t.Error("a queue that is drained takes a write")
	}
}
