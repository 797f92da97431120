// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// TestDirtyEntriesAreNeverEvicted fills Redis until it evicts, under a policy that
// takes keys with a TTL: clean entries have one, dirty ones have none.
func TestDirtyEntriesAreNeverEvicted(t *testing.T) {
	t.Parallel()
	s := newStack(t, journaltest.MaxMemory("6mb", "volatile-lru"))
	s.config.Backpressure.MaxQueueDepth = 1_000_000
	s.write()
	p := s.startReady()
	document := `{"name":"` + strings.Repeat("x", 5000) + `","price":1,"stock":1}`
	const clean, dirty = 200, 100
	for id := range int64(clean) {
		s.set(id, document)
	}
	s.drained()
	s.suspend(p)
	for id := range int64(dirty) {
		s.set(clean+id, document)
	}
	// Foreign keys press until most of what may go has gone.
	for i := 0; s.keysLike("product:*") > dirty+clean/4; i++ {
		err := s.rdb.Set(t.Context(), fmt.Sprintf("foreign:%d", i), document, 0).Err()
		if err != nil && !strings.HasPrefix(err.Error(), "OOM") {
			t.Fatal(err)
		}
	}
	for id := range int64(dirty) {
		if got := s.rdb.Get(t.Context(), fmt.Sprintf("product:%d", clean+id)).Val(); got != document {
			t.Fatalf("dirty key %d holds %d bytes, want %d", clean+id, len(got), len(document))
		}
	}
	s.resume()
	s.drained()
	if got := s.db.Value(t, "SELECT count(*) FROM products WHERE length(name) = 5000"); got != fmt.Sprint(clean+dirty) {
		t.Errorf("%s rows, want %d", got, clean+dirty)
	}
	if stats := s.stats(); stats.DataLoss != 0 {
		t.Errorf("stats are %+v", stats)
	}
}

// keysLike counts the keys of a pattern.
func (s *stack) keysLike(pattern string) int {
	s.t.Helper()
	keys, err := s.rdb.Keys(s.t.Context(), pattern).Result()
	s.must(err)
	return len(keys)
}

// TestNoKeyOfTheJournalHasATimeToLive looks at every key after all kinds of them
// have come into being: with a TTL, a volatile policy could drop it.
func TestNoKeyOfTheJournalHasATimeToLive(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 1
	s.write()
	s.startReady()
	s.set(1, `{"name":"x","price":1,"stock":1}`)
	s.set(2, `{"stock":-1}`)
	s.set(3, "no document")
	expiry := func() string { return s.rdb.HGet(t.Context(), "wb:{products:0}:lease", "expiry").Val() }
	first := expiry()
	kinds := regexp.MustCompile(`^wb:\{products(:\d+)?\}:`)
	wanted := map[string]bool{"queue": false, "members": false, "lease": false, "meta": false, "ops": false, "late": false, "dlq": false, "payloads": false}
	s.eventually("there was a key of every kind", func() error {
		keys, err := s.rdb.Keys(t.Context(), "wb:*").Result()
		s.must(err)
		for _, key := range keys {
			if key == "wb:probe" {
				continue
			}
			if ttl := s.rdb.PTTL(t.Context(), key).Val(); ttl > 0 {
				t.Fatalf("%s lives for %v", key, ttl)
			}
			wanted[kinds.ReplaceAllString(key, "")] = true
		}
		for kind, seen := range wanted {
			if !seen {
				return fmt.Errorf("no %s yet", kind)
			}
		}
		if expiry() == first {
			return errors.New("the leases were not renewed yet")
		}
		return nil
	})
}

// TestTheLastOfSetAndDeleteCounts lets sets and deletions of one key coalesce, and
// flushes them in the middle of others.
func TestTheLastOfSetAndDeleteCounts(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	p := s.startReady()
	const row = `{"name":"last","price":1,"stock":1}`
	for round := range 3 {
		s.suspend(p)
		for id := range int64(40) {
			s.set(id, `{"name":"earlier","price":0,"stock":0}`)
			s.del(id)
			s.set(id, row)
			// What one round leaves the next one deletes.
			if (id+int64(round))%2 != 0 {
				s.del(id)
			}
		}
		s.resume()
		s.drained()
		got := s.db.Value(t, "SELECT count(*) || ' ' || count(*) FILTER (WHERE name = 'last' AND (id + $1) % 2 = 0) FROM products", round)
		if stats := s.stats(); got != "20 20" || stats.Dead != 0 || stats.DataLoss != 0 {
			t.Fatalf("round %d: rows and right rows are %s, want 20 20; stats are %+v", round, got, stats)
		}
	}
}

