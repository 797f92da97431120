// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/plural"
	"github.com/writebehind/operator/test/programs"
)

// aside copies what Redis has persisted.
func (s *stack) aside() string {
	s.t.Helper()
	copied := filepath.Join(s.t.TempDir(), "copy")
	s.must(os.CopyFS(copied, os.DirFS(filepath.Join(s.redis.Dir(), "appendonlydir"))))
	return copied
}

// putBack lets Redis come back with what was persisted at the time of the copy.
func (s *stack) putBack(copied string) {
	s.t.Helper()
	s.redis.MustKill(s.t)
	folder := filepath.Join(s.redis.Dir(), "appendonlydir")
	if copied != "" {
		s.must(os.RemoveAll(folder))
		s.must(os.CopyFS(folder, os.DirFS(copied)))
	}
	s.redis.MustRestart(s.t)
	s.eventually("Redis answers", func() error { return s.rdb.Ping(s.t.Context()).Err() })
}

// compared waits until every flusher has heard of the present life of Redis, and has
// told what it had seen before.
func (s *stack) compared(flushers ...*programs.Flusher) {
	s.t.Helper()
	for range 2 {
		before := s.rdb.HGetAll(s.t.Context(), "wb:{products}:members").Val()
		s.eventually("every flusher has renewed its leases", func() error {
			now := s.rdb.HGetAll(s.t.Context(), "wb:{products}:members").Val()
			renewed := 0
			for member, expiry := range now {
				if before[member] != expiry {
					renewed++
				}
			}
			if renewed < len(flushers) {
				return fmt.Errorf("%d of %d", renewed, len(flushers))
			}
			return nil
		})
	}
}

func (s *stack) setMany(from, n int64) {
	s.t.Helper()
	for id := from; id < from+n; id++ {
		s.set(id, `{"name":"x","price":1,"stock":1}`)
	}
}

// TestWritesThatRedisLostWhileNothingWasFlushedAreNoticed puts an older copy of Redis
// back. Nothing was claimed in between, so neither the ledger nor a partition tells.
func TestWritesThatRedisLostWhileNothingWasFlushedAreNoticed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flushers int
		database bool
		after    int64
		lost     int64
	}{
		"suspended":                            {flushers: 1, lost: 1000},
		"no database":                          {flushers: 1, database: true, lost: 1000},
		"writes go on right after, and more":   {flushers: 1, lost: 200, after: 600},
		"two flushers":                         {flushers: 2, lost: 500},
		"nothing is lost":                      {flushers: 2, lost: 0},
		"nothing is lost, and writes go on":    {flushers: 1, lost: 0, after: 300},
		"one write":                            {flushers: 1, lost: 1},
		"one write, and the same number after": {flushers: 1, lost: 1, after: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, journalAlways)
			var flushers []*programs.Flusher
			for range test.flushers {
				flushers = append(flushers, s.startReady())
			}
			s.setMany(1, 10)
			s.drained()
			if test.database {
				s.config.Database.Postgres.URLFile = filepath.Join(t.TempDir(), "none")
				s.stop(flushers[0])
				s.write()
				flushers[0] = s.start()
				s.eventually("the flusher is there", func() error {
					if len(s.rdb.HGetAll(t.Context(), "wb:{products}:members").Val()) == 0 {
						return errors.New("no member")
					}
					return nil
				})
			} else {
				for _, p := range flushers {
					s.suspend(p)
				}
			}
			s.setMany(2000, 10)
			s.compared(flushers...)
			copied := s.aside()
			s.setMany(10_000, test.lost)
			s.compared(flushers...)
			s.putBack(copied)
			s.setMany(50_000, test.after)
			s.compared(flushers...)
			want := min(test.lost, 1)
			s.eventually("the flushers tell", func() error {
				for _, p := range flushers {
					if n := s.status(p).Queues[0].DataLossEvents; n != want {
						return fmt.Errorf("%d events, want %d", n, want)
					}
				}
				return nil
			})
			if n := s.stats().DataLoss; n != want {
				t.Errorf("%d data-loss events, want %d", n, want)
			}
			told, counted := 0, 0
			for _, p := range flushers {
				if strings.Contains(p.Said(), "at least "+plural.Of(test.lost, "write is", "writes are")+" lost") {
					told++
				}
				_, metrics := s.get(p, "/metrics")
				if strings.Contains(metrics, `writebehind_data_loss_events_total{queue="products"} 1`) {
					counted++
				}
			}
			if told != int(want) || counted != int(want) {
				t.Errorf("%d flushers tell of the loss and %d count it, want %d", told, counted, want)
			}
			if test.database {
				return
			}
			s.resume()
			s.drained()
			if got := s.db.Value(t, "SELECT count(*) FROM products"); got != fmt.Sprint(20+test.after) {
				t.Errorf("%s rows, want %d", got, 20+test.after)
			}
			if n := s.stats().DataLoss; n != want {
				t.Errorf("%d data-loss events at the end, want %d", n, want)
			}
		})
	}
}

