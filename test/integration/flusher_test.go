// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
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
	for key, want := range map[string]entry.DeadLetter{
		"product:1": {Cause: entry.CauseNotADocument, Attempts: 1, Payload: "not json"},
		"product:4": {Cause: entry.CauseRefused, Attempts: 4, SQLState: "22P02", Payload: `{"stock":"many"}`},
		"product:5": {Cause: entry.CauseRefused, Attempts: 4, SQLState: "23514", Constraint: "products_stock_check", Payload: `{"stock":-1}`},
		"product:6": {Cause: entry.CauseRefused, Attempts: 4, SQLState: "22003", Payload: `{"price":1e30}`},
		"product:8": {Cause: entry.CauseRefused, Attempts: 1, SQLState: "22021", Column: "name", Payload: `{"name":"\u0000"}`},
		"product:9": {Cause: entry.CauseNotADocument, Attempts: 1, Payload: `{"name":"x"} trailing`},
		"product:x": {Cause: entry.CauseNotAKey, Attempts: 1, Payload: `{"name":"no number"}`},
	} {
		got := letters[key]
		if got == nil || got.Cause != want.Cause || got.Attempts != want.Attempts || got.SQLState != want.SQLState ||
			got.Constraint != want.Constraint || want.Column != "" && got.Column != want.Column || got.Payload != want.Payload || got.FirstFailure.After(got.LastFailure) {
			t.Errorf("dead letter of %s is %+v, want %+v", key, got, want)
		}
		if got != nil && got.SQLState == "" && strings.Contains(got.Message, "SQLSTATE") {
			t.Errorf("the flusher's own text %q names a SQLSTATE that nobody can look for", got.Message)
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
