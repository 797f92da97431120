// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package writebehind_test

import (
	"errors"
	"testing"

	"github.com/writebehind/operator/api/writebehind"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

func TestClient(t *testing.T) {
	rdb := journaltest.New(t).Client(t)
	ctx := t.Context()
	j := journal.New(rdb)
	if _, err := j.EnsureLibrary(ctx); err != nil {
		t.Fatal(err)
	}
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix = "products", "product:"
	revision := int64(0)
	open := func(state string, depth int) {
		t.Helper()
		revision++
		s := journal.Settings{Owner: "test", Revision: revision, Mapping: m, MaxDepth: depth, WhenFull: config.WhenFullReject, State: state}
		if _, err := j.Open(ctx, s, "journal", false); err != nil {
			t.Fatal(err)
		}
	}
	open(config.StateOpen, 2)
	q := writebehind.NewQueue(rdb, "products")

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
	open(config.StateOpen, 1)
	_, err = q.Set(ctx, "product:3", `{}`)
	fails("full", err, writebehind.ErrFull)
	open(config.StatePaused, 1)
	_, err = q.Del(ctx, "product:1")
	fails("paused", err, writebehind.ErrPaused)
}