// TestAnExpiredEntryLeavesItsRow takes a key that is missing for no deletion.
func TestAnExpiredEntryLeavesItsRow(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Mappings[0].TimeToLiveSeconds = 1
	s.write()
	s.startReady()
	s.set(1, `{"name":"stays","price":1,"stock":1}`)
	s.eventuallyRow(1, "stays|1.00|1")
	s.eventually("the entry has expired", func() error {
		if n := s.rdb.Exists(t.Context(), "product:1").Val(); n != 0 {
			return fmt.Errorf("%d keys", n)
		}
		return nil
	})
	s.set(2, `{"name":"later","price":1,"stock":1}`)
	s.eventuallyRow(2, "later|1.00|1")
	s.eventuallyRow(1, "stays|1.00|1")
	if stats := s.stats(); stats.DataLoss != 0 || stats.Dead != 0 {
		t.Errorf("stats are %+v", stats)
	}
}

// TestAFailureLeavesTheCachedValue reads what was written through every attempt and
// from a dead letter's key.
func TestAFailureLeavesTheCachedValue(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Mappings[0].TimeToLiveSeconds = 1
	s.config.Flush.IntervalMilliseconds = 20
	s.write()
	s.startReady()
	const bad = `{"name":"refused","price":1,"stock":-1}`
	s.set(1, bad)
	check := func() {
		t.Helper()
		if got, ttl := s.rdb.Get(t.Context(), "product:1").Val(), s.rdb.PTTL(t.Context(), "product:1").Val(); got != bad || ttl != -1 {
			t.Fatalf("the key holds %q for %v", got, ttl)
		}
	}
	s.eventually("it is a dead letter", func() error {
		check()
		if stats := s.stats(); stats.Dead != 1 {
			return fmt.Errorf("stats are %+v", stats)
		}
		return nil
	})
	check()
	err := s.rdb.FCallRO(t.Context(), "wb_pending", []string{"product:1"}, "products").Err()
	if err == nil || !strings.HasPrefix(err.Error(), "WBDEAD ") {
		t.Errorf("wb_pending answers %v", err)
	}
}

// TestAChildWaitsForItsParent writes a row before the one that it refers to: a
// foreign key that fails may be a matter of order.
func TestAChildWaitsForItsParent(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.db.Exec(t, `CREATE TABLE parents (id bigint PRIMARY KEY); ALTER TABLE products ADD parent bigint REFERENCES parents`)
	s.config.Flush.MaxRetries = 20
	s.write()
	s.startReady()
	s.set(1, `{"name":"child","price":1,"stock":1,"parent":7}`)
	s.set(2, `{"name":"other","price":1,"stock":1}`)
	s.eventuallyRow(2, "other|1.00|1")
	s.eventually("the child was refused", func() error {
		if stats := s.stats(); stats.Refused != 1 {
			return fmt.Errorf("stats are %+v", stats)
		}
		return nil
	})
	s.db.Exec(t, "INSERT INTO parents VALUES (7)")
	s.eventuallyRow(1, "child|1.00|1")
	s.drained()
	if stats := s.stats(); stats.Dead != 0 {
		t.Errorf("stats are %+v", stats)
	}
}

