// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"testing"
	"time"
)

// reread notes the wish to have keys read anew.
func (m *machine) reread(ids ...int) {
	m.t.Helper()
	keys := make([]string, 0, len(ids))
	for _, id := range ids {
		keys = append(keys, key(id))
	}
	done, err := m.store.Reread(m.t.Context(), "source", "products", keys)
	m.must(err)
	for i := range done {
		if !done[i] {
			m.t.Errorf("the wish for %s is not taken", keys[i])
		}
	}
}

// A wish is no dead letter: it is counted by nobody, and goes when its key was read, whether there
// was anything to write or not.
func TestAKeyIsReadAnew(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(m *machine, r *running) *running{
		"by the one that reads": func(_ *machine, r *running) *running { return r },
		"by the next one":       func(m *machine, r *running) *running { r.stop(); return m.start() },
	} {
		t.Run(name, func(t *testing.T) {
			inMachine(t, nil, func(m *machine) {
				r := m.start()
				m.set(row, 1, 2)
				m.has(5*time.Second, row, 1, 2)
				m.reread(1, 2, 7)
				r = between(m, r)
				m.letters(r, 0)
				m.are(map[int]string{1: row, 2: row})
				r.stop()
			})
		})
	}
}

// What is refused then is a dead letter as any other.
func TestAKeyThatIsReadAnewMayBeRefused(t *testing.T) {
	t.Parallel()
	inMachine(t, func(m *machine) { m.config.Flush.MaxRetries = 0 }, func(m *machine) {
		r := m.start()
		m.set(bad, 1)
		m.has(5*time.Second, bad, 1)
		m.refuses(bad)
		m.reread(1)
		m.set(row, good)
		if l := m.letters(r, 1)[0]; l.Rereads() || l.Name.Key != key(1) || l.Payload != "" && l.Payload != bad {
			t.Errorf("the letter is %+v", l)
		}
	})
}
