// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

func TestWritesAndDeletionsReachTheTable(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.startReady()
	s.set(1, `{"name":"one","price":1.50,"stock":3,"updated_at":"2026-11-23T10:00:00Z","unknown":true}`)
	s.set(2, `{"name":"two \"quoted\" é","price":null,"stock":0}`)
	s.eventuallyRow(1, "one|1.50|3")
	s.eventuallyRow(2, `two "quoted" é|0`)
	s.set(1, `{"price":2}`)
	s.eventuallyRow(1, "one|2.00|3")
	s.del(2)
	s.eventuallyRow(2, "")
	s.drained()
	if got := s.db.Value(t, "SELECT updated_at AT TIME ZONE 'UTC' FROM products WHERE id = 1"); got != "2026-11-23 10:00:00" {
		t.Errorf("the timestamp is %s", got)
	}
	if stats := s.stats(); stats.Writes != 4 || stats.Flushed != 4 {
		t.Errorf("stats are %+v", stats)
	}
}

func TestAThousandWritesToOneKeyBecomeOneRowWrite(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.db.Exec(t, `CREATE TABLE log (op text);
		CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (TG_OP); RETURN NEW; END $$;
		CREATE TRIGGER note AFTER INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION note()`)
	s.config.Flush.IntervalMilliseconds = 5000
	s.write()
	s.startReady()
	pipe := s.rdb.Pipeline()
	for i := range 1000 {
		pipe.FCall(t.Context(), "wb_set", []string{"product:7"}, "products", fmt.Sprintf(`{"name":"seven","price":7,"stock":%d}`, i))
	}
	_, err := pipe.Exec(t.Context())
	s.must(err)
	s.eventuallyRow(7, "seven|7.00|999")
	s.drained()
	if got := s.db.Value(t, "SELECT count(*) FROM log"); got != "1" {
		t.Errorf("%s row writes for a thousand writes, want 1", got)
	}
	if stats := s.stats(); stats.Writes != 1000 || stats.Flushed != 1 || stats.Coalesced != 999 {
		t.Errorf("stats are %+v", stats)
	}
}

func TestAFullBatchDoesNotWaitForTheInterval(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.IntervalMilliseconds = 3_600_000
	s.config.Flush.BatchSize = 20
	s.write()
	s.startReady()
	for i := range int64(20) {
		s.set(i, `{"name":"x","price":1,"stock":1}`)
	}
	s.eventuallyRow(19, "x|1.00|1")
	s.drained()
}

