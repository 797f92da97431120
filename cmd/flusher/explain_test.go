// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/internal/flusher/audit"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/test/servers"
)

// openFunctions is an office whose applications call the capture functions.
func openFunctions(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, Pair: servers.Start(t, `CREATE TABLE products (id text PRIMARY KEY, name text, stock int CHECK (stock >= 0), price numeric(10,2), wb bigint);
CREATE TABLE numbers (id bigint PRIMARY KEY, name text)`)}
	o.app = o.Redis.Client(t)
	o.Config.Flush.IntervalMilliseconds, o.Config.Flush.MaxRetries = 50, 0
	o.Config.Mappings[0].Partitions, o.Config.Mappings[0].VersionColumn = 2, "wb"
	numbers := config.DefaultMapping()
	numbers.Name, numbers.KeyPrefix, numbers.Table, numbers.KeyColumn, numbers.Partitions, numbers.TimeToLiveSeconds = "numbers", "n:", "numbers", "id", 2, 0
	o.Config.Mappings = append(o.Config.Mappings, numbers)
	servers.Put(t, o.File, o.Config)
	return o
}

// set writes a product.
func (o *office) set(key, value string) {
	o.t.Helper()
	queue := "products"
	if strings.HasPrefix(key, "n:") {
		queue = "numbers"
	}
	if err := o.app.FCall(o.t.Context(), "wb_set", []string{key}, queue, value).Err(); err != nil {
		o.t.Fatal(err)
	}
}

// explained is what the command says of a key, in JSON and to a person.
func (o *office) explained(code int, key string) (*audit.Explanation, string) {
	o.t.Helper()
	got, out, problems := ask(o.t, "explain", key, "-o", "json", "--config", o.File)
	if got != code {
		o.t.Fatalf("explain %s: exit code %d, want %d\n%s%s", key, got, code, out, problems)
	}
	var e audit.Explanation
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		o.t.Fatalf("%v: %s", err, out)
	}
	_, text, _ := ask(o.t, "explain", key, "--config", o.File)
	return &e, text
}

// becomes waits until a key is explained to have a state.
func (o *office) becomes(key, state string) (*audit.Explanation, string) {
	o.t.Helper()
	var e *audit.Explanation
	var text string
	o.eventually(key+" becomes "+state, func() error {
		if e, text = o.explained(0, key); e.State != state {
			return fmt.Errorf("it is\n%s", text)
		}
		return nil
	})
	return e, text
}

// says fails unless the text has all of the parts.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(squeeze(text), part) {
			t.Errorf("it says\n%s\nand not %q", text, part)
		}
	}
}

func TestExplainTellsWhatBecameOfAWrite(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.start()
	o.set("product:1", `{"name":"pen","stock":5,"price":1.50}`)
	o.set("product:bad", `{"name":"ink","stock":-1}`)
	e, text := o.becomes("product:1", audit.StateClean)
	if e.Queue != "products" || e.Differs == nil || *e.Differs || len(e.Rows) != 1 || !e.Rows[0].There || e.Rows[0].Version == nil || e.Holder == nil || !e.Holder.Runs {
		t.Errorf("of a write that arrived it says\n%s", text)
	}
	says(t, text, "Queue: products (prefix product:, table public.products, encoding JSON, capture Functions)", "held by flusher", "State: clean",
		"Redis: string, expires in", `{"name":"pen","stock":5,"price":1.50}`, "Row: is as Redis has it (version ", "price 1.50 1.50", "Next: nothing: the row is as Redis has it")

	e, text = o.becomes("product:bad", audit.StateDead)
	if len(e.Letters) != 1 || e.Letters[0].SQLState != "23514" || !*e.Differs {
		t.Errorf("of a dead letter it says\n%s", text)
	}
	says(t, text, "Dead letter: Refused, SQLSTATE 23514, constraint products_stock_check", "Row: is missing", "stock -1 - differs", "Next: nothing by itself: the dead letter")

	// What is changed beside the flushers is seen, and so is a value of another kind.
	o.Database.Exec(t, `UPDATE products SET price = 2, name = 'pencil' WHERE id = '1'`)
	e, text = o.explained(0, "product:1")
	if e.State != audit.StateClean || !*e.Differs {
		t.Errorf("of a row that was changed it says\n%s", text)
	}
	says(t, text, "Row: differs", "name pen pencil differs", "price 1.50 2.00 differs", "stock 5 5", "Next: nothing by itself", "repair product:1")
	o.do(`SET product:2 no-document`, `SADD product:3 a`)
	_, text = o.explained(0, "product:2")
	says(t, text, "Redis: string: no-document", "Row: is missing", "the value can be no row: ", "write the key again: repair leaves it alone")
	_, text = o.explained(1, "product:3")
	says(t, text, "Redis: set", "Problem: the key holds a set, which a mapping of encoding JSON does not take", "Row: is not there")
	_, text = o.explained(0, "n:01")
	says(t, text, "Redis: the key is not there", "the value can be no row: key \"01\" is not the canonical form of an integer")
}

