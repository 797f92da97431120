// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/programs"
)

const (
	// patience is how long a condition may take on a slow machine, and perResource
	// what each resource adds to it. No run is faster or slower for it.
	patience    = time.Minute
	perResource = time.Second

	// mostResident is what the operator may keep in memory.
	mostResident = 150 << 20
	// askedTimeout is how long the operator waits for one flusher; with one lost
	// request the others' status must not be later by more.
	askedTimeout = 2 * time.Second
	// settledPolls is how often every flusher is asked without a write before
	// everything counts as written: it is asked about once a second, and numbers are
	// published every five. quietPolls is how often it is asked with nothing changing,
	// unless a time is given, and restartPolls by an operator that has just begun and
	// has published nothing yet.
	settledPolls = 6
	quietPolls   = 4
	restartPolls = 3
	// betweenChanges is the mean time between two changes of what flushers say.
	betweenChanges = 100 * time.Millisecond
)

// options are the command line's.
type options struct {
	resources, real, silent int
	// large is how many ConfigMaps of a megabyte somebody has labelled as the operator's.
	large  int
	quiet  time.Duration
	report string
	seed   uint64
}

func (o options) namespaces() int { return max(2, o.resources/50) }

// changes is at how many resources a change is timed.
func (o options) changes() int { return min(100, o.resources/2) }

var given options

