// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// Whoever may write the journal of one queue must not reach keys or rows of another one
// through it, nor stop the queue.
func TestEntriesThatNoFunctionHasWritten(t *testing.T) {
	s := newStack(t)
	s.config.Mappings[0].Partitions = 1
	s.write()
	p := s.startReady()
	ctx := context.WithoutCancel(t.Context())
	s.suspend(p)
	s.set(1, `{"name":"lamp"}`)
	s.must(s.rdb.Set(ctx, "order:1", `{"secret":"4711"}`, 0).Err())
	for key, entry := range map[string]string{
		"order:1": "s0:1:1:1", "order:2": "d0:1:1:1", "product:": "s0:1:1:1", "": "d0:1:1:1", "product:7": "x0:1:1:1",
		"product:8": "garbage", "product:9": "", "product:10": "s0:99999999999999999999:1:1", "product:11": "s0:1:1:1\n\n",
		"product:12": "d3:nan:1:1", "order:3": "s2:1:1:1:1", "product:13": "s0:9007199254740993:1:1",
	} {
		s.must(s.rdb.HSet(ctx, "wb:{products:0}:ops", key, entry).Err())
		s.must(s.rdb.RPush(ctx, "wb:{products:0}:q", key).Err())
	}
	s.resume()
	s.eventuallyRow(1, "lamp")
	s.drained()
	if rows := s.db.Value(t, "SELECT count(*) FROM products"); rows != "1" {
		t.Errorf("%s rows are in the table", rows)
	}
	if got, ttl := s.rdb.Get(ctx, "order:1").Val(), s.rdb.TTL(ctx, "order:1").Val(); got != `{"secret":"4711"}` || ttl != -1 {
		t.Errorf("the key of another queue is %s and has the TTL %v", got, ttl)
	}
	if stats := s.stats(); stats.Dead != 0 || stats.DataLoss != 0 {
		t.Errorf("stats are %+v", stats)
	}
	s.eventually("they are counted", func() error {
		if _, metrics := s.get(p, "/metrics"); !strings.Contains(metrics, `writebehind_flush_failures_total{queue="products",reason="EntryForged"} 12`) {
			return fmt.Errorf("the metrics are %s", metrics)
		}
		return nil
	})
	s.set(8, `{"name":"rug"}`)
	s.eventuallyRow(8, "rug")
}

func TestEntriesThatSomebodyDeletesAreToldAsALoss(t *testing.T) {
	s := newStack(t)
	s.config.Mappings[0].Partitions = 1
	s.write()
	p := s.startReady()
	s.suspend(p)
	s.setAll(1, 5, 1)
	s.must(s.rdb.Del(t.Context(), "wb:{products:0}:ops").Err())
	s.resume()
	s.eventually("the loss is told", func() error {
		q := s.status(p).Queues[0]
		if q.DataLossEvents != 1 || q.Depth != 0 || !strings.Contains(q.LastError, "5 entries are gone from partition 0") {
			return fmt.Errorf("the queue is %+v", q)
		}
		if _, metrics := s.get(p, "/metrics"); !strings.Contains(metrics, `writebehind_data_loss_events_total{queue="products"} 1`) {
			return fmt.Errorf("the metrics are %s", metrics)
		}
		return nil
	})
	s.set(6, `{"name":"rug"}`)
	s.eventuallyRow(6, "rug")
}

// TestALossIsToldWhoseClaimFailsAfterwards: Redis tells once how many entries are gone, with
// the first of several pages.
func TestALossIsToldWhoseClaimFailsAfterwards(t *testing.T) {
	t.Parallel()
	r := rehearse(t)
	p := r.startReady()
	r.suspend(p)
	for id := range int64(6) {
		r.set(id, fmt.Sprintf(`{"name":%q}`, strings.Repeat("x", 600_000)))
	}
	r.must(r.rdb.HDel(t.Context(), "wb:{products:0}:ops", "product:1", "product:4").Err())
	more := r.wire.arm(point{request: "more"})
	r.resume()
	r.at(more)
	r.wire.cutPoint(more)
	r.drained()
	if n := r.db.Value(t, "SELECT count(*) FROM products"); n != "4" {
		t.Errorf("%s rows are in the table", n)
	}
	r.eventually("the loss is told once", func() error {
		if _, metrics := r.get(p, "/metrics"); !strings.Contains(metrics, `writebehind_data_loss_events_total{queue="products"} 1`) {
			return fmt.Errorf("the metrics are %s", metrics)
		}
		return nil
	})
	if n := strings.Count(p.Said(), "2 entries are gone from partition 0"); n != 1 {
		t.Errorf("the log tells of it %d times", n)
	}
}
