// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/service"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

// office is a flusher at work between two servers, whose letters are in the database, and the
// config that the command is given.
type office struct {
	*servers.Pair
	t   *testing.T
	app *redis.Client
	// flusher is the one that runs, until stop.
	flusher *flusher.Flusher
	stop    func()
}

func openOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, Pair: servers.Start(t, `CREATE TABLE products (id text PRIMARY KEY, name text, stock int CHECK (stock >= 0));
CREATE TABLE sessions (id text PRIMARY KEY, name text, visits int CHECK (visits < 100));
CREATE TABLE scores (board text, player text, score int CHECK (score < 100), PRIMARY KEY (board, player));
CREATE TABLE events (source text, id text, kind text CHECK (kind <> 'bad'), PRIMARY KEY (source, id))`,
		journaltest.Config("lazyfree-lazy-expire yes", "lazyfree-lazy-eviction yes", "repl-diskless-sync-delay 0"))}
	o.app = o.Redis.Client(t)
	mapping := func(name, prefix, key, encoding string) config.Mapping {
		m := config.DefaultMapping()
		m.Name, m.KeyPrefix, m.Table, m.KeyColumn, m.Encoding, m.Partitions = name, prefix, name, key, encoding, 2
		return m
	}
	scores := mapping("scores", "board:", "board", config.EncodingSortedSet)
	scores.MemberColumn, scores.ScoreColumn = "player", "score"
	events := mapping("events", "events:", "source", config.EncodingStream)
	events.Mode, events.IDColumn = config.ModeAppend, "id"
	o.Config.Capture = config.CaptureReplication
	o.Config.Flush.IntervalMilliseconds, o.Config.Flush.MaxRetries = 50, 0
	o.Config.Mappings = []config.Mapping{
		mapping("products", "product:", "id", config.EncodingJSON), mapping("sessions", "session:", "id", config.EncodingHash), scores, events,
	}
	servers.Put(t, o.File, o.Config)
	return o
}

