// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/postgres"
)

// breaker is the circuit breaker before the database. It counts what the database
// fails at, never what it refuses. While it is open nothing is claimed, so nothing
// is attempted either.
type breaker struct {
	changed func(from, to gobreaker.State)

	mu       sync.Mutex
	settings config.CircuitBreaker
	circuit  *gobreaker.CircuitBreaker[struct{}]
}

// apply puts new settings in force; the circuit is closed then.
func (b *breaker) apply(settings config.CircuitBreaker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.circuit != nil && b.settings == settings {
		return
	}
	b.settings = settings
	b.circuit = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     time.Duration(settings.OpenMilliseconds) * time.Millisecond,
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return int(counts.ConsecutiveFailures) >= settings.FailureThreshold
		},
		OnStateChange: func(_ string, from, to gobreaker.State) { b.changed(from, to) },
		IsSuccessful:  func(err error) bool { return !databaseFails(err) },
	})
}

// databaseFails tells whether an error says that the database is away or unwell. What a
// function says that was called for a row does not, whatever its SQLSTATE.
func databaseFails(err error) bool {
	var failure *postgres.Error
	return errors.As(err, &failure) && failure.Kind == postgres.Transient && !failure.Raised
}

func (b *breaker) current() *gobreaker.CircuitBreaker[struct{}] {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.circuit
}

func (b *breaker) state() gobreaker.State { return b.current().State() }

// run does the work if the circuit lets it.
func (b *breaker) run(work func() error) error {
	_, err := b.current().Execute(func() (struct{}, error) { return struct{}{}, work() })
	return err
}