// TestWhatCannotBeARowIsSetAside covers payloads that are no document and rows
// that the database refuses, among good ones.
func TestWhatCannotBeARowIsSetAside(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	p := s.startReady()
	bad := map[int64]string{
		1: `not json`, 2: `[1,2]`, 3: `"text"`, 4: `{"stock":"many"}`, 5: `{"stock":-1}`, 6: `{"price":1e30}`, 7: ``, 8: `{"name":"\u0000"}`, 9: `{"name":"x"} trailing`,
	}
	for id := range int64(100) {
		document, isBad := bad[id]
		if !isBad {
			document = `{"name":"good","price":1,"stock":1}`
		}
		s.set(id, document)
	}
	s.must(s.rdb.FCall(t.Context(), "wb_set", []string{"product:01"}, "products", `{"name":"other text for 1"}`).Err())
	s.must(s.rdb.FCall(t.Context(), "wb_set", []string{"product:x"}, "products", `{"name":"no number"}`).Err())
	s.eventually("the good ones are in", func() error {
		if got := s.db.Value(t, "SELECT count(*) FROM products WHERE name = 'good'"); got != "91" {
			return fmt.Errorf("%s rows", got)
		}
		return nil
	})
	wantDead := int64(len(bad) + 2)
	s.eventually("the bad ones are dead letters", func() error {
		q := s.status(p).Queues[0]
		if q.Depth != 0 || q.DeadLetters != wantDead || q.Refused != 0 || !strings.Contains(q.LastError, "is a dead letter") {
			return fmt.Errorf("status is %+v", q)
		}
		return nil
	})
	if got := s.db.Value(t, "SELECT count(*) FROM products"); got != "91" {
		t.Errorf("%s rows, want the 91 good ones", got)
	}
	letters := s.deadLetters()
	for key, want := range map[string]journal.DeadLetter{
		"product:1": {Cause: journal.CauseNotADocument, Attempts: 1, Payload: "not json"},
		"product:4": {Cause: journal.CauseRefused, Attempts: 4, SQLState: "22P02", Payload: `{"stock":"many"}`},
		"product:5": {Cause: journal.CauseRefused, Attempts: 4, SQLState: "23514", Constraint: "products_stock_check", Payload: `{"stock":-1}`},
		"product:6": {Cause: journal.CauseRefused, Attempts: 4, SQLState: "22003", Payload: `{"price":1e30}`},
		"product:x": {Cause: journal.CauseNotADocument, Attempts: 1, Payload: `{"name":"no number"}`},
	} {
		got := letters[key]
		if got == nil || got.Cause != want.Cause || got.Attempts != want.Attempts || got.SQLState != want.SQLState ||
			got.Constraint != want.Constraint || got.Payload != want.Payload || got.FirstFailure.After(got.LastFailure) {
			t.Errorf("dead letter of %s is %+v, want %+v", key, got, want)
		}
	}
	_, body := s.get(p, "/status")
	if strings.Contains(body, "many") || strings.Contains(body, "trailing") || strings.Contains(p.Said(), "many") {
		t.Errorf("the status or the log tells row values: %s", body)
	}
	for id := range bad {
		s.set(id, `{"name":"mended","price":1,"stock":1}`)
	}
	s.del(1)
	s.eventually("mended ones are in and their dead letters gone", func() error {
		if got := s.db.Value(t, "SELECT count(*) FROM products WHERE name = 'mended'"); got != "8" {
			return fmt.Errorf("%s rows", got)
		}
		if n := len(s.deadLetters()); n != 2 {
			return fmt.Errorf("%d dead letters", n)
		}
		return nil
	})
}

func TestAMappingWhoseRowsAreAllRefusedIsPausedAndNothingIsDead(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Mappings[0].Partitions = 1
	s.write()
	s.db.Exec(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION refuse()`)
	p := s.startReady()
	pipe := s.rdb.Pipeline()
	for id := range 50 {
		pipe.FCall(t.Context(), "wb_set", []string{fmt.Sprintf("product:%d", id)}, "products", `{"name":"x","price":1,"stock":1}`)
	}
	_, err := pipe.Exec(t.Context())
	s.must(err)
	s.eventually("the mapping is paused", func() error {
		q := s.status(p).Queues[0]
		if q.Ready.Reason != "MappingPaused" || !strings.Contains(q.Ready.Message, "P0001") || q.DeadLetters != 0 {
			return fmt.Errorf("status is %+v", q)
		}
		return nil
	})
	s.db.Exec(t, "DROP TRIGGER refuse ON products")
	s.drained()
	s.eventually("the mapping is ready again", func() error {
		if q := s.status(p).Queues[0]; !q.Ready.OK || q.DeadLetters != 0 {
			return fmt.Errorf("status is %+v", q)
		}
		return nil
	})
	if got := s.db.Value(t, "SELECT count(*) FROM products"); got != "50" {
		t.Errorf("%s rows, want 50", got)
	}
}

func TestTheCircuitOpensAndNoAttemptIsSpent(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	server := postgrestest.NewServer(t, postgrestest.Options{})
	s.db = server.NewDatabase(t)
	s.db.Exec(t, productsTable)
	s.putURL(s.db.URL())
	s.config.Flush.CircuitBreaker = config.CircuitBreaker{FailureThreshold: 2, OpenMilliseconds: 500}
	s.write()
	p := s.startReady()
	s.set(1, `{"name":"before","price":1,"stock":1}`)
	s.drained()
	// The database answers, and fails at every batch.
	s.db.Exec(t, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION SQLSTATE '53100'; END $$;
		CREATE TRIGGER fail BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION fail()`)
	for id := range int64(20) {
		s.set(id, `{"name":"during","price":1,"stock":1}`)
	}
	s.eventually("the circuit is open", func() error {
		status := s.status(p)
		_, metrics := s.get(p, "/metrics")
		if status.Circuit != "open" || status.Database.Reason != "CircuitOpen" || !strings.Contains(metrics, `writebehind_circuit_state{queue="products"} 2`) {
			return fmt.Errorf("status is %+v", status)
		}
		return nil
	})
	s.db.Exec(t, "DROP TRIGGER fail ON products")
	s.drained()
	if stats := s.stats(); stats.Refused != 0 || stats.Dead != 0 {
		t.Errorf("an outage counts against rows: %+v", stats)
	}
	s.eventually("the circuit is closed", func() error {
		if status := s.status(p); status.Circuit != "closed" || !status.Database.OK {
			return fmt.Errorf("status is %+v", status)
		}
		return nil
	})
}

