// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"os"
	"path/filepath"
	"testing"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// A flusher that ends flushes what it can over the connections that are open.
func TestARedisWithoutItsSecretIsUsable(t *testing.T) {
	t.Parallel()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := journaltest.New(t, journaltest.Password("secret"))
	c := config.Default()
	c.Redis.External.Addresses = []string{server.Addr()}
	c.Redis.External.PasswordFile = password
	f := New(c, Options{})
	defer f.database.Close()
	defer func() { _ = f.rdb.Close() }()
	looks := func(what, reason string, answers bool) {
		t.Helper()
		f.probeRedis(t.Context())
		if redis, _ := f.usable(); redis != answers || f.redisCheck.Reason != reason {
			t.Fatalf("%s: usable is %v, want %v, and the check is %+v, want reason %q", what, redis, answers, f.redisCheck, reason)
		}
	}
	looks("the password is there", "", true)
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	looks("the password is gone", cachev1alpha1.ReasonSecretMissing, true)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	looks("Redis is gone too", cachev1alpha1.ReasonConnectionFailed, false)
}

// What Redis has lost is counted by journal: a count under another journal's name would be
// counted once more.
func TestNumbersAreToldOfTheLifeTheyAreFrom(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Redis.External.Addresses = []string{"127.0.0.1:1"} // nobody goes there
	f := New(c, Options{})
	defer f.database.Close()
	defer func() { _ = f.rdb.Close() }()
	q := newQueue(f, "products")
	for n, step := range []struct {
		life, read string
		lost       int64
		want       string
	}{{"", "", 0, ""}, {"first", "", 0, "first"}, {"first", "first", 2, "first"}, {"second", "first", 2, "first"}, {"second", "second", 1, "second"}} {
		if step.life != "" {
			q.enter(step.life)
		}
		q.stats = entry.Stats{Incarnation: step.read, DataLoss: step.lost}
		if told, _, _ := q.status(); told.Journal != step.want || told.DataLossEvents != step.lost {
			t.Errorf("step %d: the status tells journal %q and %d events, want %q and %d", n, told.Journal, told.DataLossEvents, step.want, step.lost)
		}
	}
}
