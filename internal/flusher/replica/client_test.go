// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/test/programs"
)

var errDiffers = errors.New("they differ")

func startClient(t *testing.T) (*journaltest.Server, *replica.Client) {
	t.Helper()
	server := journaltest.New(t)
	settings := config.RedisExternal{Addresses: []string{server.Addr()}}
	client := replica.NewClient(settings, journal.Dial(settings, 2))
	t.Cleanup(func() { _ = client.Close() })
	return server, client
}

func TestAClientAnswersEveryQuestion(t *testing.T) {
	t.Parallel()
	server, client := startClient(t)
	app := server.Client(t)
	for _, command := range [][]any{
		{"SET", "text", "value"},
		{"SET", "empty", ""},
		{"HSET", "hash", "a", "1", "b", "2"},
		{"ZADD", "board", "1.5", "x", "inf", "y"},
		{"XADD", "stream", "1-1", "f", "1", "f", "2"},
		{"XADD", "stream", "2-1", "g", ""},
	} {
		programs.Must(t, app.Do(t.Context(), command...).Err())
	}
	ask := func(q replica.Question, key string, members ...string) replica.Ask {
		return replica.Ask{Question: q, Key: key, Members: members}
	}
	for _, test := range []struct {
		ask  replica.Ask
		want replica.Answer
	}{
		{ask(replica.Text, "text"), replica.Answer{Found: replica.There, Value: "value"}},
		{ask(replica.Text, "none"), replica.Answer{Found: replica.Unsure}},
		{ask(replica.Text, "empty"), replica.Answer{Found: replica.There}},
		{ask(replica.Text, "hash"), replica.Answer{Found: replica.Unsure}},
		{ask(replica.SureText, "text"), replica.Answer{Found: replica.There, Value: "value"}},
		{ask(replica.SureText, "none"), replica.Answer{Found: replica.Gone}},
		{ask(replica.SureText, "hash"), replica.Answer{Found: replica.OfAnotherType, Type: "hash"}},
		{ask(replica.Hash, "hash"), replica.Answer{Found: replica.There, Pairs: []string{"a", "1", "b", "2"}, Whole: true}},
		{ask(replica.Hash, "none"), replica.Answer{Found: replica.Gone, Whole: true}},
		{ask(replica.Hash, "text"), replica.Answer{Found: replica.OfAnotherType, Type: "string"}},
		{ask(replica.Fields, "hash", "a", "c"), replica.Answer{Found: replica.There, Pairs: []string{"a", "1"}, Absent: []string{"c"}}},
		{ask(replica.Fields, "hash", "b", "a"), replica.Answer{Found: replica.There, Pairs: []string{"b", "2", "a", "1"}, Whole: true}},
		{ask(replica.Fields, "none", "a"), replica.Answer{Found: replica.Gone, Absent: []string{"a"}, Whole: true}},
		{ask(replica.Fields, "text", "a"), replica.Answer{Found: replica.OfAnotherType, Type: "string"}},
		{ask(replica.Score, "board", "x"), replica.Answer{Found: replica.There, Value: "1.5"}},
		{ask(replica.Score, "board", "y"), replica.Answer{Found: replica.There, Value: "inf"}},
		{ask(replica.Score, "board", "z"), replica.Answer{Found: replica.Gone}},
		{ask(replica.Score, "text", "z"), replica.Answer{Found: replica.OfAnotherType, Type: "string"}},
		{ask(replica.Board, "board"), replica.Answer{Found: replica.There, Pairs: []string{"x", "y"}}},
		{ask(replica.Board, "none"), replica.Answer{Found: replica.Gone}},
		{ask(replica.OneEntry, "stream", "1-1"), replica.Answer{Found: replica.There, Pairs: []string{"f", "1", "f", "2"}, Whole: true}},
		{ask(replica.OneEntry, "stream", "9-9"), replica.Answer{Found: replica.Gone}},
		{ask(replica.OneEntry, "text", "9-9"), replica.Answer{Found: replica.OfAnotherType, Type: "string"}},
		{ask(replica.Entries, "stream"), replica.Answer{Found: replica.There, Pairs: []string{"1-1", "2-1"}}},
		{ask(replica.Entries, "stream", "(1-1"), replica.Answer{Found: replica.There, Pairs: []string{"2-1"}}},
		{ask(replica.Entries, "none"), replica.Answer{Found: replica.Gone}},
		{ask(replica.Nothing, "none"), replica.Answer{Found: replica.There}},
	} {
		// Beside others, whose faults are their own.
		reading, err := client.Read(t.Context(), []replica.Ask{ask(replica.Text, "text"), test.ask, ask(replica.Score, "text", "x"), ask(replica.Text, "none")})
		if err != nil {
			t.Errorf("%+v: %v", test.ask, err)
			continue
		}
		got := reading.Answers[1]
		if test.ask.Question == replica.Hash && len(got.Pairs) == 4 && got.Pairs[0] == "b" {
			got.Pairs = append(got.Pairs[2:], got.Pairs[:2]...) // A hash has no order.
		}
		if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%+v:\n%s", test.ask, diff)
		}
		if last := reading.Answers[3]; last.Found != replica.Unsure || reading.Answers[0].Value != "value" || reading.Replica || reading.ID == "" {
			t.Errorf("%+v: the others are %+v", test.ask, reading)
		}
	}
}

