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
