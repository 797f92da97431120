// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/acl"
	"github.com/writebehind/operator/internal/flusher/audit"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/servers"
)

// grant makes the users that the command prints, as an administrator who pastes it.
func (o *office) grant(args ...string) {
	o.t.Helper()
	code, out, problems := ask(o.t, append([]string{"acl", "-o", "json", "--config", o.File}, args...)...)
	var rules []acl.Rule
	if err := json.Unmarshal([]byte(out), &rules); code != 0 || err != nil || len(rules) != 2 {
		o.t.Fatalf("exit code %d, %v: %s%s", code, err, out, problems)
	}
	_, text, _ := ask(o.t, append([]string{"acl", "--config", o.File}, args...)...)
	for _, r := range rules {
		if !strings.Contains(text, "\n"+r.Command+"\n") {
			o.t.Errorf("a person is not given %q:\n%s", r.Command, text)
		}
		o.do(strings.Replace(r.Command, "PASSWORD", "secret", 1))
	}
}

// as has the flushers log in as the user.
func (o *office) as(user string) {
	o.t.Helper()
	for name, text := range map[string]string{"user": user, "password": "secret"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(o.File), name), []byte(text), 0o600); err != nil {
			o.t.Fatal(err)
		}
	}
	o.Config.Redis.External.UsernameFile = filepath.Join(filepath.Dir(o.File), "user")
	o.Config.Redis.External.PasswordFile = filepath.Join(filepath.Dir(o.File), "password")
	servers.Put(o.t, o.File, o.Config)
}

// refused fails unless Redis denies each command to the client.
func refused(t *testing.T, app *redis.Client, commands ...string) {
	t.Helper()
	for _, command := range commands {
		var words []any
		for word := range strings.FieldsSeq(command) {
			words = append(words, word)
		}
		err := app.Do(context.WithoutCancel(t.Context()), words...).Err()
		if err == nil || !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "ACL failure") && !strings.Contains(err.Error(), "can't access") &&
			!strings.Contains(err.Error(), "can't run") {
			t.Errorf("%s = %v; want that it is denied", command, err)
		}
	}
}

// administration is what no application may do.
var administration = []string{
	"FLUSHALL", "FLUSHDB", "CONFIG GET *", "CONFIG SET save x", "ACL LIST", "ACL SETUSER x on", "FUNCTION DELETE writebehind", "FUNCTION FLUSH", "SHUTDOWN NOSAVE",
	"REPLICAOF 127.0.0.1 1", "KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE", "DEBUG SLEEP 0", "SWAPDB 0 1", "MONITOR", "SAVE", "BGREWRITEAOF", "CLIENT KILL 127.0.0.1:1", "PSYNC ? -1",
	"GET other:1", "SET other:1 x", "DEL other:1", "RENAME product:1 other:1", "SET wb:queues x", "ZADD wb:queues 1 x", "HSET wb:{orders}:queue state paused",
}

