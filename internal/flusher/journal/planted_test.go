// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// Letters that somebody planted are listed, never replayed, and can be discarded without
// a trace at their key.
func TestPlantedLettersAreOnlyDiscarded(t *testing.T) {
	f := open(t, journaltest.New(t))
	ctx := t.Context()
	f.check(f.rdb.Set(ctx, "order:1", "theirs", 0).Result())
	const sound = `{"operation":"set","version":1,"cause":"Refused"}` + "\n{}"
	planted := map[string]string{
		"order:1": sound, "product:": sound, "product:1": "garbage", "product:2": `{"operation":"drop"}` + "\n{}",
		"product:3": `[1]` + "\n{}", "product:4": "", "product:5": "\n{}",
	}
	for key, letter := range planted {
		f.check(f.rdb.HSet(ctx, "wb:{products:0}:dlq", key, letter).Result())
	}
	letters := make(map[string]*entry.DeadLetter)
	for letter, err := range f.j.DeadLetters(ctx, queue) {
		f.check(nil, err)
		letters[letter.Key] = letter
	}
	if len(letters) != len(planted) {
		t.Errorf("%d letters are listed, want %d", len(letters), len(planted))
	}
	for key, letter := range letters {
		if _, err := f.j.Replay(ctx, queue, letter); err == nil {
			t.Errorf("the letter of %s is replayed", key)
		}
		f.check(nil, f.j.Discard(ctx, queue, letter))
	}
	if s := f.stats(); s.Dead != 0 || s.Depth != 0 {
		t.Errorf("stats are %+v", s)
	}
	if got, ttl := f.rdb.Get(ctx, "order:1").Val(), f.rdb.TTL(ctx, "order:1").Val(); got != "theirs" || ttl != -1 {
		t.Errorf("the other queue's key is %q with the TTL %v", got, ttl)
	}
}

var deletion = regexp.MustCompile(`run (DEL) (\S+),`)

