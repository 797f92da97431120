// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"fmt"
	"strings"
	"testing"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// badInput is what an application may write that cannot be a row.
var badInput = map[string]struct {
	command []any
	// letter is whose dead letter it is: the key, and the member or id.
	queue, key, member string
	cause              string
	says               []string
}{
	"JSON, a list":                 {[]any{"LPUSH", "product:list", "1"}, "products", "product:list", "", entry.CauseNotADocument, []string{"holds a list", "LPUSH"}},
	"JSON, no object":              {[]any{"SET", "product:array", "[1]"}, "products", "product:array", "", entry.CauseNotADocument, []string{"SET"}},
	"JSON, cut short":              {[]any{"SETEX", "product:short", "1000", `{"name":`}, "products", "product:short", "", entry.CauseNotADocument, []string{"SET"}},
	"JSON, too long":               {[]any{"SET", "product:long", `{"name":"longer than it may be"}`}, "products", "product:long", "", entry.CauseRefused, []string{"SET"}},
	"JSON, nobody's value":         {[]any{"GETSET", "product:price", `{"name":"x","price":"dear"}`}, "products", "product:price", "", entry.CauseRefused, []string{"numeric", "SET"}},
	"JSON, a constraint":           {[]any{"SET", "product:cheap", `{"name":"x","price":-1}`}, "products", "product:cheap", "", entry.CauseRefused, []string{"SET"}},
	"JSON, a key that is no text":  {[]any{"SET", "product:\xff", `{"name":"x"}`}, "products", "product:\xff", "", entry.CauseNotAKey, []string{"SET"}},
	"JSON, a key with a zero byte": {[]any{"SET", "product:a\x00b", `{"name":"x"}`}, "products", "product:a\x00b", "", entry.CauseNotAKey, []string{"SET"}},
	"JSON, a key too long":         {[]any{"SET", "product:" + random(5000), `{"name":"x"}`}, "products", "product:" + random(5000), "", entry.CauseRefused, []string{"SET"}},
	"JSON, the prefix alone":       {[]any{"SET", "product:", `{"name":"x"}`}, "products", "product:", "", entry.CauseNotAKey, []string{"the keyPrefix alone", "SET"}},
	"SortedSet, the prefix alone":  {[]any{"ZADD", "board:", "1", "a"}, "scores", "board:", "a", entry.CauseNotAKey, []string{"the keyPrefix alone", "ZADD"}},
	"Stream, the prefix alone":     {[]any{"XADD", "events:", "1-1", "kind", "k"}, "events", "events:", "1-1", entry.CauseNotAKey, []string{"the keyPrefix alone", "XADD"}},
	"Hash, a string":               {[]any{"SET", "session:string", "1"}, "sessions", "session:string", "", entry.CauseNotADocument, []string{"holds a string", "SET"}},
	"Hash, a field that is no text": {
		[]any{"HSET", "session:bytes", "name", "\xff"}, "sessions", "session:bytes", "", entry.CauseNotADocument, []string{"HSET"},
	},
	"Hash, a value too long":       {[]any{"HSET", "session:long", "name", "longer than it may be"}, "sessions", "session:long", "", entry.CauseRefused, []string{"HSET"}},
	"Hash, no number":              {[]any{"HMSET", "session:many", "visits", "many"}, "sessions", "session:many", "", entry.CauseRefused, []string{"bigint", "HMSET"}},
	"Number, a set":                {[]any{"SADD", "views:set", "1"}, "views", "views:set", "", entry.CauseNotADocument, []string{"holds a set", "SADD"}},
	"Number, no number":            {[]any{"SET", "views:word", "many"}, "views", "views:word", "", entry.CauseRefused, []string{"SET"}},
	"Number, too large":            {[]any{"SET", "views:large", "12345678901"}, "views", "views:large", "", entry.CauseRefused, []string{"SET"}},
	"SortedSet, a list":            {[]any{"RPUSH", "board:list", "a"}, "scores", "board:list", "", entry.CauseNotADocument, []string{"holds a list", "RPUSH"}},
	"SortedSet, a member too long": {[]any{"ZADD", "board:long", "1", random(5000)}, "scores", "board:long", random(5000), entry.CauseRefused, []string{"ZADD"}},
	"SortedSet, no text":           {[]any{"ZADD", "board:bytes", "1", "\xff"}, "scores", "board:bytes", "\xff", entry.CauseNotAKey, []string{"ZADD"}},
	"SortedSet, a score too large": {[]any{"ZADD", "board:inf", "inf", "a"}, "scores", "board:inf", "a", entry.CauseRefused, []string{"ZADD"}},
	"Stream, a sorted set":         {[]any{"ZADD", "events:zset", "1", "a"}, "events", "events:zset", "", entry.CauseNotADocument, []string{"holds a zset", "ZADD"}},
	"Stream, a field too long": {
		[]any{"XADD", "events:long", "1-1", "kind", "longer than it may be"}, "events", "events:long", "1-1", entry.CauseRefused, []string{"XADD"},
	},
	"Stream, a field that is no text": {[]any{"XADD", "events:bytes", "1-1", "kind", "\xff"}, "events", "events:bytes", "1-1", entry.CauseNotADocument, []string{"XADD"}},
}

