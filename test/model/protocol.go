// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package model explores the flush protocol exhaustively: every interleaving of two
// flushers, a writer, crashes, and late or lost messages, within bounds.
package model

import (
	"fmt"

	"github.com/writebehind/operator/test/model/explorer"
)

const (
	keys     = 2
	flushers = 2
	// inFlight is how many transactions may be on their way to the database.
	inFlight = 2
)

// rules are what the protocol stands on; the tests take them away one by one.
type rules struct {
	commitComparesEpoch  bool
	commitComparesFlush  bool
	ackComparesVersions  bool
	newEpochAfterTimeout bool
	// numberIsNoProof keeps a flusher that finds its flush number taken from
	// believing that it was its own batch.
	numberIsNoProof bool

	maxWrites, maxEpochs, maxClaims int8
}

// where a flusher stands between two steps.
type place int8

const (
	idle place = iota
	// leased holds the lease as far as it knows; acquired has its epoch from the
	// ledger; begun has entered it in the journal.
	leased
	acquired
	begun
	claimed
	// waiting has sent its transaction; committed knows that it took effect.
	waiting
	committed
)

// flusher is one owner and what it believes. Its beliefs may be long out of date.
type flusher struct {
	at    place
	epoch int8
	// flush is the number of the last flush that it knows of.
	flush int8
	// claim is the number of its claim, rows the versions that it claimed (0: key
	// is not in the claim).
	claim int8
	rows  [keys]int8
	// resend means that an acknowledgement was sent whose answer may be lost.
	resend      bool
	resendClaim int8
	resendRows  [keys]int8
	resendEpoch int8
}

// transaction is a batch on its way to the database. owner is -1 when nobody waits
// for its answer any more.
type transaction struct {
	used         bool
	owner        int8
	epoch, flush int8
	rows         [keys]int8
}

// state is everything: Redis, PostgreSQL, the network and the flushers. It is
// comparable, so that visited states can be kept in a map.
type state struct {
	// Redis: the newest version of each key, 0 before the first write, and whether
	// it is dirty; the lease; the claim that is out and the last one acknowledged.
	version    [keys]int8
	dirty      [keys]bool
	owner      int8
	leaseEpoch int8
	claim      int8
	claimOut   bool
	acked      int8

	// PostgreSQL: the ledger and the rows.
	epoch, flush int8
	row          [keys]int8

	network  [inFlight]transaction
	flushers [flushers]flusher
	writes   int8
}

func initial() state {
	return state{owner: -1}
}

// check says what a state breaks, if anything.
func (s *state) check() error {
	for k := range keys {
		if !s.dirty[k] && s.row[k] != s.version[k] {
			return fmt.Errorf("key %d is clean at version %d, but its row has %d: a write is lost", k, s.version[k], s.row[k])
		}
	}
	return nil
}

// moves are all steps that somebody could take next.
func (s *state) moves(r *rules, move explorer.Add[state]) {
	add := func(words string, number int8, next state) {
		move(explorer.Label{Words: words, Numbers: [3]int8{number}}, next, nil)
	}
	for k := range keys {
		if s.writes < r.maxWrites {
			next := *s
			next.writes++
			next.version[k]++
			next.dirty[k] = true
			add("write key %d", int8(k), next)
		}
	}
	for i := range s.network {
		if s.network[i].used {
			s.deliver(r, i, move)
			add("transaction %d is lost", int8(i), s.lose(i))
		}
	}
	for f := range s.flushers {
		s.flusherMoves(r, f, add)
	}
}

// flusherMoves are the steps of one flusher. From every place it may also crash, and
// forget everything.
func (s *state) flusherMoves(r *rules, f int, add func(string, int8, state)) {
	step := func(name string, change func(*state, *flusher)) {
		next := *s
		change(&next, &next.flushers[f])
		add(name, int8(f), next)
	}
	me := &s.flushers[f]
	if me.at != idle {
		step("flusher %d: crash", func(n *state, me *flusher) {
			n.forget(f)
			*me = flusher{}
		})
	}
	if me.resend {
		step("flusher %d: resent acknowledgement arrives", func(n *state, me *flusher) {
			n.acknowledge(r, f, me.resendEpoch, me.resendClaim, me.resendRows)
			me.resend, me.resendClaim, me.resendEpoch, me.resendRows = false, 0, 0, [keys]int8{}
		})
	}
	s.ownershipMoves(r, f, step)
	s.flushMoves(r, f, step)
}