// A key of the journal that somebody overwrote stops the queue. Whoever meets it names it,
// and what the message says to run lets the queue go on with everything that the key did
// not hold.
func TestAKeyOfAnotherTypeIsNamedAndItsRemedyLosesNothingMore(t *testing.T) {
	const entries, letters, payloads = "entries", "letters", "payloads"
	for key, c := range map[string]struct{ lost, says string }{
		"wb:{products:0}:q":        {"", "rebuilt, and nothing is lost"},
		"wb:{products:0}:ops":      {entries, "data-loss event, so write these keys again"},
		"wb:{products:0}:late":     {"", "nothing is lost"},
		"wb:{products:0}:retry":    {"", "nothing is lost"},
		"wb:{products:0}:mend":     {"", "nothing is lost"},
		"wb:{products:0}:gone":     {"", "nothing more is lost"},
		"wb:{products:0}:dlq":      {letters, "dead letters were overwritten and are lost"},
		"wb:{products:0}:payloads": {payloads, "such letters can only be discarded"},
		"wb:{products:0}:reads":    {"", "nothing is lost"},
		"wb:{products:0}:lease":    {"", "nothing is lost"},
		"wb:{products:0}:meta":     {"", "no entry is lost"},
		"wb:{products}:queue":      {"", "no entry is lost"},
		"wb:{products}:members":    {"", "nothing is lost"},
		"wb:queues":                {"", "nothing is lost"},
	} {
		t.Run(key, func(t *testing.T) {
			f, ctx := open(t, journaltest.New(t), onePartition), t.Context()
			l := f.lease("a", 0, 1)
			f.bury(l, "product:dead", "{}")
			f.set("product:1", "{}")
			f.acknowledge(f.claim(l, 10), entry.Refused)
			f.set("product:2", "{}")
			switch key {
			case "wb:{products:0}:mend":
				f.check(f.rdb.Del(ctx, "wb:{products:0}:q").Result())
			case "wb:{products:0}:gone":
				f.check(f.rdb.RPush(ctx, "wb:{products:0}:q", "product:orphan").Result())
				f.check(f.rdb.HSet(ctx, "wb:{products:0}:meta", "mending", "counting").Result())
			}
			f.check(f.rdb.Set(ctx, key, "theirs", 0).Result())

			calls := map[string]func() error{
				"stats": func() error { _, err := f.j.Stats(ctx, queue); return err },
				"beat":  func() error { _, err := f.j.Beat(ctx, settings(), "a", leaseTime, entry.Seen{}); return err },
				"poll":  func() error { _, err := f.j.Poll(ctx, queue, []int{0}); return err },
				"claim": func() error { _, err := f.j.Claim(ctx, l, "product:", upTo(10)); return err },
				"get":   func() error { return f.rdb.FCall(ctx, "wb_get", []string{"product:9"}, queue).Err() },
				"set":   func() error { return f.rdb.FCall(ctx, "wb_set", []string{"product:2"}, queue, "{}").Err() },
				"letter": func() error {
					_, err := f.j.DeadLetter(ctx, queue, "product:dead")
					return err
				},
			}
			order := []string{"get", "letter", "poll", "stats", "beat", "set", "claim"}
			var said []string
			for _, name := range order {
				err := calls[name]()
				if err == nil || errors.Is(err, redis.Nil) || !strings.Contains(err.Error(), "WRONGTYPE") {
					continue
				}
				check := journal.Explain(err)
				for _, text := range []string{"queue products has stopped", key, "run DEL " + key + ", and the queue goes on", c.says} {
					if !strings.Contains(check.Message, text) {
						t.Errorf("%s: %q does not name %q", name, check.Message, text)
					}
				}
				said = append(said, check.Message)
			}
			if len(said) == 0 {
				t.Fatal("nobody meets it")
			}
			words := deletion.FindStringSubmatch(said[0])
			f.check(f.rdb.Do(ctx, words[1], words[2]).Result())

			f.check(f.j.Open(ctx, settings(onePartition), "journal-1", true))
			l = f.lease("a", 0, 2)
			var flushed []string
			for {
				claim := f.claim(l, 10)
				if len(claim.Entries) == 0 {
					break
				}
				for i := range claim.Entries {
					if !claim.Entries[i].Lost {
						flushed = append(flushed, claim.Entries[i].Key)
					}
				}
				f.acknowledge(claim, entry.Done)
			}
			slices.Sort(flushed)
			want := "product:1 product:2"
			if c.lost == entries {
				want = ""
			}
			if got := strings.Join(flushed, " "); got != want {
				t.Errorf("%q are flushed, want %q", got, want)
			}
			f.beat("a")
			left := f.deadLetters()
			if (left["product:dead"] == nil) != (c.lost == letters) {
				t.Errorf("the dead letters are %v", left)
			}
			if letter := left["product:dead"]; letter != nil && (letter.Payload == "") != (c.lost == payloads) {
				t.Errorf("the payload is %q", letter.Payload)
			}
			s := f.stats()
			if s.Depth != 0 || s.Dead != int64(len(left)) || (s.DataLoss > 0) != (c.lost == entries || key == "wb:{products}:queue") {
				t.Errorf("stats are %+v", s)
			}
			f.set("product:3", "{}")
		})
	}
}

// What is at KEY itself is the caller's to mend, whatever else is wrong, and so is what a
// caller may not see.
func TestATypeOfTheCallersOwnKeyIsToldAsBefore(t *testing.T) {
	f, ctx := open(t, journaltest.New(t, journaltest.User("app on >secret ~product:* ~wb:{products:*}:* ~wb:{products}:* +@all -type"))), t.Context()
	f.check(f.rdb.RPush(ctx, "product:list", "x").Result())
	f.check(f.rdb.Set(ctx, "wb:{products:0}:q", "theirs", 0).Result())
	f.check(f.rdb.Set(ctx, "wb:{products:1}:q", "theirs", 0).Result())
	f.check(f.rdb.Set(ctx, "wb:{products:2}:q", "theirs", 0).Result())
	f.check(f.rdb.Set(ctx, "wb:{products:3}:q", "theirs", 0).Result())
	err := f.rdb.FCall(ctx, "wb_set", []string{"product:list"}, queue, "{}").Err()
	if err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE KEY holds a list") {
		t.Errorf("a list at KEY: %v", err)
	}
	err = f.rdb.FCall(ctx, "wb_set", []string{"product:1"}, queue, "{}").Err()
	if err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE wb:{products:0}:q, a key of the journal of queue products, holds a string where a list belongs") {
		t.Errorf("a string in the journal: %v", err)
	}
}
