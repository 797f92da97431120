// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"sync"
	"time"
)

const (
	// longestLearned is how long an answer of the catalogue explains refusals: a search
	// for the bad rows of a batch asks once, not once a row, and a constraint that is made
	// again under its name is reported right soon after.
	longestLearned = 10 * time.Second
	// mostLearned is how much is asked within that time. A trigger may name a constraint
	// of its own for each row.
	mostLearned = 16
)

// learned holds what the catalogue has answered lately about what refuses rows. What
// could not be asked is held as well, or each row would wait for the same silence.
type learned[T any] struct {
	mu    sync.Mutex
	since time.Time
	known map[string]answer[T]
}

// answer is good unless the question failed.
type answer[T any] struct {
	is   T
	good bool
}

// of gives the answer to a question and asks only if nobody did for that long. It is
// false where nothing is known.
func (l *learned[T]) of(question string, age time.Duration, ask func() (T, error)) (T, bool) {
	l.mu.Lock()
	if now := time.Now(); l.known == nil || now.Sub(l.since) >= age {
		l.known, l.since = make(map[string]answer[T]), now
	}
	known, ok := l.known[question]
	full := len(l.known) >= mostLearned
	l.mu.Unlock()
	if ok || full {
		return known.is, known.good
	}
	is, err := ask()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[question] = answer[T]{is: is, good: err == nil}
	return is, err == nil
}
