// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"testing"
)

// noneDead fails the test if a row was refused.
func (s *stack) noneDead() {
	s.t.Helper()
	if stats := s.stats(); stats.Dead != 0 || stats.Refused != 0 {
		s.t.Errorf("stats are %+v: %v", stats, s.deadLetters())
	}
}

// TestATableThatIsAlteredTakesTheNextRow writes right after the ALTER has committed,
// while the flusher still knows the table as it was.
func TestATableThatIsAlteredTakesTheNextRow(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.db.Exec(t, "ALTER TABLE products ADD day date, ADD ratio real, ADD code varchar(3), ADD info text")
	p := s.startReady()
	const before = `{"name":"x","price":1,"stock":1,"day":"2026-01-02","ratio":0.5,"code":"abc","info":"i"}`
	for n, step := range []struct{ change, document, column, want string }{
		{"ALTER day TYPE timestamp", `{"day":"2026-01-02T03:04:05"}`, "day", "2026-01-02 03:04:05"},
		{"ALTER ratio TYPE double precision", `{"ratio":19.99}`, "ratio", "19.99"},
		{"ALTER stock TYPE numeric", `{"stock":1.5}`, "stock", "1.5"},
		{"ALTER info TYPE jsonb USING to_jsonb(info)", `{"info":{"a":"b"}}`, "info", `{"a": "b"}`},
		{"ALTER code TYPE varchar(9)", `{"code":"abcdef"}`, "code", "abcdef"},
		{"ADD size integer", `{"size":7}`, "size", "7"},
		{"RENAME size TO length", `{"length":8}`, "length", "8"},
		{"DROP length", `{"name":"y","length":8}`, "name", "y"},
	} {
		id := int64(n + 1)
		s.set(id, before)
		s.drained()
		s.db.Exec(t, "ALTER TABLE products "+step.change)
		s.set(id, step.document)
		s.drained()
		if got := s.db.Value(t, fmt.Sprintf("SELECT %s FROM products WHERE id = %d", step.column, id)); got != step.want {
			t.Errorf("after %s: %s holds %s, want %s", step.change, step.column, got, step.want)
		}
		s.noneDead()
	}
	if last := s.status(p).Queues[0].LastError; last != "" {
		t.Errorf("the status says %q", last)
	}
}

// TestAMigrationUnderLoad adds, fills and forbids to be null a column that documents do
// not name, while rows that are there are written.
func TestAMigrationUnderLoad(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.startReady()
	const rows = 200
	write := func(round int) {
		for id := range int64(rows) {
			s.set(id, fmt.Sprintf(`{"name":"x","price":1,"stock":%d}`, round))
		}
	}
	write(0)
	s.drained()
	for n, step := range []string{"ADD category text", "DROP COLUMN IF EXISTS nothing", "ALTER category SET NOT NULL", "ADD CHECK (category <> '')"} {
		write(n*2 + 1)
		s.db.Exec(t, "UPDATE products SET stock = stock")
		s.db.Exec(t, "ALTER TABLE products "+step)
		if n == 0 {
			s.db.Exec(t, "UPDATE products SET category = 'all'")
		}
		write(n*2 + 2)
	}
	s.drained()
	s.eventually("every row is the last one", func() error {
		if got := s.db.Value(t, "SELECT count(*) FROM products WHERE stock = 8 AND category = 'all'"); got != fmt.Sprint(rows) {
			return errors.New(got)
		}
		return nil
	})
	s.noneDead()
}