func TestExplainTellsWhatWillHappen(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.Config.Flush.MaxRetries = 20
	servers.Put(t, o.File, o.Config)
	o.start()
	o.set("product:1", `{"name":"pen","stock":1}`)
	o.becomes("product:1", audit.StateClean)
	o.set("product:bad", `{"name":"ink","stock":-1}`)
	e, text := o.becomes("product:bad", audit.StateWaiting)
	if e.Attempts < 1 || e.Refused == nil {
		t.Errorf("of a refused row it says\n%s", text)
	}
	says(t, text, "State: waiting: the database refused it", "Next: it is tried again", "after 20 retries")
	o.stop()
	o.set("product:1", `{"name":"pen","stock":2}`)
	o.set("product:1", `{"name":"pen","stock":3}`)
	e, text = o.explained(0, "product:1")
	if e.State != audit.StateDirty || e.DirtySince == nil || e.Writes != 2 || e.Versions.Pending <= e.Versions.Committed || !*e.Differs {
		t.Errorf("of a dirty key it says\n%s", text)
	}
	says(t, text, "State: dirty: it waits to be flushed, since 20", "writes: 2", "held by no flusher", "stock 3 1 differs", "Next: nothing yet: no flusher has its partition")
	o.Config.Suspend = true
	servers.Put(t, o.File, o.Config)
	_, text = o.explained(0, "product:1")
	says(t, text, "Next: nothing until the resource is resumed")
	if err := o.app.FCall(t.Context(), "wb_del", []string{"product:1"}, "products").Err(); err != nil {
		t.Fatal(err)
	}
	e, text = o.explained(0, "product:1")
	if e.State != audit.StateDirty || e.Redis.There || !e.Rows[0].There {
		t.Errorf("of a deletion that waits it says\n%s", text)
	}
}

func TestExplainTellsOfAKeyThatNothingIsKnownOf(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.start()
	for key, want := range map[string]string{
		"order:1":   `the prefixes are "product:" (queue products), "n:" (queue numbers)`,
		"product:":  "the key is the keyPrefix alone",
		"Product:1": "no mapping takes this key",
	} {
		e, text := o.explained(1, key)
		if e.State != audit.StateNoMapping {
			t.Errorf("%s is %s", key, e.State)
		}
		says(t, text, want)
		if strings.Contains(text, "problem") || strings.Contains(text, "Redis:") {
			t.Errorf("of a key that it does not look at it says\n%s", text)
		}
	}
	_, text := o.explained(0, "product:9")
	says(t, text, "State: clean", "Redis: the key is not there", "Row: is not there", "neither Redis nor the table knows the key")
	// The row of a key that has expired is what is kept of it.
	o.Database.Exec(t, `INSERT INTO products (id, name) VALUES ('8', 'pad')`)
	_, text = o.explained(0, "product:8")
	says(t, text, "Row: is there", "name - pad", "its row stays")
}

func TestExplainCutsLongValues(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.start()
	long := strings.Repeat("ä\n", 5000)
	value, err := json.Marshal(map[string]string{"name": long})
	if err != nil {
		t.Fatal(err)
	}
	o.set("product:1", string(value))
	e, text := o.becomes("product:1", audit.StateClean)
	if len(text) > 2500 || *e.Rows[0].Columns[0].Row != long || *e.Redis.Value != string(value) {
		t.Errorf("it says %d bytes\n%.3000s", len(text), text)
	}
	says(t, text, "bytes: --whole)")
	if _, whole, _ := ask(t, "explain", "product:1", "--whole", "--config", o.File); len(whole) < 3*10000 {
		t.Errorf("--whole says %d bytes", len(whole))
	}
	o.do("SET product:2 \xff\x1b[31m")
	_, text = o.explained(0, "product:2")
	says(t, text, "(not UTF-8, in base64): /xtbMzFt", "the value can be no row: ")
}

