// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/servers"
)

func TestALostLedgerIsBegunAnew(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	p := s.startReady()
	s.set(1, `{"name":"before","price":1,"stock":1}`)
	s.drained()
	s.stop(p)
	// As after a clock that was put back: epochs that begin again lie far below.
	s.db.Exec(t, "UPDATE writebehind.ledger SET epoch = epoch + 1000000000000")
	p = s.startReady()
	s.set(2, `{"name":"before","price":1,"stock":1}`)
	s.drained()
	s.db.Exec(t, "DROP SCHEMA writebehind CASCADE")
	for id := range int64(3) {
		s.set(id+1, `{"name":"after","price":1,"stock":1}`)
	}
	s.eventuallyRow(3, "after|1.00|1")
	s.drained()
	if s.stats().DataLoss == 0 || !strings.Contains(p.Said(), "PostgreSQL came back with older data") {
		t.Errorf("nobody noticed that the ledger was lost: %+v", s.stats())
	}
}

func TestAClockThatWasPutBackStallsNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	p := s.startReady()
	s.stop(p)
	const ahead = "3000000000000000" // µs: versions of the year 2065
	for i := range 16 {
		base := fmt.Sprintf("wb:{products:%d}:", i)
		s.must(s.rdb.HSet(t.Context(), base+"meta", "floor", ahead).Err())
		// A member that died an hour before the clock was put back by two.
		s.must(s.rdb.HSet(t.Context(), base+"lease", "owner", "dead", "epoch", "1", "expiry", "3000000000000").Err())
	}
	s.must(s.rdb.HSet(t.Context(), "wb:{products}:members", "dead", "3000000000000").Err())
	s.startReady()
	for id := range int64(50) {
		if version := s.set(id, `{"name":"after","price":1,"stock":1}`); version <= 3000000000000000 {
			t.Fatalf("version %d is below the floor", version)
		}
	}
	s.drained()
	if got := s.db.Value(t, "SELECT count(*) FROM products WHERE name = 'after'"); got != "50" {
		t.Errorf("%s rows, want 50", got)
	}
}

func TestAFlusherOfAnotherShapeTouchesNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	old := s.startReady()
	s.set(1, `{"name":"old","price":1,"stock":1}`)
	s.drained()
	// Somebody else has another prefix for the queue, whose flusher lives.
	other := *s.config
	other.Owner = "another"
	other.Mappings = []config.Mapping{s.config.Mappings[0]}
	other.Mappings[0].KeyPrefix = "p2:"
	s.file = filepath.Join(t.TempDir(), "other.yaml")
	servers.Put(t, s.file, &other)
	p := s.start()
	s.eventually("the other flusher says whose the queue is", func() error {
		if q := s.status(p).Queues[0]; q.Ready.Reason != "QueueConflict" || len(q.Partitions) != 0 {
			return fmt.Errorf("status is %+v", q)
		}
		return nil
	})
	if err := s.rdb.FCall(t.Context(), "wb_set", []string{"p2:1234567"}, "products", `{"name":"new"}`).Err(); err == nil {
		t.Error("the queue takes a key of the other prefix")
	}
	s.set(2, `{"name":"old","price":1,"stock":1}`)
	s.eventuallyRow(2, "old|1.00|1")
	// Its own once nobody else is at the queue.
	s.stop(old)
	s.eventually("the queue has the new prefix", func() error {
		return s.rdb.FCall(t.Context(), "wb_set", []string{"p2:1234567"}, "products", `{"name":"new","price":1,"stock":1}`).Err()
	})
	s.eventuallyRow(1234567, "new|1.00|1")
}

func TestRedisThatRefusesWritesIsNotReady(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set, value, back string
		reason           string
	}{
		"too few replicas": {"min-replicas-to-write", "1", "0", "PersistenceFailing"},
		"no memory left":   {"maxmemory", "1", "0", "OutOfMemory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			p := s.startReady()
			s.must(s.rdb.ConfigSet(t.Context(), c.set, c.value).Err())
			// Twenty looks in a row: it must not go to and fro.
			seen := 0
			s.eventually("it is named, steadily", func() error {
				if check := s.status(p).Redis; check.OK || check.Reason != c.reason {
					seen = 0
					return fmt.Errorf("check is %+v", check)
				}
				if seen++; seen < 100 {
					return fmt.Errorf("seen %d times", seen)
				}
				return nil
			})
			s.must(s.rdb.ConfigSet(t.Context(), c.set, c.back).Err())
			s.eventually("it heals", func() error {
				if check := s.status(p).Redis; !check.OK {
					return fmt.Errorf("check is %+v", check)
				}
				return nil
			})
			s.set(1, `{"name":"x","price":1,"stock":1}`)
			s.eventuallyRow(1, "x|1.00|1")
		})
	}
}

