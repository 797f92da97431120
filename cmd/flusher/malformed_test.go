// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// malformed are what somebody may have put among the letters of the journal.
var malformed = map[string]string{
	"product:empty":    "",
	"product:text":     "garbage",
	"product:half":     `{"operation":"set","version":1`,
	"product:list":     `["set"]`,
	"product:null":     "null",
	"product:number":   `{"operation":"set","version":1e400,"cause":"Refused"}`,
	"product:words":    `{"operation":"set","version":"one","attempts":[],"cause":7}`,
	"product:time":     `{"operation":"set","version":1,"firstFailure":"999999-01-01T00:00:00Z"}`,
	"product:\xff\x00": "\xff\x00\x1b[31m",
	"product:\n":       "\n\n",
	"elsewhere":        `{"operation":"set","version":1}`,
	"":                 `{"operation":"drop"}`,
}

// One malformed letter must not break the command for all: not the list, not the JSON, not what is
// done to the sound ones, and not the other queues.
func TestAMalformedLetterBreaksNothingInTheJournal(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.fill()
	for key, line := range malformed {
		p.must(p.rdb.HSet(t.Context(), "wb:{products:0}:dlq", key, line).Err())
	}
	for _, args := range [][]string{{"list"}, {"list", "-o", "json"}, {"list", "--reason", "Forged"}} {
		out, problems := p.dlq(0, args...)
		if problems != "" || strings.Contains(out, "\x1b") || !strings.Contains(out, "product:half") {
			t.Errorf("%q prints\n%s%s", args, out, problems)
		}
	}
	out, _ := p.dlq(0, "list", "-o", "json")
	var rows []row
	p.must(json.Unmarshal([]byte(out), &rows))
	if len(rows) != 4+len(malformed) {
		t.Errorf("of %d letters %d are listed", 4+len(malformed), len(rows))
	}
	for key := range malformed {
		if key == "" {
			continue
		}
		if strings.HasPrefix(key, "product:") && !strings.Contains(key, "\x00") {
			p.dlq(0, "show", key)
		}
	}
	if out, problems := p.dlq(1, "replay", "--all"); !strings.Contains(out, "4 written anew") {
		t.Errorf("replay prints\n%s%s", out, problems)
	}
	if out, problems := p.dlq(0, "discard", "--all"); !strings.Contains(out, fmt.Sprintf("%d discarded, 0 superseded, 0 gone, 0 failed", len(malformed))) {
		t.Errorf("discard prints\n%s%s", out, problems)
	}
}

// Where the letters of one queue were overwritten, those of the others are dealt with.
func TestAQueueWithoutLettersToReadLeavesTheOthers(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.fill()
	p.must(p.rdb.Del(t.Context(), "wb:{products:0}:dlq").Err())
	p.must(p.rdb.Set(t.Context(), "wb:{products:0}:dlq", "by hand", 0).Err())
	out, problems := p.dlq(1, "list")
	if !strings.Contains(out, "item/a/b") || !strings.Contains(problems, "run DEL wb:{products:0}:dlq") {
		t.Errorf("list prints\n%s%s", out, problems)
	}
	if out, problems = p.dlq(1, "discard", "--all"); !strings.Contains(out, "1 discarded") || !strings.Contains(problems, "run DEL wb:{products:0}:dlq") {
		t.Errorf("discard prints\n%s%s", out, problems)
	}
}

func TestAMalformedLetterBreaksNothingInTheDatabase(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.start()
	o.do(`SET product:bad {"stock":-1}`)
	o.letters("products product:bad")
	// The flusher reads all letters once more when somebody asks for one.
	o.Database.Exec(t, `INSERT INTO writebehind.dead_letter
		SELECT source, q, sha256(k), sha256(m), k, m, o, v, -1, c, E'\x1b[31m', repeat('x', 5000), '', '\xff00'::bytea, f, l, '\xff'::bytea, false
		FROM writebehind.dead_letter, (VALUES
			('products', 'product:infinite'::bytea, ''::bytea, 'set', 1::bigint, 'Refused', 'infinity'::timestamptz, '-infinity'::timestamptz),
			('products', 'product:far', '', 'set', -9223372036854775808, 'Refused', '294276-01-01', '4000-01-01 BC'),
			('products', '\xff00', 'm', 'nonsense', 9223372036854775807, 'Unheard', now(), now()),
			('products', 'x', '', '', 0, '', now(), now()),
			('sessions', 'product:1', '', 'set', 1, 'Refused', now(), now()),
			('unknown', 'x', '', 'set', 1, 'Refused', now(), now())) n (q, k, m, o, v, c, f, l)`)
	for _, args := range [][]string{{"list"}, {"list", "-o", "json"}} {
		out, problems := o.dlq(0, args...)
		if problems != "" || strings.Contains(out, "\x1b[") || !strings.Contains(out, "product:infinite") || !strings.Contains(out, "product:far") {
			t.Errorf("%q prints\n%s%s", args, out, problems)
		}
	}
	o.dlq(0, "show", "product:infinite", "-o", "json")
	o.dlq(0, "show", "product:far")
	o.Database.Exec(t, `ALTER TABLE products DROP CONSTRAINT products_stock_check`)
	o.dlq(0, "replay", "--key", "product:bad")
	o.eventually("the sound letter is written anew", func() error {
		if n := o.Database.Value(t, `SELECT count(*) FROM products WHERE id = 'bad'`); n != "1" {
			return fmt.Errorf("%s rows", n)
		}
		return nil
	})
	if out, problems := o.dlq(0, "discard", "--all"); !strings.Contains(out, "5 discarded") {
		t.Errorf("discard prints\n%s%s", out, problems)
	}
}
