// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// TestAVersionColumnKeepsRowsFromAnOlderCopyOfRedis puts a copy back whose entries are
// older than the rows. Those that would take a row back become dead letters, an equal one
// is written again, and a replay gets through, since it is a newer write.
func TestAVersionColumnKeepsRowsFromAnOlderCopyOfRedis(t *testing.T) {
	t.Parallel()
	s := newStack(t, journalAlways)
	s.db.Exec(t, "ALTER TABLE products ADD COLUMN wb_version bigint")
	s.config.Mappings[0].VersionColumn = "wb_version"
	s.write()
	p := s.startReady()
	s.suspend(p)
	s.set(1, `{"name":"old","price":1,"stock":1,"wb_version":9007199254740993}`)
	s.set(2, `{"name":"old"}`)
	equal := s.set(3, `{"name":"equal"}`)
	copied := s.aside()
	s.set(1, `{"name":"new","price":2,"stock":2}`)
	newest := s.set(2, `{"name":"new"}`)
	s.resume()
	s.drained()
	s.putBack(copied)
	s.eventually("what is older is dead, and the rest is flushed", func() error {
		if stats := s.stats(); stats.Depth != 0 || stats.Dead != 2 {
			return fmt.Errorf("%+v", stats)
		}
		return nil
	})
	for _, key := range []string{"product:1", "product:2"} {
		if letter := s.deadLetters()[key]; letter == nil || letter.Cause != entry.CauseStale || !strings.Contains(letter.Payload, "old") || letter.Attempts != 1 {
			t.Errorf("the dead letter of %s is %+v; want one that is stale, with its payload", key, letter)
		}
	}
	rows := fmt.Sprint(s.db.Rows(t, "SELECT name, wb_version FROM products WHERE id > 1 ORDER BY id"))
	if want := fmt.Sprintf("[[new %d] [equal %d]]", newest, equal); rows != want {
		t.Errorf("rows are %s, want %s", rows, want)
	}
	s.eventually("the metric counts them", func() error {
		if code, body := s.get(p, "/metrics"); code != http.StatusOK || !strings.Contains(body, `writebehind_writes_total{outcome="stale",queue="products"} 2`) {
			return fmt.Errorf("/metrics answers %d without them", code)
		}
		return nil
	})
	if code, out, problems := s.dlq("replay", "--queue", "products", "--reason", entry.CauseStale); code != 0 {
		t.Fatalf("replay ends with %d: %s %s", code, out, problems)
	}
	s.drained()
	if got := s.db.Value(t, "SELECT string_agg(name, ' ' ORDER BY id) FROM products"); got != "old old equal" {
		t.Errorf("rows are %s; want that the replay, a newer write, gets through", got)
	}
}
