// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// trial is a test of its own, which may fail.
type trial struct {
	testing.TB
	cleanups []func()
	failed   bool
	log      strings.Builder
}

// try runs a test to its end and returns what became of it.
func try(t *testing.T, test func(testing.TB)) *trial {
	t.Helper()
	tried, ended := &trial{TB: t}, make(chan struct{})
	go func() {
		defer close(ended)
		test(tried)
	}()
	<-ended
	for _, cleanup := range tried.cleanups {
		cleanup()
	}
	return tried
}

func (r *trial) Cleanup(cleanup func()) { r.cleanups = append(r.cleanups, cleanup) }

func (r *trial) Failed() bool { return r.failed }

func (r *trial) Logf(format string, args ...any) { fmt.Fprintf(&r.log, format+"\n", args...) }

func (r *trial) Errorf(format string, args ...any) {
	r.failed = true
	r.Logf(format, args...)
}

func (r *trial) Fatalf(format string, args ...any) {
	r.failed = true
	r.Logf(format, args...)
	runtime.Goexit()
}

// script is a program that does what the shell is told.
func script(text string) *exec.Cmd { return exec.Command("/bin/sh", "-c", text) }

func TestAProgramThatEndsEarlyIsMissedAtOnceAndItsLastWordsAreTold(t *testing.T) {
	t.Parallel()
	never := errors.New("it does not answer")
	for name, test := range map[string]struct {
		run  func(testing.TB)
		want string
	}{
		"while it is waited for": {func(t testing.TB) {
			p := Run(t, script("echo out; echo no such luck >&2; exit 3"))
			p.Eventually(t, Patience{Limit: time.Hour, Interval: time.Millisecond}, "it answers", func() error { return never })
		}, "it answers: sh has ended (exit status 3): it does not answer"},
		"a flusher that never serves": {func(t testing.TB) {
			RunFlusher(t, Patience{Limit: time.Hour, Interval: time.Millisecond}, script("echo out; echo no such luck; exit 4"))
		}, "the flusher listens: sh has ended (exit status 4): no address in its log yet"},
		"before it is stopped": {func(t testing.TB) {
			p := Run(t, script("echo out; echo no such luck"))
			<-p.Ended()
			p.Stop(t, Usual.Limit)
		}, "sh was to be stopped and has ended by itself (<nil>)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := try(t, test.run)
			if log := got.log.String(); !got.failed || !strings.Contains(log, test.want) || !strings.Contains(log, "said:\nout\nno such luck\n") {
				t.Errorf("failed %v, and the log is %q, want %q and what the program said", got.failed, log, test.want)
			}
		})
	}
}

func TestWhatDoesNotComeInTimeFailsTheTest(t *testing.T) {
	t.Parallel()
	got := try(t, func(t testing.TB) {
		Patience{Limit: time.Millisecond, Interval: time.Millisecond}.Eventually(t, "it comes", func() error { return errors.New("not yet") })
	})
	if want := "it comes: not within 1ms: not yet\n"; !got.failed || got.log.String() != want {
		t.Errorf("failed %v, and the log is %q, want %q", got.failed, got.log.String(), want)
	}
}

// TestWhoWaitsForLongLooksSeldom has nothing come for ten seconds.
func TestWhoWaitsForLongLooksSeldom(t *testing.T) {
	for name, c := range map[string]struct {
		patience Patience
		looks    int
		late     time.Duration
	}{
		"always at the same interval": {Patience{Limit: time.Minute, Interval: 20 * time.Millisecond}, 501, 0},
		"ever more seldom":            {Patience{Limit: time.Minute, Interval: 20 * time.Millisecond, Longest: 200 * time.Millisecond}, 80, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, looks := time.Now(), 0
				c.patience.Eventually(t, "it comes", func() error {
					if looks++; time.Since(began) < 10*time.Second {
						return errors.New("not yet")
					}
					return nil
				})
				if late := time.Since(began) - 10*time.Second; looks > c.looks || late > c.late {
					t.Errorf("it is looked at %d times, want %d at most, and seen %v late, want %v at most", looks, c.looks, late, c.late)
				}
			})
		})
	}
}

