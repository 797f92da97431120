// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// tale is what happened to one key, made by hand.
type tale struct {
	*streamed
	k *tracked
}

func (s tale) did(number int64, is state, what stroke) {
	what.number = number
	s.k.sent(what)
	s.keys.answered(s.k, number, is, nil)
}

func (s tale) set(number int64, content string) {
	s.did(number, acknowledged, stroke{cells: sets(content)})
}

func (s tale) deleted(number int64) {
	s.did(number, acknowledged, stroke{cells: sets(gone), whole: true})
}

func (s tale) field(number int64, field, content string) {
	s.did(number, acknowledged, stroke{cells: map[string]string{field: content}})
}

func (s tale) commits(contents ...string) {
	for _, content := range contents {
		s.commit(sets(content))
	}
}

func (s tale) commit(cells map[string]string) {
	s.keys.changed(s.k, microseconds(), at(1, 1), cells)
}

// ends judges what Redis holds and what the row is; an empty content is none.
func (s tale) ends(has, row, cause string) {
	of := func(content string) map[string]string {
		if content == "" {
			return nil
		}
		return sets(content)
	}
	s.endsWith(of(has), of(row), cause)
}

func (s tale) endsWith(has, row map[string]string, cause string) {
	var letters map[string]string
	if cause != "" {
		letters = map[string]string{"": cause}
	}
	s.keys.settle(s.k)
	s.verdictOf(s.k, has, row, letters)
}

// holding is a Redis that has the one key.
func holding(table string, cells map[string]string) *truth {
	return &truth{cells: map[string]map[string]map[string]string{table: {"k": cells}}}
}