func TestProblemsOfTheDatabaseAreNamedAndHeal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		broken  func(*stack)
		mend    func(*stack)
		where   func(config.Status) config.Check
		reason  string
		message string
	}{
		"a missing table": {
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE products RENAME TO elsewhere") },
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE elsewhere RENAME TO products") },
			ofQueue, "SchemaMismatch", "public.products",
		},
		"a missing key column": {
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE products RENAME id TO number") },
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE products RENAME number TO id") },
			ofQueue, "SchemaMismatch", "id",
		},
		"a key that is not unique": {
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE products DROP CONSTRAINT products_pkey") },
			func(s *stack) { s.db.Exec(s.t, "ALTER TABLE products ADD PRIMARY KEY (id)") },
			ofQueue, "SchemaMismatch", "PRIMARY KEY",
		},
		"a wrong password": {
			func(s *stack) { s.putURL(strings.Replace(s.db.URL(), "://postgres:", "://postgres:wrong", 1)) },
			func(s *stack) { s.putURL(s.db.URL()) },
			ofDatabase, "AuthenticationFailed", "password",
		},
		"a missing secret": {
			func(s *stack) { s.must(os.Remove(s.config.Database.Postgres.URLFile)) },
			func(s *stack) { s.putURL(s.db.URL()) },
			ofDatabase, "SecretMissing", "Secret shop-db",
		},
		"a database that is not there": {
			func(s *stack) { s.putURL("postgres://postgres:x@" + programs.FreeAddress(s.t) + "/shop") },
			func(s *stack) { s.putURL(s.db.URL()) },
			ofDatabase, "ConnectionFailed", "refused",
		},
		"a read-only database": {
			func(s *stack) {
				s.db.Exec(s.t, "ALTER DATABASE "+s.db.Name()+" SET default_transaction_read_only = on")
			},
			func(s *stack) {
				s.db.Exec(s.t, "ALTER DATABASE "+s.db.Name()+" RESET default_transaction_read_only")
			},
			ofDatabase, "ReadOnly", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Database.Postgres.URLSecret = "Secret shop-db, key uri"
			s.write()
			c.broken(s)
			p := s.start()
			s.eventually("the problem is named", func() error {
				check := c.where(s.status(p))
				if check.OK || check.Reason != c.reason || !strings.Contains(check.Message, c.message) {
					return fmt.Errorf("check is %+v", check)
				}
				return nil
			})
			s.eventually("readyz names it", func() error {
				if code, body := s.get(p, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, c.reason) {
					return fmt.Errorf("it answers %d %s", code, body)
				}
				return nil
			})
			if code, _ := s.get(p, "/healthz"); code != http.StatusOK {
				t.Errorf("healthz answers %d: a restart would not help", code)
			}
			// Writers do not notice: that is what the queue is for.
			s.set(1, `{"name":"waits","price":1,"stock":1}`)
			c.mend(s)
			s.eventuallyRow(1, "waits|1.00|1")
			s.drained()
		})
	}
}

func ofDatabase(s config.Status) config.Check { return s.Database }

