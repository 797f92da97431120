// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"errors"
	"fmt"

	"github.com/writebehind/operator/test/model/explorer"
)

const readers = 2

// state is everything: Redis, PostgreSQL, the network and the flushers. It is comparable, and
// without gaps between its fields, so that it is hashed as one piece.
type state struct {
	// made are the commands by their numbers, of which there are count.
	made  [numbers + 1]command
	count int8

	servers [servers]server
	current int8
	ids     int8

	store   store
	network [inFlight]batch
	readers [readers]reader

	// What has happened of what is bounded.
	writes, transactions, flushes, pings, witnesses, overruns, failOvers, restarts, refusals, leases, crashes, cuts, doubts, spills int8

	// What follows is known to nobody. lost are the commands that Redis has lost, untold
	// those of them that no event was about, committed those of which a row was written,
	// seen those that a server had when keys of it were read for a row, and attested those
	// that were committed when the witness was written that the database knows.
	lost, untold, committed, seen, attested many
	// toldAt is the newest command at the last data-loss event, counted the newest write of
	// each key that was counted as lost.
	toldAt  int8
	counted [keys]int8
}

// initial is a server without keys. If the flusher has begun it has the lease, the stream and
// a term.
func initial(r *Rules, b *Bounds) state {
	s := state{servers: [servers]server{{id: 1}}, ids: 1}
	if me := &s.readers[0]; b.Begun {
		_ = s.takeOver(me)
		_ = s.attach(r, 0, me)
		s.scan(me)
		_ = s.begin(r, 0, me)
		_ = s.move(r, 0, me)
	}
	return s
}

// moves adds every step that somebody could take next.
func (s *state) moves(r *Rules, b *Bounds, move explorer.Add[state]) {
	s.serverMoves(b, func(words string, change func(*state), numbers ...int8) {
		next := *s
		change(&next)
		move(label(words, numbers), next.tidy(), nil)
	})
	for i := range s.network {
		if s.network[i].used {
			s.networkMoves(r, b, int8(i), move)
		}
	}
	if s.store.told.used {
		s.toldMoves(r, move)
	}
	for f := range b.Readers {
		s.readerMoves(r, b, f, func(words string, change func(*state, *reader) error, numbers ...int8) {
			next := *s
			broken := change(&next, &next.readers[f])
			move(label("flusher %d: "+words, append([]int8{int8(f)}, numbers...)), next.tidy(), broken)
		})
	}
}

func label(words string, numbers []int8) explorer.Label {
	l := explorer.Label{Words: words}
	copy(l.Numbers[:], numbers)
	return l
}

// tidy forgets a server that nobody gets to any more, and numbers the flushers.
func (s state) tidy() state {
	if s.readers[1].leads || !s.readers[0].reads && s.readers[1].reads {
		s.exchange()
	}
	other := 1 - s.current
	for i := range s.readers {
		if s.readers[i].stream == other+1 {
			return s
		}
	}
	s.servers[other] = server{}
	return s
}

// exchange numbers the flushers the other way round: whoever leads is the first one, since
// it does not matter which of them it is.
func (s *state) exchange() {
	s.readers[0], s.readers[1] = s.readers[1], s.readers[0]
	for i := range s.network {
		if o := &s.network[i].owner; *o != 0 {
			*o = 3 - *o
		}
	}
}

// check looks whether the table is what Redis is, once everything was carried.
func (s *state) check() error {
	if !s.isDrained() {
		return nil
	}
	if missing := s.untold & s.committed; missing != 0 {
		return fmt.Errorf("what was flushed is lost in Redis (commands %08b), and no event tells", missing)
	}
	v := s.primary()
	for key := range int8(keys) {
		last, wrote := s.at(v, key, v.length)
		row := s.store.table[key]
		there := s.isThere(row)
		switch {
		case s.isThere(last) && row == last && s.store.letters[key] > 0:
			return fmt.Errorf("key %d is of command %d as its row is, and there is a dead letter", key, last)
		case s.isThere(last):
			if row != last {
				return fmt.Errorf("key %d is of command %d, and its row of %d: a write is lost", key, last, row)
			}
		case last == 0 && row == 0, last <= s.toldAt && row <= s.toldAt:
			// An event tells that it may be missing.
		case s.made[last].kind == deletes && there:
			return fmt.Errorf("key %d was deleted by command %d, and its row of command %d is there", key, last, row)
		case s.made[last].kind.expires() && row != wrote && s.counted[key] < wrote && wrote > s.toldAt:
			if !there {
				return fmt.Errorf("key %d expired, and its row is gone", key)
			}
			return fmt.Errorf("key %d expired with command %d, which is neither its row nor counted as lost", key, wrote)
		}
	}
	return nil
}

// isDrained tells whether all is carried, as far as the reader knows.
func (s *state) isDrained() bool {
	for i := range s.network {
		if s.network[i].used {
			return false
		}
	}
	if s.store.told.used {
		return false
	}
	v := s.primary()
	for i := range s.readers {
		me := &s.readers[i]
		if me.leads && me.history != 0 && me.stream == s.current+1 && me.next == v.length && me.id == v.id &&
			me.at == idle && me.term != noTerm && me.scanned && me.isClean() {
			return true
		}
	}
	return false
}

var errNotCommitted = errors.New("is acknowledged, and not committed")

// acknowledged looks whether all that the primary has up to the offset is a row, or is told of.
func (s *state) acknowledged(offset int8) error {
	v := s.primary()
	for key := range int8(keys) {
		last, wrote := s.at(v, key, offset)
		need := last
		if s.made[last].kind.expires() {
			need = wrote
		}
		got := s.counted[key]
		for number := int8(1); number <= s.count; number++ {
			if s.made[number].concerns(key) && s.committed.has(number) && !s.lost.has(number) {
				got = max(got, number)
			}
		}
		if now, _ := s.at(v, key, v.length); s.made[now].kind.expires() && need <= s.toldAt {
			continue // It was gone before it was read, as an event tells.
		}
		if got < need && (s.isThere(last) || need > s.toldAt) {
			return fmt.Errorf("command %d of key %d %w", need, key, errNotCommitted)
		}
	}
	return nil
}

// testimonies are the witnesses that were written.
func (s *state) testimonies() (all many) {
	for number := int8(1); number <= s.count; number++ {
		if s.made[number].kind == testify {
			all |= 1 << number
		}
	}
	return all
}

// tell is a data-loss event. flushed means that it speaks of what was flushed.
func (s *state) tell(flushed bool) error {
	if lost := s.untold & s.attested; lost != 0 && !flushed {
		return fmt.Errorf("what was flushed before the witness is lost in Redis (commands %08b), and the event does not say so", lost)
	}
	if flushed && s.untold&(s.seen|s.testimonies()) == 0 {
		return errors.New("an event tells that Redis has lost what was flushed, which it has not")
	}
	s.toldAt, s.untold = s.count, 0
	return nil
}
