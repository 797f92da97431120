// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/writebehind/operator/internal/flusher/config"
)

// breaker is the circuit breaker before the database. It counts what the database
// fails at, never what it refuses. While it is open nothing is claimed, so nothing
// is attempted either.
type breaker struct {
	changed func(from, to gobreaker.State)

	mu       sync.Mutex
	settings config.CircuitBreaker
	circuit  *gobreaker.CircuitBreaker[struct{}]
	streak   streak
}

// finding is what a piece of work showed of the database, besides its error.
type finding struct {
	// begins means that a new epoch was to begin, began that it did, and works that the
	// database answered a batch as a healthy one does.
	begins, began, works bool
	// row is the key of the row that was alone when its session ended, if there was one.
	// convicted means that the row is known to end sessions.
	row       string
	convicted bool
}

// errShowsNothing marks work that the circuit breaker does not count.
var errShowsNothing = errors.New("nothing is shown of the database")

// apply puts new settings in force; the circuit is closed then.
func (b *breaker) apply(settings config.CircuitBreaker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.circuit != nil && b.settings == settings {
		return
	}
	b.settings, b.streak = settings, streak{}
	b.circuit = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     time.Duration(settings.OpenMilliseconds) * time.Millisecond,
		ReadyToTrip: func(gobreaker.Counts) bool { return b.failures() >= settings.FailureThreshold },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateClosed {
				b.forget()
			}
			b.changed(from, to)
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errShowsNothing) },
	})
}

func (b *breaker) failures() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.streak.epochs + b.streak.batches
}

func (b *breaker) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streak = streak{}
}

func (b *breaker) current() *gobreaker.CircuitBreaker[struct{}] {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.circuit
}

func (b *breaker) state() gobreaker.State { return b.current().State() }

// run does the work at a partition if the circuit lets it.
func (b *breaker) run(p *partition, work func() (finding, error)) error {
	circuit := b.current()
	var failure error
	_, refused := circuit.Execute(func() (struct{}, error) {
		halfOpen := circuit.State() == gobreaker.StateHalfOpen
		var found finding
		found, failure = work()
		return struct{}{}, b.result(p, found, failure, halfOpen)
	})
	if errors.Is(refused, gobreaker.ErrOpenState) || errors.Is(refused, gobreaker.ErrTooManyRequests) {
		return refused
	}
	return failure
}

// result returns nil if the work shows that the database works, err if it shows that the
// database fails, and errShowsNothing otherwise.
func (b *breaker) result(p *partition, found finding, err error, halfOpen bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if found.works {
		b.streak = streak{}
	} else if found.began {
		b.streak.epochs = 0
	}
	switch {
	case !databaseFails(err):
		if found.works || found.began && halfOpen {
			return nil
		}
		return errShowsNothing
	case halfOpen:
	case found.begins && !found.began:
		b.streak.epochs++
	case endOfSession(err) == nil:
		b.streak.batches++
	case !b.streak.sessionEnded(p, found):
		return errShowsNothing
	}
	return err
}

// streak counts failures since a batch was last answered. A new epoch that begins shows only
// that the server answers: if it reset the streak, a server that fails every batch would keep
// the circuit closed for ever.
type streak struct {
	// epochs counts epochs that could not begin since one began, batches failed batches.
	epochs, batches int
	// ends counts the sessions whose end one row of partition at may have caused. row is the
	// key of that row once it was alone in a batch, and alone how often it was.
	ends, alone int
	at          *partition
	row         string
	// several means that more than one row caused them.
	several bool
}

// sessionEnded records that a session ended while rows were written, and reports whether that
// counts. While one row may have caused it, and smaller and smaller claims search for that row, it
// does not count. When the session of another partition or another row ends too, or when the
// row ends sessions and nothing shows that others get through, every end counts.
func (s *streak) sessionEnded(p *partition, found finding) bool {
	one := s.ends == 0 || s.at == p && (s.row == "" || s.row == found.row)
	if found.row != "" {
		s.alone++
	}
	if one && !s.several && (found.convicted || s.alone <= endsOfOne) {
		s.ends++
		s.at, s.row = p, found.row
		return false
	}
	s.batches += s.ends + 1
	s.ends, s.several = 0, true
	return true
}