func ofQueue(s config.Status) config.Check {
	if len(s.Queues) == 0 {
		return config.Check{}
	}
	return s.Queues[0].Ready
}

func (s *stack) putURL(url string) {
	s.t.Helper()
	path := s.config.Database.Postgres.URLFile
	s.must(programs.PutFile(path, []byte(url)))
}

func TestLiveSettingsNeedNoRestart(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.IntervalMilliseconds = 3_600_000
	s.config.Owner, s.config.Revision = "resource", 1
	s.write()
	p := s.startReady()
	s.set(1, `{"name":"waits","price":1,"stock":1}`)
	s.config.Flush.IntervalMilliseconds = 50
	s.config.Backpressure.MaxQueueDepth = 7
	s.config.Revision = 2
	s.write()
	s.eventuallyRow(1, "waits|1.00|1")
	s.eventually("the settings are in force", func() error {
		if status, stats := s.status(p), s.stats(); status.Revision != 2 || status.Owner != "resource" || stats.Max != 7 || stats.Revision != 2 {
			return fmt.Errorf("status is %+v, stats are %+v", status, stats)
		}
		return nil
	})
	s.config.Suspend, s.config.Revision = true, 3
	s.write()
	s.eventually("flushing is suspended", func() error {
		if !s.status(p).Suspended {
			return fmt.Errorf("status is %+v", s.status(p))
		}
		return nil
	})
	s.set(2, `{"name":"suspended","price":1,"stock":1}`)
	s.config.Suspend, s.config.Draining, s.config.Revision = false, true, 4
	s.config.Flush.IntervalMilliseconds = 3_600_000
	s.write()
	s.eventuallyRow(2, "suspended|1.00|1")
	err := s.rdb.FCall(t.Context(), "wb_set", []string{"product:3"}, "products", "{}").Err()
	if err == nil || !strings.HasPrefix(err.Error(), "WBPAUSED ") {
		t.Errorf("a write while draining answers %v", err)
	}
	if strings.Contains(p.Said(), "starts anew") {
		t.Error("live settings have made the flusher start anew")
	}
}