func TestAtTheMemoryLimitTheQueueStillDrains(t *testing.T) {
	t.Parallel()
	s := newStack(t, journaltest.MaxMemory("3mb", "noeviction"))
	s.config.Suspend = true
	s.config.Backpressure.MaxQueueDepth = 1_000_000
	s.config.Mappings[0].TimeToLiveSeconds = 1
	s.write()
	s.startReady()
	document := `{"name":"` + strings.Repeat("x", 5000) + `","price":1,"stock":1}`
	written := int64(0)
	for s.rdb.FCall(t.Context(), "wb_set", []string{fmt.Sprintf("product:%d", written)}, "products", document).Err() == nil {
		written++
	}
	s.resume()
	s.drained()
	if got := s.db.Value(t, "SELECT count(*) FROM products"); got != fmt.Sprint(written) {
		t.Errorf("%s rows, want the %d that were accepted", got, written)
	}
}

func TestANewColumnLosesNoValue(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.startReady()
	s.set(1, `{"name":"before","price":1,"stock":1}`)
	s.drained()
	for i := range 3 {
		column := fmt.Sprintf("extra%d", i)
		s.db.Exec(t, "ALTER TABLE products ADD COLUMN "+column+" text")
		s.set(1, fmt.Sprintf(`{"%s":"kept"}`, column))
		s.drained()
		if got := s.db.Value(t, "SELECT "+column+" FROM products WHERE id = 1"); got != "kept" {
			t.Errorf("%s is %q: an acknowledged value was dropped", column, got)
		}
	}
}

func TestTheFunctionLibraryComesBack(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.startReady()
	s.set(1, `{"name":"before","price":1,"stock":1}`)
	s.drained()
	s.must(s.rdb.FunctionFlush(t.Context()).Err())
	s.eventually("writes are taken again", func() error {
		return s.rdb.FCall(t.Context(), "wb_set", []string{"product:1"}, "products", `{"name":"after","price":1,"stock":1}`).Err()
	})
	s.eventuallyRow(1, "after|1.00|1")
	s.must(s.rdb.FlushAll(t.Context()).Err())
	s.eventually("the queue is made anew", func() error {
		return s.rdb.FCall(t.Context(), "wb_set", []string{"product:2"}, "products", `{"name":"anew","price":1,"stock":1}`).Err()
	})
	s.eventuallyRow(2, "anew|1.00|1")
	s.eventually("the loss is counted", func() error {
		if n := s.stats().DataLoss; n != 1 {
			return fmt.Errorf("%d data-loss events", n)
		}
		return nil
	})
}

func TestRedisMayRestart(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	redis := s.redis
	p := s.startReady()
	s.set(1, `{"name":"before","price":1,"stock":1}`)
	s.drained()
	s.must(redis.Kill())
	s.eventually("the loss of Redis is named", func() error {
		if check := s.status(p).Redis; check.OK || check.Reason != "ConnectionFailed" {
			return fmt.Errorf("check is %+v", check)
		}
		return nil
	})
	redis.MustRestart(t)
	// Without persistence it comes back empty: the library and the queue are made
	// again.
	s.eventually("writes are taken again", func() error {
		return s.rdb.FCall(t.Context(), "wb_set", []string{"product:2"}, "products", `{"name":"after","price":1,"stock":1}`).Err()
	})
	s.eventuallyRow(2, "after|1.00|1")
}

func TestRedisWithAppendOnlyFileKeepsTheQueue(t *testing.T) {
	t.Parallel()
	s := newStack(t, journalAlways)
	p := s.startReady()
	s.stop(p)
	for i := range int64(100) {
		s.set(i, `{"name":"kept","price":1,"stock":1}`)
	}
	s.redis.MustKill(t)
	s.redis.MustRestart(t)
	s.eventually("Redis answers", func() error { return s.rdb.Ping(t.Context()).Err() })
	s.startReady()
	s.drained()
	if got := s.db.Value(t, "SELECT count(*) FROM products WHERE name = 'kept'"); got != "100" {
		t.Errorf("%s rows, want 100", got)
	}
}