func TestTheCheckerOfKeysFindsWhatIsWrongAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		table    string
		fleeting bool
		tale     func(s tale)
		want     finding
	}{
		"all is well": {tale: func(s tale) {
			s.set(1, "1")
			s.set(2, "2")
			s.commits("1", "2")
			s.deleted(3)
			s.commits(gone)
			s.set(4, "4")
			s.commits("4")
			s.ends("4", "4", "")
		}},
		"a write is lost": {want: lost, tale: func(s tale) {
			s.set(1, "1")
			s.commits("1")
			s.set(2, "2")
			s.ends("2", "1", "")
		}},
		"a deletion is lost": {want: lost, tale: func(s tale) {
			s.set(1, "1")
			s.commits("1")
			s.deleted(2)
			s.ends("", "1", "")
		}},
		"a deletion falls into a gap": {tale: func(s tale) {
			s.set(1, "1")
			s.commits("1")
			s.deleted(2)
			s.begun(microseconds())
			s.ends("", "1", "")
		}},
		"a write falls into a gap": {want: lost, tale: func(s tale) {
			s.set(1, "1")
			s.commits("1")
			s.set(2, "2")
			s.begun(microseconds())
			s.ends("2", "1", "")
		}},
		"an older write comes back": {want: stale, tale: func(s tale) {
			s.set(1, "1")
			s.set(2, "2")
			s.commits("2", "1", "2")
			s.ends("2", "2", "")
		}},
		"a row goes that nobody deleted": {want: stale, tale: func(s tale) {
			s.set(1, "1")
			s.commits("1", gone, "1")
			s.ends("1", "1", "")
		}},
		"a write commits before it was sent": {want: stale, tale: func(s tale) {
			s.commits("1")
			s.set(1, "1")
			s.ends("1", "1", "")
		}},
		"a refused write commits": {want: stale, tale: func(s tale) {
			s.k.sent(stroke{number: 1, cells: sets("1")})
			s.keys.refused(s.k, 1)
			s.commits("1")
			s.ends("", "1", "")
		}},
		"a write without an answer may be there": {tale: func(s tale) {
			s.did(1, unknown, stroke{cells: sets("1")})
			s.commits("1")
			s.ends("1", "1", "")
		}},
		"a sum without an answer may be anything": {table: views, tale: func(s tale) {
			s.did(1, unknown, stroke{cells: sets(""), unread: true})
			s.commits("17")
			s.ends("17", "17", "")
		}},
		"but not when it was answered": {table: views, want: stale, tale: func(s tale) {
			s.did(1, acknowledged, stroke{cells: sets("18"), unread: true})
			s.commits("17")
			s.ends("17", "17", "")
		}},
		"a key expires, and its row stays": {fleeting: true, tale: func(s tale) {
			s.set(1, "1")
			s.commits("1")
			s.ends("", "1", "")
		}},
		"a key expires unwritten": {fleeting: true, want: lost, tale: func(s tale) {
			s.set(1, "1")
			s.commits("1")
			s.set(2, "2")
			s.ends("", "1", "")
		}},
		"a key expires unwritten, and is counted": {fleeting: true, tale: func(s tale) {
			s.set(1, "1")
			s.commits("1")
			s.set(2, "2")
			s.ends("", "1", entry.CauseValueLost)
		}},
		"an expired key takes its row along": {fleeting: true, want: stale, tale: func(s tale) {
			s.set(1, "1")
			s.commits("1", gone)
			s.ends("", "", "")
		}},
		"a hash that expires and is made anew": {table: sessions, fleeting: true, tale: func(s tale) {
			s.field(1, "a", "1")
			s.field(2, "b", "2")
			s.commit(map[string]string{"a": "1", "b": "2", "c": gone})
			s.field(3, "b", "3")
			s.commit(map[string]string{"a": gone, "b": "3", "c": gone})
			s.endsWith(map[string]string{"b": "3"}, map[string]string{"b": "3"}, "")
		}},
		"a field is lost": {table: sessions, want: lost, tale: func(s tale) {
			s.field(1, "a", "1")
			s.field(2, "b", "2")
			s.commit(map[string]string{"a": gone, "b": "2", "c": gone})
			s.endsWith(map[string]string{"a": "1", "b": "2"}, map[string]string{"b": "2"}, "")
		}},
		"a member comes late that was written with its whole key": {table: scores, tale: func(s tale) {
			s.did(1, acknowledged, stroke{whole: true, cells: map[string]string{"p": "1"}})
			for n := range int64(50) {
				s.field(2+n, "q", strconv.FormatInt(2+n, 10))
			}
			s.commit(map[string]string{"q": "51"})
			s.commit(map[string]string{"p": "1"})
			s.endsWith(map[string]string{"p": "1", "q": "51"}, map[string]string{"p": "1", "q": "51"}, "")
		}},
		"a value that is no row is a dead letter": {tale: func(s tale) {
			s.set(1, "1")
			s.commits("1")
			s.did(2, acknowledged, stroke{cells: sets(noRow), bad: true})
			s.ends(noRow, "1", entry.CauseRefused)
		}},
		"it is none": {want: lost, tale: func(s tale) {
			s.set(1, "1")
			s.commits("1")
			s.did(2, acknowledged, stroke{cells: sets(noRow), bad: true})
			s.ends(noRow, "1", "")
		}},
		"a dead letter stays after a good write": {want: lost, tale: func(s tale) {
			s.set(1, "1")
			s.commits("1")
			s.ends("1", "1", entry.CauseRefused)
		}},
		"Redis is emptied": {tale: func(s tale) {
			s.set(1, "1")
			s.commits("1")
			s.k.vanished = 2
			s.ends("", "1", "")
		}},
		"Redis comes back without a write": {tale: func(s tale) {
			s.set(1, "1")
			s.set(2, "2")
			s.commits("1", "2")
			s.reconcile(holding(products, sets("1")))
			s.commits("1")
			s.ends("1", "1", "")
		}},
		"Redis comes back without a write that has no answer, and was carried": {tale: func(s tale) {
			s.set(1, "1")
			s.did(2, unknown, stroke{cells: sets("2")})
			s.commits("1", "2")
			s.reconcile(holding(products, sets("1")))
			s.commits("1")
			s.ends("1", "1", "")
		}},
		"and the row does not follow that": {want: lost, tale: func(s tale) {
			s.set(1, "1")
			s.did(2, unknown, stroke{cells: sets("2")})
			s.commits("1", "2")
			s.reconcile(holding(products, sets("1")))
			s.ends("1", "2", "")
		}},
		"Redis comes back without a deletion that has no answer, and was carried": {fleeting: true, tale: func(s tale) {
			s.set(1, "1")
			s.did(2, unknown, stroke{cells: sets(gone), whole: true})
			s.commits("1", gone)
			s.reconcile(holding(products, sets("1")))
			s.commits("1")
			s.ends("1", "1", "")
		}},
		"Redis comes back without a write, and the key expires before anybody knows": {fleeting: true, tale: func(s tale) {
			s.set(1, "1")
			s.set(2, "2")
			s.commits("1", "2")
			s.keys.hold()
			s.commits("1")
			s.reconcile(&truth{})
			s.keys.release()
			s.ends("", "1", "")
		}},
		"a key that lasts does not expire": {want: lost, tale: func(s tale) {
			s.set(1, "1")
			s.set(2, "2")
			s.commits("1", "2")
			s.keys.hold()
			s.commits("1")
			s.reconcile(&truth{})
			s.keys.release()
			s.ends("1", "2", "")
		}},
		"a hash is made anew while Redis comes to other data": {table: sessions, fleeting: true, tale: func(s tale) {
			s.field(1, "a", "1")
			s.commit(map[string]string{"a": "1"})
			s.field(2, "b", "2")
			s.keys.hold()
			s.commit(map[string]string{"a": gone, "b": "2"})
			s.field(3, "a", "3")
			s.commit(map[string]string{"a": "3", "b": "2"})
			s.reconcile(holding(sessions, map[string]string{"b": "2"}))
			s.commit(map[string]string{"a": gone, "b": "2"})
			s.keys.release()
			s.endsWith(map[string]string{"b": "2"}, map[string]string{"b": "2"}, "")
		}},
		"what Redis lost is written to the same end, which it loses as well": {table: sessions, tale: func(s tale) {
			s.field(1, "b", "1")
			s.keys.hold()
			s.commit(map[string]string{"b": "1"})
			s.commit(map[string]string{"b": gone})
			s.field(2, "b", gone)
			s.k.strokes[1].sentAt += lostWithin // long after the row went back
			s.reconcile(&truth{})
			s.keys.release()
			s.endsWith(nil, map[string]string{}, "")
		}},
		"a row goes back without anything having happened": {table: sessions, want: stale, tale: func(s tale) {
			s.field(1, "b", "1")
			s.commit(map[string]string{"b": "1"})
			s.commit(map[string]string{"b": gone})
			s.field(2, "b", gone)
			s.endsWith(nil, map[string]string{}, "")
		}},
		"Redis loses a write, and comes to other data again before the row is judged": {fleeting: true, tale: func(s tale) {
			s.set(1, "1")
			s.set(2, "2")
			s.commits("1", "2")
			s.keys.hold()
			s.commits("1")
			s.reconcile(&truth{})
			s.keys.heldSince.Store(microseconds() + settles/2)
			s.reconcile(&truth{})
			s.keys.release()
			s.ends("", "1", "")
		}},
		"and the row follows before anybody knows": {tale: func(s tale) {
			s.set(1, "1")
			s.set(2, "2")
			s.commits("1", "2")
			s.keys.hold()
			s.commits("1")
			s.reconcile(holding(products, sets("1")))
			s.keys.release()
			s.ends("1", "1", "")
		}},
		"and the row does not follow": {want: lost, tale: func(s tale) {
			s.set(1, "1")
			s.set(2, "2")
			s.commits("1", "2")
			s.reconcile(holding(products, sets("1")))
			s.ends("1", "2", "")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &findings{}
			ks := newKeys(f)
			table := c.table
			if table == "" {
				table = products
			}
			s := tale{&streamed{world: &world{findings: f}, app: &application{keys: ks}, keys: ks, histories: make(map[int64]bool), counted: make(map[string]int64)}, ks.add(table, "k", c.fleeting)}
			s.app.numbers.Store(100)
			c.tale(s)
			switch {
			case c.want == "" && f.total() > 0:
				t.Errorf("it finds %s", strings.Join(f.texts, "; "))
			case c.want != "" && f.count(c.want) == 0:
				t.Errorf("it finds %v, want %s", slices.Collect(maps.Keys(f.counts)), c.want)
			}
		})
	}
}

