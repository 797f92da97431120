// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"testing"

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
	letters := make(map[string]*journal.DeadLetter)
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
