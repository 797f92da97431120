// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// story is a history made by hand: of key 0, which has one writer, and of key 1,
// which has several.
type story struct {
	*history
}

const (
	own    = 0
	shared = 1
)

func at(epoch, flush int64) place {
	return place{journal: "j", partition: 0, epoch: epoch, flush: flush}
}

func (s story) wrote(id, number int64, o operation, version int64) {
	s.sent(id, number, o)
	s.acknowledged(id, number, version)
}

func (s story) vanished(id, number int64, o operation) {
	s.sent(id, number, o)
	s.unknown(id, number)
}

func (s story) committed(id, number int64, at place) {
	s.batchOf(false, at, []int64{id}, []int64{number})
}

func (s story) wasRemoved(id, number int64, at place) {
	s.batchOf(true, at, []int64{id}, []int64{number})
}
func (s story) others(n int, at place)   { s.advance(at, int64(n)) }
func (s story) ends(o map[int64]outcome) { s.verdict(func(id int64) outcome { return o[id] }) }
func row(number int64) outcome           { return outcome{row: number} }
func dead(row, number, version int64) outcome {
	return outcome{row: row, letter: &letter{version: version, number: number}}
}
func of(id int64, o outcome) map[int64]outcome { return map[int64]outcome{id: o} }

func TestTheCheckerFindsWhatIsWrongAndNothingElse(t *testing.T) {
	now := microseconds()
	for name, c := range map[string]struct {
		story func(s story)
		want  finding
	}{
		"all is well": {story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.wrote(own, 2, set, 20)
			s.committed(own, 2, at(1, 1))
			s.wrote(own, 3, remove, 30)
			s.wasRemoved(own, 2, at(1, 2))
			s.wrote(own, 4, set, 40)
			s.committed(own, 4, at(2, 3))
			s.ends(of(own, row(4)))
		}},
		"a write is lost": {want: lost, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(1, 1))
			s.wrote(own, 2, set, 20)
			s.ends(of(own, row(1)))
		}},
		"the only write is lost": {want: lost, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.ends(nil)
		}},
		"a removal is lost": {want: lost, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(1, 1))
			s.wrote(own, 2, remove, 20)
			s.ends(of(own, row(1)))
		}},
		"the row is not what committed": {want: lost, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.wrote(own, 2, set, 20)
			s.committed(own, 2, at(1, 1))
			s.ends(of(own, row(1)))
		}},
		"a write without an answer may be there": {story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.vanished(own, 2, set)
			s.committed(own, 2, at(1, 1))
			s.ends(of(own, row(2)))
		}},
		"or not be there": {story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(1, 1))
			s.vanished(own, 2, set)
			s.vanished(own, 3, remove)
			s.ends(of(own, row(1)))
		}},
		"but it does not stand for a later one": {want: lost, story: func(s story) {
			s.vanished(own, 1, set)
			s.committed(own, 1, at(1, 1))
			s.wrote(own, 2, set, 20)
			s.ends(of(own, row(1)))
		}},
		"an older write comes back": {want: stale, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.wrote(own, 2, set, 20)
			s.committed(own, 2, at(1, 1))
			s.committed(own, 1, at(1, 2))
			s.committed(own, 2, at(2, 3))
			s.ends(of(own, row(2)))
		}},
		"an older version comes back": {want: stale, story: func(s story) {
			s.wrote(shared, 1, set, now+20)
			s.wrote(shared, 2, set, now+10)
			s.committed(shared, 1, at(1, 1))
			s.committed(shared, 2, at(1, 2))
			s.committed(shared, 1, at(2, 3))
			s.ends(of(shared, row(1)))
		}},
		"the order of a shared key is the versions'": {story: func(s story) {
			s.wrote(shared, 1, set, now+20)
			s.wrote(shared, 2, set, now+10)
			s.committed(shared, 2, at(1, 1))
			s.committed(shared, 1, at(1, 2))
			s.ends(of(shared, row(1)))
		}},
		"a row is older than a removal": {want: stale, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.wrote(own, 2, set, 15)
			s.wrote(own, 3, remove, 20)
			s.wrote(own, 4, set, 30)
			s.committed(own, 1, at(1, 1))
			s.wasRemoved(own, 1, at(1, 2))
			s.committed(own, 2, at(1, 3))
			s.committed(own, 4, at(2, 4))
			s.ends(of(own, row(4)))
		}},
		"a row is removed that nobody removed": {want: stale, story: func(s story) {
			s.wrote(own, 1, remove, 10)
			s.wrote(own, 2, set, 20)
			s.committed(own, 2, at(1, 1))
			s.wasRemoved(own, 2, at(1, 2))
			s.committed(own, 2, at(1, 3))
			s.ends(of(own, row(2)))
		}},
		"versions go back": {want: stale, story: func(s story) {
			s.wrote(own, 1, set, 20)
			s.wrote(own, 2, set, 10)
			s.committed(own, 2, at(1, 1))
			s.ends(of(own, row(2)))
		}},
		"an epoch writes after its successor": {want: stale, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.wrote(shared, 2, set, now)
			s.committed(own, 1, at(2, 2))
			s.committed(shared, 2, at(1, 1))
			s.ends(map[int64]outcome{own: row(1), shared: row(2)})
		}},
		"one epoch writes it twice": {want: repeated, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(1, 1))
			s.committed(own, 1, at(1, 2))
			s.ends(of(own, row(1)))
		}},
		"the next epoch writes it again": {story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(1, 1))
			s.others(9, at(1, 2))
			s.committed(own, 1, at(2, 3))
			s.ends(of(own, row(1)))
		}},
		"and though it was acknowledged": {want: repeated, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(1, 1))
			s.others(10, at(1, 2))
			s.committed(own, 1, at(2, 3))
			s.ends(of(own, row(1)))
		}},
		"a refused write commits": {want: phantom, story: func(s story) {
			s.sent(own, 1, set)
			s.refused(own, 1)
			s.committed(own, 1, at(1, 1))
			s.ends(of(own, row(1)))
		}},
		"a row commits that the table refuses": {want: phantom, story: func(s story) {
			s.wrote(own, 1, poison, 10)
			s.committed(own, 1, at(1, 1))
			s.wrote(own, 2, set, 20)
			s.committed(own, 2, at(1, 2))
			s.ends(of(own, row(2)))
		}},
		"a row commits without the ledger": {want: phantom, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, place{})
			s.ends(of(own, row(1)))
		}},
		"a refused row is a dead letter": {story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.wrote(own, 2, set, 20)
			s.wrote(own, 3, poison, 30)
			s.committed(own, 1, at(1, 1))
			s.ends(of(own, dead(1, 3, 30)))
		}},
		"a refused row is nowhere": {want: lost, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.wrote(own, 2, poison, 20)
			s.committed(own, 1, at(1, 1))
			s.ends(of(own, row(1)))
		}},
		"an older dead letter stands for it": {want: lost, story: func(s story) {
			s.wrote(own, 1, poison, 10)
			s.wrote(own, 2, poison, 20)
			s.ends(of(own, dead(0, 1, 10)))
		}},
		"a dead letter stays after a good write": {want: lost, story: func(s story) {
			s.wrote(own, 1, poison, 10)
			s.wrote(own, 2, set, 20)
			s.committed(own, 2, at(1, 1))
			s.ends(of(own, dead(2, 1, 10)))
		}},
		"a commit is judged when its answer is there": {story: func(s story) {
			s.wrote(shared, 1, set, now+10)
			s.sent(shared, 2, set)
			s.committed(shared, 1, at(1, 1))
			s.committed(shared, 2, at(1, 2))
			s.acknowledged(shared, 2, now+20)
			s.ends(of(shared, row(2)))
		}},
		"and found wrong then": {want: stale, story: func(s story) {
			s.wrote(shared, 1, set, now+10)
			s.sent(shared, 2, set)
			s.committed(shared, 1, at(1, 1))
			s.committed(shared, 2, at(1, 2))
			s.acknowledged(shared, 2, now+5)
			s.committed(shared, 1, at(2, 3))
			s.ends(of(shared, row(1)))
		}},
		"a write without an answer does not come back": {want: stale, story: func(s story) {
			s.vanished(shared, 1, set)
			s.wrote(shared, 2, set, now+10)
			s.committed(shared, 1, at(1, 1))
			s.committed(shared, 2, at(1, 2))
			s.committed(shared, 1, at(1, 3))
			s.committed(shared, 2, at(2, 4))
			s.ends(of(shared, row(2)))
		}},
		"Redis goes back, and what it has is written again": {story: func(s story) {
			s.whole = true
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(1, 1))
			s.wrote(own, 2, set, 20)
			s.wrote(own, 3, remove, 30)
			s.wasRemoved(own, 1, at(1, 2))
			s.wentBack(3, nil)
			s.committed(own, 1, at(2, 3))
			s.ends(of(own, row(1)))
		}},
		"then a new write is lost": {want: lost, story: func(s story) {
			s.whole = true
			s.wrote(own, 1, set, 10)
			s.wentBack(1, nil)
			s.wrote(own, 2, set, 20)
			s.committed(own, 1, at(1, 1))
			s.ends(of(own, row(1)))
		}},
		"or an older one comes over it": {want: stale, story: func(s story) {
			s.whole = true
			s.wrote(own, 1, set, 10)
			s.wentBack(1, nil)
			s.wrote(own, 2, set, 20)
			s.committed(own, 2, at(1, 1))
			s.committed(own, 1, at(1, 2))
			s.ends(of(own, row(1)))
		}},
		"or one comes that was refused": {want: phantom, story: func(s story) {
			s.whole = true
			s.sent(own, 1, set)
			s.refused(own, 1)
			s.wentBack(1, nil)
			s.committed(own, 1, at(1, 1))
			s.ends(of(own, row(1)))
		}},
		"PostgreSQL goes back, and a flush of before is lost": {story: func(s story) {
			s.whole = true
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(3, 1))
			s.wrote(own, 2, set, 20)
			s.committed(own, 2, at(3, 2))
			s.wentBack(2, map[int64]int64{own: 1})
			s.wrote(shared, 3, set, now)
			s.committed(shared, 3, at(1, 1))
			s.ends(map[int64]outcome{own: row(1), shared: row(3)})
		}},
		"then a new flush is lost": {want: lost, story: func(s story) {
			s.whole = true
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(3, 1))
			s.wentBack(1, map[int64]int64{own: 1})
			s.wrote(own, 2, set, 20)
			s.ends(of(own, row(1)))
		}},
		"a partial document changes a row": {story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(1, 1))
			s.wrote(own, 2, partial, 20)
			s.committed(own, 2, at(1, 2))
			s.ends(of(own, row(2)))
		}},
		"a partial document of no row is a dead letter": {story: func(s story) {
			s.wrote(own, 1, partial, 10)
			s.ends(of(own, dead(0, 1, 10)))
		}},
		"but not where there was a row": {want: lost, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(1, 1))
			s.wrote(own, 2, partial, 20)
			s.ends(of(own, dead(1, 2, 20)))
		}},
		"a good write is a dead letter": {want: lost, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.ends(of(own, dead(0, 1, 10)))
		}},
		"a write that a trigger was set for is a dead letter": {story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(1, 1))
			s.wrote(own, 2, set, 20)
			s.trap(own, microseconds())
			s.ends(of(own, dead(1, 2, 20)))
		}},
		"it is nowhere": {want: lost, story: func(s story) {
			s.wrote(own, 1, set, 10)
			s.committed(own, 1, at(1, 1))
			s.wrote(own, 2, set, 20)
			s.trap(own, microseconds())
			s.ends(of(own, row(1)))
		}},
		"one of after the trigger is a dead letter": {want: lost, story: func(s story) {
			s.trap(own, microseconds()-1)
			s.wrote(own, 1, set, 10)
			s.ends(of(own, dead(0, 1, 10)))
		}},
		"a key that nobody wrote": {want: phantom, story: func(s story) {
			s.committed(99, 1, at(1, 1))
			s.ends(nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &findings{}
			c.story(story{newHistory(1, 1, 10, f)})
			switch {
			case c.want == "" && f.total() > 0:
				t.Errorf("it finds %s", strings.Join(f.texts, "; "))
			case c.want != "" && f.count(c.want) == 0:
				t.Errorf("it finds %v, want %s", slices.Collect(maps.Keys(f.counts)), c.want)
			}
		})
	}
}

