// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sony/gobreaker/v2"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/postgres"
)

// circuit is a breaker with the textbook's settings, and the states it went through.
type circuit struct {
	breaker
	went []string
}

func newCircuit() *circuit {
	c := &circuit{}
	c.changed = func(_, to gobreaker.State) { c.went = append(c.went, to.String()) }
	c.apply(config.CircuitBreaker{FailureThreshold: 5, OpenMilliseconds: 10_000})
	return c
}

func (c *circuit) attempt(kind postgres.Kind) error {
	return c.run(func() error {
		if kind == 0 {
			return nil
		}
		return &postgres.Error{Kind: kind}
	})
}

func (c *circuit) fail(times int) {
	for range times {
		_ = c.attempt(postgres.Transient)
	}
}

func TestTheCircuitOpensAtTheThresholdAndClosesAfterOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		c.fail(4)
		if c.state() != gobreaker.StateClosed {
			t.Fatal("the circuit opens before the threshold")
		}
		// A success in between begins the count anew.
		if err := c.attempt(0); err != nil {
			t.Fatal(err)
		}
		c.fail(4)
		if c.state() != gobreaker.StateClosed {
			t.Fatal("the circuit counts failures that were not in a row")
		}
		c.fail(1)
		if c.state() != gobreaker.StateOpen {
			t.Fatal("the circuit does not open at the threshold")
		}
		time.Sleep(10*time.Second - time.Millisecond)
		if err := c.attempt(0); !errors.Is(err, gobreaker.ErrOpenState) {
			t.Fatalf("an open circuit lets work through: %v", err)
		}
		time.Sleep(2 * time.Millisecond)
		if c.state() != gobreaker.StateHalfOpen {
			t.Fatalf("the circuit is %v after its time", c.state())
		}
		if err := c.attempt(0); err != nil {
			t.Fatalf("the probe is refused: %v", err)
		}
		if diff := cmp.Diff([]string{"open", "half-open", "closed"}, c.went); diff != "" {
			t.Errorf("the states differ (-want +got):\n%s", diff)
		}
	})
}

func TestAHalfOpenCircuitLetsOneInAndOpensForTheWholeTimeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		c.fail(5)
		for range 3 {
			time.Sleep(10*time.Second + time.Millisecond)
			probing, done := make(chan struct{}), make(chan error)
			go func() {
				done <- c.run(func() error { <-probing; return &postgres.Error{Kind: postgres.Transient} })
			}()
			synctest.Wait()
			if err := c.attempt(0); !errors.Is(err, gobreaker.ErrTooManyRequests) {
				t.Errorf("beside the probe: %v", err)
			}
			close(probing)
			if err := <-done; err == nil {
				t.Error("the probe has not failed")
			}
			if c.state() != gobreaker.StateOpen {
				t.Fatalf("after a failed probe the circuit is %v", c.state())
			}
			time.Sleep(9 * time.Second)
			if c.state() != gobreaker.StateOpen {
				t.Errorf("after 9 s of 10 the circuit is %v", c.state())
			}
			time.Sleep(time.Second)
		}
	})
}

func TestTheCircuitCountsWhatTheDatabaseFailsAtOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kinds := []postgres.Kind{postgres.Contention, postgres.Locked, postgres.TooHeavy, postgres.Order, postgres.Row, postgres.Mapping}
		if slices.Contains(kinds, postgres.Transient) {
			t.Fatal("the list is wrong")
		}
		for _, kind := range kinds {
			c := newCircuit()
			for range 100 {
				_ = c.attempt(kind)
			}
			if c.state() != gobreaker.StateClosed {
				t.Errorf("%v opens the circuit", kind)
			}
		}
	})
}

func TestTheSameSettingsLeaveAnOpenCircuitOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		c.fail(5)
		c.apply(c.settings)
		if c.state() != gobreaker.StateOpen {
			t.Error("the same settings close the circuit")
		}
		c.apply(config.CircuitBreaker{FailureThreshold: 1, OpenMilliseconds: 500})
		if c.state() != gobreaker.StateClosed {
			t.Error("new settings do not begin with a closed circuit")
		}
		c.fail(1)
		if c.state() != gobreaker.StateOpen {
			t.Error("the new threshold is not in force")
		}
		time.Sleep(501 * time.Millisecond)
		if c.state() != gobreaker.StateHalfOpen {
			t.Error("the new time is not in force")
		}
	})
}
