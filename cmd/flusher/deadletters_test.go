// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

func TestListIsAnAlignedTableWithoutValues(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if out, problems := p.dlq(0, "list"); out != "" || problems != "There are no dead letters.\n" {
		t.Errorf("of none it says %q, %q", out, problems)
	}
	p.fill()
	p.letter("items", "item/with \x1b[31m space", checked, "{}")
	out, problems := p.dlq(0, "list")
	want := `KEY                         QUEUE      CAUSE          SQLSTATE   CONSTRAINT    COLUMN   ATTEMPTS   FIRST                  LAST
product:1                   products   Refused        23514      stock_check   -        4          2026-11-23T10:00:00Z   2026-11-23T10:01:00Z
product:2                   products   Refused        23514      stock_check   -        4          2026-11-23T10:00:00Z   2026-11-23T10:01:00Z
product:3                   products   NotADocument   -          -             -        4          2026-11-23T10:00:00Z   2026-11-23T10:01:00Z
item/a/b                    items      Refused        23502      -             name     4          2026-11-23T10:00:00Z   2026-11-23T10:01:00Z
"item/with \x1b[31m space"   items      Refused        23514      stock_check   -        4          2026-11-23T10:00:00Z   2026-11-23T10:01:00Z
`
	if squeeze(out) != squeeze(want) || problems != "" {
		t.Errorf("list prints\n%s%s\nwant\n%s", out, problems, want)
	}
	column := strings.Index(out, "QUEUE")
	for line := range strings.Lines(out) {
		if line[column-1] != ' ' || line[column] == ' ' {
			t.Errorf("the second column does not begin at %d: %q", column, line)
		}
	}
}

// TestALongKeyLeavesTheTableLegible has a key of 8 kB in two-byte letters, whose cut
// must not fall into one.
func TestALongKeyLeavesTheTableLegible(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	key := "product:x" + strings.Repeat("ä", 4096)
	p.letter("products", key, checked, "{}")
	out, problems := p.dlq(0, "list")
	want := "product:x" + strings.Repeat("ä", 45) + "... (8201 bytes) products Refused 23514"
	if !strings.Contains(squeeze(out), want) || problems != "" || len(out) > 500 {
		t.Errorf("list prints %d bytes\n%s%s\nwant %s", len(out), out, problems, want)
	}
	if out, _ = p.dlq(0, "list", "-o", "json"); !strings.Contains(out, key) {
		t.Error("-o json cuts the key")
	}
	if out, _ = p.dlq(0, "show", key); !strings.Contains(out, key) {
		t.Error("show cuts the key")
	}
	if out, _ = p.dlq(0, "discard", "--key", "product:x*"); len(out) > 300 || !strings.Contains(out, "1 discarded") {
		t.Errorf("discard prints %d bytes: %.300s", len(out), out)
	}
}

// squeeze leaves one space between two columns.
func squeeze(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestFilters(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.fill()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"product:1", "product:2", "product:3", "item/a/b"}},
		{[]string{"--queue", "items"}, []string{"item/a/b"}},
		{[]string{"--key", "product:2"}, []string{"product:2"}},
		{[]string{"--key", "product:9"}, []string{}},
		{[]string{"--key", "*"}, []string{"product:1", "product:2", "product:3", "item/a/b"}},
		{[]string{"--key", "product:[23]"}, []string{"product:2", "product:3"}},
		{[]string{"--key", "item*b"}, []string{"item/a/b"}},
		{[]string{"--key", `product:\2`}, []string{"product:2"}},
		{[]string{"--reason", "23514"}, []string{"product:1", "product:2"}},
		{[]string{"--reason", "NotADocument"}, []string{"product:3"}},
		{[]string{"--reason", "NotAKey"}, []string{}},
		{[]string{"--reason", "Refused", "--key", "*[1b]"}, []string{"product:1", "item/a/b"}},
	} {
		out, _ := p.dlq(0, append([]string{"list", "-o", "json"}, c.args...)...)
		var rows []struct{ Key string }
		p.must(json.Unmarshal([]byte(out), &rows))
		got := []string{}
		for _, r := range rows {
			got = append(got, r.Key)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q lists %q, want %q", c.args, got, c.want)
		}
	}
}