func TestTheCheckerOfEntriesFindsWhatIsWrongAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		tale func(es *entries)
		want finding
	}{
		"all is well":      {tale: func(es *entries) { es.committed("s", "1-0", 1, at(1, 1)) }},
		"an entry is lost": {want: lost, tale: func(*entries) {}},
		"an entry is inserted twice": {want: repeated, tale: func(es *entries) {
			es.committed("s", "1-0", 1, at(1, 1))
			es.committed("s", "1-0", 1, at(2, 2))
		}},
		"an entry has another id": {want: wrong, tale: func(es *entries) { es.committed("s", "2-0", 1, at(1, 1)) }},
		"nobody added it": {want: phantom, tale: func(es *entries) {
			es.committed("s", "1-0", 1, at(1, 1))
			es.committed("s", "2-0", 2, at(1, 1))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &findings{}
			es := newEntries(f)
			es.sent(added{number: 1, stream: "s"})
			es.answered(1, acknowledged, "1-0")
			c.tale(es)
			es.verdict(func(string, string) string { return "" }, func(*added) bool { return false })
			switch {
			case c.want == "" && f.total() > 0:
				t.Errorf("it finds %s", strings.Join(f.texts, "; "))
			case c.want != "" && f.count(c.want) == 0:
				t.Errorf("it finds %v, want %s", slices.Collect(maps.Keys(f.counts)), c.want)
			}
		})
	}
}

func TestWhatRedisLostOfAStreamIsToldFromWhatItDropped(t *testing.T) {
	for name, c := range map[string]struct {
		id      string
		trimmed bool
		has     []string
		lost    bool
	}{
		"it is there":                          {id: "2-0", has: []string{"1-0", "2-0"}},
		"it is not there":                      {id: "2-0", has: []string{"1-0", "3-0"}, lost: true},
		"a short stream has it":                {id: "2-0", trimmed: true, has: []string{"2-0", "3-0"}},
		"a short stream has only later ones":   {id: "2-0", trimmed: true, has: []string{"2-1", "3-0"}},
		"a short stream has only earlier ones": {id: "10-0", trimmed: true, has: []string{"2-0", "9-5"}, lost: true},
		"a short stream is not there":          {id: "2-0", trimmed: true, lost: true},
	} {
		f := &findings{}
		s := &streamed{world: &world{findings: f}, keys: newKeys(f)}
		es := s.keys.entries
		es.sent(added{number: 1, stream: "s", trimmed: c.trimmed})
		es.answered(1, acknowledged, c.id)
		has := make(map[string]bool)
		for _, id := range c.has {
			has[id] = true
		}
		s.reconcile(&truth{entries: map[string]map[string]bool{"s": has}})
		if lost := es.all[1].lostAt != 0; lost != c.lost {
			t.Errorf("%s: lost is %v", name, lost)
		}
	}
}