func TestAHistoryStaysSmall(t *testing.T) {
	s := story{newHistory(1, 1, 10, &findings{})}
	for n := int64(1); n <= 1000; n++ {
		s.wrote(own, n, set, n)
		s.wrote(shared, n, set, n)
		if n%10 == 0 {
			s.batchOf(false, at(1, n), []int64{own, shared}, []int64{n, n})
		}
	}
	for _, r := range []*record{&s.records[own], &s.records[shared]} {
		if len(r.writes) != 1 {
			t.Errorf("key %d remembers %d writes", r.id, len(r.writes))
		}
	}
	if s.findings.total() > 0 {
		t.Error(s.findings.texts)
	}
}

func TestASeedGivesOneSequence(t *testing.T) {
	round := 0
	for _, k := range kinds {
		round += max(1, k.often)
	}
	draw := func(seed uint64) (all []string) {
		s := newSchedule(seed, kinds)
		for range 3 * round {
			f := s.next()
			if f.duration < f.kind.shortest || f.duration > f.kind.longest || f.pause < 0 {
				t.Errorf("%v is out of bounds", f)
			}
			all = append(all, f.String())
		}
		return all
	}
	if !slices.Equal(draw(1), draw(1)) {
		t.Error("one seed gives two sequences")
	}
	if slices.Equal(draw(1), draw(2)) {
		t.Error("two seeds give one sequence")
	}
	names := make(map[string]int)
	for _, text := range draw(3) {
		name, _, _ := strings.Cut(text, " ")
		names[name]++
	}
	for _, k := range kinds {
		if want := 3 * max(1, k.often); names[k.name] != want {
			t.Errorf("%s comes %d times in three rounds, want %d", k.name, names[k.name], want)
		}
		if k.attacks == "" || len(k.needs) == 0 {
			t.Errorf("%s does not say what it attacks, or needs", k.name)
		}
	}
}

func TestALogIsReadForWhatMustNotBeThere(t *testing.T) {
	l := &log{}
	for _, part := range []string{`{"msg":"Serving metrics, health and status","addr`, "ess\":\"127.0.0.1:1\"}\nWARNING: DATA", " RACE\nRead at 0x1\n"} {
		if _, err := l.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if l.address() != "127.0.0.1:1" {
		t.Errorf("it listens at %q", l.address())
	}
	if !strings.Contains(l.bad(), "Read at") {
		t.Errorf("the race is %q", l.bad())
	}
}
