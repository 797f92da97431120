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
	"github.com/writebehind/operator/internal/flusher/entry"
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

// work does a piece of it at the partition p.
func (c *circuit) work(p *partition, found finding, err error) error {
	return c.run(p, func() (finding, error) { return found, err })
}

func (c *circuit) attempt(kind entry.Kind) error {
	if kind == 0 {
		return c.work(&partition{}, finding{works: true}, nil)
	}
	err := &entry.Fault{Kind: kind}
	return c.work(&partition{}, finding{works: !databaseFails(err)}, err)
}

func (c *circuit) fail(times int) {
	for range times {
		_ = c.attempt(entry.Transient)
	}
}

func TestTheCircuitOpensAtTheThresholdAndClosesAfterOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		c.fail(4)
		if c.state() != gobreaker.StateClosed {
			t.Fatal("the circuit opens before the threshold")
		}
		// A success in between begins the count again.
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
				done <- c.run(&partition{}, func() (finding, error) { <-probing; return finding{}, &entry.Fault{Kind: entry.Transient} })
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
		// A batch that is too heavy is tried in parts.
		kinds := []entry.Kind{entry.Contention, entry.Locked, entry.TooHeavy, entry.Order, entry.Row, entry.Mapping}
		if slices.Contains(kinds, entry.Transient) {
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

var (
	errAway     = &entry.Fault{Kind: entry.Transient}
	errEnded    = &entry.Fault{Kind: entry.Transient, SessionEnded: true}
	errTooLong  = &entry.Fault{Kind: entry.TooHeavy, SQLSTATE: "57014"}
	errCrowded  = &entry.Fault{Kind: entry.Transient, SQLSTATE: "53300"}
	errStarting = &entry.Fault{Kind: entry.Transient, SQLSTATE: "57P03"}
)

// piece is one piece of work at the first or the second of two partitions.
type piece struct {
	second bool
	found  finding
	err    error
}

func times(n int, pieces ...piece) (all []piece) {
	for range n {
		all = append(all, pieces...)
	}
	return all
}

// TestWhatCountsForTheCircuit has a threshold of five.
func TestWhatCountsForTheCircuit(t *testing.T) {
	began, fails := piece{found: finding{begins: true, began: true}}, piece{err: errAway}
	works := piece{found: finding{works: true}}
	away := func(err error) piece { return piece{found: finding{begins: true}, err: err} }
	batch := piece{err: errEnded}
	row := func(key string) piece { return piece{found: finding{row: key}, err: errEnded} }
	elsewhere := func(p piece) piece { p.second = true; return p }
	search := []piece{batch, began, batch, began, batch, began}
	for name, c := range map[string]struct {
		pieces []piece
		opens  bool
	}{
		"batches that fail, each after an epoch that begins": {times(5, began, fails), true},
		"four of them":                                    {append(times(4, began, fails), began), false},
		"a batch that is answered in between":             {append(append(times(4, began, fails), works), times(4, began, fails)...), false},
		"time-outs down to single rows":                   {times(5, began, piece{err: errTooLong}), true},
		"too many connections":                            {times(5, began, piece{err: errCrowded}), true},
		"no connection for a new epoch":                   {times(5, away(errCrowded)), true},
		"a server that starts up":                         {times(5, away(errStarting)), true},
		"a server that starts up, again and again":        {times(9, append(times(4, away(errStarting)), began)...), false},
		"a server that starts up after batches failed":    {append(times(3, began, fails), times(2, away(errStarting))...), true},
		"Redis fails in between":                          {append(times(4, began, fails, piece{err: errors.New("claim: connection refused")}), fails), true},
		"nothing is claimed in between":                   {append(times(4, began, fails, piece{}), fails), true},
		"what was written before the failure of a sweep":  {times(9, began, piece{found: finding{works: true}, err: errAway}), false},
		"a row that is searched":                          {append(times(2, search...), times(3, began, row("a"))...), false},
		"that row, and nothing shows that others pass":    {append(times(2, search...), times(4, began, row("a"))...), true},
		"a row alone in its partition":                    {times(3, began, row("a")), false},
		"that row, twice more":                            {times(5, began, row("a")), true},
		"a row that is known to end its session":          {times(20, began, piece{found: finding{row: "a", convicted: true}, err: errEnded}), false},
		"two rows":                                        {append(slices.Clone(search), began, row("a"), began, row("b")), true},
		"two rows between which others pass":              {append(slices.Clone(search), began, row("a"), works, began, row("b")), false},
		"two partitions":                                  {append(slices.Clone(search), elsewhere(batch), elsewhere(batch)), true},
		"two partitions' rows of one key":                 {append(slices.Clone(search), row("a"), elsewhere(row("a"))), true},
		"more than one row again after a single one":      {append(slices.Clone(search), row("a"), batch), true},
		"a row that is searched while the server is away": {append(slices.Clone(search), times(5, away(errAway))...), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				breaker, partitions := newCircuit(), [2]partition{}
				for i, piece := range c.pieces {
					if breaker.state() != gobreaker.StateClosed {
						t.Fatalf("it opens after %d of %d", i, len(c.pieces))
					}
					p := &partitions[0]
					if piece.second {
						p = &partitions[1]
					}
					if err := breaker.work(p, piece.found, piece.err); !errors.Is(err, piece.err) {
						t.Fatalf("%v becomes %v", piece.err, err)
					}
				}
				if opens := breaker.state() == gobreaker.StateOpen; opens != c.opens {
					t.Errorf("it opens: %t, want %t", opens, c.opens)
				}
			})
		})
	}
}

// TestAHalfOpenCircuitIsNotKeptByWhatShowsNothing: its one request is free again.
func TestAHalfOpenCircuitIsNotKeptByWhatShowsNothing(t *testing.T) {
	p := &partition{}
	for name, c := range map[string]struct {
		found finding
		err   error
		want  gobreaker.State
	}{
		"a batch that is answered":                  {finding{works: true}, nil, gobreaker.StateClosed},
		"an epoch while nothing waits":              {finding{begins: true, began: true}, nil, gobreaker.StateClosed},
		"an epoch that cannot begin":                {finding{begins: true}, errStarting, gobreaker.StateOpen},
		"a batch that fails":                        {finding{}, errAway, gobreaker.StateOpen},
		"a row that may have ended its own session": {finding{row: "a"}, errEnded, gobreaker.StateOpen},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				breaker := newCircuit()
				breaker.fail(5)
				time.Sleep(10*time.Second + time.Millisecond)
				for _, nothing := range []error{nil, errors.New("claim: connection refused"), nil} {
					if err := breaker.work(p, finding{}, nothing); !errors.Is(err, nothing) {
						t.Fatal(err)
					}
					if got := breaker.state(); got != gobreaker.StateHalfOpen {
						t.Fatalf("what shows nothing makes it %v", got)
					}
				}
				if err := breaker.work(p, c.found, c.err); !errors.Is(err, c.err) {
					t.Fatal(err)
				}
				if got := breaker.state(); got != c.want {
					t.Errorf("it is %v, want %v", got, c.want)
				}
			})
		})
	}
}
