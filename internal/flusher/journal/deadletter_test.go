// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/writebehind/operator/api/writebehind"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// deadLetters are those of the queue, whole, by key.
func (f *fixture) deadLetters() map[string]*entry.DeadLetter {
	f.t.Helper()
	all := make(map[string]*entry.DeadLetter)
	for known, err := range f.j.DeadLetters(f.t.Context(), queue) {
		f.check(nil, err)
		letter, err := f.j.DeadLetter(f.t.Context(), queue, known.Key)
		f.check(nil, err)
		all[letter.Key] = letter
	}
	return all
}

// bury makes the key's write a dead letter.
func (f *fixture) bury(l *entry.Term, key, value string) {
	f.t.Helper()
	f.set(key, value)
	f.acknowledge(f.claim(l, 10), entry.Dead)
}

func TestADeadLetterHoldsAllThatIsKnown(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	l := f.lease("a", 0, 1)
	before := time.Now().Add(-time.Second)
	version := f.set("product:1", `{"stock":-1}`)
	f.acknowledge(f.claim(l, 10), entry.Refused)
	f.acknowledge(f.claim(l, 10), entry.Refused)
	f.acknowledge(f.claim(l, 10), entry.Dead)

	letter := f.deadLetters()["product:1"]
	if letter == nil || letter.Payload != `{"stock":-1}` || letter.Version != version || letter.Operation != "set" ||
		letter.SQLState != "23514" || letter.Constraint != "products_stock_check" || letter.Message != "new row violates\na check" {
		t.Fatalf("dead letter is %+v", letter)
	}
	if letter.FirstFailure.Before(before) || !letter.FirstFailure.Before(letter.LastFailure) {
		t.Errorf("first failure %v, last failure %v", letter.FirstFailure, letter.LastFailure)
	}
	if s := f.stats(); s.Depth != 0 || s.Dead != 1 || s.Refused != 0 || s.Writes != 1 || s.Coalesced != 0 {
		t.Errorf("stats are %+v", s)
	}
	mustFail(t, f.rdb.FCallRO(t.Context(), "wb_pending", []string{"product:1"}, queue), "WBDEAD")
	if _, pending, err := writebehind.NewQueue(f.rdb, queue).Pending(t.Context(), "product:1"); !errors.Is(err, writebehind.ErrDead) || pending {
		t.Errorf("the Go client says of it %v, %v; want ErrDead", pending, err)
	}
	if ttl := f.rdb.TTL(t.Context(), "product:1").Val(); ttl != -1 {
		t.Errorf("its value has the TTL %v", ttl)
	}
}

func TestDeadLettersCountForTheDepth(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition, func(s *config.QueueSettings) { s.MaxDepth = 2 })
	l := f.lease("a", 0, 1)
	f.bury(l, "product:1", "bad")
	f.set("product:2", "{}")
	mustFail(t, f.rdb.FCall(t.Context(), "wb_set", []string{"product:3"}, queue, "{}"), "WBFULL")
	f.acknowledge(f.claim(l, 10), entry.Done)
	f.set("product:3", "{}")
	if s := f.stats(); s.Depth != 1 || s.Dead != 1 {
		t.Errorf("stats are %+v", s)
	}
}

func TestANewerWriteSupersedesADeadLetterWhenItIsCommitted(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	l := f.lease("a", 0, 1)
	f.bury(l, "product:1", "bad")
	letter := f.deadLetters()["product:1"]
	version := f.set("product:1", `{"good":true}`)
	if pending, err := f.rdb.FCallRO(t.Context(), "wb_pending", []string{"product:1"}, queue).Int64(); err != nil || pending != version {
		t.Errorf("wb_pending is %d, %v", pending, err)
	}
	if _, err := f.j.Replay(t.Context(), queue, letter); !errors.Is(err, entry.ErrSuperseded) {
		t.Errorf("replay over a newer write answers %v", err)
	}
	f.acknowledge(f.claim(l, 10), entry.Done)
	if s := f.stats(); s.Dead != 0 || s.Depth != 0 || s.Flushed != 1 {
		t.Errorf("stats are %+v", s)
	}
	if _, err := f.j.Replay(t.Context(), queue, letter); !errors.Is(err, entry.ErrNoLetter) {
		t.Errorf("replay of a superseded letter answers %v", err)
	}
	if got := f.rdb.Get(t.Context(), "product:1").Val(); got != `{"good":true}` {
		t.Errorf("the value is %s", got)
	}
}

func TestASecondDeadLetterTakesThePlaceOfTheFirst(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition, func(s *config.QueueSettings) { s.MaxDepth = 2 })
	l := f.lease("a", 0, 1)
	f.bury(l, "product:1", "bad")
	f.bury(l, "product:1", "worse")
	if letters := f.deadLetters(); len(letters) != 1 || letters["product:1"].Payload != "worse" {
		t.Errorf("dead letters are %+v", letters)
	}
	f.set("product:2", "{}") // the depth is one, so this is the second
	if s := f.stats(); s.Dead != 1 || s.Depth != 1 {
		t.Errorf("stats are %+v", s)
	}
}

