// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replication

import "github.com/writebehind/operator/test/model/explorer"

// step adds what one flusher may do next.
type step func(words string, change func(*state, *reader) error, numbers ...int8)

// readerMoves are the steps of one flusher, that of a crash among them.
func (s *state) readerMoves(r *Rules, b *Bounds, f int, step step) {
	me := &s.readers[f]
	if !me.reads {
		if led := s.isLed(); !led || s.leases < b.Leases {
			step("takes the lease", func(n *state, me *reader) error {
				if led {
					n.leases++
				}
				return n.takeOver(me)
			})
		}
		return
	}
	if s.crashes < b.Crashes {
		step("crashes", func(n *state, _ *reader) error {
			n.crash(f)
			n.crashes++
			return nil
		})
	}
	s.streamMoves(r, b, f, step)
	if me.history == 0 {
		return
	}
	if me.term == noTerm {
		step("begins a term", func(n *state, me *reader) error { return n.begin(r, f, me) })
	}
	if to := me.position(r); to != me.stored {
		step("moves the position to %d", func(n *state, me *reader) error { return n.move(r, f, me) }, to.offset)
	}
	s.spillMoves(r, b, f, step)
	s.claimMoves(r, b, f, step)
}

// streamMoves are about the stream and what is done beside it.
func (s *state) streamMoves(r *Rules, b *Bounds, f int, step step) {
	me := &s.readers[f]
	if me.stream == detached {
		step("attaches", func(n *state, me *reader) error { return n.attach(r, f, me) })
		return
	}
	if current := me.stream == s.current+1; !current || s.cuts < b.Cuts {
		step("loses the stream", func(n *state, me *reader) error {
			me.stream = detached
			if current {
				n.cuts++
			}
			return nil
		})
	}
	if v := &s.servers[me.stream-1]; me.next < v.length {
		number := v.log[me.next]
		step("reads command %d of the stream", func(n *state, me *reader) error { return n.readOn(r, me, number) }, number)
	}
	if !me.scanned && s.primary().id == me.id {
		step("scans", func(n *state, me *reader) error {
			n.scan(me)
			return nil
		})
	}
	if me.flushed && s.witnesses < b.Witnesses {
		step("writes the witness, command %d", func(n *state, me *reader) error {
			n.testify(r, me)
			return nil
		}, s.count+1)
	}
}

// claimMoves lead from a claim to what is settled of it.
func (s *state) claimMoves(r *Rules, b *Bounds, f int, step step) {
	me := &s.readers[f]
	switch me.at {
	case idle:
		if me.term == noTerm || !me.isRecorded(r) || !me.isDirty() {
			return
		}
		v := s.primary()
		step("claims, and reads the keys as of %d", func(n *state, me *reader) error {
			n.claim(r, me, n.primary().length)
			return nil
		}, v.length)
		for offset := int8(0); b.Replicas && !r.PrimaryIsRead && offset < v.length; offset++ {
			step("claims, and reads the keys from a replica as of %d", func(n *state, me *reader) error {
				n.claim(r, me, offset)
				return nil
			}, offset)
		}
	case claimed:
		told := me.offset >= me.asOf
		words := "sends what was read"
		if !told {
			words = "sends what was read, and is not told yet of all"
		}
		step(words, func(n *state, me *reader) error {
			return n.evaluate(r, f, me, told)
		})
	case waiting:
		awaited := s.isAwaited(f)
		if awaited && s.doubts >= b.Doubts {
			return
		}
		step("gives up waiting for the answer", func(n *state, me *reader) error {
			if awaited {
				n.doubts++
			}
			n.abandon(f)
			me.void(r)
			me.term = noTerm
			return nil
		})
	case settling:
		s.settleMoves(r, b, f, step)
	}
}

// settleMoves tell the database what is no row, one thing after another.
func (s *state) settleMoves(r *Rules, b *Bounds, f int, step step) {
	if r.SettlesInOrder && (s.readers[f].spilling != notSpilling || s.store.told.used) {
		return
	}
	step("tells what is no row", func(n *state, me *reader) error { return n.settle(r, f, me) })
	if s.doubts < b.Doubts && !s.store.told.used {
		step("tells what is no row, and gives up waiting for the answer", func(n *state, me *reader) error {
			n.doubts++
			n.store.told = me.told(me.leads)
			me.void(r)
			me.term = noTerm
			return nil
		})
	}
}

// isLed tells whether a reader has the lease.
func (s *state) isLed() bool {
	for i := range s.readers {
		if s.readers[i].leads {
			return true
		}
	}
	return false
}

// isAwaited tells whether the batch that the reader waits for is on its way.
func (s *state) isAwaited(f int) bool {
	for i := range s.network {
		if s.network[i].used && s.network[i].owner == int8(f)+1 {
			return true
		}
	}
	return false
}

// networkMoves are what may become of a batch that is on its way.
func (s *state) networkMoves(r *Rules, b *Bounds, i int8, move explorer.Add[state]) {
	deliver := func(words string, refused int8, numbers ...int8) {
		next := *s
		if refused != nobody {
			next.refusals++
		}
		broken := next.deliver(r, b, i, refused)
		move(label(words, numbers), next.tidy(), broken)
	}
	deliver("batch %d arrives", nobody, i)
	for key, w := range s.network[i].rows {
		if w.operation != none && w.operation != lose && s.refusals < b.Refusals {
			deliver("batch %d arrives, and key %d is refused", int8(key), i, int8(key))
		}
	}
	if s.network[i].owner != 0 {
		// Whether it is lost before somebody gives up waiting or afterwards is the same.
		return
	}
	next := *s
	next.network[i] = batch{}
	move(label("batch %d is lost", []int8{i}), next.tidy(), nil)
}

// toldMoves are what may become of what was told of rows that are none.
func (s *state) toldMoves(r *Rules, move explorer.Add[state]) {
	next := *s
	if t := &next.store.told; t.valid || !r.SettleIsFenced {
		next.take(t)
	}
	next.store.told = told{}
	move(label("what was told of rows that are none arrives", nil), next.tidy(), nil)
	next = *s
	next.store.told = told{}
	move(label("what was told of rows that are none is lost", nil), next.tidy(), nil)
}
