// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/test/programs"
)

// beside is a second config of the same two servers, with an owner and a mapping of its
// own.
func (s *stack) beside(mapping func(*config.Mapping)) *stack {
	s.t.Helper()
	other := *s
	c := *s.config
	other.config = &c
	c.Owner = "other"
	c.Mappings = slices.Clone(c.Mappings)
	mapping(&c.Mappings[0])
	other.file = filepath.Join(s.t.TempDir(), "config.yaml")
	other.write()
	return &other
}

// refused waits until the flusher says that its queue is another's.
func (s *stack) refused(p *programs.Flusher, says ...string) {
	s.t.Helper()
	s.eventually("the queue is refused", func() error {
		status := s.status(p)
		if len(status.Queues) == 0 || status.Queues[0].Ready.Reason != cachev1alpha1.ReasonQueueConflict {
			return fmt.Errorf("status is %+v", status)
		}
		for _, text := range says {
			if !strings.Contains(status.Queues[0].Ready.Message, text) {
				return fmt.Errorf("the message %q does not name %q", status.Queues[0].Ready.Message, text)
			}
		}
		if !status.Redis.OK || len(status.Queues[0].Partitions) > 0 {
			return fmt.Errorf("Redis is %+v, the queue %+v", status.Redis, status.Queues[0])
		}
		// It is logged a moment after the status tells it.
		if said := p.Said(); strings.LastIndex(said, "Mapping is ready") >= strings.LastIndex(said, "Mapping is not ready") {
			return fmt.Errorf("the log does not say last that the mapping is not ready: %s", said)
		}
		return nil
	})
	if code, _ := s.get(p, "/readyz"); code == 200 {
		s.t.Error("a flusher whose queue is refused is ready")
	}
}

// looksOn waits until a flusher whose queue is refused tells the queue's numbers as they
// are in Redis, and shows so many entries and dead letters that nobody else does.
func (s *stack) looksOn(p *programs.Flusher, want entry.Stats, entries, dead int) {
	s.t.Helper()
	s.eventually("the numbers are those of the queue", func() error {
		q := s.status(p).Queues[0]
		if q.Ready.Reason != cachev1alpha1.ReasonQueueConflict || q.Depth != want.Depth || q.DeadLetters != want.Dead ||
			q.DataLossEvents != want.DataLoss || q.Flushed != want.Flushed || q.Writes != want.Writes || q.Journal != want.Incarnation {
			return fmt.Errorf("the queue is told as %+v, want %+v", q, want)
		}
		_, metrics := s.get(p, "/metrics")
		for name, n := range map[string]int{"queue_size": entries, "dead_letters": dead} {
			if line := fmt.Sprintf("writebehind_%s{queue=\"products\"} %d\n", name, n); !strings.Contains(metrics, line) {
				return fmt.Errorf("the metrics lack %q", line)
			}
		}
		return nil
	})
}

func (s *stack) ready(p *programs.Flusher) {
	s.t.Helper()
	s.eventually("the flusher is ready", func() error {
		if code, body := s.get(p, "/readyz"); code != 200 {
			return fmt.Errorf("readyz answers %d: %s", code, body)
		}
		return nil
	})
}

func TestTwoConfigsWhosePrefixesOverlap(t *testing.T) {
	s := newStack(t)
	first := s.startReady()
	other := s.beside(func(m *config.Mapping) { m.Name, m.KeyPrefix = "items", "product:1" })
	second := other.start()
	other.refused(second, "queue items (keyPrefix product:1)", "queue products (keyPrefix product:)")
	if err := s.rdb.FCall(t.Context(), "wb_set", []string{"product:11"}, "items", "{}").Err(); err == nil || !strings.HasPrefix(err.Error(), "WBNOQUEUE ") {
		t.Errorf("the queue that is refused answers %v", err)
	}
	s.set(11, `{"name":"lamp"}`)
	s.eventuallyRow(11, "lamp")
	s.ready(first)

	if code := s.stop(first); code != 0 {
		t.Errorf("the first flusher exits with %d", code)
	}
	other.ready(second)
	again := s.start()
	s.refused(again, "queue items (keyPrefix product:1)")
}

