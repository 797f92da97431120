// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

// TestABadRowOfEachEncodingBecomesADeadLetter has the engine flush entries of each encoding
// to PostgreSQL, of which a constraint refuses one and another one can be no row: all others
// get through.
func TestABadRowOfEachEncodingBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	set := func(key, member, value string) entry.Entry {
		return entry.Entry{Key: "p:" + key, Member: member, Operation: entry.Set, Value: value}
	}
	appended := func(key, id, value string) entry.Entry {
		return entry.Entry{Key: "p:" + key, Member: id, Operation: entry.Append, Value: value}
	}
	for name, test := range map[string]struct {
		schema  string
		mapping func(*config.Mapping)
		entries []entry.Entry
		// dead are the rows of the dead letters, by their causes.
		dead map[string]string
		rows []string
	}{
		"number": {
			"CREATE TABLE items (id text PRIMARY KEY, n bigint CHECK (n <> 13))",
			func(m *config.Mapping) { m.Encoding, m.ValueColumn = config.EncodingNumber, "n" },
			[]entry.Entry{set("a", "", "1"), set("b", "", "13"), set("c", "", "many"), set("d", "", "4")},
			map[string]string{"p:b": entry.CauseRefused, "p:c": entry.CauseRefused},
			[]string{"(a,1)", "(d,4)"},
		},
		"hash": {
			"CREATE TABLE items (id text PRIMARY KEY, n bigint CHECK (n <> 13), a text)", func(m *config.Mapping) { m.Encoding = config.EncodingHash },
			[]entry.Entry{set("a", "", `{"n":"1"}`), set("b", "", `{"n":"13"}`), set("c", "", "{\"a\":\"\xff\"}"), set("d", "", `{"a":"x"}`)},
			map[string]string{"p:b": entry.CauseRefused, "p:c": entry.CauseNotADocument},
			[]string{"(a,1,)", "(d,,x)"},
		},
		"sorted set": {
			"CREATE TABLE items (id text, m text, n double precision CHECK (n <> 13), PRIMARY KEY (id, m))",
			func(m *config.Mapping) {
				m.Encoding, m.MemberColumn, m.ScoreColumn = config.EncodingSortedSet, "m", "n"
			},
			[]entry.Entry{set("a", "x", "1"), set("a", "y", "13"), set("a", "\xff", "2"), set("a", "z", "3"), {Key: "p:b", Operation: entry.Clear, Value: "[]"}},
			map[string]string{"p:a\x00y": entry.CauseRefused, "p:a\x00\xff": entry.CauseNotAKey},
			[]string{"(a,x,1)", "(a,z,3)"},
		},
		"stream": {
			"CREATE TABLE items (id text, at text, n bigint CHECK (n <> 13), PRIMARY KEY (id, at))",
			func(m *config.Mapping) {
				m.Mode, m.Encoding, m.IDColumn = config.ModeAppend, config.EncodingStream, "at"
			},
			[]entry.Entry{appended("a", "1-0", `{"n":"1"}`), appended("a", "2-0", `{"n":"13"}`), appended("a", "3-0", `{"n":"\u0000"}`), appended("a", "4-0", "{}")},
			map[string]string{"p:a\x002-0": entry.CauseRefused, "p:a\x003-0": entry.CauseRefused},
			[]string{"(a,1-0,1)", "(a,4-0,)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := postgrestest.New(t)
			db.Exec(t, test.schema)
			c := config.Default()
			c.Capture, c.Database.Postgres.URLFile = config.CaptureReplication, db.URLFile(t)
			c.Redis.External.Addresses = []string{"memory:1"}
			c.Flush.IntervalMilliseconds, c.Flush.MaxRetries = 10, 1
			m := config.DefaultMapping()
			m.Name, m.KeyPrefix, m.Table, m.KeyColumn, m.Partitions = "items", "p:", "items", "id", 1
			test.mapping(&m)
			c.Mappings = []config.Mapping{m}
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			source := enginetest.NewSource()
			f := flusher.New(c, source, newDatabase(c), flusher.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				f.Run(ctx)
			}()
			defer func() {
				cancel()
				<-done
			}()
			programs.Usual.Eventually(t, "an open queue", func() error {
				_, err := source.Stats(t.Context(), "items")
				return err
			})
			for _, e := range test.entries {
				source.Write("items", e, nil)
			}
			programs.Usual.Eventually(t, "all flushed but the bad ones", func() error {
				if s, err := source.Stats(t.Context(), "items"); err != nil || s.Depth > 0 {
					return fmt.Errorf("%+v, %w", s, err)
				}
				return nil
			})
			if letters := source.DeadLetters("items"); len(letters) != len(test.dead) {
				t.Errorf("the dead letters are %+v, want %q", letters, test.dead)
			}
			for row, letter := range source.DeadLetters("items") {
				if letter.Cause != test.dead[row] {
					t.Errorf("row %q is a dead letter for %q, want %q: %s", row, letter.Cause, test.dead[row], letter.Message)
				}
			}
			if got := strings.Join(db.Column(t, "SELECT i::text FROM items i ORDER BY 1"), " "); got != strings.Join(test.rows, " ") {
				t.Errorf("the rows are %s, want %v", got, test.rows)
			}
		})
	}
}
