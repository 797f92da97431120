// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// TestRowsThatEndTheirSessionsAndAreWrittenAllTheTime is about keys that are never the same
// version at two attempts: they hold up no other, and are written once that gets through.
func TestRowsThatEndTheirSessionsAndAreWrittenAllTheTime(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *config.Config) { c.Mappings[0].Partitions = 4 }, func(w *world) {
		m := w.startReady()
		var round int
		document := func() string { return fmt.Sprintf(`{"name":"good","round":%d}`, round) }
		const rows, every = 400, 25
		all := upTo(rows)
		trapped := func(id int) bool { return id%every == 0 }
		w.set(document(), all...)
		w.drained(time.Minute)
		w.database.Rule(products, func(rowKey string, _ []byte) *entry.Fault {
			if id, _ := strconv.Atoi(rowKey); !trapped(id) {
				return nil
			}
			fault := enginetest.Away()
			fault.SessionEnded, fault.AtRows = true, true
			return fault
		})
		rewrite := func() {
			round++
			w.set(document(), all...)
		}
		fresh := func(since int, ids []int) error {
			table := w.database.Rows(products)
			for _, id := range ids {
				var seen int
				if _, err := fmt.Sscanf(table[strconv.Itoa(id)], `{"name":"good","round":%d}`, &seen); err != nil || seen < since {
					return fmt.Errorf("row %d is of round %d, want %d", id, seen, since)
				}
			}
			return nil
		}
		good := slices.DeleteFunc(slices.Clone(all), trapped)
		// The search takes its time, and then nothing is in the way any more.
		for range 300 {
			rewrite()
			time.Sleep(interval)
		}
		for range 5 {
			since := round
			err := errors.New("not tried")
			for n := 0; err != nil && n < 30; n++ {
				rewrite()
				time.Sleep(interval)
				err = fresh(since, good)
			}
			if err != nil {
				t.Fatalf("rows stand for 30 intervals: %v; %+v", err, m.mapping())
			}
		}
		if n := w.stats().Dead; n > 0 {
			t.Errorf("%d rows that were never tried %d times as they were are dead letters", n, w.config.Flush.MaxRetries)
		}
		w.database.Rule(products, nil)
		since := round
		err := errors.New("not tried")
		for n := 0; err != nil && n < 120; n++ {
			rewrite()
			time.Sleep(interval)
			err = fresh(since, all)
		}
		if err != nil {
			t.Fatalf("the trap is gone, and after two minutes: %v; %+v", err, m.mapping())
		}
	})
}
