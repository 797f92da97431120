// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// writings are commands as they stand in a stream, or may.
var writings = []string{
	"APPEND k1 v", "BITFIELD k1 SET u8 0 1", "BITOP AND k1 k2 k3", "BITOP NOT k1 k2", "BLMOVE k1 k2 LEFT LEFT 0",
	"COPY k1 k2", "DEL k1 k2 k3", "EXPIRE k1 10", "FLUSHALL ASYNC", "FUNCTION FLUSH", "GEOADD k1 1 1 m",
	"GEORADIUS k1 1 1 5 km STORE k2", "GEORADIUS k1 1 1 5 km", "GEORADIUS k1 1 1 5 km STOREDIST k2 DESC",
	"GEORADIUSBYMEMBER k1 m 5 km STORE k2", "GEOSEARCHSTORE k1 k2 FROMMEMBER m BYRADIUS 1 km", "GETDEL k1", "GETSET k1 v", "HDEL k1 f", "HSET k1 f v",
	"INCR k1", "LINSERT k1 BEFORE a b", "LMOVE k1 k2 LEFT LEFT", "LMPOP 2 k1 k2 LEFT", "LPUSH k1 a k2", "LREM k1 1 a", "LSET k1 0 a", "LTRIM k1 0 1",
	"MOVE k1 1", "MSET k1 v k2 v", "MSETNX k1 v k2 v", "PERSIST k1", "PFADD k1 a", "PFCOUNT k1 k2", "PFMERGE k1 k2 k3", "PUBLISH c m", "SPUBLISH c m",
	"RENAME k1 k2", "RENAMENX k1 k2", "RESTORE k1 0 x", "RPOPLPUSH k1 k2", "SADD k1 m", "SDIFFSTORE k1 k2 k3", "SINTERSTORE k1 k2", "SUNIONSTORE k1 k2 k3",
	"SCRIPT FLUSH", "SET k1 v", "SET k1 v GET", "SETBIT k1 0 1", "SMOVE k1 k2 m", "SORT k1", "SORT k1 STORE k2", "SORT k1 BY w* GET k* STORE k2 STORE k3",
	"SPOP k1", "SREM k1 m", "UNLINK k1 k2", "XADD k1 1-1 f v", "XAUTOCLAIM k1 g c 0 0", "XGROUP CREATE k1 g 0", "XGROUP SETID k1 g 0", "XSETID k1 1-1",
	"ZADD k1 1 m", "ZDIFFSTORE k1 2 k2 k3", "ZINTERSTORE k1 2 k2 k3 WEIGHTS 1 2", "ZMPOP 2 k1 k2 MIN", "ZPOPMIN k1", "ZRANGESTORE k1 k2 0 1", "ZREM k1 m",
	"ZUNIONSTORE k1 1 k2", "MIGRATE h 1 k1 0 5", "EVAL s 2 k1 k2 k3", "FCALL f 1 k1 k2", "SWAPDB 0 1",
	// Of newer servers.
	"HSETEX k1 FIELDS 1 f v", "HGETDEL k1 FIELDS 1 f", "MSETEX 2 k1 v k2 v", "DELEX k1", "DELIFEQ k1 v", "SET k1 v IFEQ w", "XDELEX k1 IDS 1 1-1",
}