// TestTwoConfigsOfOneQueueWithOtherColumns: shared out between them, one column would hold
// values of two fields.
func TestTwoConfigsOfOneQueueWithOtherColumns(t *testing.T) {
	s := newStack(t)
	s.db.Exec(t, "ALTER TABLE products ADD UNIQUE (name)")
	first := s.startReady()
	columns := s.beside(func(m *config.Mapping) {
		m.Columns = []config.Column{{Field: "title", Column: "name"}}
	})
	second := columns.start()
	columns.refused(second, "table public.products (ledger in schema writebehind) with every column from the field of its name by another config (owner file)")
	key := s.beside(func(m *config.Mapping) { m.KeyColumn = "name" })
	third := key.start()
	key.refused(third, "table public.products (ledger in schema writebehind) with key column id by another config (owner file)")
	for id := range int64(50) {
		s.set(id, fmt.Sprintf(`{"name":"name %d","title":"title"}`, id))
	}
	s.drained()
	if got := s.db.Value(t, "SELECT count(*) FROM products WHERE name = 'name ' || id"); got != "50" {
		t.Errorf("%s rows of 50 are the first's", got)
	}
	s.stop(third)
	if code := s.stop(first); code != 0 {
		t.Errorf("the first flusher exits with %d", code)
	}
	columns.ready(second)
	s.set(1, `{"name":"a","title":"b"}`)
	s.eventuallyRow(1, "b")
}

func TestTwoConfigsOfOneQueueWithTwoTables(t *testing.T) {
	s := newStack(t)
	s.db.Exec(t, strings.Replace(productsTable, "products", "others", 1))
	first := s.startReady()
	other := s.beside(func(m *config.Mapping) { m.Table = "others" })
	second := other.start()
	other.refused(second, "table public.products (ledger in schema writebehind)", "another config (owner file)")
	for id := range int64(50) {
		s.set(id, `{"name":"lamp"}`)
	}
	s.drained()
	other.looksOn(second, s.stats(), 0, 0)
	count := func(table string) string { return s.db.Value(t, "SELECT count(*) FROM "+table) }
	if products, others := count("products"), count("others"); products != "50" || others != "0" {
		t.Errorf("%s rows are in the first's table, %s in the second's", products, others)
	}
	s.ready(first)

	if code := s.stop(first); code != 0 {
		t.Errorf("the first flusher exits with %d", code)
	}
	other.ready(second)
	s.set(7, `{"name":"rug"}`)
	s.eventually("the second's table has the row", func() error {
		if got := s.db.Value(t, "SELECT string_agg(name, ',') FROM others"); got != "rug" {
			return fmt.Errorf("it has %q", got)
		}
		return nil
	})
}

// The table of a config changes while several flushers run it, as when pods are rolled.
func TestTheTableOfAConfigChangesWhileFlushersRun(t *testing.T) {
	s := newStack(t)
	s.db.Exec(t, strings.Replace(productsTable, "products", "others", 1))
	s.config.Owner, s.config.Revision = "uid", 1
	s.write()
	older := s.startReady()
	newer := s.beside(func(m *config.Mapping) { m.Table = "others" })
	newer.config.Owner, newer.config.Revision = "uid", 2
	newer.write()
	second := newer.startReady()
	s.refused(older, "table public.others", "revision 2 of this config")
	for id := range int64(50) {
		s.set(id, `{"name":"lamp"}`)
	}
	s.drained()
	if others := s.db.Value(t, "SELECT count(*) FROM others"); others != "50" {
		t.Errorf("%s rows are in the table of the newer revision", others)
	}
	// Both at last, and the newer one undone.
	s.config.Mappings, s.config.Revision = newer.config.Mappings, 2
	s.write()
	s.ready(older)
	newer.config.Revision = 3
	newer.config.Mappings = slices.Clone(newer.config.Mappings)
	newer.config.Mappings[0].Table = "products"
	newer.write()
	newer.ready(second)
	s.refused(older, "table public.products", "revision 3 of this config")
}