func TestReplayIsANewWrite(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	l := f.lease("a", 0, 1)
	f.bury(l, "product:1", `{"n":1}`)
	f.set("product:2", "{}")
	f.del("product:2")
	f.acknowledge(f.claim(l, 10), entry.Dead)
	letters := f.deadLetters()
	for key, letter := range letters {
		version, err := f.j.Replay(t.Context(), queue, letter)
		if err != nil || version <= letter.Version {
			t.Errorf("replay of %s: version %d after %d, %v", key, version, letter.Version, err)
		}
		if _, err := f.j.Replay(t.Context(), queue, letter); !errors.Is(err, entry.ErrNoLetter) {
			t.Errorf("replay again answers %v", err)
		}
	}
	claim := f.claim(l, 10)
	operations := map[string]*entry.Operation{}
	for _, e := range claim.Entries {
		operations[e.Key] = e.Operation
	}
	if len(operations) != 2 || operations["product:1"] != entry.Set || operations["product:2"] != entry.Delete {
		t.Errorf("replayed entries are %+v", claim.Entries)
	}
	f.acknowledge(claim, entry.Done)
	if s := f.stats(); s.Dead != 0 || s.Depth != 0 || s.Flushed != 2 || s.Writes != s.Flushed+s.Coalesced+2 {
		t.Errorf("stats are %+v", s)
	}
}

func TestADeadLetterOfAnyKeyIsReplayed(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	key := "product:\xff\x00\n{}"
	f.bury(f.lease("a", 0, 1), key, "bad")
	letter := f.deadLetters()[key]
	if letter == nil {
		t.Fatalf("dead letters are %+v", f.deadLetters())
	}
	f.check(f.j.Replay(t.Context(), queue, letter))
}

func TestDiscardGivesUp(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.bury(f.lease("a", 0, 1), "product:1", "bad")
	letter := f.deadLetters()["product:1"]
	f.check(nil, f.j.Discard(t.Context(), queue, letter))
	if err := f.j.Discard(t.Context(), queue, letter); !errors.Is(err, entry.ErrNoLetter) {
		t.Errorf("discarding again answers %v", err)
	}
	if ttl := f.rdb.TTL(t.Context(), "product:1").Val(); ttl <= 0 {
		t.Errorf("a value that nobody will flush has the TTL %v", ttl)
	}
	if s := f.stats(); s.Dead != 0 || s.Depth != 0 || s.Coalesced != 0 {
		t.Errorf("stats are %+v", s)
	}
}

func TestALostValueIsADeadLetterThatCannotBeReplayed(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	l := f.lease("a", 0, 1)
	f.set("product:1", "{}")
	f.rdb.Del(t.Context(), "product:1")
	f.acknowledge(f.claim(l, 10), entry.Lost)
	letter := f.deadLetters()["product:1"]
	if letter == nil || letter.Payload != "" {
		t.Fatalf("dead letter is %+v", letter)
	}
	if _, err := f.j.Replay(t.Context(), queue, letter); err == nil {
		t.Error("a lost value was replayed")
	}
	if s := f.stats(); s.Dead != 1 || s.DataLoss != 1 {
		t.Errorf("stats are %+v", s)
	}
}

func TestManyDeadLettersAreAllFound(t *testing.T) {
	f := open(t, journaltest.New(t), func(s *config.QueueSettings) { s.MaxDepth = 10_000 })
	beat := f.beat("a")
	for i := range 2500 {
		f.set(fmt.Sprintf("product:%d", i), "bad")
	}
	for p := range beat.Held {
		f.begin(p, "a", 1, 0, 0)
		f.acknowledge(f.claim(lease(p, "a", 1), 5000), entry.Dead)
	}
	if n := len(f.deadLetters()); n != 2500 {
		t.Errorf("found %d dead letters, want 2500", n)
	}
}

func TestJournalAndLedgerAreCompared(t *testing.T) {
	for name, c := range map[string]struct {
		// committed is the ledger's position for the new owner, given the versions
		// of the acknowledged and of the claimed entry.
		committed func(acknowledged, claimed int64) int64
		claimed   bool
		want      entry.Agreement
	}{
		"both agree":                               {func(a, _ int64) int64 { return a }, false, entry.Agreed},
		"a commit that was not acknowledged":       {func(_, c int64) int64 { return c }, true, entry.Agreed},
		"a claim that was not committed":           {func(a, _ int64) int64 { return a }, true, entry.Agreed},
		"a commit that the journal knows not":      {func(_, c int64) int64 { return c + 1 }, true, entry.RedisWentBack},
		"a commit without any claim":               {func(a, _ int64) int64 { return a + 1 }, false, entry.RedisWentBack},
		"an acknowledgement that was not a commit": {func(a, _ int64) int64 { return a - 1 }, false, entry.DatabaseWentBack},
		"an empty ledger":                          {func(int64, int64) int64 { return 0 }, false, entry.DatabaseWentBack},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, journaltest.New(t), onePartition)
			acknowledged := f.set("product:1", "{}")
			l := f.lease("a", 0, 1)
			f.acknowledge(f.claim(l, 10), entry.Done)
			claimed := f.set("product:2", "{}")
			if c.claimed {
				f.claim(l, 10)
			}
			f.check(nil, f.j.Leave(t.Context(), queue, "a"))
			f.beat("b")
			committed := c.committed(acknowledged, claimed)
			if got := f.begin(0, "b", 2, committed, committed); got != c.want {
				t.Errorf("verdict is %v, want %v", got, c.want)
			}
			loss := int64(0)
			if c.want != entry.Agreed {
				loss = 1
			}
			if s := f.stats(); s.DataLoss != loss {
				t.Errorf("data-loss events are %d, want %d", s.DataLoss, loss)
			}
			if version := f.set("product:3", "{}"); version <= committed {
				t.Errorf("version %d is not above the ledger's %d", version, committed)
			}
		})
	}
}