// TestOnlyShowPrintsValues looks for what the payloads and PostgreSQL's text hold.
func TestOnlyShowPrintsValues(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.fill()
	p.letter("products", "product:4", checked, "\x1b[31m\xff")
	p.letter("products", "product:5", checked, "one\n\ttwo\x1b[31m")
	for _, args := range [][]string{
		{"list"},
		{"list", "-o", "json"},
		{"replay", "--all", "--dry-run"},
		{"replay", "--key", "product:1"},
		{"discard", "--key", "product:2", "-o", "json"},
	} {
		out, problems := p.dlq(0, args...)
		if text := out + problems; strings.Contains(text, "secret") || strings.Contains(text, `stock":`) || strings.Contains(text, "no document") {
			t.Errorf("%q prints values: %s", args, text)
		}
	}
	out, _ := p.dlq(0, "show", "item/a/b")
	want := "Key:        item/a/b\nQueue:      items\nCause:      Refused\nSQLSTATE:   23502\nConstraint: -\nColumn:     name\n" +
		"Operation:  set\nVersion:    1795414652584039\nAttempts:   4\nFirst:      2026-11-23T10:00:00Z\nLast:       2026-11-23T10:01:00Z\n" +
		"Message:\n  row (secret)\n  DETAIL: more\nPayload:\n  {\"name\":null}\n"
	if out != want {
		t.Errorf("show prints\n%s\nwant\n%s", out, want)
	}
	out, _ = p.dlq(0, "show", "product:3", "-o", "json")
	var shown struct{ Key, Message, Payload, PayloadBase64 string }
	p.must(json.Unmarshal([]byte(out), &shown))
	if shown.Key != "product:3" || shown.Payload != "no document" || shown.Message != "row (secret)\nDETAIL: more" {
		t.Errorf("show -o json prints %s", out)
	}
	if out, _ = p.dlq(0, "show", "product:4", "-o", "json"); !strings.Contains(out, `"payloadBase64": "G1szMW3/"`) {
		t.Errorf("a payload that is no text is %s", out)
	}
	if out, _ = p.dlq(0, "show", "product:5"); !strings.HasSuffix(out, "Payload:\n  one\n  \ttwo\\x1b[31m\n") {
		t.Errorf("show obeys the payload: %q", out)
	}
	if _, problems := p.dlq(1, "show", "product:*"); problems != "flusher: key \"product:*\" of queue products has no dead letter\n" {
		t.Errorf("show of a key that is not there says %q", problems)
	}
}

func TestReplayAndDiscard(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.fill()
	// A newer write stands over the second letter.
	newer, err := p.rdb.FCall(t.Context(), "wb_set", []string{"product:2"}, "products", `{"stock":2}`).Int64()
	p.must(err)

	out, _ := p.dlq(0, "replay", "--queue", "products", "--dry-run")
	if strings.Count(out, "would-replay  product:") != 3 || !strings.HasSuffix(out, "\n3 would be replayed\n") || p.letters("products") != 3 {
		t.Errorf("a dry run prints\n%s and leaves %d letters", out, p.letters("products"))
	}
	if _, problems := p.dlq(0, "list", "--reason", "23505"); problems != "There are no such dead letters.\n" {
		t.Errorf("a filter that finds nothing prints %q", problems)
	}
	out, problems := p.dlq(0, "replay", "--reason", "23514")
	for _, want := range []string{"written anew  product:1\n", "superseded    product:2\n", "1 written anew, 1 superseded, 0 gone, 0 failed: dlq list shows shortly which rows are refused again\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("replay prints\n%s%s\nwithout %q", out, problems, want)
		}
	}
	if got := p.rdb.Get(t.Context(), "product:1").Val(); got != `{"stock":-1}` {
		t.Errorf("the replayed value is %s", got)
	}
	if got := p.rdb.Get(t.Context(), "product:2").Val(); got != `{"stock":2}` {
		t.Errorf("the newer write of version %d is now %s", newer, got)
	}
	out, _ = p.dlq(0, "discard", "--all", "-o", "json")
	var done struct {
		DryRun                         bool
		Items                          []result
		Done, Superseded, Gone, Failed int
	}
	p.must(json.Unmarshal([]byte(out), &done))
	if done.DryRun || done.Done != 3 || len(done.Items) != 3 || done.Failed != 0 || p.letters("products") != 0 || p.letters("items") != 0 {
		t.Errorf("discard prints %s", out)
	}
	if out, _ = p.dlq(0, "replay", "--all"); out != "0 written anew, 0 superseded, 0 gone, 0 failed\n" {
		t.Errorf("replay of nothing prints %q", out)
	}
	out, problems = p.dlq(1, "discard", "--key", "product:1")
	if out != "0 discarded, 0 superseded, 0 gone, 0 failed\n" || problems != "flusher: key \"product:1\" of queue products has no dead letter\n" {
		t.Errorf("discarding a key that is not there prints %q, %q", out, problems)
	}
}

