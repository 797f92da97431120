// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// documentedRule is what docs/security.md gives an application, in the words of ACL
// SETUSER behind the password.
func documentedRule(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rule, ok := strings.Cut(string(page), "ACL SETUSER app reset on >password ")
	rule, _, _ = strings.Cut(rule, "\n")
	if !ok || !strings.Contains(rule, "+fcall") {
		t.Fatalf("docs/security.md has no rule for an application: %q", rule)
	}
	return rule
}

// What wb_stats tells of a queue is told in docs/capture-functions.md, name by name.
func TestEveryNumberOfAQueueIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/capture-functions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## Numbers of a queue\n")
	table, _, _ = strings.Cut(table, "\n## ")
	told := map[string]bool{}
	for line := range strings.Lines(table) {
		if name, isRow := strings.CutPrefix(line, "| `"); isRow {
			name, _, _ = strings.Cut(name, "`")
			told[name] = true
		}
	}
	f := open(t, journaltest.New(t))
	reply, err := f.rdb.FCallRO(t.Context(), "wb_stats", nil, queue).Slice()
	if err != nil || len(reply) < 20 {
		t.Fatalf("wb_stats returns %v, %v", reply, err)
	}
	for i := 0; i < len(reply); i += 2 {
		name, _ := reply[i].(string)
		if !told[name] {
			t.Errorf("docs/capture-functions.md does not tell of %s", name)
		}
		delete(told, name)
	}
	for name := range told {
		t.Errorf("docs/capture-functions.md tells of %s, which wb_stats does not return", name)
	}
}

// another is a second queue of the same Redis, which no rule of the first may open.
func another(s *config.QueueSettings) { s.Mapping.Name, s.Mapping.KeyPrefix = "orders", "order:" }

// applicationCalls is all that an application does with its queue, on every way that a
// capture function takes; admin brings the queue where the way begins.
func applicationCalls(ctx context.Context, admin *fixture, app *redis.Client) []error {
	fcall := func(function, key string, args ...any) error {
		keys := []string{key}
		if key == "" {
			keys = nil
		}
		call := app.FCall
		if function == "wb_pending" || function == "wb_stats" {
			call = app.FCallRO
		}
		err := call(ctx, function, keys, append([]any{queue}, args...)...).Err()
		if err != nil && (err == redis.Nil || strings.HasPrefix(err.Error(), "WBDEAD ")) { //nolint:errorlint // redis.Nil is never wrapped
			return nil
		}
		return err
	}
	l := admin.lease("a", 0, 1)
	admin.set("product:refused", "{}")
	admin.set("product:waits", "{}")
	admin.acknowledge(admin.claim(l, 10), entry.Refused)
	admin.set("product:dead", "{}")
	admin.acknowledge(admin.claim(l, 10), entry.Dead)
	errs := []error{
		fcall("wb_set", "product:1", "{}"), fcall("wb_set", "product:1", "{}"), // clean, dirty
		fcall("wb_set", "product:refused", "{}"),
		fcall("wb_stats", ""),
		fcall("wb_del", "product:1"), fcall("wb_del", "product:2"),
		fcall("wb_pending", "product:1"), fcall("wb_pending", "product:none"), fcall("wb_pending", "product:dead"),
		fcall("wb_get", "product:1"), fcall("wb_get", "product:3"), fcall("wb_get", "product:3"),
		fcall("wb_fill", "product:3", "{}"), fcall("wb_get", "product:3"),
	}
	reply, err := app.FCall(ctx, "wb_get", []string{"product:4"}, queue).Slice()
	errs = append(errs, err)
	if err == nil {
		errs = append(errs, fcall("wb_fill", "product:4", "{}", reply[1]))
	}
	return append(errs, app.Get(ctx, "product:4").Err())
}

