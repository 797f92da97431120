// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

// unstarted is a source that reads a history, and calls nobody.
func unstarted(partitions int) *Source {
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Partitions = "products", "product:", partitions
	s := New([]config.Mapping{m}, nil, nil, nil, Options{Name: "source"})
	s.tenure, s.history.number = &tenure{}, 1
	return s
}

// TestAMarkIsSmall holds what a dirty key takes beside its name against the bound that the
// documents give, of a million keys, with some room for how a map grows.
func TestAMarkIsSmall(t *testing.T) {
	const keys, most = 1_000_000, 100
	s := unstarted(16)
	measure := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := measure()
	names := 0
	var batch Batch
	for i := range keys {
		key := "product:" + strconv.Itoa(i)
		names += len(key)
		batch.Effects = append(batch.Effects[:0], Effect{Key: []byte(key), Word: Written, Command: "HSET", Offset: int64(i+1) * 30})
		if err := s.apply(nil, batch); err != nil {
			t.Fatal(err)
		}
	}
	each := (int(measure()-before) - names) / keys //nolint:gosec // It fits.
	t.Logf("a dirty key takes %d bytes beside its name, and is counted with %d", each, (s.book.dirty.bytes()-names)/keys)
	if each > most {
		t.Errorf("it takes more than %d", most)
	}
	if counted := (s.book.dirty.bytes() - names) / keys; counted < each*3/4 || counted > each*3/2 {
		t.Errorf("it is counted with %d bytes", counted)
	}
	runtime.KeepAlive(s)
}

func TestAnIDTellsKeysFromMembers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 300)
	seen := make(map[string]bool)
	for _, key := range []string{"", "a", "a/", "a/b", "\x00", long} {
		id := string(appendID(nil, key))
		if k, member, one := namesOf(id); k != key || member != "" || one {
			t.Errorf("of key %q there is %q, %q, %v", key, k, member, one)
		}
		seen[id] = true
		for _, member := range []string{"", "b", "/b", "\xff"} {
			id := string(appendMember(appendID(nil, key), member))
			if k, m, one := namesOf(id); k != key || m != member || !one {
				t.Errorf("of member %q of key %q there is %q, %q, %v", member, key, k, m, one)
			}
			if seen[id] {
				t.Errorf("there are two of the id %q", id)
			}
			seen[id] = true
		}
	}
}