func TestWhatCannotBeReplayedIsToldAndTheRestIsReplayed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.letter("products", "product:1", `"cause":"ValueLost"`, "")
	p.letter("products", "product:2", checked, "{}")
	out, problems := p.dlq(1, "replay", "--all")
	for _, want := range []string{"failed        product:1: ", "payload of this dead letter is lost", "written anew  product:2\n", "1 written anew, 0 superseded, 0 gone, 1 failed: dlq list shows"} {
		if !strings.Contains(out, want) {
			t.Errorf("replay prints\n%s%s\nwithout %q", out, problems, want)
		}
	}
	if problems != "flusher: 1 of 2 could not be replayed\n" {
		t.Errorf("the problem is %q", problems)
	}
}

// A letter that somebody planted cannot be replayed, wherever it stands and however well
// it is made: it is neither gone nor does it keep the others from being replayed.
func TestAForgedLetterIsToldAndOnlyDiscarded(t *testing.T) {
	t.Parallel()
	p, ctx := newPlace(t), t.Context()
	p.must(p.rdb.HSet(ctx, "wb:{products}:queue", "partitions", 2).Err())
	const sound = `{"operation":"set","version":1,"cause":"Refused","message":"x"}`
	// One of the two partitions is the key's own.
	for _, partition := range []string{"0", "1"} {
		dlq := "wb:{products:" + partition + "}:dlq"
		p.must(p.rdb.HSet(ctx, dlq, "product:77", "garbage", "order:1", sound, "product:8"+partition, `{"operation":"drop"}`).Err())
	}
	// Of the other sound ones one is where its key belongs, and is replayed.
	for _, partition := range []string{"0", "1"} {
		p.must(p.rdb.HSet(ctx, "wb:{products:"+partition+"}:dlq", "product:9", sound).Err())
		p.must(p.rdb.HSet(ctx, "wb:{products:"+partition+"}:payloads", "product:9", "{}").Err())
	}
	if out, _ := p.dlq(0, "list"); strings.Contains(out, "0001") || !regexp.MustCompile(`product:77 +products +Forged +- +- +- +0 +- +-\n`).MatchString(out) {
		t.Errorf("list prints\n%s", out)
	}
	if out, problems := p.dlq(1, "replay", "--key", "product:77", "--dry-run"); !strings.Contains(out, "forged        product:77: cannot be replayed, discard it\n") ||
		!strings.Contains(out, "0 would be replayed") || problems == "" {
		t.Errorf("a dry run prints\n%s%s", out, problems)
	}
	out, problems := p.dlq(1, "replay", "--all")
	for key, want := range map[string]int{"product:77": 2, "order:1": 2, "product:80": 1, "product:81": 1, "product:9": 1} {
		if got := strings.Count(out, "forged        "+key+": cannot be replayed, discard it\n"); got != want {
			t.Errorf("replay prints %d lines of %s, want %d:\n%s%s", got, key, want, out, problems)
		}
	}
	if !strings.Contains(out, "1 written anew, 0 superseded, 0 gone, 7 failed") || problems != "flusher: 7 of 8 could not be replayed\n" {
		t.Errorf("replay prints\n%s%s", out, problems)
	}
	out, _ = p.dlq(1, "replay", "--key", "product:9")
	if !strings.Contains(out, "forged        product:9: cannot be replayed, discard it\n") {
		t.Errorf("replay of the misplaced one prints\n%s", out)
	}
	if out, _ = p.dlq(0, "discard", "--key", "product:9"); !strings.Contains(out, "1 discarded") {
		t.Errorf("discard prints\n%s", out)
	}
	if out, _ = p.dlq(0, "discard", "--all"); !strings.Contains(out, "6 discarded, 0 superseded, 0 gone, 0 failed") {
		t.Errorf("discard prints\n%s", out)
	}
}