// random is a text that is not compressed to fit where it is too long.
func random(length int) string {
	var b strings.Builder
	for n := uint32(1); b.Len() < length; {
		n = n*1664525 + 1013904223
		fmt.Fprintf(&b, "%08x", n)
	}
	return b.String()[:length]
}

// TestBadInputIsADeadLetterAndStopsNothing has each of it in the stream before what can be a
// row. The letter has the key, the member and the name of the command.
func TestBadInputIsADeadLetterAndStopsNothing(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	r.Database.Exec(t, `ALTER TABLE products ALTER name TYPE varchar(9), ADD CHECK (price >= 0);
ALTER TABLE sessions ALTER name TYPE varchar(9); ALTER TABLE views ALTER n TYPE integer;
ALTER TABLE scores ALTER score TYPE numeric(9, 2); ALTER TABLE events ALTER kind TYPE varchar(9)`)
	r.Config.Flush.MaxRetries = 1
	f, _ := r.flush()
	// WAIT is about what Redis takes while it has a replica.
	programs.Usual.Eventually(t, "a flusher that reads", func() error {
		if now := f.Status().Replication; now == nil || !now.Attached || !now.Scanned {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
	for name, bad := range badInput {
		if err := r.app.Do(t.Context(), bad.command...).Err(); err != nil && err.Error() != "redis: nil" {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, command := range []string{
		`SET product:good {"name":"good"}`, "HSET session:good name good", "SET views:good 7", "ZADD board:good 1 good", "XADD events:good 1-1 kind good",
	} {
		r.must(r.app.Do(t.Context(), wordsOf(command, "", nil)...).Err())
	}
	programs.Usual.Eventually(t, "what can be a row is one", func() error {
		if got := r.Database.Value(t, `SELECT count(*) FROM (SELECT id FROM products UNION ALL SELECT id FROM sessions UNION ALL SELECT page FROM views
UNION ALL SELECT board FROM scores UNION ALL SELECT source FROM events) all_of (key) WHERE key = 'good'`); got != "5" {
			return fmt.Errorf("%s rows", got)
		}
		return nil
	})
	for name, bad := range badInput {
		const letter = "FROM writebehind.dead_letter WHERE queue = $1 AND key = $2::bytea AND member = $3::bytea"
		at := []any{bad.queue, []byte(bad.key), []byte(bad.member)}
		programs.Usual.Eventually(t, name+" is a dead letter", func() error {
			if got := r.Database.Value(t, "SELECT count(*) "+letter, at...); got != "1" {
				return fmt.Errorf("%s letters; the queues are %+v", got, f.Status().Queues)
			}
			return nil
		})
		if got := r.Database.Value(t, "SELECT cause "+letter, at...); got != bad.cause {
			t.Errorf("%s: the cause is %s, want %s", name, got, bad.cause)
		}
		message := r.Database.Value(t, "SELECT convert_from(message, 'UTF8') "+letter, at...)
		for _, said := range bad.says {
			if !strings.Contains(message, said) {
				t.Errorf("%s: %q lacks %q", name, message, said)
			}
		}
		if !strings.Contains(message, "(last command: ") {
			t.Errorf("%s: %q has no command", name, message)
		}
		t.Logf("%s: %s: %s", name, bad.cause, message)
	}
	for _, q := range f.Status().Queues {
		if q.State != config.StateOpen || q.DataLossEvents != 0 {
			t.Errorf("queue %s is %+v", q.Name, q)
		}
	}
	// It is mended by writing what can be a row.
	r.must(r.app.Set(t.Context(), "product:array", `{"name":"mended"}`, 0).Err())
	r.must(r.app.ZRem(t.Context(), "board:bytes", "\xff").Err())
	r.must(r.app.Del(t.Context(), "product:", "product:\xff", "board:", "session:bytes").Err())
	programs.Usual.Eventually(t, "letters of what is mended go", func() error {
		if got := r.Database.Value(t, "SELECT count(*) FROM writebehind.dead_letter WHERE key IN ('product:array', 'board:bytes', 'product:', '\\x70726f647563743aff', 'board:', 'session:bytes')"); got != "0" {
			return fmt.Errorf("%s letters", got)
		}
		return nil
	})
}

// TestAServiceThatTakesNoReplicasIsTold: managed services refuse some commands, each in its
// way. What helps is said, and the application is not held up.
func TestAServiceThatTakesNoReplicasIsTold(t *testing.T) {
	t.Parallel()
	without := func(commands ...string) journaltest.Option {
		lines := make([]string, 0, len(commands))
		for _, command := range commands {
			lines = append(lines, fmt.Sprintf("rename-command %s %q", command, ""))
		}
		return journaltest.Config(lines...)
	}
	for name, c := range map[string]struct {
		options []journaltest.Option
		reason  string
		says    string
	}{
		"neither PSYNC nor CONFIG": {
			[]journaltest.Option{without("PSYNC", "SYNC", "REPLICAOF", "SLAVEOF", "CONFIG", "DEBUG", "SAVE", "BGSAVE", "BGREWRITEAOF", "MIGRATE")},
			cachev1alpha1.ReasonCommandFailed, "as managed services do: give the address of a Redis that takes replicas, or use capture Functions",
		},
		"no PSYNC": {
			[]journaltest.Option{forReaders, without("PSYNC", "SYNC", "REPLICAOF", "SLAVEOF", "DEBUG")},
			cachev1alpha1.ReasonCommandFailed, "Redis refuses the command PSYNC, and with it any replica, as managed services do: give the address of a Redis that takes replicas, or use capture Functions",
		},
		"no REPLCONF": {
			[]journaltest.Option{forReaders, without("REPLCONF")},
			cachev1alpha1.ReasonCommandFailed, "Redis refuses the command REPLCONF, and with it any replica",
		},
		"nobody has the right": {
			[]journaltest.Option{forReaders, journaltest.User("default on nopass ~* &* +@all -psync -sync -replconf -replicaof")},
			cachev1alpha1.ReasonPrivilegeMissing, "a managed service that does not let anybody have it takes no replicas: use capture Functions there",
		},
		// They are what Redis has by default, and not what Valkey has since release 8.
		"settings that do not fit": {
			[]journaltest.Option{journaltest.Config("lazyfree-lazy-expire no", "lazyfree-lazy-eviction no")}, cachev1alpha1.ReasonSettingsUnfit, "CONFIG SET lazyfree-lazy-expire yes and CONFIG SET lazyfree-lazy-eviction yes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, products, func(settings *config.Config) {
				quick(settings)
				settings.Capture = config.CaptureReplication
			}, c.options...)
			programs.Usual.Eventually(t, "a word of what helps", func() error {
				if check := redisOf(r.Status()); check.Reason != c.reason || !strings.Contains(check.Message, c.says) {
					return fmt.Errorf("the check is %+v", check)
				}
				return nil
			})
			programs.Must(t, r.server.Client(t).Set(t.Context(), "product:1", `{"name":"x"}`, 0).Err())
		})
	}
}