// TestATableThatChangesUnderWayKillsNoRow takes away what the mapping needs while a
// flusher is at work, and gives it back.
func TestATableThatChangesUnderWayKillsNoRow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ change, back, reason string }{
		"the table goes":       {"ALTER TABLE products RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO products", "SchemaMismatch"},
		"the key column goes":  {"ALTER TABLE products RENAME id TO number", "ALTER TABLE products RENAME number TO id", "SchemaMismatch"},
		"the key's index goes": {"ALTER TABLE products DROP CONSTRAINT products_pkey", "ALTER TABLE products ADD PRIMARY KEY (id)", "SchemaMismatch"},
		"a listed column goes": {"ALTER TABLE products RENAME name TO title", "ALTER TABLE products RENAME title TO name", "SchemaMismatch"},
		"the table turns read": {"ALTER TABLE products RENAME TO elsewhere; CREATE VIEW products AS SELECT * FROM elsewhere", "DROP VIEW products; ALTER TABLE elsewhere RENAME TO products", "SchemaMismatch"},
		"a privilege is missing": {
			"REVOKE INSERT ON products FROM ROLE", "GRANT INSERT ON products TO ROLE", "PrivilegeMissing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			role, url := s.db.NewRole(t)
			s.db.Exec(t, fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON products TO %s; GRANT CREATE ON DATABASE %s TO %[1]s", role, s.db.Name()))
			s.putURL(url)
			for _, column := range []string{"name", "price", "stock"} {
				s.config.Mappings[0].Columns = append(s.config.Mappings[0].Columns, config.Column{Field: column, Column: column})
			}
			s.write()
			p := s.startReady()
			s.set(1, `{"name":"before","price":1,"stock":1}`)
			s.drained()
			s.db.Exec(t, strings.ReplaceAll(c.change, "ROLE", role))
			for id := range int64(40) {
				s.set(id, `{"name":"during","price":1,"stock":1}`)
			}
			s.eventually("the fault is named", func() error {
				if q := s.status(p).Queues[0]; q.Ready.Reason != c.reason || q.DeadLetters != 0 {
					return fmt.Errorf("status is %+v", q)
				}
				return nil
			})
			s.db.Exec(t, strings.ReplaceAll(c.back, "ROLE", role))
			s.drained()
			if stats := s.stats(); stats.Dead != 0 || stats.Refused != 0 {
				t.Errorf("stats are %+v", stats)
			}
			if got := s.db.Value(t, "SELECT count(*) FROM products WHERE name = 'during'"); got != "40" {
				t.Errorf("%s rows, want 40", got)
			}
		})
	}
}

// A row that a policy hides from the role counts as gone when it is deleted: that this may
// happen is in the log, once.
func TestThatAPolicyMayHideRowsIsTold(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	role, url := s.db.NewRole(t)
	s.db.Exec(t, fmt.Sprintf("GRANT ALL ON products TO %s; GRANT CREATE ON DATABASE %s TO %[1]s; ALTER TABLE products ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON products USING (price > 0)",
		role, s.db.Name()))
	s.putURL(url)
	p := s.startReady()
	s.set(1, `{"name":"mine","price":1,"stock":1}`)
	s.drained()
	// The table is read again after this.
	s.db.Exec(t, "ALTER TABLE products ADD COLUMN more text")
	s.set(1, `{"name":"again","price":1,"stock":1}`)
	s.drained()
	if n := strings.Count(p.Said(), "row-level security may hide rows of table public.products from the role (policy mine)"); n != 1 {
		t.Errorf("the log tells %d times that rows may be hidden: %s", n, p.Said())
	}
}

