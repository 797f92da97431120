// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"testing"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// A flusher that ends flushes what it can over the connections that are open.
func TestARedisWithoutItsSecretIsUsable(t *testing.T) {
	t.Parallel()
	redis := &answering{check: config.Check{OK: true}}
	f := New(config.Default(), redis, awayDatabase{}, Options{})
	looks := func(what, reason string, answers bool) {
		t.Helper()
		f.probeRedis(t.Context())
		if redis, _ := f.usable(); redis != answers || f.redisCheck.Reason != reason {
			t.Fatalf("%s: usable is %v, want %v, and the check is %+v, want reason %q", what, redis, answers, f.redisCheck, reason)
		}
	}
	looks("the password is there", "", true)
	redis.proof = config.Check{Reason: cachev1alpha1.ReasonSecretMissing}
	looks("the password is gone", cachev1alpha1.ReasonSecretMissing, true)
	redis.check = config.Check{Reason: cachev1alpha1.ReasonConnectionFailed}
	looks("Redis is gone too", cachev1alpha1.ReasonConnectionFailed, false)
}

// What Redis has lost is counted by journal: a count under another journal's name would be
// counted once more.
func TestNumbersAreToldOfTheLifeTheyAreFrom(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Redis.External.Addresses = []string{"127.0.0.1:1"} // nobody goes there
	f := alone(c, Options{})
	q := newQueue(f, "products")
	for n, step := range []struct {
		life, read string
		lost       int64
		want       string
	}{{"", "", 0, ""}, {"first", "", 0, "first"}, {"first", "first", 2, "first"}, {"second", "first", 2, "first"}, {"second", "second", 1, "second"}} {
		if step.life != "" {
			q.enter(step.life)
		}
		q.meter.stats = entry.Stats{Incarnation: step.read, DataLoss: step.lost}
		if told, _, _ := q.status(); told.Journal != step.want || told.DataLossEvents != step.lost {
			t.Errorf("step %d: the status tells journal %q and %d events, want %q and %d", n, told.Journal, told.DataLossEvents, step.want, step.lost)
		}
	}
}

// TestAQueueThatWasNotMadeYetIsNotReady: who waits for readiness means to write.
func TestAQueueThatWasNotMadeYetIsNotReady(t *testing.T) {
	t.Parallel()
	f := alone(secretless(), Options{})
	q := f.queues[0]
	q.fits()
	if status, _, _ := q.status(); status.Ready.OK {
		t.Error("it is ready without a journal")
	}
	q.enter("journal")
	if status, _, _ := q.status(); !status.Ready.OK {
		t.Errorf("it is not ready: %+v", status.Ready)
	}
}

// TestAQueueWhoseLoopStandsStillIsNotAlive, and nothing less is a reason to restart.
func TestAQueueWhoseLoopStandsStillIsNotAlive(t *testing.T) {
	t.Parallel()
	f := alone(secretless(), Options{})
	for name, c := range map[string]struct {
		stepped time.Time
		want    string
	}{
		"it has just stepped":      {time.Now(), ""},
		"it waits for an answer":   {time.Now().Add(-wedgedAfter / 2), ""},
		"it stands still":          {time.Now().Add(-2 * wedgedAfter), "products"},
		"it does not run (by now)": {time.Unix(0, 0), ""},
	} {
		f.queues[0].stepped.Store(c.stepped.UnixNano())
		if queue := f.Wedged(time.Now()); queue != c.want {
			t.Errorf("%s: %q is wedged, want %q", name, queue, c.want)
		}
	}
}
