// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/writebehind/operator/test/model/explorer"
)

func explore(r Rules, b Bounds) (visited int, err error) {
	return explorer.Explore(explorer.Model[state]{
		First: initial(),
		Moves: func(s *state, add explorer.Add[state]) { s.moves(&r, &b, add) },
		Check: (*state).check,
		Most:  3_000_000,
	})
}

var tries = map[string]Bounds{
	"one":      {Keys: 1, Readers: 1, Kinds: []kind{set, deletes, unlink}, Writes: 2, Crashes: 1, Cuts: 1, Doubts: 1},
	"two":      {Keys: 1, Readers: 2, Kinds: []kind{set}, Writes: 2, Doubts: 1, Leases: 1},
	"keys":     {Keys: 2, Readers: 1, Kinds: []kind{set, deletes}, Writes: 2, Crashes: 1},
	"overrun":  {Keys: 1, Readers: 1, Kinds: []kind{set, deletes, unlink}, Writes: 2, Overruns: 1, Doubts: 1, Cuts: 1},
	"failover": {Keys: 1, Readers: 1, Kinds: []kind{set, deletes, unlink}, Writes: 2, FailOvers: 1, Missing: 2, Crashes: 1},
	"restart":  {Keys: 1, Readers: 1, Kinds: []kind{set, deletes, unlink}, Writes: 2, Restarts: 1, Missing: 2, Witnesses: 1, Doubts: 1},
	"refusal":  {Keys: 1, Readers: 1, Kinds: []kind{set, increment, deletes, unlink}, Writes: 2, Refusals: 1, Crashes: 1},
}

func TestTry(t *testing.T) {
	for name, b := range tries {
		if only := os.Getenv("TRY"); only != "" && only != name {
			continue
		}
		began := time.Now()
		n, err := explore(All(), b)
		t.Logf("%s: %d states, %v", name, n, time.Since(began))
		if v, ok := errors.AsType[*explorer.Violation](err); ok {
			t.Errorf("%s: %v", name, v)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