// ownershipMoves lead from nothing to a claim.
func (s *state) ownershipMoves(r *rules, f int, step func(string, func(*state, *flusher))) {
	switch s.flushers[f].at {
	case idle:
		// Any lease may have run out: no clock is trusted.
		if s.epoch < r.maxEpochs {
			step("flusher %d: take the lease", func(n *state, me *flusher) {
				n.owner, n.leaseEpoch = int8(f), 0
				me.at = leased
			})
		}
	case leased:
		if s.epoch < r.maxEpochs {
			step("flusher %d: acquire in the ledger", func(n *state, me *flusher) {
				n.epoch++
				me.at, me.epoch, me.flush = acquired, n.epoch, n.flush
			})
		}
	case acquired:
		step("flusher %d: begin in the journal", func(n *state, me *flusher) {
			if n.owner != int8(f) {
				*me = flusher{}
				return
			}
			n.leaseEpoch, n.claimOut = me.epoch, false
			me.at = begun
		})
	case begun:
		if s.claim < r.maxClaims {
			step("flusher %d: claim", func(n *state, me *flusher) {
				if n.owner != int8(f) || n.leaseEpoch != me.epoch {
					*me = flusher{}
					return
				}
				me.rows = [keys]int8{}
				for k := range keys {
					if n.dirty[k] {
						me.rows[k] = n.version[k]
					}
				}
				if me.rows == ([keys]int8{}) {
					return
				}
				n.claim++
				n.claimOut = true
				me.claim, me.at = n.claim, claimed
			})
		}
	default:
	}
}

// flushMoves lead from a claim to its acknowledgement.
func (s *state) flushMoves(r *rules, f int, step func(string, func(*state, *flusher))) {
	switch s.flushers[f].at {
	case claimed:
		for i := range s.network {
			if !s.network[i].used {
				step("flusher %d: send the transaction", func(n *state, me *flusher) {
					n.network[i] = transaction{used: true, owner: int8(f), epoch: me.epoch, flush: me.flush + 1, rows: me.rows}
					me.at = waiting
				})
				break
			}
		}
	case waiting:
		step("flusher %d: give up waiting", func(n *state, me *flusher) {
			n.forget(f)
			if r.newEpochAfterTimeout {
				me.at = leased
				return
			}
			// Without the rule it claims again and takes the same number.
			me.at = begun
		})
	case committed:
		step("flusher %d: acknowledge", func(n *state, me *flusher) {
			n.acknowledge(r, f, me.epoch, me.claim, me.rows)
			me.at, me.rows = begun, [keys]int8{}
		})
		step("flusher %d: acknowledge, and once more later", func(n *state, me *flusher) {
			n.acknowledge(r, f, me.epoch, me.claim, me.rows)
			me.resend, me.resendClaim, me.resendEpoch, me.resendRows = true, me.claim, me.epoch, me.rows
			me.at, me.rows = begun, [keys]int8{}
		})
	default:
	}
}

// forget lets the flusher's transactions go on without anybody waiting.
func (s *state) forget(f int) {
	for i := range s.network {
		if s.network[i].used && s.network[i].owner == int8(f) {
			s.network[i].owner = -1
		}
	}
}

// deliver lets a transaction arrive. It takes effect only if it moves the ledger.
func (s *state) deliver(r *rules, i int, move explorer.Add[state]) {
	next := *s
	t := s.network[i]
	next.network[i] = transaction{}
	moves := (!r.commitComparesEpoch || s.epoch == t.epoch) && (!r.commitComparesFlush || s.flush == t.flush-1)
	var broken error
	if moves {
		next.flush = t.flush
		for k, version := range t.rows {
			if version == 0 {
				continue
			}
			if version < s.row[k] && broken == nil {
				broken = fmt.Errorf("row %d goes back from version %d to %d", k, s.row[k], version)
			}
			next.row[k] = version
		}
	}
	if t.owner >= 0 {
		me := &next.flushers[t.owner]
		if moves || (!r.numberIsNoProof && s.epoch == t.epoch && s.flush == t.flush) {
			me.at, me.flush = committed, t.flush
		} else {
			*me = flusher{}
		}
	}
	move(explorer.Label{Words: "transaction %d arrives", Numbers: [3]int8{int8(i)}}, next, broken)
}

// lose drops a transaction; whoever waits for it goes on waiting.
func (s *state) lose(i int) state {
	next := *s
	next.network[i] = transaction{}
	return next
}

// acknowledge applies what the journal lets through.
func (s *state) acknowledge(r *rules, f int, epoch, claim int8, rows [keys]int8) {
	if s.owner != int8(f) || s.leaseEpoch != epoch {
		return
	}
	if s.acked == claim || s.claim != claim || !s.claimOut {
		return
	}
	for k, version := range rows {
		if version == 0 {
			continue
		}
		if !r.ackComparesVersions || s.version[k] == version {
			s.dirty[k] = false
		}
	}
	s.acked, s.claimOut = claim, false
}