// TestTheRightsOfAnApplication holds the ACL rule that the documents give to what the
// capture functions need: all of that, and no command more. What clients say by themselves, and
// what is taken away, is no matter of the functions: cmd/flusher tests it.
func TestTheRightsOfAnApplication(t *testing.T) {
	rule := documentedRule(t)
	server := journaltest.New(t, journaltest.User("app on >password "+rule))
	for _, without := range append([]string{""}, strings.Fields(rule)...) {
		switch {
		case without == "+rpop", without == "+hdel": // they undo a step; see below
			continue
		case strings.HasPrefix(without, "~"), strings.HasPrefix(without, "-"), without == "+info", without == "+@connection", without == "+@transaction":
			continue
		}
		f := open(t, server, onePartition)
		f.check(nil, f.rdb.Do(t.Context(), "ACL", "SETUSER", "app", "resetkeys", "-@all").Err())
		var words []any
		for word := range strings.FieldsSeq(rule) {
			if word != without {
				words = append(words, word)
			}
		}
		f.check(nil, f.rdb.Do(t.Context(), append([]any{"ACL", "SETUSER", "app"}, words...)...).Err())
		app := server.ClientAs(t, "app", "password")
		var first error
		for _, err := range applicationCalls(t.Context(), f, app) {
			if err != nil && first == nil {
				first = err
			}
		}
		switch {
		case without == "" && first != nil:
			t.Errorf("with the documents' rule: %v", first)
		case without != "" && first == nil:
			t.Errorf("nothing needs %s of the documents' rule", without)
		}
		f.check(f.rdb.FlushAll(t.Context()).Result())
	}

	// Even where a step is refused, the steps before it can be undone.
	f := open(t, server)
	app := server.ClientAs(t, "app", "password")
	f.check(nil, f.rdb.Do(t.Context(), append([]any{"ACL", "SETUSER", "app"}, fields(rule)...)...).Err())
	f.check(nil, f.rdb.Do(t.Context(), "ACL", "SETUSER", "app", "-hincrby").Err())
	before := dump(t, f.rdb)
	mustFail(t, app.FCall(t.Context(), "wb_set", []string{"product:3"}, queue, "{}"), scriptDenied)
	if after := dump(t, f.rdb); !maps.Equal(before, after) {
		t.Error("Redis has changed")
	}
}

func fields(text string) []any {
	var all []any
	for word := range strings.FieldsSeq(text) {
		all = append(all, word)
	}
	return all
}