// TestExplainTellsWhatItCan has one server away after the other.
func TestExplainTellsWhatItCan(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.start()
	o.set("product:1", `{"name":"pen","stock":1}`)
	o.becomes("product:1", audit.StateClean)
	url := o.Config.Database.Postgres.URLFile
	good, err := os.ReadFile(url)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(url, []byte("postgres://u@127.0.0.1:1/none?sslmode=disable"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, text := o.explained(1, "product:1")
	says(t, text, `{"name":"pen","stock":1}`, "State: clean", "Problem: PostgreSQL: ", "Next: that is not known")
	if err := os.WriteFile(url, good, 0o600); err != nil {
		t.Fatal(err)
	}
	addresses := o.Config.Redis.External.Addresses
	o.Config.Redis.External.Addresses = []string{"127.0.0.1:1"}
	servers.Put(t, o.File, o.Config)
	e, text := o.explained(1, "product:1")
	if e.Partition == nil || len(e.Rows) != 1 || !e.Rows[0].There {
		t.Errorf("without Redis it says\n%s", text)
	}
	says(t, text, "State: not known", "Problem: Redis: ", "Row: is there", "name - pen")
	o.Config.Redis.External.Addresses = addresses
}

func TestExplainOfReplication(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.start()
	o.do(`SET product:1 {"name":"pen","stock":1}`, `SET product:bad {"stock":-1}`, `HSET session:1 name ann visits 3`, `ZADD board:1 5 ann 7 bob 200 eve`,
		`XADD events:1 1-1 kind good`, `XADD events:1 2-1 kind bad`)
	for _, key := range []string{"product:1", "session:1"} {
		e, text := o.becomes(key, audit.StateClean)
		if e.Differs == nil || *e.Differs || e.Stream == nil || !e.Stream.SameHistory || e.Holder == nil || !e.Holder.Runs {
			t.Errorf("of %s it says\n%s", key, text)
		}
		says(t, text, "held by flusher", "Stream: carried to offset", "Row: is as Redis has it", "Next: nothing: the row is as Redis has it")
	}
	_, text := o.becomes("product:bad", audit.StateDead)
	says(t, text, "Dead letter: Refused, SQLSTATE 23514", "Row: is missing")
	e, text := o.becomes("board:1", audit.StateDead)
	if len(e.Rows) != 3 || e.Redis.Members == nil || *e.Redis.Members != 3 {
		t.Errorf("of a board it says\n%s", text)
	}
	says(t, text, "Redis: zset, members: 3", "Dead letter: Refused, member eve", "Row: of ann is as Redis has it", "Row: of eve is missing", "score 200 - differs")
	e, text = o.becomes("events:1", audit.StateDead)
	if len(e.Rows) != 2 || slices.ContainsFunc(e.Rows, func(r audit.Row) bool { return r.Differs == (r.Member == "1-1") }) {
		t.Errorf("of a stream it says\n%s", text)
	}
	o.Database.Exec(t, `UPDATE sessions SET visits = 4; INSERT INTO scores VALUES ('1', 'zoe', 1)`)
	_, text = o.explained(0, "session:1")
	says(t, text, "Row: differs", "visits 3 4 differs", "the row was changed beside the flushers")
	_, text = o.explained(0, "board:1")
	says(t, text, "Row: of zoe is there, and Redis does not have it")
	o.do("SADD product:7 x")
	_, text = o.explained(1, "product:7")
	says(t, text, "Problem: the key holds a set, which a mapping of encoding JSON does not take")
}

// TestExplainOfAStreamThatStands has a flusher that does not flush.
func TestExplainOfAStreamThatStands(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.start()
	o.do(`SET product:1 {"name":"pen","stock":1}`)
	o.becomes("product:1", audit.StateClean)
	o.stop()
	o.do(`SET product:1 {"name":"pen","stock":2}`)
	e, text := o.explained(0, "product:1")
	if e.State != audit.StateOnItsWay || !*e.Differs || e.Stream.Carried >= e.Stream.Redis {
		t.Errorf("of a stream that nobody reads it says\n%s", text)
	}
	says(t, text, "State: on its way", "held by no flusher", "stock 2 1 differs", "Next: nothing yet: no flusher has its partition")
}

// Keys, values and the journal are anybody's: nothing of them runs in the shell, or the terminal, of
// whoever asks, and no value passes for another one.
func TestExplainPrintsNothingThatIsObeyed(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.start()
	o.set("product:1", "{\"name\":\"NULL\\tpen\"}")
	o.set("product:2", `{"name":"NULL"}`)
	o.becomes("product:1", audit.StateClean)
	o.becomes("product:2", audit.StateClean)
	o.Database.Exec(t, `UPDATE products SET name = NULL WHERE id = '2'`)
	_, text := o.explained(0, "product:1")
	says(t, text, `name NULL\tpen NULL\tpen`)
	_, text = o.explained(0, "product:2")
	says(t, text, `name "NULL" NULL differs`)
	o.stop()

	evil := "product:$(touch x)\x1b[31m"
	for _, key := range []string{"product:`id`", evil} {
		if err := o.app.Set(t.Context(), key, `{"name":"x"}`, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	_, text = o.explained(0, "product:`id`")
	says(t, text, "flushed once more: repair 'product:`id`'")
	_, text = o.explained(0, evil)
	says(t, text, `flushed once more: repair $'product:$(touch x)\x1b[31m'`)
	// The application's user may write the journal of its queues.
	for p := range 2 {
		base := fmt.Sprintf("wb:{products:%d}:", p)
		if err := errors.Join(o.app.HSet(t.Context(), base+"lease", "owner", "x\x1b[2J\nState: clean").Err(),
			o.app.HSet(t.Context(), base+"dlq", evil, `{"operation":"set","version":1,"cause":"\u001b[2J"}`).Err()); err != nil {
			t.Fatal(err)
		}
	}
	o.set("product:1", `{"name":"pen"}`)
	for _, key := range []string{"product:1", evil} {
		code, out, problems := ask(t, "explain", key, "--config", o.File)
		if strings.ContainsAny(out+problems, "\x1b\t") || strings.Contains(out, "\nState: clean") {
			t.Errorf("exit code %d, and a terminal obeys\n%q%q", code, out, problems)
		}
	}
}

// What a write would be answered is part of why one did not arrive.
func TestExplainTellsThatWritesAreRefused(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.Config.Backpressure.MaxQueueDepth, o.Config.Backpressure.WarningQueueDepth, o.Config.Backpressure.CriticalQueueDepth = 2, 1, 2
	servers.Put(t, o.File, o.Config)
	o.start()
	o.stop()
	o.set("product:1", `{}`)
	_, text := o.explained(0, "product:3")
	if strings.Contains(text, "Writes:") {
		t.Errorf("of a queue that takes writes it says\n%s", text)
	}
	o.set("product:2", `{}`)
	e, text := o.explained(0, "product:3")
	if says(t, text, "Writes: refused with WBFULL: the queue holds 2 entries of at most 2"); !strings.HasPrefix(e.Refuses, "WBFULL") {
		t.Errorf("the document says %q", e.Refuses)
	}
	if _, text = o.explained(0, "product:1"); strings.Contains(text, "Writes:") {
		t.Errorf("of a key that is dirty, whose writes are taken, it says\n%s", text)
	}
	o.do("HSET wb:{products}:queue state paused")
	_, text = o.explained(0, "product:1")
	says(t, text, "Writes: refused with WBPAUSED: ")
}

// A key that is not UTF-8 is whole in a document.
func TestADocumentHasKeysOfAnyBytes(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.start()
	key := "product:\xff\x80"
	if err := o.app.Set(t.Context(), key, `{"name":"x"}`, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if e, _ := o.explained(0, key); string(e.KeyBase64) != key {
		t.Errorf("explain has the key %q", e.KeyBase64)
	}
	if c := o.compared(command.ExitDifferent, "verify"); len(c.Items) != 1 || string(c.Items[0].KeyBase64) != key || c.Items[0].Kind != audit.Unfit {
		t.Errorf("verify has %+v", c.Items)
	}
	o.set(key, `{"name":"x"}`)
	o.eventually("the key is a dead letter", func() error {
		out, _ := o.dlq(0, "list", "-o", "json")
		var rows []row
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			return err
		}
		if len(rows) != 1 || string(rows[0].KeyBase64) != key {
			return fmt.Errorf("it says %s", out)
		}
		return nil
	})
	if e, _ := o.explained(0, "product:1"); e.KeyBase64 != nil {
		t.Errorf("a key that is UTF-8 has %q beside it", e.KeyBase64)
	}
}