func TestAChangedMappingMakesTheFlusherStartAnew(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.db.Exec(t, "CREATE TABLE items (id text PRIMARY KEY, document jsonb)")
	p := s.startReady()
	s.set(1, `{"name":"one","price":1,"stock":1}`)
	items := config.DefaultMapping()
	items.Name, items.KeyPrefix, items.Table, items.KeyColumn = "items", "item:", "public.items", "id"
	items.Columns = []config.Column{{Field: "$", Column: "document"}}
	s.config.Mappings = append(s.config.Mappings, items)
	s.write()
	s.eventually("the new queue takes writes", func() error {
		return s.rdb.FCall(t.Context(), "wb_set", []string{"item:a/b"}, "items", `{"any": ["thing"]}`).Err()
	})
	s.eventually("the document arrives", func() error {
		if got := s.db.Value(t, `SELECT document->'any'->>0 FROM items WHERE id = 'a/b'`); got != "thing" {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
	s.eventuallyRow(1, "one|1.00|1")
	if !p.Running() {
		t.Error("the process has ended")
	}
}

func TestSIGTERMFlushesWhatIsQueuedAndHandsOver(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.IntervalMilliseconds = 3_600_000
	s.write()
	p := s.startReady()
	s.eventually("the partitions are held", func() error {
		if n := len(s.status(p).Queues[0].Partitions); n != 16 {
			return fmt.Errorf("%d of them", n)
		}
		return nil
	})
	for i := range int64(50) {
		s.set(i, `{"name":"x","price":1,"stock":1}`)
	}
	if code := s.stop(p); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := s.db.Value(t, "SELECT count(*) FROM products"); got != "50" {
		t.Errorf("%s rows after SIGTERM, want 50", got)
	}
	for i := range 16 {
		if n := s.rdb.Exists(t.Context(), fmt.Sprintf("wb:{products:%d}:lease", i)).Val(); n != 0 {
			t.Errorf("partition %d is still leased", i)
		}
	}
}

func TestFlushersShareTheQueueAndTakeOver(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	first, second := s.startReady(), s.startReady()
	held := func(p *programs.Flusher) int { return len(s.status(p).Queues[0].Partitions) }
	s.eventually("both hold half", func() error {
		if a, b := held(first), held(second); a != 8 || b != 8 {
			return fmt.Errorf("%d and %d", a, b)
		}
		return nil
	})
	for i := range int64(200) {
		s.set(i, `{"name":"x","price":1,"stock":1}`)
	}
	s.drained()
	if code := s.stop(first); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.eventually("the other holds all", func() error {
		if b := held(second); b != 16 {
			return fmt.Errorf("%d", b)
		}
		return nil
	})
	third := s.startReady()
	s.eventually("a newcomer gets its share", func() error {
		if b, c := held(second), held(third); b != 8 || c != 8 {
			return fmt.Errorf("%d and %d", b, c)
		}
		return nil
	})
	third.Kill()
	for i := range int64(200) {
		s.set(i, `{"name":"y","price":1,"stock":1}`)
	}
	s.drained()
	if got := s.db.Value(t, "SELECT count(*) FROM products WHERE name = 'y'"); got != "200" {
		t.Errorf("%s rows, want 200", got)
	}
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
	// anew.
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

func TestTheDatabaseMayRestart(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	server := postgrestest.NewServer(t, postgrestest.Options{})
	s.db = server.NewDatabase(t)
	s.db.Exec(t, productsTable)
	s.putURL(s.db.URL())
	p := s.startReady()
	s.set(1, `{"name":"before","price":1,"stock":1}`)
	s.drained()
	server.Shutdown()
	s.eventually("the loss of the database is named", func() error {
		if check := s.status(p).Database; check.OK {
			return fmt.Errorf("check is %+v", check)
		}
		return nil
	})
	s.set(2, `{"name":"during","price":1,"stock":1}`)
	s.must(server.Restart(context.WithoutCancel(t.Context())))
	s.db.Pool().Reset()
	s.eventuallyRow(2, "during|1.00|1")
	if stats := s.stats(); stats.Refused != 0 || stats.Dead != 0 {
		t.Errorf("an outage counts against rows: %+v", stats)
	}
}

func TestAnUnusableConfigIsOneLineAndExitCode2(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	busy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for name, c := range map[string]struct {
		args []string
		text string
		want string
	}{
		"no file":       {[]string{"--config", dir + "/none"}, "", "no such file"},
		"no flag":       {nil, "", "--config"},
		"unknown flag":  {[]string{"--fast"}, "", "--fast"},
		"bad value":     {[]string{"--config", dir + "/bad"}, "flush: {batchSize: 0}", "flush.batchSize"},
		"unknown field": {[]string{"--config", dir + "/bad"}, "flushes: {}", "flushes"},
		"no such port":  {[]string{"--config", dir + "/bad"}, "listenAddress: 127.0.0.1:99999", "0 to 65535"},
		"a busy port":   {[]string{"--config", dir + "/bad"}, "listenAddress: " + busy.Addr().String(), "address already in use"},
		"bad log":       {[]string{"--config", dir + "/bad", "--log-format", "xml"}, "", "json or text"},
		"argument":      {[]string{"now"}, "", "now"},
	} {
		t.Run(name, func(t *testing.T) {
			document := "redis: {external: {addresses: ['127.0.0.1:1']}}\ndatabase: {postgres: {urlFile: /x}}\n" +
				"mappings: [{name: p, keyPrefix: 'p:', table: t, keyColumn: k}]\n" + c.text
			if err := os.WriteFile(filepath.Join(dir, "bad"), []byte(document), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			command := exec.CommandContext(ctx, program, c.args...)
			output, err := command.CombinedOutput()
			text := strings.TrimSpace(string(output))
			if command.ProcessState.ExitCode() != 2 || !strings.Contains(text, c.want) || strings.Count(text, "\n") != 0 {
				t.Errorf("exit %d, %v, output:\n%s\nwant exit 2 and one line with %q", command.ProcessState.ExitCode(), err, text, c.want)
			}
		})
	}
}
