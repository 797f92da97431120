// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/writebehind/operator/internal/flusher/replica"
)

// event is one thing that happens in a world.
type event struct{ Kind, A, B, C int }

type kind struct {
	name  string
	often int
	do    func(w *world, e event)
}

// kinds are how often what happens, of all that may.
var kinds = []kind{
	{"write", 12, func(w *world, e event) { w.writes(e.A, e.B, false) }},
	{"transaction", 3, func(w *world, e event) { w.writes(e.A, e.B, true) }},
	{"sweep", 12, func(w *world, e event) { w.sweep(e, flows) }},
	{"sweep badly", 6, func(w *world, e event) { w.sweep(e, fate(e.C%int(fates))) }},
	{"late", 3, func(w *world, e event) {
		if len(w.late) > 0 {
			b := w.late[e.A%len(w.late)]
			w.commit(b)
		}
	}},
	{"wait", 4, func(_ *world, e event) {
		time.Sleep([]time.Duration{50 * time.Millisecond, time.Second, 5 * time.Second}[e.A%3])
	}},
	{"ping", 2, func(w *world, _ event) { w.redis.Ping() }},
	{"cut", 2, func(w *world, _ event) { w.redis.Cut() }},
	{"hold", 2, func(w *world, e event) { w.redis.Hold(e.A%2 == 0) }},
	{"away", 1, func(w *world, e event) { w.redis.Away(e.A%2 == 0) }},
	{"overrun", 1, func(w *world, e event) {
		w.overrun()
		if e.A%2 == 0 {
			w.redis.Cut()
		}
	}},
	{"restart", 1, func(w *world, _ event) { w.restart() }},
	{"fail over", 2, func(w *world, e event) { w.failOver(e.A % 4) }},
	{"flush", 1, func(w *world, _ event) { w.flushAll() }},
	{"kill", 2, func(w *world, e event) {
		w.kill(e.A % len(w.carriers))
		w.start(replica.Bounds{})
	}},
	{"second", 1, func(w *world, _ event) {
		if len(w.carriers) < 2 {
			w.start(replica.Bounds{})
		}
	}},
	{"beforehand", 3, func(w *world, e event) { w.redis.Beforehand(func() { w.somewhere(e) }) }},
	{"meanwhile", 4, func(w *world, e event) {
		w.redis.Meanwhile(func() {
			w.somewhere(e)
			time.Sleep(time.Duration(e.B%3) * 60 * time.Millisecond)
			synctest.Wait() // the stream tells of it before the answer arrives
		})
	}},
	{"no database", 2, func(w *world, e event) { w.carriers[e.A%len(w.carriers)].store.away.Store(e.B%2 == 0) }},
}

// somewhere is what may happen while keys are read.
func (w *world) somewhere(e event) {
	switch e.C % 10 {
	case 0, 1, 2, 3, 4:
		w.writes(e.A, e.B, false)
	case 5:
		w.writes(e.A, e.B, true)
	case 6:
		w.failOver(e.A % 4)
	case 7:
		w.redis.Cut()
	case 8:
		w.flushAll()
	case 9:
		w.restart()
	}
}

func (w *world) sweep(e event, f fate) {
	queue := []string{texts, hashes, boards, streams}[e.A%4]
	w.carriers[e.B%len(w.carriers)].sweep(queue, e.C%partitions, 1+e.A/4%4, f)
}

func events() *rapid.Generator[[]event] {
	var of []int
	for i, k := range kinds {
		for range k.often {
			of = append(of, i)
		}
	}
	one := rapid.Custom(func(t *rapid.T) event {
		n := rapid.IntRange(0, 3*kindsOfWrites-1)
		return event{rapid.SampledFrom(of).Draw(t, "kind"), n.Draw(t, "a"), n.Draw(t, "b"), n.Draw(t, "c")}
	})
	// Left to itself the length is a handful.
	return rapid.Custom(func(t *rapid.T) []event {
		length := rapid.SampledFrom([]int{3, 10, 30, 100}).Draw(t, "length")
		return rapid.SliceOfN(one, length, length).Draw(t, "events")
	})
}

func (e event) String() string { return fmt.Sprintf("%s %d %d %d", kinds[e.Kind].name, e.A, e.B, e.C) }

// live has the events happen, and then all faults end. It returns what was wrong.
func live(t *testing.T, happens []event, bounds replica.Bounds) (errs []string) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx)
		w.start(bounds)
		defer func() {
			for len(w.carriers) > 0 {
				w.kill(0)
			}
		}()
		for _, e := range happens {
			synctest.Wait()
			kinds[e.Kind].do(w, e)
			if len(w.errs) > 0 {
				w.failed("this was %v", e)
				errs = w.errs
				return
			}
		}
		w.redis.Beforehand(nil)
		w.redis.Meanwhile(nil)
		w.redis.Away(false)
		w.redis.Hold(false)
		for _, c := range w.carriers {
			c.store.away.Store(false)
		}
		if err := w.drain(); err != nil {
			w.failed("it is not drained: %v", err)
		} else {
			w.compare()
		}
		errs = w.errs
	})
	return errs
}

// TestWhateverHappensTheTableFollows looks at random lives of a source: writes, sweeps whose
// batches are lost, late or refused, streams that are cut, held or overrun, servers that
// restart or fail over with and without loss, flushers that are killed or cut off. In the end
// the rows are what the keys are, and on the way no row goes back, and nothing is
// acknowledged that was not carried.
func TestWhateverHappensTheTableFollows(t *testing.T) {
	for name, bounds := range map[string]replica.Bounds{"usual bounds": {}, "hardly any room": {Dirty: 500}} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				happens := events().Draw(rt, "events")
				if errs := live(t, happens, bounds); len(errs) > 0 {
					rt.Fatalf("%s\n%v", strings.Join(errs, "\n"), happens)
				}
			})
		})
	}
}

// TestLivesThatWentWrong has happen what random lives once did.
func TestLivesThatWentWrong(t *testing.T) {
	of := func(name string, a, b, c int) event {
		return event{slices.IndexFunc(kinds, func(k kind) bool { return k.name == name }), a, b, c}
	}
	for name, happens := range map[string][]event{
		// All keys were read once the stream had come to the ping, which the last server has not
		// heard.
		"two servers take over, and a ping is lost": {
			of("ping", 17, 43, 14), of("sweep badly", 0, 4, 8), of("write", 29, 1, 10), of("sweep", 12, 3, 0), of("write", 31, 6, 8),
			of("fail over", 45, 40, 59), of("wait", 59, 13, 4), of("write", 2, 4, 5), of("fail over", 51, 42, 6), of("late", 58, 7, 11),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, err := range live(t, happens, replica.Bounds{}) {
				t.Error(err)
			}
		})
	}
}
