// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnotherProcessWithTheSameIDIsLeftAlone(t *testing.T) {
	p := self(t)
	if !p.alive() {
		t.Error("this process does not count as running")
	}
	p.Start++
	if p.alive() {
		t.Error("a process that started at another time counts as the recorded one")
	}
	p.kill() // would end this test
}

func TestEndedProcess(t *testing.T) {
	// Ids end at 2^22 at most.
	if (process{PID: 1 << 30}).alive() {
		t.Error("a process that cannot exist counts as running")
	}
}

func TestPoll(t *testing.T) {
	errNotYet := errors.New("not yet")
	never := func(context.Context) error { return errNotYet }
	t.Run("success", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			started := time.Now()
			err := poll(t.Context(), time.Minute, nil, func(context.Context) error {
				if calls++; calls < 4 {
					return errNotYet
				}
				return nil
			})
			if err != nil || time.Since(started) != 3*pollInterval {
				t.Errorf("poll = %v after %s", err, time.Since(started))
			}
		})
	})
	t.Run("time over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			err := poll(t.Context(), time.Minute, nil, never)
			if !errors.Is(err, errNotYet) || !strings.Contains(err.Error(), "1m0s") {
				t.Errorf("poll = %v, want the time and the last error", err)
			}
		})
	})
	t.Run("ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ended := make(chan struct{})
			close(ended)
			if err := poll(t.Context(), time.Minute, ended, never); !errors.Is(err, errEnded) {
				t.Errorf("poll = %v", err)
			}
		})
	})
	t.Run("interrupted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := poll(ctx, time.Minute, nil, never); !errors.Is(err, errInterrupted) {
				t.Errorf("poll = %v", err)
			}
		})
	})
}

func TestAwaitShowsTheEndOfTheLog(t *testing.T) {
	log := writeTemporary(t, strings.Repeat("old\n", 50)+"the port is taken\n", 0o600)
	p := &component{process: process{Name: "etcd", Log: log}, exited: make(chan struct{}), err: os.ErrPermission}
	close(p.exited)
	err := p.await(t.Context(), func(context.Context) error { return errors.New("refused") })
	for _, want := range []string{"etcd ended: permission denied", log, "the port is taken"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if strings.Count(err.Error(), "old") > 12 {
		t.Errorf("the whole log is in the error: %v", err)
	}
}

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1240 * time.Millisecond: "1.2s", 12700 * time.Millisecond: "13s", 192 * time.Second: "3m12s",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("shortDuration(%s) = %s, want %s", d, got, want)
		}
	}
}