func TestAClientScansOnePrefix(t *testing.T) {
	t.Parallel()
	server, client := startClient(t)
	app := server.Client(t)
	for _, key := range []string{`a*b:1`, `a*b:2`, `axb:1`, `a*b`, `a[b]:1`, `a[b]?\:1`, "b:1"} {
		programs.Must(t, app.Set(t.Context(), key, "x", 0).Err())
	}
	for prefix, want := range map[string][]string{`a*b:`: {`a*b:1`, `a*b:2`}, `a[b]`: {`a[b]:1`, `a[b]?\:1`}, `a[b]?\`: {`a[b]?\:1`}} {
		var found []string
		for cursor := uint64(0); ; {
			keys, next, err := client.Scan(t.Context(), prefix, cursor)
			programs.Must(t, err)
			found = append(found, keys...)
			if cursor = next; cursor == 0 {
				break
			}
		}
		if slices.Sort(found); !slices.Equal(slices.Compact(found), want) {
			t.Errorf("of prefix %s there are %q, want %q", prefix, found, want)
		}
	}
}

func TestAWitnessIsACount(t *testing.T) {
	t.Parallel()
	server, client := startClient(t)
	want := func(want int64) {
		t.Helper()
		if n, err := client.Witness(t.Context(), "wb:witness:x"); n != want || err != nil {
			t.Errorf("the witness is %d, %v, want %d", n, err, want)
		}
	}
	want(0)
	look, err := client.Look(t.Context())
	programs.Must(t, err)
	testify := func(id string, least, want int64) {
		t.Helper()
		if n, err := client.Testify(t.Context(), "wb:witness:x", id, least); n != want || (err == nil) != (id == look.ID) {
			t.Errorf("the witness becomes %d, %v, want %d", n, err, want)
		}
	}
	testify(look.ID, 7, 7)
	want(7)
	testify(look.ID, 5, 8)
	testify(strings.Repeat("0", 40), 20, 0)
	want(8)
	programs.Must(t, server.Client(t).Set(t.Context(), "wb:witness:x", "seven", 0).Err())
	want(0)
}

// TestAClientTellsWhereHistoriesPart makes a replica a primary.
func TestAClientTellsWhereHistoriesPart(t *testing.T) {
	t.Parallel()
	primary, before := startClient(t)
	server, client := startClient(t)
	app := server.Client(t)
	programs.Must(t, app.Do(t.Context(), "REPLICAOF", "127.0.0.1", primary.Port()).Err())
	programs.Must(t, primary.Client(t).Set(t.Context(), "k", "v", 0).Err())
	var at replica.Reading
	programs.Usual.Eventually(t, "a replica that has all", func() error {
		of, err := before.Look(t.Context())
		if err != nil {
			return err
		}
		at, err = client.Look(t.Context())
		if err != nil {
			return err
		}
		if !at.Replica || at.ID != of.ID || at.Offset != of.Offset {
			return errDiffers
		}
		return nil
	})
	programs.Must(t, app.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
	now, err := client.Look(t.Context())
	programs.Must(t, err)
	if now.Replica || now.ID == at.ID || now.Before != at.ID || now.Branch < at.Offset || now.Backlog == 0 {
		t.Errorf("after %+v it is %+v", at, now)
	}
}
