// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// oddQueue and oddPrefix are names that no config may have, but any caller may give.
const oddQueue, oddPrefix = "a{b}:c d\r\n", "\xff\x00{"

// world is a Redis that holds queues in every state and keys of every kind.
type world struct {
	rdb   *redis.Client
	users []*redis.Client
	j     *journal.Journal
}

// newWorld also makes users that lack one right each, so that a function is refused
// in the middle of its way.
func newWorld(t testing.TB) *world {
	commands := []string{"hset", "rpush", "hincrby", "zrem", "set", "del", "zscore"}
	var options []journaltest.Option
	for _, command := range commands {
		options = append(options, journaltest.User(fmt.Sprintf("no%s on >secret ~* +@all -%[1]s", command)))
	}
	server := journaltest.New(t, append(options, journaltest.User("novalue on >secret ~wb:* %R~product:* +@all"))...)
	w := &world{rdb: server.Client(t)}
	w.users = []*redis.Client{w.rdb}
	for _, command := range append(commands, "value") {
		w.users = append(w.users, server.ClientAs(t, "no"+command, "secret"))
	}
	w.j = journal.New(w.rdb)
	if _, err := w.j.EnsureLibrary(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.build(t)
	return w
}

// build makes everything anew.
func (w *world) build(t testing.TB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	set := func(queue, key string) {
		t.Helper()
		must(w.rdb.FCall(ctx, "wb_set", []string{key}, queue, `{"n":1}`).Result())
	}
	must(w.rdb.FlushAll(ctx).Result())
	for name, change := range map[string]func(*config.QueueSettings){
		queue:      func(s *config.QueueSettings) { s.Mapping.Partitions = 2 },
		oddQueue:   func(s *config.QueueSettings) { s.Mapping.KeyPrefix, s.Mapping.TimeToLiveSeconds = oddPrefix, 0 },
		"full":     func(s *config.QueueSettings) { s.Mapping.KeyPrefix, s.MaxDepth = "full:", 1 },
		"paused":   func(s *config.QueueSettings) { s.Mapping.KeyPrefix, s.State = "paused:", config.StatePaused },
		"counters": func(s *config.QueueSettings) { s.Mapping.KeyPrefix, s.Mapping.Mode = "count:", "Increment" },
	} {
		must(w.j.Open(ctx, settings(change, func(s *config.QueueSettings) { s.Mapping.Name = name }), "journal-1", false))
	}
	set("full", "full:1")
	set(oddQueue, oddPrefix+"1")
	must(w.j.Beat(ctx, settings(), "a", leaseTime, entry.Seen{}))
	leases := make([]*entry.Term, 2)
	for p := range leases {
		leases[p] = lease(p, "a", 1)
		must(w.j.Begin(ctx, leases[p], 0, 0, nil, false))
	}
	settle := func(outcome entry.Outcome) {
		t.Helper()
		for _, l := range leases {
			claim, err := w.j.Claim(ctx, l, "product:", upTo(100))
			must(nil, err)
			if len(claim.Entries) == 0 {
				continue
			}
			must(w.j.Acknowledge(ctx, claim, all(claim, outcome, time.Minute)))
		}
	}
	for i := range 4 {
		set(queue, fmt.Sprintf("product:clean%d", i))
	}
	settle(entry.Done)
	set(queue, "product:dead")
	settle(entry.Dead)
	for i := range 4 {
		set(queue, fmt.Sprintf("product:refused%d", i))
	}
	settle(entry.Refused)
	for i := range 4 {
		set(queue, fmt.Sprintf("product:dirty%d", i))
	}
	must(w.rdb.FCall(ctx, "wb_del", []string{"product:gone"}, queue).Result())
	must(w.rdb.RPush(ctx, "product:list", "x").Result())
	must(w.rdb.HSet(ctx, "product:hash", "a", "b").Result())
}

// everything is all that Redis holds: each key's value, whole, and when it expires.
const everything = `
local all, keys = {}, redis.call('KEYS', '*')
for _, key in ipairs(keys) do
  all[#all + 1] = key
  all[#all + 1] = redis.call('DUMP', key) .. ' ' .. string.format('%.0f', redis.call('PEXPIRETIME', key))
end
return all`

func (w *world) everything(t testing.TB) map[string]string {
	t.Helper()
	list, err := w.rdb.EvalRO(context.WithoutCancel(t.Context()), everything, nil).StringSlice()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for i := 0; i < len(list); i += 2 {
		all[list[i]] = list[i+1]
	}
	return all
}

// changed names the keys that differ.
func changed(before, after map[string]string) []string {
	var keys []string
	for key := range before {
		if before[key] != after[key] {
			keys = append(keys, key)
		}
	}
	for key := range after {
		if _, ok := before[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// codes are what the contract lets a capture function answer, and what Redis itself
// says of a call that never reached one.
var codes = []string{"WBFULL", "WBPAUSED", "WBNOQUEUE", "WBMODE", "WBARGS", "WBDEAD", "WRONGTYPE", "OOM"}

var ofTheCall = []string{"ERR Number of keys can't be", "ERR Bad number of keys", "ERR Can not execute a script with write flag"}

// ofLua are words of the interpreter, which tell a caller nothing.
var ofLua = []string{"user_function", "attempt to", "bad argument", "script:", "stack"}

var captureFunctions = []string{"wb_set", "wb_del", "wb_fill", "wb_pending", "wb_stats"}

// arguments makes the first count texts the arguments of a call.
func arguments(function string, keys int8, count uint8, texts ...string) []any {
	call := []any{"FCALL", function, keys}
	for _, text := range texts[:min(int(count), len(texts))] {
		call = append(call, text)
	}
	return call
}

// FuzzCapture calls the capture functions with any arguments, also as users that
// lack a right. Each call answers a value that is true, or one of the contract's codes;
// after an error nothing is changed.
func FuzzCapture(f *testing.F) {
	for function := range captureFunctions {
		for user := range 9 {
			for _, key := range []string{"product:dirty0", "product:refused0", "product:clean0", "product:new", "product:gone", "product:dead"} {
				f.Add(uint8(function), uint8(user), int8(1), uint8(3), key, queue, `{"n":2}`, "")
				f.Add(uint8(function), uint8(user), int8(1), uint8(2), key, queue, "", "")
			}
		}
		for _, key := range []string{"product:list", "product:hash", "product:", "", "order:1", "product:\x00\xff\r\n", "wb:{products}:queue", "product:" + strings.Repeat("x", 70000)} {
			for _, name := range []string{queue, "", "nope", "full", "paused", "counters", oddQueue, "products}:queue", "products:0", "\x00", "%s%n", strings.Repeat("q", 70000)} {
				f.Add(uint8(function), uint8(0), int8(1), uint8(3), key, name, "\x00\xff\r\n", "")
			}
		}
		f.Add(uint8(function), uint8(0), int8(1), uint8(3), oddPrefix+"1", oddQueue, "x", "")
		f.Add(uint8(function), uint8(0), int8(1), uint8(3), oddPrefix+"\xff", oddQueue, strings.Repeat("\x00", 70000), "")
		f.Add(uint8(function), uint8(0), int8(1), uint8(3), "full:1", "full", "x", "")
		f.Add(uint8(function), uint8(0), int8(1), uint8(3), "full:2", "full", "x", "")
		f.Add(uint8(function), uint8(0), int8(0), uint8(1), queue, "", "", "")
		f.Add(uint8(function), uint8(0), int8(0), uint8(0), "", "", "", "")
		f.Add(uint8(function), uint8(0), int8(-1), uint8(3), "product:1", queue, "x", "")
		f.Add(uint8(function), uint8(0), int8(100), uint8(3), "product:1", queue, "x", "")
		f.Add(uint8(function), uint8(0), int8(2), uint8(4), "product:1", "product:2", queue, "x")
		f.Add(uint8(function)|0x80, uint8(0), int8(1), uint8(3), "product:1", queue, "x", "")
		f.Add(uint8(function)|0x80, uint8(0), int8(1), uint8(2), "product:1", queue, "", "")
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, which, user uint8, keys int8, count uint8, a, b, c, d string) {
		ctx := context.WithoutCancel(t.Context())
		function := captureFunctions[int(which&0x7f)%len(captureFunctions)]
		call := arguments(function, keys, count, a, b, c, d)
		if which&0x80 != 0 {
			call[0] = "FCALL_RO"
		}
		as := w.users[int(user)%len(w.users)]
		before := w.everything(t)
		reply, err := as.Do(ctx, call...).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			if diff := changed(before, w.everything(t)); len(diff) > 0 {
				t.Fatalf("%.300q fails with %v and has changed %q", call, err, diff)
			}
			checkCode(t, call, err, as == w.rdb)
			return
		}
		diff := changed(before, w.everything(t))
		w.checkReply(t, function, reply, a, b, c)
		if slices.Contains(diff, "product:list") || slices.Contains(diff, "product:hash") {
			t.Fatalf("%.300q has written over a value of another kind", call)
		}
		if len(diff) > 0 {
			if function == "wb_pending" || function == "wb_stats" {
				t.Fatalf("%.300q has changed %q", call, diff)
			}
			w.build(t)
		}
	})
}

// checkCode holds an error against the contract. What Redis says of a missing right
// it says in its own words.
func checkCode(t *testing.T, call []any, err error, allowed bool) {
	t.Helper()
	text := err.Error()
	code, _, _ := strings.Cut(text, " ")
	if slices.Contains(codes, code) {
		for _, word := range ofLua {
			if strings.Contains(text, word) && !strings.Contains(fmt.Sprint(call...), word) {
				t.Fatalf("%.300q fails with %q, in the words of the interpreter", call, text)
			}
		}
		return
	}
	if !allowed && (code == "NOPERM" || strings.HasPrefix(text, "ERR The user executing the script can't") ||
		strings.HasPrefix(text, "ERR ACL failure in script: ")) {
		return
	}
	if !slices.ContainsFunc(ofTheCall, func(start string) bool { return strings.HasPrefix(text, start) }) {
		t.Fatalf("%.300q fails with %q, which is no code of the contract", call, text)
	}
}

// checkReply holds the answer of a capture function against what is there then.
func (w *world) checkReply(t *testing.T, function string, reply any, key, queue, value string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	number, _ := reply.(int64)
	pending, err := w.rdb.FCallRO(ctx, "wb_pending", []string{key}, queue).Int64()
	held, _ := w.rdb.Get(ctx, key).Result()
	ttl := w.rdb.PTTL(ctx, key).Val()
	switch function {
	case "wb_set":
		if number < 1e15 || err != nil || pending > number || held != value || ttl != -1 {
			t.Fatalf("wb_set %.100q answers %v; %v, %v is pending, and the key holds %.100q for %v", key, reply, pending, err, held, ttl)
		}
	case "wb_del":
		if number < 1e15 || err != nil || pending > number || ttl != -2 {
			t.Fatalf("wb_del %.100q answers %v; %v, %v is pending, and the key holds %.100q for %v", key, reply, pending, err, held, ttl)
		}
	case "wb_fill":
		if reply != int64(0) && (reply != int64(1) || held != value || pending != 0) {
			t.Fatalf("wb_fill %.100q answers %v; %v is pending, and the key holds %.100q for %v", key, reply, pending, held, ttl)
		}
	case "wb_pending":
		if reply != nil && number < 1e15 {
			t.Fatalf("wb_pending %.100q answers %v", key, reply)
		}
	case "wb_stats":
		if list, _ := reply.([]any); len(list) == 0 || len(list)%2 != 0 {
			t.Fatalf("wb_stats %.100q answers %v", key, reply)
		}
	}
}

var engineFunctions = []string{
	"wb_engine_library", "wb_engine_probe", "wb_engine_open", "wb_engine_beat", "wb_engine_begin", "wb_engine_leave", "wb_engine_poll",
	"wb_engine_claim", "wb_engine_more", "wb_engine_settle", "wb_engine_ack", "wb_engine_letters", "wb_engine_known", "wb_engine_letter", "wb_engine_replay", "wb_engine_discard",
	"wb_engine_facts", "wb_engine_again",
}

// packed makes settings of what stands between the lines "packed" and "list", which are
// names and values in turn. What stands before them stays: it may be a key.
func packed(lines []string) []string {
	begin := slices.Index(lines, "packed")
	if begin < 0 {
		return lines
	}
	pairs, list := lines[begin+1:], []string(nil)
	if at := slices.Index(pairs, "list"); at >= 0 {
		pairs, list = pairs[:at], pairs[at+1:]
	}
	return slices.Concat(lines[:begin], []string{journal.Settings(pairs...)}, list)
}

// term are the settings of an owner, as packed takes them.
const term = "packed\nqueue\n" + queue + "\npartition\n0\nmember\na\nepoch\n1\nincarnation\njournal-1\n"

// FuzzEngine calls the engine's functions with any arguments, given as lines. A
// flusher gives the right ones; whatever another caller gives, nothing is touched but the
// queue that is named and the key that is given, and Redis goes on.
func FuzzEngine(f *testing.F) {
	for function := range engineFunctions {
		for _, lines := range []string{
			"", queue, "nope", queue + "\n0", queue + "\n0\na\n1\njournal-1", queue + "\na\n60000\nproduct:\nLatest\nJSON", queue + "\nx\n1\nj\nproduct:\n2\nLatest\nJSON\n0\n9\nReject\nopen\n0",
			queue + "\n0\na\n1\njournal-1\n0\n0", queue + "\n0\na\n1\njournal-1\nproduct:\n10\n1000", queue + "\n0\na\n1\njournal-1\nproduct:\nx\n-1", queue + "\n0\na\n1\njournal-1\n1\n0\n0\n0\nd",
			queue + "\n0\n0\n10", queue + "\n-1\n0\nx", queue + "\n1e300\nnan\ninf", "new\nx\n1\nj\np:\n0\nLatest\nJSON", "\xff\n\x00\n{}",
			"packed", term, term + "step\n0\nprefix\nproduct:\nentries\n10\nbytes\n1000\nretries\n5", term + "step\n0\nprefix\nproduct:\nentries\nnan\nbytes\n\nretries\n-1",
			term + "floor\n0\ncommitted\nx\nheld_epoch\n1e300\nheld_step\n0\nhome\n?", term + "claim\n1\nfloor\n0\ntop\n0\ncoalesced\n0\nleft\n-1\nlist\nd\n\nx",
			"packed\nqueue\n" + queue + "\nmember\na\nttl\ninf\nprefix\nproduct:\nmode\nLatest\nencoding\nJSON\nseen_incarnation\njournal-1",
			"packed\nqueue\n" + queue + "\npartition\n0\ncursor\nx\ncount\n1\nbytes\n-1",
			"packed\nqueue\nnew\nowner\nx\nrevision\n1\nincarnation\nj\nprefix\np:\npartitions\n0\nmode\nLatest\nencoding\nJSON\nttl\n0\nmax\n9\nfull\nReject\nstate\nopen\nearlier\n2\nhome\nx",
		} {
			f.Add(uint8(function), int8(0), lines)
			f.Add(uint8(function), int8(1), "product:dead\n"+lines)
		}
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, which uint8, keys int8, lines string) {
		ctx := context.WithoutCancel(t.Context())
		given := strings.Split(lines, "\n")
		call := arguments(engineFunctions[int(which)%len(engineFunctions)], keys, uint8(min(len(given), 64)), packed(given)...)
		before := w.everything(t)
		err := w.rdb.Do(ctx, call...).Err()
		after := w.everything(t)
		for _, key := range changed(before, after) {
			own := slices.ContainsFunc(given, func(name string) bool {
				return key == name || strings.HasPrefix(key, "wb:{"+name+"}:") || strings.HasPrefix(key, "wb:{"+name+":")
			})
			// A queue that is opened is entered among the others.
			entered := key == "wb:queues" && call[1] == "wb_engine_open"
			if !own && !entered && key != "wb:probe" {
				t.Fatalf("%.300q answers %v and has changed %q", call, err, key)
			}
		}
		if !maps.Equal(before, after) {
			w.build(t)
		}
		if err := w.rdb.FCall(ctx, "wb_set", []string{oddPrefix + "2"}, oddQueue, "x").Err(); err != nil {
			t.Fatalf("after %.300q a write fails: %v", call, err)
		}
	})
}

// FuzzDeadLetter makes any write a dead letter, with any text for what the database
// said. The letter tells all of it, in one line, its payload stands apart as it was,
// and it gives the payload back when it is replayed.
func FuzzDeadLetter(f *testing.F) {
	f.Add("1", `{"stock":-1}`, "new row violates\na check", "23514", "products_stock_check", "stock")
	f.Add("\xff\x00\n\r", "\n\n\x00\xff", "\xff\n\u2028\"\\\x00\x7f<>&", "", "\xc3", "a\"b")
	f.Add("{}", "", "", "", "", "")
	f.Add("\ud7ff\uffff", strings.Repeat("\n", 70000), strings.Repeat("é\xff", 10000), "XX000", "%s", "\\u0000")
	server := journaltest.New(f)
	rdb := server.Client(f)
	j := journal.New(rdb)
	f.Fuzz(func(t *testing.T, rest, payload, message, state, constraint, column string) {
		if rest == "" {
			return // Such a key is in no queue.
		}
		x := &fixture{t: t, rdb: rdb, j: j}
		ctx := t.Context()
		x.check(nil, rdb.FlushAll(ctx).Err())
		x.check(j.EnsureLibrary(ctx))
		x.check(j.Open(ctx, settings(onePartition), "journal-1", false))
		key := "product:" + rest
		l := x.lease("a", 0, 1)
		version := x.set(key, payload)
		claim := x.claim(l, 10)
		said := &entry.DeadLetter{
			Cause: entry.CauseRefused, Attempts: 1, Message: message, SQLState: state, Constraint: constraint, Column: column, LastFailure: time.Now().UTC(),
		}
		x.check(j.Acknowledge(ctx, claim, []entry.Settlement{{Outcome: entry.Dead, Letter: said}}))
		raw, err := rdb.HGet(ctx, "wb:{products:0}:dlq", key).Result()
		x.check(nil, err)
		if apart := rdb.HGet(ctx, payloads, key).Val(); apart != payload || strings.Contains(raw, "\n") || !utf8.ValidString(raw) {
			t.Fatalf("in Redis the dead letter is %.300q with %.300q", raw, apart)
		}
		letter := x.deadLetters()[key]
		if letter == nil || letter.Key != key || letter.Payload != payload || letter.Version != version || letter.Operation != "set" || letter.Attempts != 1 {
			t.Fatalf("the dead letter is %.300v", letter)
		}
		for _, text := range [][2]string{{letter.Message, message}, {letter.SQLState, state}, {letter.Constraint, constraint}, {letter.Column, column}} {
			// JSON holds characters only: what is none becomes U+FFFD.
			if want := string([]rune(text[1])); text[0] != want {
				t.Fatalf("of %.100q the dead letter tells %.100q", text[1], text[0])
			}
		}
		if again, err := j.Replay(ctx, queue, letter); payload != "" {
			x.check(nil, err)
			if got := rdb.Get(ctx, key).Val(); got != payload || again <= version {
				t.Fatalf("the replay of version %d gives %.100q with version %d", version, got, again)
			}
		}
	})
}