// TestKeysAreReckonedAsTheServerSaysThemselves: where no question is asked of a command,
// the server would have given the same answer.
func TestKeysAreReckonedAsTheServerSaysThemselves(t *testing.T) {
	server := journaltest.New(t)
	for _, protocol := range []int{2, 3} {
		options := server.Options()
		options.Protocol = protocol
		keys := serverCatalogue{server.ClientWith(t, options)}
		reckoned := 0
		for _, writing := range writings {
			words := strings.Fields(writing)
			p := newParser(0, usualBuffer)
			p.buffer = append(p.buffer, stream(words)...)
			command, whole, err := p.next()
			if err != nil || !whole {
				t.Fatal(whole, err)
			}
			r := newReading(keys, Point{})
			r.interest = &Interest{Prefixes: []string{""}}
			r.arguments = command
			c := r.named([]byte(words[0]))
			programs.Must(t, r.tellByPlaces(t.Context(), c))
			got := []string{}
			for _, e := range r.effects {
				got = append(got, e.Word.String()+" "+string(e.Key))
			}
			want, ok, err := keys.written(t.Context(), words)
			if ok {
				for i := range want {
					want[i] = "Written " + want[i]
				}
			} else {
				want = []string{"Unknown "}
			}
			slices.Sort(got)
			slices.Sort(want)
			known, placesErr := keys.places(t.Context(), strings.ToUpper(words[0]))
			if placesErr != nil {
				t.Fatal(placesErr)
			}
			if known.unknown {
				want, err = []string{"Unknown "}, nil
			}
			if err != nil || !cmp.Equal(want, got) && len(want)+len(got) > 0 {
				t.Errorf("in protocol %d %s writes %q, as the server says %q, %v", protocol, writing, got, want, err)
			}
			if !known.unknown && !known.asks {
				reckoned++
			}
		}
		if reckoned < len(writings)/2 {
			t.Errorf("in protocol %d only %d of %d are reckoned", protocol, reckoned, len(writings))
		}
	}
}

// TestPlacesThatAreNotSureAreAskedAbout: a server says of some that there may be more keys.
func TestPlacesThatAreNotSureAreAskedAbout(t *testing.T) {
	one := func(beginType, findType string, flags ...any) any {
		return []any{
			"flags", flags, "begin_search",
			[]any{"type", beginType, "spec", []any{"index", int64(1)}},
			"find_keys",
			[]any{"type", findType, "spec", []any{"lastkey", int64(0), "keystep", int64(1), "limit", int64(0)}},
		}
	}
	answer := func(specifications ...any) []any {
		return []any{"c", int64(-2), []any{"write"}, int64(1), int64(1), int64(1), []any{}, []any{}, specifications, []any{}}
	}
	sure := &places{stretches: []stretch{{index: 1, step: 1}}}
	for name, c := range map[string]struct {
		answer any
		want   *places
	}{
		"sure":                   {answer(one("index", "range", "OW", "update")), sure},
		"only read":              {answer(one("index", "range", "RO", "access")), &places{}},
		"no key":                 {answer(one("index", "range", "RW", "not_key")), &places{}},
		"one read":               {answer(one("index", "range", "RO"), one("index", "range", "RM")), sure},
		"incomplete":             {answer(one("index", "range", "RW", "incomplete")), &places{asks: true}},
		"incomplete, if read":    {answer(one("index", "range", "RO", "incomplete")), &places{asks: true}},
		"beginning anywhere":     {answer(one("unknown", "range", "RW")), &places{asks: true}},
		"going on in any way":    {answer(one("index", "unknown", "RW")), &places{asks: true}},
		"not there":              {nil, &places{unknown: true}},
		"of another form":        {[]any{"c", int64(1)}, &places{asks: true}},
		"a container of further": {append(answer()[:infoParts], []any{"c|part"}), &places{container: true}},
	} {
		if diff := cmp.Diff(c.want, placesOf(c.answer), cmp.AllowUnexported(places{}, stretch{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestNoCommandOfTheServerIsStrange: each one that writes has places, or is asked about.
func TestNoCommandOfTheServerIsStrange(t *testing.T) {
	server := journaltest.New(t)
	client := journal.Dial(settingsOf(server), 1)
	defer func() { _ = client.Close() }()
	known, err := client.Command(t.Context()).Result()
	programs.Must(t, err)
	for name, info := range known {
		if !slices.Contains(info.Flags, "write") {
			continue
		}
		found, err := serverCatalogue{client}.places(t.Context(), strings.ToUpper(name))
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case found.unknown, !found.asks && !found.container && len(found.stretches) == 0 && info.FirstKeyPos > 0:
			t.Errorf("%s writes keys, and has places %+v", name, found)
		}
	}
}