// TestALetterThatGoesMeanwhileIsGone discards each letter between the walk and the
// replay.
func TestALetterThatGoesMeanwhileIsGone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.fill()
	racing := replaying
	racing.do = func(ctx context.Context, s shelf, queue string, letter *entry.DeadLetter) (int64, error) {
		if err := s.discard(ctx, queue, letter); err != nil {
			return 0, err
		}
		return s.replay(ctx, queue, letter)
	}
	var out strings.Builder
	d := &desk{shelf: &journalShelf{p.rdb, journal.New(p.rdb)}, queues: []string{"items"}, report: report{out: &out}}
	if err := d.act(t.Context(), &racing, false); err != nil || out.String() != "gone          item/a/b\n0 written anew, 0 superseded, 1 gone, 0 failed\n" {
		t.Errorf("%v, prints %q", err, out.String())
	}
}

func TestWhatIsInTheWayIsOneLine(t *testing.T) {
	t.Parallel()
	t.Run("Redis is away", func(t *testing.T) {
		server := journaltest.New(t)
		file := writeConfig(t, server.Addr(), mappings)
		server.MustKill(t)
		for _, args := range [][]string{{"list"}, {"list", "-o", "json"}, {"show", "product:1"}} {
			code, out, problems := ask(t, append([]string{"dlq", "--config", file}, args...)...)
			if code != 1 || out != "" || strings.Count(problems, "\n") != 1 || !strings.Contains(problems, "Redis cannot be reached") {
				t.Errorf("%q: exit code %d, output %q, problems %q", args, code, out, problems)
			}
		}
	})
	t.Run("a wrong password", func(t *testing.T) {
		server := journaltest.New(t, journaltest.Password("right"))
		code, _, problems := ask(t, "dlq", "list", "--config", writeConfig(t, server.Addr(), mappings))
		if code != 1 || strings.Count(problems, "\n") != 1 || !strings.Contains(problems, "asks for a password") {
			t.Errorf("exit code %d, problems %q", code, problems)
		}
	})
	t.Run("a queue that was never opened", func(t *testing.T) {
		p := newPlace(t)
		p.fill()
		p.must(p.rdb.Del(t.Context(), "wb:{products}:queue").Err())
		out, problems := p.dlq(1, "list")
		if !strings.Contains(out, "item/a/b") || problems != "flusher: queue products is not in this Redis: no flusher has opened it here yet\n" {
			t.Errorf("output %q, problems %q", out, problems)
		}
	})
	t.Run("no function library", func(t *testing.T) {
		p := newPlace(t)
		p.fill()
		p.must(p.rdb.FunctionFlush(t.Context()).Err())
		if _, problems := p.dlq(1, "list"); !strings.Contains(problems, "lacks the function library") || strings.Count(problems, "\n") != 1 {
			t.Errorf("problems %q", problems)
		}
	})
	t.Run("Redis goes in the middle", func(t *testing.T) {
		server := journaltest.New(t)
		p := newPlace(t)
		p.fill()
		gone := replaying
		gone.do = func(ctx context.Context, _ shelf, queue string, letter *entry.DeadLetter) (int64, error) {
			server.MustKill(t)
			return journal.New(server.Client(t)).Replay(ctx, queue, letter)
		}
		var out strings.Builder
		d := &desk{shelf: &journalShelf{p.rdb, journal.New(p.rdb)}, queues: []string{"products"}, report: report{out: &out}}
		err := d.act(t.Context(), &gone, false)
		if err == nil || !strings.Contains(err.Error(), "Redis cannot be reached") || out.String() != "0 written anew, 0 superseded, 0 gone, 0 failed\n" {
			t.Errorf("%v, prints %q", err, out.String())
		}
	})
}
