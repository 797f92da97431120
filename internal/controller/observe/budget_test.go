// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

// changeable tells something else at each look that would turn a condition.
func changeable() func(context.Context) (*config.Status, error) {
	var looks atomic.Int64
	return func(context.Context) (*config.Status, error) {
		s := fine(0)
		n := looks.Add(1)
		s.Queues[0].DataLossEvents = n
		s.Database = config.Check{OK: n%2 == 0, Reason: fmt.Sprintf("Reason%d", n)}
		return s, nil
	}
}

// TestAPodThatTakesNewSettingsIsHeardAtOnce, however often somebody changes them; one that lies
// about what it has in force gains nothing.
func TestAPodThatTakesNewSettingsIsHeardAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		inForce func(round int64) int64
		most    int
	}{
		"honest":     {func(round int64) int64 { return round }, 42},
		"to and fro": {func(round int64) int64 { return round % 2 }, 25},
		"ahead":      {func(round int64) int64 { return 1000 * round }, 25},
		"climbing":   {func(round int64) int64 { return round - 20 }, 25},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pods := newCluster()
				o, heard := run(t, pods, Options{})
				for round := range int64(40) {
					o.Track(shop, "u", Marks{Revision: round})
					s := fine(0)
					s.Revision = c.inForce(round)
					s.Database = config.Check{OK: round%2 == 0, Reason: fmt.Sprintf("Reason%d", round)}
					pods.set(shop, "pod", says(s))
					time.Sleep(2 * time.Second)
				}
				if n := heard(shop); n > c.most || name == "honest" && n < 38 {
					t.Errorf("in 40 rounds it was heard %d times", n)
				}
			})
		})
	}
}

// TestAnOrdinaryQueueDelaysNoNews: it empties and fills at every flush, over a mark too, and while
// the database is away its circuit is tried again and again. Whoever is on call learns at once
// that a server is down, and that it is back.
func TestAnOrdinaryQueueDelaysNoNews(t *testing.T) {
	for name, edit := range map[string]func(*config.Status, int64){
		"it empties":           func(s *config.Status, n int64) { s.Queues[0].Depth = n % 2 },
		"it goes over a mark":  func(s *config.Status, n int64) { s.Queues[0].Depth = 2 * marks.Warning * (n % 2) },
		"its circuit is tried": func(s *config.Status, n int64) { s.Circuit = []string{"open", "half-open"}[n%2] },
		"it fails and goes on": func(s *config.Status, n int64) { s.Queues[0].LastError = []string{"", "55P03"}[n%2] },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster()
				var looks, down atomic.Int64
				c.set(shop, "pod", func(context.Context) (*config.Status, error) {
					s := fine(0)
					edit(s, looks.Add(1)/3)
					if down.Load() == 1 {
						s.Database = config.Check{Reason: "ConnectionFailed"}
					}
					return s, nil
				})
				o, heard := run(t, c, Options{})
				o.Track(shop, "u", marks)
				time.Sleep(5 * time.Minute)
				if n := heard(shop); n > 5*60/5+freeChanges+2 {
					t.Errorf("in 5 min it was heard %d times", n)
				}
				for _, is := range []int64{1, 0} {
					down.Store(is)
					time.Sleep(1500 * time.Millisecond)
					if told := o.Latest(shop, "u").Flushers[0].Status.Database.Reason != ""; told != (is == 1) {
						t.Errorf("after 1.5 s it is told that the database is down: %t", told)
					}
				}
			})
		})
	}
}

// TestAPodThatTellsSomethingElseEachTimeIsHeardSeldom: each publication is a write of the
// status and several events.
func TestAPodThatTellsSomethingElseEachTimeIsHeardSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.set(shop, "liar", changeable())
		o, heard := run(t, c, Options{})
		o.Track(shop, "u", Marks{})

		time.Sleep(15 * time.Second)
		if n := heard(shop); n < freeChanges || n > freeChanges+4 {
			t.Errorf("in 15 s it was heard %d times", n)
		}
		time.Sleep(time.Hour)
		if n := heard(shop); n > 150 {
			t.Errorf("in an hour it was heard %d times", n)
		}

		// An honest pod beside it is heard at once all the same.
		c.set(shop, "honest", says(fine(0)))
		time.Sleep(2 * time.Second)
		before := heard(shop)
		broken := fine(0)
		broken.Database = config.Check{Reason: "ConnectionFailed"}
		c.set(shop, "honest", says(broken))
		time.Sleep(2 * time.Second)
		if heard(shop) == before {
			t.Error("what another pod tells waits for it")
		}

		// Once it is calm for a while it is heard at once too.
		c.set(shop, "liar", says(fine(0)))
		time.Sleep(20 * time.Minute)
		before = heard(shop)
		c.set(shop, "liar", says(broken))
		time.Sleep(2 * time.Second)
		if heard(shop) != before+1 {
			t.Error("it is never believed again")
		}
	})
}