// TestAQueueThatWasLostWhileNoFlusherRan wipes Redis between two flushers. Only the
// ledger knows of the queue that was there.
func TestAQueueThatWasLostWhileNoFlusherRan(t *testing.T) {
	t.Parallel()
	const owner = "0a1b2c3d-0000-4000-8000-000000000000"
	for name, test := range map[string]struct {
		owner    string
		flushed  bool
		drained  bool
		reopened bool
		want     int64
	}{
		"after flushes":                        {flushed: true, want: 1},
		"that had never flushed":               {},
		"that was drained":                     {flushed: true, drained: true},
		"that was drained, and used afterward": {flushed: true, drained: true, reopened: true, want: 1},
		"under the operator, which notices":    {flushed: true, owner: owner},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Owner, s.config.Revision = test.owner, 1
			s.write()
			p := s.startReady()
			if test.flushed {
				s.setMany(1, 30)
				s.drained()
			}
			if test.drained {
				s.config.Draining, s.config.Revision = true, s.config.Revision+1
				s.write()
				s.eventually("the queue takes no writes", func() error {
					if state := s.stats().State; state != "paused" {
						return errors.New(state)
					}
					return nil
				})
			}
			if test.reopened {
				s.stop(p)
				s.config.Draining, s.config.Revision = false, s.config.Revision+1
				s.write()
				p = s.startReady()
				s.setMany(1, 30)
				s.drained()
			}
			s.stop(p)
			s.must(s.rdb.FlushAll(t.Context()).Err())
			s.config.Draining = false
			s.config.Revision++
			s.write()
			p = s.startReady()
			s.setMany(100, 50)
			s.drained()
			if n := s.stats().DataLoss; n != test.want {
				t.Errorf("%d data-loss events, want %d", n, test.want)
			}
			if told := strings.Contains(p.Said(), "Redis lost the queue while no flusher ran"); told != (test.want == 1) {
				t.Errorf("the log tells of it: %v", told)
			}
			s.stop(p)
			s.startReady()
			s.setMany(100, 50)
			s.drained()
			if n := s.stats().DataLoss; n != test.want {
				t.Errorf("%d data-loss events after another start, want %d", n, test.want)
			}
		})
	}
}

// TestASplitBrainStopsTheSideThatIsBehind starts an older copy of Redis beside the
// original, with a flusher on each and one database.
func TestASplitBrainStopsTheSideThatIsBehind(t *testing.T) {
	t.Parallel()
	for name, busy := range map[string]bool{"while the original is written": true, "while the original is idle": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, journalAlways)
			original := s.startReady()
			s.setAll(1, 100, 1)
			s.drained()
			s.suspend(original)
			// The copy holds entries that the original flushes, and then writes again.
			s.setAll(1, 100, 2)
			copied := s.aside()
			s.resume()
			s.drained()
			s.setAll(1, 100, 3)
			s.drained()

			older := *s
			folder := t.TempDir()
			s.must(os.CopyFS(filepath.Join(folder, "appendonlydir"), os.DirFS(copied)))
			older.redis = journaltest.New(t, journalAlways, func(o *journaltest.Options) { o.Dir = folder })
			older.rdb = older.redis.Client(t)
			c := *s.config
			older.config, older.file = &c, filepath.Join(t.TempDir(), "older.yaml")
			older.config.Redis.External = s.config.Redis.External
			older.config.Redis.External.Addresses = []string{older.redis.Addr()}
			older.write()
			s.db.Exec(t, `CREATE FUNCTION forward() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.stock < OLD.stock THEN INSERT INTO backward VALUES (NEW.id, OLD.stock, NEW.stock); END IF; RETURN NEW; END $$;
CREATE TABLE backward (id bigint, was int, becomes int);
CREATE TRIGGER forward BEFORE UPDATE ON products FOR EACH ROW EXECUTE FUNCTION forward()`)
			behind := older.start()
			stock := int64(3)
			older.eventually("the older copy stops, and tells", func() error {
				if busy {
					stock++
					s.setAll(1, 100, stock)
				}
				if check := older.status(behind).Redis; check.Reason != "SplitBrain" || !strings.Contains(check.Message, "older copy") ||
					!strings.Contains(check.Message, "with mappings[].versionColumn each row also guards itself") {
					return fmt.Errorf("check is %+v", check)
				}
				return nil
			})
			stock++
			s.setAll(1, 100, stock)
			s.drained()
			s.count(stock, 100)
			if rows := s.db.Column(t, "SELECT format('%s from %s to %s', id, was, becomes) FROM backward LIMIT 5"); len(rows) > 0 {
				t.Errorf("rows went back: %v", rows)
			}
			if check := s.status(original).Redis; !check.OK {
				t.Errorf("the original says %+v", check)
			}
			if depth := older.stats().Depth; depth != 100 {
				t.Errorf("the older copy holds %d entries, want all 100", depth)
			}
			s.stop(behind)
		})
	}
}

// TestAnotherLedgerSchemaIsRefused changes the config of a flusher on its own. Another
// ledger would fence nobody, and would look like one that was lost.
func TestAnotherLedgerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	p := s.startReady()
	s.setAll(1, 10, 1)
	s.drained()
	s.set(99, "no document")
	s.eventuallyDead(99)
	s.must(s.rdb.HSet(t.Context(), "wb:{products:3}:meta", "data_loss", 3).Err())
	s.stop(p)
	before := s.config.Database.Postgres.LedgerSchema
	s.config.Database.Postgres.LedgerSchema = "elsewhere"
	s.write()
	p = s.start()
	s.eventually("the schema is refused", func() error {
		queues := s.status(p).Queues
		if len(queues) == 0 || queues[0].Ready.Reason != "QueueConflict" || !strings.Contains(queues[0].Ready.Message, "set ledgerSchema to "+before) {
			return fmt.Errorf("status is %+v", queues)
		}
		return nil
	})
	s.setAll(1, 10, 2)
	s.looksOn(p, s.stats(), 10, 1)
	s.stop(p)
	s.config.Database.Postgres.LedgerSchema = before
	s.write()
	s.startReady()
	s.drained()
	s.count(2, 10)
	if n := s.stats().DataLoss; n != 3 {
		t.Errorf("%d data-loss events, want none beside the 3 that were there", n)
	}
}
