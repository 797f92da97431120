// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/api/writebehind"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// TestTheGoClientAgreesWithTheLibrary is here because the client's own module requires
// no server: an application takes it without what the tests need.
func TestTheGoClientAgreesWithTheLibrary(t *testing.T) {
	revision := int64(1)
	at := func(state string, depth int) func(*config.QueueSettings) {
		return func(s *config.QueueSettings) { s.Revision, s.State, s.MaxDepth = revision, state, depth }
	}
	f := open(t, journaltest.New(t), at(config.StateOpen, 2))
	rdb, ctx := f.rdb, t.Context()
	reopen := func(state string, depth int) {
		t.Helper()
		revision++
		f.check(f.j.Open(ctx, settings(at(state, depth)), "journal-1", false))
	}
	q := writebehind.NewQueue(rdb, queue)

	version, err := q.Set(ctx, "product:1", `{"n":1}`)
	if err != nil || version == 0 {
		t.Fatalf("Set: %d, %v", version, err)
	}
	if pending, ok, err := q.Pending(ctx, "product:1"); err != nil || !ok || pending != version {
		t.Errorf("Pending: %d, %v, %v; want %d", pending, ok, err, version)
	}
	if pending, ok, err := q.Pending(ctx, "product:9"); err != nil || ok || pending != 0 {
		t.Errorf("Pending of a clean key: %d, %v, %v", pending, ok, err)
	}
	if later, err := q.Del(ctx, "product:1"); err != nil || later <= version {
		t.Errorf("Del: %d after %d, %v", later, version, err)
	}
	for key, want := range map[string]bool{"product:1": false, "product:2": true} {
		if filled, err := q.Fill(ctx, key, `{}`); err != nil || filled != want {
			t.Errorf("Fill %s: %v, %v", key, filled, err)
		}
	}

	if value, token, err := q.Get(ctx, "product:2"); err != nil || token != "" || value != `{}` {
		t.Errorf("Get of a cached key: %q, %q, %v", value, token, err)
	}
	_, token, err := q.Get(ctx, "product:7")
	if err != nil || token == "" {
		t.Fatalf("Get of a miss: %q, %v", token, err)
	}
	for _, want := range []bool{true, false} {
		if filled, err := q.Fill(ctx, "product:7", `{}`, token); err != nil || filled != want {
			t.Errorf("Fill with the token: %v, %v; want %v", filled, err, want)
		}
	}
	_, stale, err := q.Get(ctx, "product:1") // deleted, and not flushed yet
	if filled, fillErr := q.Fill(ctx, "product:1", `{}`, stale); err != nil || fillErr != nil || filled || stale == "" {
		t.Errorf("Fill of a dirty key: %v, %v, %v", filled, err, fillErr)
	}

	fails := func(name string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	_, err = writebehind.NewQueue(rdb, "none").Set(ctx, "product:1", `{}`)
	fails("no queue", err, writebehind.ErrNoQueue)
	_, err = q.Set(ctx, "order:1", `{}`)
	fails("another prefix", err, writebehind.ErrArguments)
	_, _, err = q.Get(ctx, "order:1")
	fails("read another prefix", err, writebehind.ErrArguments)
	_, _, err = writebehind.NewQueue(rdb, "none").Get(ctx, "product:1")
	fails("read no queue", err, writebehind.ErrNoQueue)
	_, err = q.Fill(ctx, "product:8", `{}`, "")
	fails("an empty token", err, writebehind.ErrArguments)
	if err := rdb.LPush(ctx, "product:list", "x").Err(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.Get(ctx, "product:list"); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("Get of a list: %v", err)
	}
	reopen(config.StateOpen, 1)
	_, err = q.Set(ctx, "product:3", `{}`)
	fails("full", err, writebehind.ErrFull)
	reopen(config.StatePaused, 1)
	_, err = q.Del(ctx, "product:1")
	fails("paused", err, writebehind.ErrPaused)
}