// What the command prints is enough for an application and for the flushers, and no more.
func TestTheRightsOfFunctionsEndAtTheQueues(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.grant("--queue", "products")
	o.as("writebehind")
	o.start()
	app := o.Redis.ClientAs(t, "app", "secret")
	for _, call := range [][]string{{"wb_set", `{"name":"pen","stock":1}`}, {"wb_get"}, {"wb_del"}, {"wb_fill", "{}"}, {"wb_set", `{"name":"pen","stock":2}`}} {
		arguments := []any{"products"}
		for _, more := range call[1:] {
			arguments = append(arguments, more)
		}
		if err := app.FCall(t.Context(), call[0], []string{"product:1"}, arguments...).Err(); err != nil {
			t.Errorf("%s: %v", call[0], err)
		}
	}
	// Clients ask and say more than that by themselves.
	for _, command := range []string{"PING", "MGET product:1 product:2", "EXISTS product:1", "PTTL product:1", "CLIENT SETNAME app", "INFO server", "WAIT 0 1"} {
		var words []any
		for word := range strings.FieldsSeq(command) {
			words = append(words, word)
		}
		if err := app.Do(t.Context(), words...).Err(); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	if err := app.FCallRO(t.Context(), "wb_stats", nil, "products").Err(); err != nil {
		t.Error(err)
	}
	refused(t, app, administration...)
	refused(t, app, "FCALL wb_set 1 n:1 numbers {}", "GET n:1", "FCALL wb_set 1 product:1 numbers {}")
	o.becomes("product:1", audit.StateClean)
	// The flushers' user is enough for what looks at keys, too.
	o.Database.Exec(t, `DELETE FROM products`)
	o.differ(o.compared(0, "repair", "--queue", "products"), "missing product:1")
	refused(t, o.Redis.ClientAs(t, "writebehind", "secret"), "FLUSHALL", "CONFIG SET save x", "ACL LIST", "GET other:1", "KEYS *")
}

func TestTheRightsOfReplicationEndAtTheQueues(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.grant("--queue", "products")
	o.as("writebehind")
	o.start()
	app := o.Redis.ClientAs(t, "app", "secret")
	for _, command := range []string{
		`SET product:1 {"name":"pen","stock":1}`, "GET product:1", "EXPIRE product:1 1000", "MSET product:2 {} product:3 {}", "DEL product:2", "TYPE product:1", "WAIT 0 1", "PING", "INFO replication",
	} {
		var words []any
		for word := range strings.FieldsSeq(command) {
			words = append(words, word)
		}
		if err := app.Do(t.Context(), words...).Err(); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := app.TxPipelined(t.Context(), func(pipe redis.Pipeliner) error { return pipe.Incr(t.Context(), "product:n").Err() }); err != nil {
		t.Error(err)
	}
	if err := app.Eval(t.Context(), "return redis.call('SET', KEYS[1], ARGV[1])", []string{"product:4"}, `{"name":"four"}`).Err(); err != nil {
		t.Error(err)
	}
	if err := app.Eval(t.Context(), "return redis.call('SET', 'session:1', 'x')", nil).Err(); err == nil {
		t.Error("a script may write keys of another queue")
	}
	refused(t, app, administration...)
	refused(t, app, "HSET session:1 name x", "SET wb:witness:x 1", "SUNIONSTORE product:9 session:1")
	if _, text := o.becomes("product:1", audit.StateClean); text == "" {
		t.Error("nothing is said")
	}
	o.Database.Exec(t, `DELETE FROM products WHERE id = '4'`)
	if c := o.compared(0, "repair", "product:4"); c.Marked != 1 {
		t.Errorf("repair: %+v", c)
	}
	refused(t, o.Redis.ClientAs(t, "writebehind", "secret"), "FLUSHALL", "CONFIG SET save x", "ACL LIST", "GET other:1", "DEL product:1")
}

func TestACLOfAPrefixThatIsAPattern(t *testing.T) {
	t.Parallel()
	server := journaltest.New(t)
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix = "odd", `p*?[a]\ "x`
	for _, r := range acl.Of(config.CaptureReplication, []config.Mapping{m}, nil, acl.Users{Application: "app", Flusher: "writebehind"}) {
		var words []any
		for word := range strings.FieldsSeq(r.Command) {
			words = append(words, word)
		}
		if err := server.Client(t).Do(t.Context(), words...).Err(); err != nil {
			t.Fatalf("%s: %v", r.Command, err)
		}
	}
	app := server.ClientAs(t, "app", "PASSWORD")
	if err := app.Set(t.Context(), m.KeyPrefix+"1", "x", 0).Err(); err != nil {
		t.Error(err)
	}
	if err := app.Set(t.Context(), `pxx[a]\ "x1`, "x", 0).Err(); err == nil {
		t.Error("a star of the prefix stands for other characters")
	}
}

func TestACLRefusesWhatCannotBeMeant(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for flag, want := range map[string]string{"--queue=carts": "give a mapping of the config", "--user=a b": `--user: "a b" is not allowed`, "--flusher-user=": `--flusher-user: "" is not allowed`} {
		if code, out, problems := ask(t, "acl", flag, "--config", p.file); code != 2 || out != "" || !strings.Contains(problems, want) {
			t.Errorf("%s: exit code %d, %q, %q", flag, code, out, problems)
		}
	}
	if code, out, _ := ask(t, "acl", "--config", p.file); code != 0 || !strings.Contains(out, "# the application of products, items\nACL SETUSER app reset on >PASSWORD ~product:* ~wb:{products}:* ") {
		t.Errorf("exit code %d\n%s", code, fmt.Sprint(out))
	}
}
