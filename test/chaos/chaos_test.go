// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

var (
	minutes  = flag.Float64("chaos.minutes", 0, "how long faults go on; 0 is as long as make test has time for")
	seed     = flag.Uint64("chaos.seed", 0, "what the sequence of faults is drawn from; 0 takes a fresh one")
	rate     = flag.Int("chaos.rate", 1500, "writes a second that are aimed at; under 1000 the queue does not fill")
	report   = flag.String("chaos.report", "", "a file for the report, as JSON")
	only     = flag.String("chaos.only", "", "kinds of faults, separated by commas; all others are left out")
	logs     = flag.String("chaos.logs", "", "a folder for the flushers' whole logs")
	sentinel = flag.Bool("chaos.sentinel", false, "with capture Replication: three servers, and Sentinels that choose the primary")
	plain    = flag.Bool("chaos.plain", false, "build the flusher without the race detector")
)

// program is the flusher's executable, folder where it is built.
var program, folder string

// lasting is for how many minutes faults go on, where so many are usual.
func lasting(usual float64) float64 {
	if *minutes > 0 {
		return *minutes
	}
	return usual
}

func TestMain(m *testing.M) {
	flag.Parse()
	journal.Quiet()
	os.Exit(programs.Main(m, func(f string) error {
		folder = f
		return nil
	}))
}

// build makes program a flusher that is built with the flags, once for each name.
func build(t *testing.T, name string, flags ...string) {
	t.Helper()
	place := filepath.Join(folder, name)
	program = filepath.Join(place, "flusher")
	if _, err := os.Stat(program); err == nil {
		return
	}
	if !*plain {
		flags = append(flags, programs.WithRaceDetector...)
	}
	programs.Must(t, os.MkdirAll(place, 0o700))
	programs.Must(t, programs.Build(context.WithoutCancel(t.Context()), place, flags, "cmd/flusher"))
}

// drainTime bounds how long the queue takes to become empty once all is well.
const drainTime = 3 * time.Minute

func TestEveryAcknowledgedWriteIsAccountedFor(t *testing.T) {
	chosen := *seed
	if chosen == 0 {
		chosen = rand.Uint64N(1 << 32)
	}
	last := lasting(0.4)
	say("seed %d: make chaos MINUTES=%v SEED=%d", chosen, last, chosen)
	t.Cleanup(func() {
		if t.Failed() {
			say("failed with seed %d", chosen)
			t.Logf("the seed was %d: replay with -args -chaos.seed=%d -chaos.minutes=%v", chosen, chosen, last)
		}
	})
	// Rewritten often, so that a restart takes no longer at the end of a long run.
	w := newWorld(t, journaltest.AppendOnly("always"), journaltest.Config("auto-aof-rewrite-min-size 32mb"))
	w.startFlushers()

	started := time.Now()
	w.crowd.startWriters(t.Context(), chosen)
	watching, stopWatching := context.WithCancel(t.Context())
	var watchers sync.WaitGroup
	watchers.Go(func() { w.reader.run(watching) })
	storm := newStorm(w, chosen, kinds)
	watchers.Go(func() { w.progress(watching, storm, started) })
	watchers.Go(func() { w.watch(watching) })

	faults, over := context.WithTimeout(t.Context(), time.Duration(last*float64(time.Minute)))
	storm.rage(faults)
	over()
	w.lastPoison()
	w.crowd.stopWriters()
	w.recover()
	stopWatching()
	watchers.Wait()
	if w.deepest == 0 {
		w.findings.add(harness, "no entry was ever seen in the queue, so its depth was not watched")
	}
	r := w.conclude(storm)
	r.Seed, r.Seconds = chosen, time.Since(started).Seconds()
	r.print()
	if *report != "" {
		if err := r.save(*report); err != nil {
			t.Error(err)
		}
	}
	w.findings.report(t)
}

// lastPoison lets some of the last writes be such that the table refuses them, so that
// dead letters are left to be accounted for.
func (w *world) lastPoison() {
	w.t.Helper()
	w.crowd.poisoning.Store(true)
	before := w.crowd.acknowledged.Load()
	w.must("writers write on", drainTime, func(context.Context) error {
		if n := w.crowd.acknowledged.Load() - before; n < int64(w.crowd.rate) {
			return fmt.Errorf("%d writes were acknowledged", n)
		}
		return nil
	})
}

// recover waits, with everything healed, until nothing is on its way any more.
func (w *world) recover() {
	w.t.Helper()
	for _, f := range w.flushers[:members] {
		if err := f.start(); err != nil {
			w.t.Fatal(err)
		}
	}
	w.must("the queue is empty", drainTime, func(ctx context.Context) error {
		stats, err := w.journal.Stats(ctx, queue)
		if err == nil && stats.Depth != 0 {
			err = fmt.Errorf("stats are %+v", stats)
		}
		return err
	})
}

// say prints a line at once, which a test's own log does not.
func say(format string, args ...any) {
	if testing.Verbose() || strings.HasPrefix(format, "seed") || strings.HasPrefix(format, "failed") {
		fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
	}
}
