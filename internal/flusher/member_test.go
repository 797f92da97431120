// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// under is a lease of the epoch.
func under(epoch int64) *entry.Term {
	return &entry.Term{Shard: entry.Shard{Incarnation: "life"}, Epoch: epoch, Step: 7}
}

// anewIs is what becomes of a partition whose epoch is gone.
func (m *member) anewIs(number int, lease *entry.Term, split string) string {
	switch begins, stops := m.beginAgain(number, lease, split); {
	case begins:
		return "begins"
	case stops:
		return "stops"
	}
	return "neither"
}

func TestHoldingsFollowTheLeases(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		held  holdings
		beat  entry.Membership
		holds []int
		// anew are those that begin, lost those whose worker is yet to end.
		anew, lost []int
		surplus    int
	}{
		"new ones are entered": {
			held: holdings{}, beat: entry.Membership{Share: 2, Held: map[int]int64{1: 0, 2: 0}},
			holds: []int{1, 2}, anew: []int{1, 2},
		},
		"those that are held stay": {
			held: holdings{1: {number: 1, epoch: 5, lease: under(5)}}, beat: entry.Membership{Share: 1, Held: map[int]int64{1: 5}},
			holds: []int{1},
		},
		"one whose lease is gone is forgotten": {
			held: holdings{1: {number: 1, epoch: 5, lease: under(5)}}, beat: entry.Membership{Share: 1, Held: map[int]int64{}},
		},
		"after its worker, if there is one": {
			held: holdings{1: {number: 1, epoch: 5, busy: true}}, beat: entry.Membership{Share: 1, Held: map[int]int64{}},
			holds: []int{1}, lost: []int{1},
		},
		"one whose epoch is another begins anew": {
			held: holdings{1: {number: 1, epoch: 5, lease: under(5)}}, beat: entry.Membership{Share: 1, Held: map[int]int64{1: 6}},
			holds: []int{1}, anew: []int{1},
		},
		"one that is about to begin stays": {
			held: holdings{1: {number: 1, epoch: 5, busy: true}}, beat: entry.Membership{Share: 1, Held: map[int]int64{1: 6}},
			holds: []int{1},
		},
		"what is above the share is given back": {
			held:  holdings{1: {number: 1, epoch: 5, lease: under(5)}, 2: {number: 2, epoch: 5, busy: true}},
			beat:  entry.Membership{Share: 1, Held: map[int]int64{1: 5, 2: 5}},
			holds: []int{2}, surplus: 1,
		},
		"but for what a worker is at": {
			held:  holdings{1: {number: 1, epoch: 5, busy: true}, 2: {number: 2, epoch: 5, busy: true}},
			beat:  entry.Membership{Share: 1, Held: map[int]int64{1: 5, 2: 5}},
			holds: []int{1, 2},
		},
	} {
		before := maps.Clone(c.held)
		surplus := c.held.follow(c.beat, now)
		holds := slices.Sorted(maps.Keys(c.held))
		var anew, lost []int
		for _, number := range holds {
			switch p := c.held[number]; {
			case p.leaseLost:
				lost = append(lost, number)
			case !p.busy && p.epoch == 0:
				anew = append(anew, number)
				// Redis that is an older copy is found out by the lease before.
				if was := before[number]; was != nil && p.lease != was.lease {
					t.Errorf("%s: the lease before is forgotten", name)
				}
			}
		}
		if diff := cmp.Diff([][]int{c.holds, c.anew, c.lost}, [][]int{holds, anew, lost}); diff != "" || len(surplus) != c.surplus {
			t.Errorf("%s: %v is given back, and what is held, begins and is lost differs (-want +got):\n%s", name, surplus, diff)
		}
	}
}

// TestAPartitionIsTakenAsItWasSeen, or not at all.
func TestAPartitionIsTakenAsItWasSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(*member)
		want      bool
	}{
		"nothing happens":       {func(*member) {}, true},
		"it is lost":            {func(m *member) { m.lose(m.partitions[1]) }, false},
		"all are left":          {func(m *member) { m.leave() }, false},
		"it is to begin anew":   {func(m *member) { m.beginAgain(1, under(5), "") }, false},
		"another life begins":   {func(m *member) { m.enter("another") }, false},
		"the same life goes on": {func(m *member) { m.enter("life") }, true},
		"a doubt comes up":      {func(m *member) { m.life.trust.doubted = time.Now() }, false},
		"the side stops":        {func(m *member) { m.life.trust.split = "there is another side" }, false},
		"another worker is at it": {func(m *member) {
			seen, _ := m.idle(1)
			m.take(seen)
		}, false},
	} {
		m := &member{life: life{incarnation: "life"}, partitions: holdings{1: {number: 1, epoch: 5, lease: under(5)}}}
		seen, ok := m.idle(1)
		c.meanwhile(m)
		if p := m.take(seen); !ok || (p != nil) != c.want {
			t.Errorf("%s: it is taken: %v, want %v", name, p != nil, c.want)
		}
	}
}