// start runs a flusher.
func (o *office) start() {
	o.t.Helper()
	o.flusher = service.New(o.Config, flusher.Options{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(o.t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		o.flusher.Run(ctx)
	}()
	o.stop = func() {
		cancel()
		<-ended
	}
	o.t.Cleanup(o.stop)
	o.eventually("the stream is read", func() error {
		for _, q := range o.flusher.Status().Queues {
			if len(q.Partitions) != o.Config.Mappings[0].Partitions {
				return fmt.Errorf("queue %s is %+v", q.Name, q)
			}
		}
		return nil
	})
}

func (o *office) eventually(what string, done func() error) {
	o.t.Helper()
	programs.Usual.Eventually(o.t, what, done)
}

// do has the application run commands.
func (o *office) do(commands ...string) {
	o.t.Helper()
	for _, command := range commands {
		var words []any
		for word := range strings.FieldsSeq(command) {
			words = append(words, word)
		}
		if err := o.app.Do(o.t.Context(), words...).Err(); err != nil {
			o.t.Fatalf("%s: %v", command, err)
		}
	}
}

// dlq runs a subcommand that must end with the code.
func (o *office) dlq(code int, args ...string) (out, problems string) {
	o.t.Helper()
	got, out, problems := ask(o.t, append([]string{"dlq", "--config", o.File}, args...)...)
	if got != code {
		o.t.Fatalf("%q: exit code %d, want %d\n%s%s", args, got, code, out, problems)
	}
	return out, problems
}

// listed are the letters that the command lists, as QUEUE KEY MEMBER.
func (o *office) listed() []string {
	o.t.Helper()
	out, _ := o.dlq(0, "list", "-o", "json")
	var rows []row
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		o.t.Fatal(err)
	}
	var names []string
	for _, r := range rows {
		names = append(names, strings.TrimSpace(r.Queue+" "+r.Key+" "+r.Member))
	}
	return names
}

// letters waits for these letters, and for a flusher that counts as many.
func (o *office) letters(want ...string) {
	o.t.Helper()
	o.eventually("dead letters", func() error {
		if got := o.listed(); strings.Join(got, ", ") != strings.Join(want, ", ") {
			return fmt.Errorf("listed are %q, want %q", got, want)
		}
		dead := int64(0)
		for _, q := range o.flusher.Status().Queues {
			dead += q.DeadLetters
		}
		if dead != int64(len(want)) {
			return fmt.Errorf("the flusher counts %d, want %d", dead, len(want))
		}
		return nil
	})
}

// rows waits for a table to be so.
func (o *office) rows(table, want string) {
	o.t.Helper()
	o.eventually("rows of "+table, func() error {
		if got := strings.Join(o.Database.Column(o.t, "SELECT t::text FROM "+table+" t ORDER BY 1"), " "); got != want {
			return fmt.Errorf("they are %s, want %s", got, want)
		}
		return nil
	})
}

// mend drops what refuses rows.
func (o *office) mend() {
	o.Database.Exec(o.t, `ALTER TABLE products DROP CONSTRAINT products_stock_check; ALTER TABLE sessions DROP CONSTRAINT sessions_visits_check;
ALTER TABLE scores DROP CONSTRAINT scores_score_check; ALTER TABLE events DROP CONSTRAINT events_kind_check`)
}

var refusedOnes = []string{
	`SET product:good {"name":"good","stock":1}`, "HSET session:good name x",
	`SET product:1 {"name":"one","stock":-1}`, `SET product:2 {"name":"two","stock":-2}`, "HSET session:a name x visits 100",
	"ZADD board:a 1 good 100 high 101 higher", "XADD events:a 1-1 kind good", "XADD events:a 2-2 kind bad", "LPUSH product:list x",
}

var theirLetters = []string{
	"products product:1", "products product:2", "products product:list", "sessions session:a", "scores board:a high", "scores board:a higher", "events events:a 2-2",
}

// TestLettersInTheDatabase goes the way of a person: rows are refused, looked at, mended and
// replayed, some by keys that are gone by then, or written anew.
func TestLettersInTheDatabase(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.start()
	if out, problems := o.dlq(0, "list"); out != "" || problems != "There are no dead letters.\n" {
		t.Errorf("of none it says %q, %q", out, problems)
	}
	o.do(refusedOnes...)
	o.letters(theirLetters...)

	out, _ := o.dlq(0, "list", "--queue", "scores")
	if want := "KEY MEMBER QUEUE CAUSE SQLSTATE CONSTRAINT COLUMN ATTEMPTS FIRST LAST\nboard:a high scores Refused 23514 scores_score_check - "; !strings.HasPrefix(squeeze(out), want) {
		t.Errorf("list prints\n%s", out)
	}
	if out, _ = o.dlq(0, "list", "--key", "product:[12]"); !strings.HasPrefix(squeeze(out), "KEY QUEUE CAUSE") || strings.Count(out, "\n") != 3 || strings.Contains(out, "one") {
		t.Errorf("list of products prints\n%s", out)
	}
	if out, _ = o.dlq(0, "show", "product:1"); !strings.Contains(out, "Key:        product:1\nQueue:      products\n") || !strings.HasSuffix(out, "Payload:\n  {\"name\":\"one\",\"stock\":-1}\n") {
		t.Errorf("show prints\n%s", out)
	}
	if out, _ = o.dlq(0, "show", "board:a", "--member", "high"); !strings.Contains(out, "Key:        board:a\nMember:     high\nQueue:      scores\n") {
		t.Errorf("show of a member prints\n%s", out)
	}
	if _, problems := o.dlq(1, "show", "board:a"); problems != "flusher: key \"board:a\" of queue scores has dead letters of 2 members: give --member, such as \"high\"\n" {
		t.Errorf("show of several says %q", problems)
	}
	if _, problems := o.dlq(1, "show", "board:a", "--member", "good"); problems != "flusher: member \"good\" of key \"board:a\" of queue scores has no dead letter\n" {
		t.Errorf("show of a member without one says %q", problems)
	}

	if out, _ = o.dlq(0, "replay", "--all", "--dry-run"); !strings.HasSuffix(out, "would-replay  events:a 2-2\n7 would be replayed\n") {
		t.Errorf("a dry run prints\n%s", out)
	}
	if out, _ = o.dlq(0, "discard", "--key", "board:a", "--member", "higher"); out != "discarded     board:a higher\n1 discarded, 0 superseded, 0 gone, 0 failed\n" {
		t.Errorf("discard prints\n%s", out)
	}
	o.mend()
	o.do(`SET product:2 {"name":"newer","stock":2}`, "EXPIRE product:1 -1", "XTRIM events:a MAXLEN 0")
	o.rows("products", "(2,newer,2) (good,good,1)")
	o.letters("products product:1", "products product:list", "sessions session:a", "scores board:a high", "events events:a 2-2")
	out, _ = o.dlq(0, "replay", "--all")
	if !strings.HasSuffix(out, "5 written anew, 0 superseded, 0 gone, 0 failed: dlq list shows shortly which rows are refused again\n") {
		t.Errorf("replay prints\n%s", out)
	}
	o.rows("products", "(1,one,-1) (2,newer,2) (good,good,1)")
	o.rows("sessions", "(a,x,100) (good,x,)")
	o.rows("scores", "(a,good,1) (a,high,100)")
	o.rows("events", "(a,1-1,good) (a,2-2,bad)")
	o.letters("products product:list")
	out, problems := o.dlq(1, "discard", "--key", "product:1")
	if out != "0 discarded, 0 superseded, 0 gone, 0 failed\n" || problems != "flusher: key \"product:1\" of queue products has no dead letter\n" {
		t.Errorf("discarding a key that is not there prints %q, %q", out, problems)
	}
	o.do("DEL product:list")
	o.letters()
}

// TestLettersAreReplayedByTheNextFlusher asks while none runs.
func TestLettersAreReplayedByTheNextFlusher(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.start()
	o.do(refusedOnes...)
	o.letters(theirLetters...)
	o.stop()
	o.mend()
	out, _ := o.dlq(0, "replay", "--reason", "23514", "-o", "json")
	var done struct {
		Items        []result
		Done, Failed int
	}
	if err := json.Unmarshal([]byte(out), &done); err != nil || done.Done != 6 || done.Failed != 0 || len(done.Items) != 6 ||
		!reflect.DeepEqual(done.Items[3], result{Key: "board:a", Member: "high", Queue: "scores", Result: "replayed"}) {
		t.Errorf("%v, replay prints %s", err, out)
	}
	if got := len(o.listed()); got != 7 {
		t.Errorf("%d letters are left before a flusher runs, want 7", got)
	}
	o.start()
	o.letters("products product:list")
	o.rows("products", "(1,one,-1) (2,two,-2) (good,good,1)")
	o.rows("sessions", "(a,x,100) (good,x,)")
	o.rows("scores", "(a,good,1) (a,high,100) (a,higher,101)")
	o.rows("events", "(a,1-1,good) (a,2-2,bad)")
}

// TestWhatCannotBeReplayedOfTheDatabase has a value that is lost, and a stream that was none.
func TestWhatCannotBeReplayedOfTheDatabase(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.start()
	// Both in one transaction, so that nobody can have read it in between.
	if _, err := o.app.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.HSet(t.Context(), "session:lost", "name", "x")
		p.PExpire(t.Context(), "session:lost", -1)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	o.do("SET events:text x")
	o.letters("sessions session:lost", "events events:text")
	out, problems := o.dlq(1, "replay", "--all")
	for _, want := range []string{
		"failed        session:lost: the payload of this dead letter is lost", "failed        events:text: it is of a whole stream", "0 written anew, 0 superseded, 0 gone, 2 failed\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("replay prints\n%swithout %q", out, want)
		}
	}
	if problems != "flusher: 2 of 2 could not be replayed\n" {
		t.Errorf("the problem is %q", problems)
	}
	o.dlq(0, "discard", "--all")
	o.letters()
}

func TestWhatIsInTheWayOfTheDatabaseIsOneLine(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	if out, problems := o.dlq(1, "list"); out != "" || problems != "flusher: queue products, sessions, scores, events is not in this database: no flusher has opened it here yet\n" {
		t.Errorf("of a database without tables it says %q, %q", out, problems)
	}
	o.Config.Database.Postgres.URLFile += ".none"
	servers.Put(t, o.File, o.Config)
	for _, args := range [][]string{{"list"}, {"show", "product:1"}, {"discard", "--all"}} {
		if _, problems := o.dlq(1, args...); strings.Count(problems, "\n") != 1 || !strings.Contains(problems, o.Config.Database.Postgres.URLFile) {
			t.Errorf("%q: problems %q", args, problems)
		}
	}
}