// TestARotatedRedisPasswordTakesEffect changes the password in Redis, ends every
// session, and then replaces the file.
func TestARotatedRedisPasswordTakesEffect(t *testing.T) {
	t.Parallel()
	s := newStack(t, journaltest.Password("first"))
	file := filepath.Join(t.TempDir(), "password")
	s.must(os.WriteFile(file, []byte("first\n"), 0o600))
	s.config.Redis.External.PasswordFile = file
	s.write()
	p := s.startReady()
	s.set(1, `{"name":"before","price":1,"stock":1}`)
	s.drained()
	s.must(s.rdb.ConfigSet(t.Context(), "requirepass", "second").Err())
	s.must(s.rdb.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	s.eventually("the refusal is named", func() error {
		if check := s.status(p).Redis; check.OK || check.Reason != "AuthenticationFailed" {
			return fmt.Errorf("check is %+v", check)
		}
		return nil
	})
	options := s.redis.Options()
	options.Password = "second"
	s.rdb = s.redis.ClientWith(t, options)
	s.set(1, `{"name":"after","price":1,"stock":1}`)
	s.must(programs.PutFile(file, []byte("second\n")))
	s.eventuallyRow(1, "after|1.00|1")
	s.drained()
}

// TestEveryWriteIsAccountedFor lets writes end in every way there is, and adds up
// what the numbers for applications and for Prometheus say of them.
func TestEveryWriteIsAccountedFor(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 0
	s.config.Backpressure.MaxQueueDepth = 1000
	s.write()
	p := s.startReady()
	writes := int64(0)
	for id := range int64(60) {
		for range id % 3 {
			s.set(id, `{"name":"over","price":1,"stock":1}`)
			writes++
		}
		document := `{"name":"good","price":1,"stock":1}`
		if id%10 == 0 {
			document = `{"stock":-1}`
		}
		s.set(id, document)
		writes++
	}
	s.del(59)
	writes++
	s.drained()
	s.set(0, `{"name":"mended","price":1,"stock":1}`) // The dead letter before it is superseded.
	writes++
	s.drained()
	s.must(s.rdb.Del(t.Context(), "product:1").Err()) // By hand: no event of the queue.
	s.suspend(p)
	for id := range int64(3) {
		s.set(100+id, `{"name":"lost","price":1,"stock":1}`)
		writes++
	}
	s.must(s.rdb.Del(t.Context(), "product:100").Err()) // By hand: a dirty value is lost.
	s.resume()
	s.drained()
	const superseded, dead, lost = 1, 6, 1
	stats := s.stats()
	if stats.Writes != writes || stats.Dead != dead-superseded+lost || stats.DataLoss != lost ||
		stats.Flushed+stats.Coalesced+stats.Dead+superseded != writes {
		t.Errorf("of %d writes stats say %+v", writes, stats)
	}
	s.eventually("Prometheus is told the same", func() error {
		code, body := s.get(p, "/metrics")
		if code != http.StatusOK {
			return fmt.Errorf("metrics answer %d", code)
		}
		metric := func(name string) int64 { return sum(t, body, name) }
		flushed, dead := metric(`writebehind_writes_total{outcome="flushed"`), metric(`writebehind_writes_total{outcome="dead"`)
		switch {
		case flushed != stats.Flushed, dead != stats.Dead+superseded, metric(`writebehind_writes_total{outcome="superseded"`) != superseded:
			return fmt.Errorf("flushed %d, dead %d; stats are %+v", flushed, dead, stats)
		case metric("writebehind_data_loss_events_total{") != lost, metric("writebehind_dead_letters{") != stats.Dead, metric("writebehind_queue_size{") != 0:
			return fmt.Errorf("metrics are\n%s\nstats are %+v", body, stats)
		}
		return nil
	})
}

// sum adds up the values of all lines of a metric that begin with name.
func sum(t *testing.T, body, name string) (total int64) {
	t.Helper()
	found := false
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, name) {
			continue
		}
		_, text, _ := strings.Cut(strings.TrimSpace(line), "} ")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%q is no line of a metric", line)
		}
		total, found = total+int64(value), true
	}
	if !found {
		t.Fatalf("there is no metric %s", name)
	}
	return total
}

// TestAWriteIsThereForItsWriterAtOnce reads its own writes while nothing is flushed:
// a cache that is read through must not bring back what the database still has.
func TestAWriteIsThereForItsWriterAtOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.startReady()
	s.set(1, `{"name":"old","price":1,"stock":1}`)
	s.drained()
	s.config.Flush.IntervalMilliseconds = int(time.Hour / time.Millisecond)
	s.write()
	s.set(1, `{"name":"new","price":1,"stock":1}`)
	fill := func(want int64) {
		t.Helper()
		got, err := s.rdb.FCall(t.Context(), "wb_fill", []string{"product:1"}, "products", `{"name":"old","price":1,"stock":1}`).Int64()
		if err != nil || got != want {
			t.Fatalf("wb_fill answers %d, %v; want %d", got, err, want)
		}
	}
	fill(0)
	if got := s.rdb.Get(t.Context(), "product:1").Val(); !strings.Contains(got, "new") {
		t.Errorf("the writer reads %q", got)
	}
	s.del(1)
	fill(0)
	if err := s.rdb.Get(t.Context(), "product:1").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("a deleted key reads %v", err)
	}
}
