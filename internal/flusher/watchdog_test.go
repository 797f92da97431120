// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// secretless is a config whose Secrets are all missing: both servers are away
// without a socket, so that hours can pass in a bubble.
func secretless() *config.Config {
	c := config.Default()
	c.Redis.External.Addresses = []string{"redis.invalid:6379"}
	c.Redis.External.TLS = &config.TLS{CAFile: "/nowhere/ca.crt", CASecret: "Secret redis-ca"}
	c.Database.Postgres.URLFile = "/nowhere/uri"
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Table, m.KeyColumn = "products", "product:", "public.products", "id"
	c.Mappings = []config.Mapping{m}
	return c
}

// lastDial is when the Redis client notices in a bubble that it was closed: while
// no connection can be made it looks once a second.
func lastDial() { time.Sleep(2 * time.Second) }

// passes lets time pass while an entry that was young at the start waits, and
// returns when the queue counts as stuck.
func (q *queue) passes(d time.Duration) (stuck time.Duration) {
	began := time.Now()
	for time.Since(began) < d {
		q.observe([]entry.Load{{Entries: 1, Fresh: 1, HeadMilliseconds: time.Since(began).Milliseconds()}})
		if status, _, _ := q.status(); status.Ready.Reason == cachev1alpha1.ReasonStuck {
			return time.Since(began)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return 0
}

func TestTheWatchdogBarksAfterThreeIntervals(t *testing.T) {
	for name, c := range map[string]struct {
		milliseconds int
		want         time.Duration
	}{
		"three intervals": {10_000, 30 * time.Second},
		"at least 5 s":    {100, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				settings := secretless()
				settings.Flush.IntervalMilliseconds = c.milliseconds
				f := alone(settings, Options{})
				q := f.queues[0]
				q.enter("journal")
				q.fits()
				time.Sleep(time.Hour)
				if stuck := q.passes(time.Minute); stuck != c.want {
					t.Errorf("stuck after %v, want %v", stuck, c.want)
				}
				// Something moves.
				q.meter.lastFlush = time.Now()
				if status, _, _ := q.status(); !status.Ready.OK {
					t.Errorf("after a flush the queue is %+v", status.Ready)
				}
				if stuck := q.passes(time.Minute); stuck != c.want {
					t.Errorf("stuck %v after the flush, want %v", stuck, c.want)
				}
			})
		})
	}
}

func TestTheWatchdogIsQuietWhileNothingIsToMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := secretless()
		settings.Flush.IntervalMilliseconds = 1000
		suspended := *settings
		suspended.Suspend = true
		f := alone(&suspended, Options{})
		q := f.queues[0]
		q.enter("journal")
		q.fits()
		if stuck := q.passes(time.Hour); stuck != 0 {
			t.Errorf("a suspended queue is stuck after %v", stuck)
		}
		// What has waited for an hour gets its time after the suspension.
		f.Apply(settings)
		began := time.Now()
		for time.Since(began) < time.Minute {
			q.observe([]entry.Load{{Entries: 1, Fresh: 1, HeadMilliseconds: time.Hour.Milliseconds()}})
			if status, _, _ := q.status(); !status.Ready.OK {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if waited := time.Since(began); waited != stuckFloor {
			t.Errorf("stuck %v after the suspension, want %v", waited, stuckFloor)
		}
		// Refused entries alone are the rows' own fault.
		q.observe([]entry.Load{{Entries: 9, HeadMilliseconds: time.Hour.Milliseconds(), HeadUndated: true}})
		if status, _, _ := q.status(); !status.Ready.OK {
			t.Errorf("with refused entries alone the queue is %+v", status.Ready)
		}
	})
}

func TestAPausedMappingIsTriedOnceAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := secretless()
		settings.Flush.IntervalMilliseconds = 5000
		f := alone(settings, Options{})
		q := f.queues[0]
		q.enter("journal")
		q.fits()
		p := &partition{number: 3, epoch: 1, lease: &entry.Term{}}
		q.member.partitions[3], q.member.life.trust = p, trust{whole: true}
		tries := 0
		began := time.Now()
		for time.Since(began) < time.Minute {
			before := p.lastSweep
			q.start(t.Context(), 3, entry.Load{Entries: 10, Fresh: 10, HeadMilliseconds: 60_000}, time.Now())
			synctest.Wait()
			if p.lastSweep != before {
				tries++
				// The database refuses every row of what was tried.
				every := &entry.Fault{Kind: entry.Row, SQLSTATE: "P0001", Message: "a trigger refuses the row (SQLSTATE P0001)"}
				(&flush{q: q, policy: q.settings.Load().policy}).pause(t.Context(), every, entry.RowsPass, false)
				p.epoch = 1
			}
			time.Sleep(50 * time.Millisecond)
		}
		if tries != 12 {
			t.Errorf("%d tries in a minute with an interval of 5 s, want 12", tries)
		}
		if status, _, _ := q.status(); status.Ready.Reason != cachev1alpha1.ReasonMappingPaused || !strings.Contains(status.Ready.Message, "P0001") {
			t.Errorf("status is %+v", status)
		}
		q.resume()
		before := p.lastSweep
		q.start(t.Context(), 3, entry.Load{Entries: 10, Fresh: 10, HeadMilliseconds: 60_000}, time.Now())
		synctest.Wait()
		started := p.lastSweep != before
		if status, _, _ := q.status(); !started || !status.Ready.OK {
			t.Errorf("after a row got through: started %v, status is %+v", started, status.Ready)
		}
	})
}

// countingHandler counts what a person would have to read.
type countingHandler struct {
	slog.Handler
	mu    *sync.Mutex
	lines *[]string
}

func (h countingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h countingHandler) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Level >= slog.LevelWarn {
		*h.lines = append(*h.lines, r.Message)
	}
	return nil
}

func (h countingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func TestHoursWithoutServersAreToldOnceAndEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		settings := secretless()
		settings.Revision = 7
		f := alone(settings, Options{Log: slog.New(countingHandler{mu: &sync.Mutex{}, lines: &lines})})
		q := f.queues[0]
		seen := time.Now()
		q.meter.observed = seen
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.Run(ctx)
		}()
		time.Sleep(time.Hour)
		status := f.Status()
		if status.Redis.Reason != cachev1alpha1.ReasonConnectionFailed || status.Database.Reason != cachev1alpha1.ReasonConnectionFailed {
			t.Errorf("status is %+v", status)
		}
		if status.Tried() != 7 || status.Revision == 7 {
			t.Errorf("the checks speak of revision %d, want 7; in force is %d, want none", status.Tried(), status.Revision)
		}
		if !status.ObservedTime.Equal(seen) {
			t.Errorf("numbers of an hour ago are told as of %v ago", time.Since(status.ObservedTime))
		}
		if check := f.Ready(); check.OK || check != status.Redis {
			t.Errorf("readiness is %+v", check)
		}
		if len(lines) > 5 {
			t.Errorf("%d warnings in an hour, the last is %q", len(lines), lines[len(lines)-1])
		}
		stop()
		asked := time.Now()
		<-ended
		if took := time.Since(asked); took > time.Second {
			t.Errorf("the end takes %v", took)
		}
		lastDial()
	})
}
