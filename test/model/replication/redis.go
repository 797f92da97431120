// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replication

const (
	keys    = 2
	servers = 2
	// numbers is how many commands there may be, PINGs and witnesses among them: they are
	// numbered from 1 on, and sets of them have a bit for each.
	numbers = 7
)

// kind is what a command does.
type kind int8

const (
	_ kind = iota
	// set tells in the stream what it writes, increment has to be read.
	set
	increment
	// deletes is DEL, unlink what becomes of a key that expires.
	deletes
	unlink
	// flushAll is about every key.
	flushAll
	// testify writes the witness. It and ping are about no key that is carried.
	testify
	ping
)

var kindNames = map[kind]string{set: "SET", increment: "INCR", deletes: "DEL", unlink: "UNLINK", flushAll: "FLUSHALL", testify: "witness", ping: "PING"}

func (c kind) writes() bool { return c == set || c == increment }

// expires tells whether a key is gone by it without having been deleted.
func (c kind) expires() bool { return c == unlink || c == flushAll }

// command is one that a primary took. number is the key or, of a witness, its count.
type command struct {
	kind   kind
	number int8
	// open says that it is not the last one of its transaction.
	open bool
}

// concerns tells whether the command is about the key.
func (c command) concerns(key int8) bool {
	return c.kind == flushAll || c.kind < flushAll && c.number == key
}

// many is a set of commands by their numbers.
type many uint8

func (m many) has(number int8) bool { return m&(1<<number) != 0 }

// server is one that is or was the primary. An offset is how many commands its stream has by
// then; the stream is the log.
type server struct {
	id int8
	// before is the history that went on in this one, up to the offset branch.
	before, branch int8
	// first is where the backlog begins.
	first, length int8
	log           [numbers]int8
	// base, was and witness are what the server began with: of each key the last command and
	// the last that wrote it.
	base, was [keys]int8
	witness   int8
}

// at is what a key is at an offset: the last command on it, and the last that wrote it.
func (s *state) at(v *server, key, offset int8) (last, written int8) {
	last, written = v.base[key], v.was[key]
	for _, number := range v.log[:offset] {
		c := s.made[number]
		if !c.concerns(key) || c.kind == flushAll && !s.isThere(last) {
			continue
		}
		if last = number; c.kind.writes() {
			written = number
		}
	}
	return last, written
}

// isThere tells whether a key is there whose last command has the number.
func (s *state) isThere(last int8) bool { return s.made[last].kind.writes() }

// witnessAt is the count of the witness at an offset.
func (s *state) witnessAt(v *server, offset int8) int8 {
	count := v.witness
	for _, number := range v.log[:offset] {
		if s.made[number].kind == testify {
			count = s.made[number].number
		}
	}
	return count
}

// upTo are all commands that a server has at an offset.
func (v *server) upTo(offset int8) (all many) {
	for _, number := range v.log[:offset] {
		all |= 1 << number
	}
	return all
}

// primary is the server that clients get.
func (s *state) primary() *server { return &s.servers[s.current] }

// run has the primary run a command.
func (s *state) run(c command) {
	v := s.primary()
	s.count++
	s.made[s.count] = c
	v.log[v.length] = s.count
	v.length++
}

// serverMoves are what applications and operators do, and what goes wrong with servers.
func (s *state) serverMoves(b *Bounds, add func(words string, change func(*state), numbers ...int8)) {
	v := s.primary()
	for key := range int8(b.Keys) {
		last, _ := s.at(v, key, v.length)
		for _, k := range b.Kinds {
			if s.writes < b.Writes && (k.writes() || s.isThere(last)) {
				add(kindNames[k]+" of key %d, command %d", func(n *state) {
					n.run(command{kind: k, number: key})
					n.writes++
				}, key, s.count+1)
			}
		}
	}
	s.transactionMoves(b, add)
	if s.flushes < b.Flushes && s.writes > 0 {
		add("FLUSHALL, command %d", func(n *state) {
			n.run(command{kind: flushAll})
			n.flushes++
		}, s.count+1)
	}
	if s.pings < b.Pings {
		add("PING, command %d", func(n *state) {
			n.run(command{kind: ping})
			n.pings++
		}, s.count+1)
	}
	if s.overruns < b.Overruns && v.first < v.length {
		add("the backlog is passed", func(n *state) {
			n.primary().first = v.length
			n.overruns++
		})
	}
	for missing := int8(0); missing <= b.Missing && missing <= v.length; missing++ {
		if end := v.length - missing; end > 0 && s.made[v.log[end-1]].open {
			continue // A server has the whole of a transaction, or nothing of it.
		}
		if s.failOvers < b.FailOvers && v.length-missing >= v.first {
			add("a replica takes over that lacks %d commands", func(n *state) {
				n.failOver(missing)
				n.failOvers++
			}, missing)
		}
		if s.restarts < b.Restarts {
			add("Redis restarts, and has lost %d commands", func(n *state) {
				n.restart(missing)
				n.restarts++
			}, missing)
		}
	}
}

// transactionMoves are of three writes in one step, the last one of another key if there is one.
func (s *state) transactionMoves(b *Bounds, add func(words string, change func(*state), numbers ...int8)) {
	if s.transactions >= b.Transactions {
		return
	}
	last, _ := s.at(s.primary(), 0, s.primary().length)
	for _, first := range b.Kinds {
		for _, second := range b.Kinds {
			other := int8(b.Keys) - 1
			there := first.writes()
			if other != 0 {
				before, _ := s.at(s.primary(), other, s.primary().length)
				there = s.isThere(before)
			}
			if !first.writes() && !s.isThere(last) || !second.writes() && !there {
				continue
			}
			add("MULTI, "+kindNames[first]+" of key 0 twice, command %d and the next, "+kindNames[second]+" of key %d, EXEC", func(n *state) {
				n.run(command{kind: first, open: true})
				n.run(command{kind: first, open: true})
				n.run(command{kind: second, number: other})
				n.transactions++
			}, s.count+1, other)
		}
	}
}

// failOver makes a replica the primary. Who is attached to the old one may read on there.
func (s *state) failOver(missing int8) {
	v := *s.primary()
	v.id, v.before, v.branch = s.newID(), v.id, v.length-missing
	s.replace(v, v.branch)
}

// restart is that of a server which has its keys as of some time, and no history. Its offsets
// begin anew.
func (s *state) restart(missing int8) {
	old := s.primary()
	end := old.length - missing
	v := server{id: s.newID(), witness: s.witnessAt(old, end)}
	for key := range int8(keys) {
		v.base[key], v.was[key] = s.at(old, key, end)
	}
	s.lost |= old.upTo(old.length) &^ old.upTo(end)
	s.untold |= old.upTo(old.length) &^ old.upTo(end)
	s.replace(v, 0)
}

// replace makes a server the primary whose log ends at the offset.
func (s *state) replace(v server, length int8) {
	gone := v.upTo(v.length) &^ v.upTo(length)
	s.lost, s.untold = s.lost|gone, s.untold|gone
	v.length = length
	clear(v.log[length:])
	s.current = 1 - s.current
	s.servers[s.current] = v
	for i := range s.readers {
		if s.readers[i].stream == s.current+1 {
			s.readers[i].stream = detached
		}
	}
}

func (s *state) newID() int8 {
	s.ids++
	return s.ids
}