// TestWhatIsLostIsForgottenOnceItsWorkerEnds, and nobody else's business until then.
func TestWhatIsLostIsForgottenOnceItsWorkerEnds(t *testing.T) {
	t.Parallel()
	m := &member{life: life{incarnation: "life"}, partitions: holdings{1: {number: 1, epoch: 5, lease: under(5)}, 2: {number: 2, epoch: 5, lease: under(5)}}}
	seen, _ := m.idle(1)
	p := m.take(seen)
	if _, leases := m.begun(); len(leases) != 1 || m.anewIs(1, under(5), "no") != "neither" {
		t.Errorf("a partition with a worker is looked at: %v", leases)
	}
	m.leave()
	if numbers, _, _ := m.held(); !slices.Equal(numbers, []int{1}) || len(m.leased()) != 0 || m.finished(false) {
		t.Errorf("%v are there, %v are held, and all is finished: %v", numbers, m.leased(), m.finished(false))
	}
	m.putBack(p)
	if numbers, _, _ := m.held(); len(numbers) != 0 || !m.finished(true) {
		t.Errorf("%v are there", numbers)
	}
}

// TestAPartitionAtAnotherStepBeginsAnew, unless a worker has moved it.
func TestAPartitionAtAnotherStepBeginsAnew(t *testing.T) {
	t.Parallel()
	m := &member{life: life{incarnation: "life", lastBeat: time.Now(), seen: entry.Seen{Incarnation: "life", Since: 3, Writes: 10}}, partitions: holdings{
		1: {number: 1, epoch: 5, lease: under(5)}, 2: {number: 2, epoch: 5, lease: under(5)}, 3: {number: 3, epoch: 5, lease: under(5), busy: true}, 4: {number: 4},
	}}
	numbers, steps, begun := m.held()
	of := []entry.Load{{Step: 7}, {Step: 6}, {Step: 9}, {Step: 0}}
	if older := m.polled(entry.Loads{Since: 3, Writes: 12, Of: of}, numbers, steps); begun || !slices.Equal(older, []int{2}) || m.partitions[2].epoch != 0 {
		t.Errorf("%v begin anew", older)
	}
	if m.now().seen.Writes != 12 || m.now().lastBeat.IsZero() {
		t.Errorf("it has seen %+v, and beats at once: %v", m.now().seen, m.now().lastBeat.IsZero())
	}
	// Another life of Redis waits for the beat; what is given back does not.
	m.polled(entry.Loads{Since: 4, Writes: 99, Left: 1, Of: of}, numbers, nil)
	if m.now().seen.Writes != 12 || !m.now().lastBeat.IsZero() {
		t.Errorf("it has seen %+v, and beats at once: %v", m.now().seen, m.now().lastBeat.IsZero())
	}
}

// TestOnlyTheSideThatIsBehindStops, and only once.
func TestOnlyTheSideThatIsBehindStops(t *testing.T) {
	t.Parallel()
	now := time.Now()
	m := &member{life: life{incarnation: "life"}, partitions: holdings{
		1: {number: 1, epoch: 5, lease: under(5)},
		2: {number: 2, epoch: 5, lease: under(5), redisBehind: true},
		3: {number: 3, epoch: 5, lease: under(5), redisBehind: true},
	}}
	m.after(func(l *life) { l.trust.begins(now) })
	m.updateTrust(now, time.Second)
	if !m.now().trust.complete() {
		t.Error("it is not trusted although all have begun")
	}
	for _, c := range []struct {
		what   string
		number int
		epoch  int64
		split  string
		want   string
	}{
		{"a partition that is not behind", 1, 5, "two sides", "begins"},
		{"one of another epoch", 2, 4, "two sides", "neither"},
		{"one that is behind, and that nobody took", 3, 5, "", "begins"},
	} {
		if got := m.anewIs(c.number, under(c.epoch), c.split); got != c.want {
			t.Errorf("%s: it %s, want %s", c.what, got, c.want)
		}
	}
	m.after(func(l *life) { l.trust.doubted = now.Add(time.Second) })
	if m.now().trust.complete() || m.doubtsNoMore(now.Add(time.Second)) {
		t.Error("a doubt is over too early")
	}
	for _, want := range []string{"stops", "neither"} {
		if got := m.anewIs(2, under(5), "two sides"); got != want || m.now().trust.split != "two sides" {
			t.Errorf("it %s, want %s, and is %+v", got, want, m.now().trust)
		}
	}
	if _, leases := m.begun(); m.doubtsNoMore(now.Add(time.Hour)) || len(leases) != 0 {
		t.Errorf("a side that has stopped goes on: %v", leases)
	}
	m.enter("another")
	if m.now().trust != (trust{}) {
		t.Errorf("in another life it is %+v", m.now().trust)
	}
}