// TestTheLastWordsCount: what a program said before it ended is looked at, however fast
// it was.
func TestTheLastWordsCount(t *testing.T) {
	t.Parallel()
	f := RunFlusher(t, Usual, script(`echo '{"level":"info"}'; echo '{"msg":"Serving metrics","address":"127.0.0.1:1"}'; echo no JSON`))
	if f.Address != "127.0.0.1:1" {
		t.Errorf("the address is %q", f.Address)
	}
}

func TestAProgramRunsUntilTheTestEnds(t *testing.T) {
	t.Parallel()
	var p *Process
	got := try(t, func(t testing.TB) {
		p = Run(t, script("echo here; kill -STOP $$"))
		p.Eventually(t, Usual, "it is there", func() error { return said(p, "here\n") })
	})
	if got.failed || got.log.Len() > 0 || p.Running() {
		t.Errorf("failed %v, running %v, and the log is %q", got.failed, p.Running(), got.log.String())
	}
}

func said(p *Process, want string) error {
	if p.Said() != want {
		return fmt.Errorf("it has said %q", p.Said())
	}
	return nil
}

func TestStopReturnsTheExitCode(t *testing.T) {
	t.Parallel()
	p := Run(t, script(`trap 'exit 7' TERM; echo here; while :; do read x; done`))
	p.Eventually(t, Usual, "it listens", func() error { return said(p, "here\n") })
	if code := p.Stop(t, Usual.Limit); code != 7 {
		t.Errorf("the exit code is %d, want 7", code)
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.Err()); !ok || exit.ExitCode() != 7 {
		t.Errorf("it ended with %v", p.Err())
	}
}

func TestOnlyTheEndIsKeptOnDemand(t *testing.T) {
	t.Parallel()
	p := Run(t, script("echo 123456; read x; echo 789"))
	<-p.Ended()
	if err := said(p, "123456\n789\n"); err != nil {
		t.Error(err)
	}
	p.KeepLast(6)
	if err := said(p, "6\n789\n"); err != nil {
		t.Error(err)
	}
	if _, err := p.output.Write([]byte("0\n")); err != nil {
		t.Error(err)
	}
	if err := said(p, "789\n0\n"); err != nil {
		t.Error(err)
	}
}

func TestADataRaceOfAProgramFailsItsTest(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]bool{"WARNING: DATA RACE": true, "WARNING: it is late": false} {
		tried := try(t, func(t testing.TB) {
			<-Run(t, script("echo '"+says+"' >&2")).Ended()
		})
		if tried.failed != want || want && !strings.Contains(tried.log.String(), "has a data race") {
			t.Errorf("a program that says %q fails its test: %v, %s", says, tried.failed, tried.log.String())
		}
	}
}

func TestBuildSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	err := Build(t.Context(), t.TempDir(), nil, "cmd/nonesuch")
	if err == nil || !strings.Contains(err.Error(), "build [cmd/nonesuch]") || !strings.Contains(err.Error(), "operator/cmd/nonesuch") {
		t.Errorf("Build of a program that is not there: %v", err)
	}
}

func TestPutFileReplacesTheWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	var before os.FileInfo
	for _, text := range []string{"a longer text", "short"} {
		if err := PutFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("the file holds %q, %v; want %q", got, err, text)
		}
		after, err := os.Stat(path)
		if err != nil || os.SameFile(before, after) {
			t.Errorf("it was written in place: %v", err)
		}
		before = after
	}
	if all, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(all) != 1 {
		t.Errorf("%v are there, %v", all, err)
	}
}

func TestAFreePortIsNoneOfAConnection(t *testing.T) {
	t.Parallel()
	var seen []int
	lowest, end := portsOfServers()
	for range 100 {
		port, err := FreePort("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if port < lowest || port >= end || slices.Contains(seen, port) {
			t.Errorf("%d is given after %v; servers have those from %d to before %d", port, seen, lowest, end)
		}
		seen = append(seen, port)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
	}
	if _, err := FreePort("192.0.2.1"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("FreePort of another machine's address: %v", err)
	}
}