func TestAHashIsADocument(t *testing.T) {
	t.Parallel()
	for want, given := range map[string][2][]string{
		`{}`:                        {},
		`{"a":"1"}`:                 {{"a", "1"}},
		`{"a\"":"\\","b":"\u000a"}`: {{`a"`, `\`, "b", "\n"}},
		`{"a":null}`:                {nil, {"a"}},
		`{"a":"1","b":null}`:        {{"a", "1"}, {"b"}},
		"{\"a\":\"\xff\"}":          {{"a", "\xff"}},
	} {
		if got := hashOf(given[0], given[1]); got != want {
			t.Errorf("%q without %q is %s, want %s", given[0], given[1], got, want)
		}
	}
}

// TestAKeyIsNotGoneInAnotherHistory has offsets begin anew: one at which a board had expired is
// higher than those of what is removed from it then.
func TestAKeyIsNotGoneInAnotherHistory(t *testing.T) {
	p := newPartition(newDirty(), encodings[config.EncodingSortedSet])
	id := func(member string) []byte { return appendMember(appendID(nil, "board:1"), member) }
	m := p.add(id("before"), mark{last: 900, word: Written, wrote: true})
	p.unlinked("board:1", 1000)
	p.beginHistory(2, Point{Offset: 5}, true)
	if m.word == Written || m.wrote {
		t.Errorf("what had expired is %+v", m)
	}
	removed := p.add(id("removed"), mark{first: 40, last: 50, word: Written, wrote: true})
	if p.hasGone("board:1", removed) {
		t.Error("what is removed counts as expired")
	}
}

// TestKeysThatHaveGoneAreForgotten has boards expire, one after another, while one is dirty all
// the time.
func TestKeysThatHaveGoneAreForgotten(t *testing.T) {
	p := newPartition(newDirty(), encodings[config.EncodingSortedSet])
	m := p.add(appendMember(appendID(nil, "board:dirty"), "x"), mark{last: 10, word: Written, wrote: true})
	p.unlinked("board:dirty", 20)
	for i := range int64(10 * leastGone) {
		p.unlinked("board:"+strconv.FormatInt(i, 10), 30+i)
	}
	if len(p.gone) > leastGone+1 || !p.hasGone("board:dirty", m) {
		t.Errorf("%d are noted, that of the dirty one: %v", len(p.gone), p.hasGone("board:dirty", m))
	}
	p.take(1, 0, time.Now())
	p.forgetGone()
	if !p.hasGone("board:dirty", m) {
		t.Error("that of the one in the claim is forgotten")
	}
}

// TestWhatIsOutIsNotWrittenAgainInItsClaim has a board go while the claim is made that has one
// of its members.
func TestWhatIsOutIsNotWrittenAgainInItsClaim(t *testing.T) {
	board := string(appendID(nil, "board:1"))
	for id, again := range map[string]bool{
		string(appendMember([]byte(board), "a/b")): true,
		board:                                    true,
		string(appendMember([]byte(board), "a")): false,
		string(appendID(nil, "board:2")):         false,
		string(appendMember(appendID(nil, "board:2"), "a/b")): false,
	} {
		p := newPartition(newDirty(), encodings[config.EncodingSortedSet])
		p.add(appendMember([]byte(board), "a/b"), mark{last: 10, word: Written, wrote: true})
		p.take(1, 0, time.Now())
		if p.isWrittenAgain() {
			t.Error("nothing was written, and it is written again")
		}
		p.add([]byte(id), mark{first: 10, last: 20, word: Deleted})
		if p.isWrittenAgain() != again {
			t.Errorf("with a mark of %q it is written again: %v", id, !again)
		}
	}
}

// TestABoardAndItsMembersAreOfDifferentClaims takes the board first, also where a member was
// written before, and leaves the others where they were.
func TestABoardAndItsMembersAreOfDifferentClaims(t *testing.T) {
	board, other := string(appendID(nil, "board:1")), string(appendID(nil, "board:2"))
	member := func(of, name string) string { return string(appendMember([]byte(of), name)) }
	p := newPartition(newDirty(), encodings[config.EncodingSortedSet])
	marked := []string{member(board, "a"), board, member(board, "b"), other, member(other, "a")}
	for i, id := range marked {
		p.add([]byte(id), mark{first: int64(10 * i), last: int64(10*i + 10), word: Written, wrote: true})
	}
	for _, want := range [][]string{{board, other}, {member(board, "a"), member(board, "b"), member(other, "a")}, nil} {
		var got []string
		for _, m := range p.apart(p.take(10, 0, time.Now())) {
			got = append(got, string(p.of.id(m)))
		}
		if !slices.Equal(got, want) || len(p.out) != len(want) {
			t.Errorf("%q are taken, want %q", got, want)
		}
		for _, m := range p.out {
			p.settle(m)
		}
		p.out = nil
	}
	if p.of.count != 0 || p.length() != 0 {
		t.Errorf("%d marks are left", p.of.count)
	}
}

// TestTheCollectorKeepsPace has much become dirty, and nothing any more.
func TestTheCollectorKeepsPace(t *testing.T) {
	s := unstarted(1)
	var told []int
	s.book.collect = func(percent int) { told = append(told, percent) }
	for i := range 200_000 {
		e := Effect{Key: []byte("product:" + strconv.Itoa(i)), Word: Written, Offset: int64(i+1) * 30}
		if err := s.apply(nil, Batch{Effects: []Effect{e}}); err != nil {
			t.Fatal(err)
		}
	}
	dirty := s.book.dirty.bytes()
	if len(told) < 3 || len(told) > dirty/paceStep {
		t.Errorf("of %d bytes the collector is told %v", dirty, told)
	}
	if last := told[len(told)-1]; last < 100*usualGarbage/(usualGarbage+dirty) || last > 100*usualGarbage/(usualGarbage+dirty-paceStep) {
		t.Errorf("with %d bytes dirty %d%% garbage may accumulate", dirty, last)
	}
	s.tenure.cancel, s.tenure.over = func() {}, make(chan struct{})
	close(s.tenure.over)
	s.depose()
	if last := told[len(told)-1]; last != 100 {
		t.Errorf("with nothing dirty %d%% garbage may accumulate", last)
	}
}