func TestMain(m *testing.M) {
	flag.IntVar(&given.resources, "scale.resources", 20, "how many resources there are")
	flag.IntVar(&given.real, "scale.real", 2, "how many of them have real flushers")
	flag.IntVar(&given.silent, "scale.silent", 4, "how many flushers cease to answer")
	flag.IntVar(&given.large, "scale.large", 100, "how many ConfigMaps of a megabyte are labelled as the operator's")
	flag.DurationVar(&given.quiet, "scale.quiet", 0, "how long nothing changes, at least")
	flag.StringVar(&given.report, "scale.report", "", "a file that gets the figures as JSON")
	flag.Uint64Var(&given.seed, "scale.seed", rand.Uint64(), "chooses what changes, and when")
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// run is one measurement.
type run struct {
	*world
	options options
	rand    *rand.Rand
	manager *manager
	figures figures
}

func TestTheOperatorKeepsManyResources(t *testing.T) {
	t.Logf("seed %d", given.seed)
	r := &run{options: given, rand: rand.New(rand.NewPCG(given.seed, 0)), world: newWorld(t, given)}
	r.figures.about(given)
	r.play()
	r.addLarge()
	r.manager = r.startManager(t)

	r.converge()
	r.settle()
	r.stayQuiet()
	r.restart()
	r.writeForReal()
	r.figures.DelayBefore = r.delays("all flushers answer")
	r.loseSome()
	r.figures.DelayWithSilent = r.delays(fmt.Sprintf("%d flushers never answer", given.silent))
	r.silenceIsTold()

	r.figures.print()
	r.figures.save(t, given.report)
	r.judge()
}

// converge makes the resources and waits until all of them are ready.
func (r *run) converge() {
	r.t.Helper()
	began := time.Now()
	r.create()
	r.figures.CreateSeconds = seconds(time.Since(began))
	for _, one := range r.resources[:r.options.real] {
		select {
		case settings := <-one.settings:
			startReal(r.t, filepath.Join(r.programs, "flusher"), one.ip, r.urlFile, settings)
		case <-time.After(r.patience()):
			r.t.Fatalf("%s has no settings", one.key)
		}
	}
	r.eventually("all resources are ready", r.unsettled)
	r.figures.ConvergeSeconds = seconds(time.Since(began))
	used := r.manager.usage(r.t)
	r.figures.ConvergeCPUSeconds = seconds(used.cpu)
	r.t.Logf("%d resources were ready after %.1f s; the operator takes %.0f MiB", r.options.resources, r.figures.ConvergeSeconds, mebibytes(used.resident))
}

// settle waits until the operator has written all that there is to write.
func (r *run) settle() {
	r.t.Helper()
	began := time.Now()
	all, quiet := &r.figures.Converging, 0
	r.eventually("nothing is left to write", func() error {
		r.ask(1)
		asked := r.audit.since(r.t)
		all.plus(asked)
		if quiet++; asked.Writes > 0 {
			quiet = 0
		}
		if quiet < settledPolls {
			return fmt.Errorf("the last of %d writes: %s", all.Writes, all.what[len(all.what)-1])
		}
		return r.unsettled()
	})
	r.t.Logf("settled %.1f s later", time.Since(began).Seconds())
}

// ask waits until every played flusher that answers was asked as often.
func (r *run) ask(times int64) {
	r.t.Helper()
	var wanted []int64
	for _, one := range r.resources[r.options.real:] {
		wanted = append(wanted, one.played.polls.Load()+times)
	}
	r.eventually("every flusher is asked", func() error {
		for i, one := range r.resources[r.options.real:] {
			if have := one.played.polls.Load(); have < wanted[i] && !one.played.isSilent() {
				return fmt.Errorf("%s is not asked any more: %d more times are wanted", one.key, wanted[i]-have)
			}
		}
		return nil
	})
}

// stayQuiet measures what the operator does while nothing changes.
func (r *run) stayQuiet() {
	r.t.Helper()
	f := &r.figures
	began, polls, passes, used := time.Now(), r.polls(), r.manager.reconciles(r.t), r.manager.usage(r.t)
	r.audit.since(r.t)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for done := false; !done; {
		if r.options.quiet == 0 {
			r.ask(quietPolls)
			done = true
		} else {
			<-ticker.C
			done = time.Since(began) >= r.options.quiet
		}
		f.ResidentMiB = max(f.ResidentMiB, mebibytes(r.manager.usage(r.t).resident))
	}
	now := r.manager.usage(r.t)
	elapsed := time.Since(began)
	perMinute := func(n float64) float64 { return rounded(n / elapsed.Minutes()) }
	f.Quiet = r.audit.since(r.t)
	f.QuietSeconds = seconds(elapsed)
	f.PassesPerMinute = perMinute(r.manager.reconciles(r.t) - passes)
	f.PollsPerMinute = perMinute(float64(r.polls() - polls))
	f.CPUSecondsPerMinute = perMinute((now.cpu - used.cpu).Seconds())
	f.PeakMiB = mebibytes(now.peak)
}

// polls is how often the played flushers have answered.
func (r *run) polls() int64 {
	var total int64
	for _, one := range r.resources[r.options.real:] {
		total += one.played.polls.Load()
	}
	return total
}

// writeForReal has an application write to each of the real flushers' queues.
func (r *run) writeForReal() {
	r.t.Helper()
	for _, one := range r.resources[:r.options.real] {
		programs.Must(r.t, r.rdb.FCall(r.t.Context(), "wb_set", []string{one.queue + ":1"}, one.queue, `{"id": 1, "name": "chair"}`).Err())
	}
	r.eventually("the real flushers' statuses tell of the row", func() error {
		for _, one := range r.resources[:r.options.real] {
			if n := one.flushed(); n != 1 {
				return fmt.Errorf("%s: flushedTotal is %d", one.key, n)
			}
		}
		return nil
	})
}

// delays changes what some flushers say, each at a random moment, and measures how
// long it takes until the resource's status shows it.
func (r *run) delays(when string) delay {
	r.t.Helper()
	var others []*resource
	for _, one := range r.resources[r.options.real:] {
		if !one.played.isSilent() {
			others = append(others, one)
		}
	}
	r.rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	others = others[:min(len(others), r.options.changes())]
	took := make(chan time.Duration, len(others))
	for _, one := range others {
		moment := time.Duration(r.rand.Int64N(int64(len(others)) * int64(betweenChanges)))
		timer := time.AfterFunc(moment, func() { one.cross(took) })
		defer timer.Stop()
	}
	var all []time.Duration
	for range others {
		select {
		case d := <-took:
			all = append(all, d)
		case <-time.After(r.patience()):
			r.t.Fatalf("while %s: of %d changes only %d came into the status", when, len(others), len(all))
		}
	}
	d := delayOf(all)
	r.t.Logf("while %s: a change was in the status after %v", when, d)
	return d
}

// loseSome has some flushers accept and never answer.
func (r *run) loseSome() {
	for _, one := range r.silenced() {
		one.played.silence(true)
	}
}

// silenced are the resources whose flushers cease to answer: the last ones.
func (r *run) silenced() []*resource { return r.resources[len(r.resources)-r.options.silent:] }

// silenceIsTold makes sure that the flushers that never answer were missed.
func (r *run) silenceIsTold() {
	r.t.Helper()
	r.eventually("the silence is told", func() error {
		for _, one := range r.silenced() {
			if !one.is(v1alpha1.ConditionReady, metav1.ConditionFalse) {
				return fmt.Errorf("%s is Ready", one.key)
			}
		}
		return nil
	})
}

// restart replaces the operator by another, which finds everything done.
func (r *run) restart() {
	r.t.Helper()
	r.manager.Stop(r.t, patience)
	r.audit.since(r.t)
	began := time.Now()
	r.manager = r.startManager(r.t)
	r.ask(1)
	r.figures.RestartSeconds = seconds(time.Since(began))
	r.ask(restartPolls)
	r.figures.Restarting = r.audit.since(r.t)
	r.figures.RestartPeakMiB = mebibytes(r.manager.usage(r.t).peak)
	programs.Must(r.t, r.unsettled())
}

// judge compares the figures with what they have to be.
func (r *run) judge() {
	r.t.Helper()
	f := &r.figures
	if f.Quiet.Writes > 0 {
		r.t.Errorf("with nothing changing the operator wrote %d times:\n%s", f.Quiet.Writes, f.Quiet.named())
	}
	if f.Restarting.Writes > 0 {
		r.t.Errorf("another operator that takes over wrote %d times, though nothing was to be done:\n%s", f.Restarting.Writes, f.Restarting.named())
	}
	if worst := max(f.ResidentMiB, f.PeakMiB, f.RestartPeakMiB) * (1 << 20); worst >= mostResident {
		r.t.Errorf("the operator took %.0f MiB", worst/(1<<20))
	}
	if late := f.DelayWithSilent.Max - f.DelayBefore.Max; late > askedTimeout.Seconds() {
		r.t.Errorf("flushers that never answer delay the others' status by %.1f s", late)
	}
}

func (r *run) patience() time.Duration {
	return patience + time.Duration(r.options.resources)*perResource
}

// eventually polls until check has nothing to complain about.
func (r *run) eventually(what string, check func() error) {
	r.t.Helper()
	r.manager.Eventually(r.t, programs.Patience{Limit: r.patience(), Interval: 50 * time.Millisecond}, what, func() error {
		err := check()
		if err != nil && r.t.Failed() {
			r.t.Fatalf("%s: given up: %v", what, err)
		}
		return err
	})
}