// An application of one queue must not read, write, settle or forge anything of another
// one, whichever function of the library or command it takes for that.
func TestAnApplicationStaysInItsQueue(t *testing.T) {
	server := journaltest.New(t, journaltest.User("app on >password "+documentedRule(t)))
	f := open(t, server, onePartition)
	ctx := t.Context()
	f.check(f.j.Open(ctx, settings(onePartition, another), "journal-1", false))
	f.check(f.j.Beat(ctx, settings(another), "b", leaseTime, entry.Seen{}))
	theirs := &entry.Term{Shard: entry.Shard{Queue: "orders", Partition: 0, Incarnation: "journal-1"}, Member: "b", Epoch: 1}
	_, err := f.j.Begin(ctx, theirs, 0, 0, nil, false)
	f.check(nil, err)
	f.check(f.rdb.FCall(ctx, "wb_set", []string{"order:dead"}, "orders", `{"secret":1}`).Result())
	claim, err := f.j.Claim(ctx, theirs, "order:", upTo(10))
	f.check(claim, err)
	f.check(f.j.Acknowledge(ctx, claim, all(claim, entry.Dead, 0)))
	f.check(f.rdb.FCall(ctx, "wb_set", []string{"order:1"}, "orders", "{}").Result())
	letter := f.rdb.HGet(ctx, "wb:{orders:0}:dlq", "order:dead").Val()

	app := server.ClientAs(t, "app", "password")
	const denied = scriptDenied + "|WBARGS"
	fcall := func(function string, keys []string, args ...any) redis.Cmder {
		return app.FCall(ctx, function, keys, args...)
	}
	before := dump(t, f.rdb)
	for name, attack := range map[string]redis.Cmder{
		"write":                  fcall("wb_set", []string{"order:1"}, "orders", "{}"),
		"write by its own queue": fcall("wb_set", []string{"order:1"}, queue, "{}"),
		"own key, other queue":   fcall("wb_set", []string{"product:1"}, "orders", "{}"),
		"delete":                 fcall("wb_del", []string{"order:1"}, "orders"),
		"read":                   fcall("wb_get", []string{"order:1"}, "orders"),
		"fill":                   fcall("wb_fill", []string{"order:9"}, "orders", "{}"),
		"stats":                  app.FCallRO(ctx, "wb_stats", nil, "orders"),
		"dead letters":           app.FCallRO(ctx, "wb_engine_letters", nil, "orders", 0, 0, 10),
		"poll":                   app.FCallRO(ctx, "wb_engine_poll", nil, "orders", 0),
		"a claim":                fcall("wb_engine_claim", nil, "orders", 0, "b", 1, "journal-1", 2, "order:", 10, 1000, 1),
		"an acknowledgement":     fcall("wb_engine_ack", nil, "orders", 0, "b", 1, "journal-1", 1, 0, 0, 0, "d"),
		"a lease":                fcall("wb_engine_beat", nil, "orders", "evil", 60000, "order:", "Latest", "JSON"),
		"an epoch":               fcall("wb_engine_begin", nil, "orders", 0, "b", 9, "journal-1", 0, 0, 0, 0),
		"a release":              fcall("wb_engine_leave", nil, "orders", "b"),
		"settings":               fcall("wb_engine_open", nil, "orders", "evil", 9, "j", "order:", 1, "Latest", "JSON", 0, 1, "Reject", "paused", 0),
		"a queue over it":        fcall("wb_engine_open", nil, "evil", "evil", 9, "j", "order:", 1, "Latest", "JSON", 0, 1, "Reject", "open", 0),
		"a replay":               fcall("wb_engine_replay", []string{"order:dead"}, "orders", letter),
		"a discard":              fcall("wb_engine_discard", []string{"order:dead"}, "orders", letter),
		"a forged entry":         app.HSet(ctx, "wb:{orders:0}:ops", "order:1", "d0:9:9:1"),
		"a planted letter":       app.HSet(ctx, "wb:{orders:0}:dlq", "order:1", "{}\n{}"),
		"a name that ends alike": app.HSet(ctx, "wb:{products-old}:queue", "state", "paused"),
		"a name of both":         app.HSet(ctx, "wb:{orders:products}:queue", "state", "paused"),
		"the list of queues":     app.ZRange(ctx, "wb:queues", 0, -1),
		"the list, written":      app.ZRem(ctx, "wb:queues", "x"),
		"a value":                app.Get(ctx, "order:1"),
		"a value, written":       app.Set(ctx, "order:1", "{}", 0),
	} {
		t.Run(name, func(t *testing.T) { mustFail(t, attack, denied) })
	}
	if after := dump(t, f.rdb); !maps.Equal(before, after) {
		t.Errorf("Redis has changed: %v", slices.Sorted(maps.Keys(after)))
	}
}

// A keyPrefix may hold what means something in a pattern of the ACL.
func TestAKeyPrefixInARuleIsEscaped(t *testing.T) {
	const prefix = `p*?[a]\{}:`
	escaped := strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(prefix)
	rule := strings.Replace(documentedRule(t), "~product:*", "~"+escaped+"*", 1)
	server := journaltest.New(t)
	f := open(t, server, func(s *config.QueueSettings) { s.Mapping.KeyPrefix = prefix })
	f.check(nil, f.rdb.Do(t.Context(), append([]any{"ACL", "SETUSER", "app", "reset", "on", ">password"}, fields(rule)...)...).Err())
	app := server.ClientAs(t, "app", "password")
	f.check(app.FCall(t.Context(), "wb_set", []string{prefix + "1"}, queue, "{}").Result())
	for _, key := range []string{`pxx[a]\{}:1`, `p*?a\{}:1`, "product:1"} {
		mustFail(t, app.Get(t.Context(), key), "NOPERM")
	}
}
