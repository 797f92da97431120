// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"time"

	"github.com/writebehind/operator/internal/flusher/journal"
)

// longestRefusal is the longest wait between two attempts at a refused row: a
// table that was mended is noticed within a minute.
const longestRefusal = time.Minute

// refusals remembers for each refused key when it is worth trying again. It is
// lost with the process, which only means an attempt sooner.
type refusals map[string]refusal

type refusal struct {
	version int64
	until   time.Time
}

// add notes a refusal: the wait doubles with every attempt.
func (r refusals) add(e *journal.Entry, interval time.Duration, now time.Time) {
	wait := longestRefusal
	if e.Attempts < 10 {
		wait = min(interval<<e.Attempts, longestRefusal)
	}
	r[e.Key] = refusal{version: e.Version, until: now.Add(wait)}
}

func (r refusals) forget(key string) {
	if len(r) > 0 {
		delete(r, key)
	}
}

func (r refusals) tooEarly(e *journal.Entry, now time.Time) bool {
	known, ok := r[e.Key]
	return ok && known.version == e.Version && now.Before(known.until)
}
