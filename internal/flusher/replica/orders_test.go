// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/flusher/replica/replicatest"
)

const (
	setsText, deletesText, expiresText = 0, 2, 3
	setsField, expiresHash             = 4, 7
	setsScore, goesBoard, makesBoard   = 8, 11, 12
	deletesAndSetsScore                = 13
	// Of the first board, where it has gone, or after a DEL.
	becomesHash                  = 15
	boardGone, boardDeleted      = 11, 2
	boardExpires, boardIsDeleted = 0, 3
	goesStream, makesStream      = 18, 19
	addsEntry                    = 16
	streamExpires                = 2
)

// other is a text in the partition of the first one.
const other = 2

// meanwhile has a thing happen to the first text or hash while keys are read, and the stream
// tell of it before the answer arrives.
func (w *world) meanwhile(kind int) {
	w.redis.Meanwhile(func() {
		w.writes(kind, 0, false)
		synctest.Wait()
	})
}

// sweepBoth carries one claim of each partition.
func (c *carrier) sweepBoth(queue string, f fate) {
	for n := range partitions {
		c.sweep(queue, n, 10, f)
	}
}

// TestOrdersThatTheModelFound has what the model of the protocol, or a run of faults, came across
// happen to the source itself.
func TestOrdersThatTheModelFound(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(w *world){
		// Neither the database nor Redis has the value then: the position has to wait for it, or
		// the next flusher meets the expiry alone.
		"a write is refused while its key expires, and the flusher ends": func(w *world) {
			w.set(1)
			synctest.Wait()
			w.meanwhile(expiresText)
			w.carriers[0].sweepBoth(texts, partlyRefused)
			time.Sleep(1500 * time.Millisecond) // The position has moved.
			w.kill(0)
			w.start(replica.Bounds{})
		},
		// The value is newer than the mark that is out, whose later one is of writes before and
		// behind it.
		"a server takes over that lacks what was read between two writes": func(w *world) {
			w.set(1)
			synctest.Wait()
			w.redis.Beforehand(func() { w.writes(setsText, 0, false) })
			w.meanwhile(setsText)
			w.carriers[0].sweepBoth(texts, flows)
			time.Sleep(1500 * time.Millisecond) // The position has moved.
			w.kill(0)
			w.failOver(3) // The witness is the last of them.
			w.start(replica.Bounds{})
		},
		// The retry that the database has says that the key was written: gone, it would be
		// deleted.
		"a hash expires whose write is aside, and the flusher ends": func(w *world) {
			w.writes(setsField, 0, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(hashes, flows)
			w.writes(setsField, 0, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(hashes, partlyRefused)
			time.Sleep(2500 * time.Millisecond) // It can be tried again.
			w.redis.Beforehand(func() { w.writes(expiresHash, 0, false) })
			w.carriers[0].sweepBoth(hashes, neverSent)
			time.Sleep(1500 * time.Millisecond) // The position has moved.
			w.kill(0)
			w.start(replica.Bounds{})
			if err := w.drain(); err != nil {
				w.failed("%v", err)
			}
			if w.rows[hashKey(0)] == nil {
				w.failed("the hash has expired, and its row is deleted")
			}
		},
		// Whether the key had expired when it was found gone only the later mark could tell, and
		// its last word is another one.
		"a key expires and is written while it is read, and a server takes over": func(w *world) {
			w.set(1)
			synctest.Wait()
			w.carriers[0].sweepBoth(texts, flows)
			w.set(2)
			synctest.Wait()
			w.redis.Beforehand(func() { w.writes(expiresText, 0, false) })
			w.meanwhile(setsText)
			w.carriers[0].sweepBoth(texts, flows)
			time.Sleep(1500 * time.Millisecond) // The position has moved.
			w.kill(0)
			w.failOver(2) // The witness is the last of them.
			w.start(replica.Bounds{})
			if err := w.drain(); err != nil {
				w.failed("%v", err)
			}
			if w.rows[textKey(0)] == nil {
				w.failed("the key has expired, and its row is deleted")
			}
		},
		// The rows of one batch have no order: what was refused before comes last.
		"a key is deleted while its claim is made": func(w *world) {
			w.writes(setsText, 0, false)
			w.writes(setsText, other, false)
			w.overrun()
			w.redis.Cut()
			time.Sleep(5 * time.Second) // The scan has come across both.
			w.writes(expiresText, other, false)
			synctest.Wait()
			w.meanwhile(deletesText)
			w.carriers[0].sweep(texts, partitionOf(0), 2, flows)
		},
		// Its offsets come again on the server that takes over.
		"a server takes over in the midst of a transaction": func(w *world) {
			w.redis.Half(func(c *replicatest.Commands) {
				c.SetField(hashKey(0), "a", "1")
				c.SetField(hashKey(0), "a", "2")
			})
			synctest.Wait()
			w.failOver(1)
			w.writes(setsField, 3, false) // The other field of the hash.
		},
		// What the database is told of one tenure must not come behind what the next one reads.
		"what was settled takes effect when the source is read again": func(w *world) {
			c := w.carriers[0]
			w.set(1)
			synctest.Wait()
			c.sweepBoth(texts, flows)
			w.set(2)
			synctest.Wait()
			c.sweepBoth(texts, partlyRefused)
			time.Sleep(2500 * time.Millisecond) // It can be tried again.
			c.store.delays.Store(true)
			c.sweepBoth(texts, flows)
			for _, m := range w.ledger {
				m.version = 0 // The ledger came back from a backup.
			}
			c.sweepBoth(texts, flows)
			time.Sleep(2 * time.Second) // The source is read again.
			w.set(3)
			synctest.Wait()
			c.sweepBoth(texts, partlyRefused)
			time.Sleep(1500 * time.Millisecond) // The position has moved.
			_ = c.store.late()
			w.kill(0)
			w.start(replica.Bounds{})
		},
		// What the stream told before the gap is older than what was read.
		"a key expires that was read behind a gap": func(w *world) {
			w.set(1)
			synctest.Wait()
			w.redis.Hold(true)
			w.set(2)
			w.overrun()
			w.redis.Cut()
			time.Sleep(100 * time.Millisecond)
			w.redis.Hold(false)
			w.meanwhile(expiresText)
			w.carriers[0].sweepBoth(texts, answerLost)
		},
		// Of a key that went while the scan came to it only the stream tells, and not that of
		// another server.
		"a server takes over that lacks the deletion of a key which was scanned": func(w *world) {
			w.set(1)
			synctest.Wait()
			w.carriers[0].sweepBoth(texts, flows)
			w.redis.Hold(true)
			w.redis.Resynced(func() { w.writes(deletesText, 0, false) })
			w.overrun()
			w.writes(setsText, 0, false)
			w.overrun()
			w.redis.Cut()
			time.Sleep(100 * time.Millisecond)
			w.failOver(1)
			w.redis.Hold(false)
		},
		// The database has one retry of a name, and that goes with the row which is on its way.
		"a key is written and spilled while its row is on its way, and the flusher ends": func(w *world) {
			w.set(1)
			synctest.Wait()
			w.redis.Meanwhile(func() {
				w.writes(setsText, 0, false)
				for range 20 {
					w.redis.Ping()
				}
				time.Sleep(2500 * time.Millisecond) // The backlog has been looked at.
			})
			w.carriers[0].sweepBoth(texts, flows)
			time.Sleep(1500 * time.Millisecond) // The position has moved.
			w.kill(0)
			w.start(replica.Bounds{})
		},
		// The stream tells the next flusher once more of what the retry is of, and of what was
		// before.
		"a key is spilled of which a retry tells more than the stream by then": func(w *world) {
			w.set(1)
			synctest.Wait()
			w.carriers[0].sweepBoth(texts, flows)
			time.Sleep(1500 * time.Millisecond) // The position has moved.
			w.set(2)
			_, written := w.redis.End()
			w.writes(expiresText, 0, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(texts, partlyRefused)
			w.kill(0)
			w.redis.Hold(true)
			c := w.start(replica.Bounds{})
			time.Sleep(5 * time.Second) // It can be tried again.
			w.redis.Meanwhile(func() {
				w.redis.HoldAt(written)
				synctest.Wait()
			})
			c.sweepBoth(texts, flows)
			for range 20 {
				w.redis.Ping()
			}
			time.Sleep(2500 * time.Millisecond) // The backlog has been looked at.
			w.redis.Hold(false)
			synctest.Wait()
			c.sweepBoth(texts, flows)
			if w.rows[textKey(0)] == nil {
				w.failed("the key has expired, and its row is deleted")
			}
		},
		// It is lost with the next attempt, and neither kept nor forgotten.
		"Redis is emptied while a row is on its way that is refused": func(w *world) {
			w.set(1)
			synctest.Wait()
			w.redis.Meanwhile(func() {
				w.flushAll()
				synctest.Wait()
			})
			w.carriers[0].sweepBoth(texts, partlyRefused)
		},
		// Its members are not there any more when they are read.
		"a board that was made of another one expires when it was read": func(w *world) {
			w.writes(makesBoard, 0, false)
			synctest.Wait()
			w.meanwhile(goesBoard)
			w.carriers[0].sweepBoth(boards, flows)
		},
		// What the stream had told by then is of no worth any more, but that there was a write is.
		"a value is read and refused that a server which takes over lacks": func(w *world) {
			w.writes(setsText, 0, false)
			w.writes(expiresText, 0, false)
			synctest.Wait()
			w.redis.Hold(true)
			w.writes(setsText, 0, false)
			w.carriers[0].sweepBoth(texts, partlyRefused)
			time.Sleep(1500 * time.Millisecond) // The position has moved.
			w.failOver(1)
			w.redis.Hold(false)
			if err := w.drain(); err != nil {
				w.failed("%v", err)
			}
			if w.letter[textKey(0)] == 0 {
				w.failed("what was written first is neither a row nor lost")
			}
		},
		// The retry says that the key was written, and on the server that takes over it has expired.
		"a write is refused that a server which takes over lacks": func(w *world) {
			w.writes(setsText, 0, false)
			w.writes(expiresText, 0, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(texts, flows)
			time.Sleep(1500 * time.Millisecond) // The position has moved.
			w.redis.Hold(true)
			w.writes(setsText, 0, false)
			w.redis.Hold(false)
			synctest.Wait()
			w.carriers[0].sweepBoth(texts, partlyRefused)
			w.kill(0)
			w.failOver(1)
			w.start(replica.Bounds{})
			if err := w.drain(); err != nil {
				w.failed("%v", err)
			}
			if w.rows[textKey(0)] == nil {
				w.failed("the key has expired, and its row is deleted")
			}
		},
		// On the server that takes over it has not expired.
		"a value is lost that a server which takes over has": func(w *world) {
			w.writes(setsField, 0, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(hashes, partlyRefused)
			time.Sleep(2500 * time.Millisecond) // The position has moved, and it can be tried again.
			w.writes(expiresHash, 0, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(hashes, flows)
			if w.letter[hashKey(0)] == 0 {
				w.failed("the value has gone, and is not lost")
			}
			delete(w.letter, hashKey(0)) // It is not about what is there.
			w.kill(0)
			w.failOver(1)
			w.start(replica.Bounds{})
		},
		// What the stream told of an entry is all that is asked of it, and is of no worth any more.
		"a server takes over while an entry is taken of a transaction that is read half": func(w *world) {
			w.kill(0)
			c := w.start(replica.Bounds{Dirty: 200}) // An entry is as much.
			time.Sleep(6 * time.Second)
			for _, queue := range []string{texts, hashes, boards, streams} {
				c.sweepBoth(queue, flows)
			}
			w.writes(addsEntry, 0, true)
			synctest.Wait()
			w.redis.Beforehand(func() {
				w.failOver(0)
				time.Sleep(time.Second)
			})
			c.sweepBoth(streams, flows)
		},
		// Its rows stay, as those of a key that has gone by itself do, and of what it is now they
		// are no rows.
		"a board expires and becomes a hash": func(w *world) {
			w.writes(setsScore, 0, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(boards, flows)
			w.writes(goesBoard, boardExpires, false)
			w.writes(becomesHash, boardGone, false)
		},
		// The one letter is of the whole board, and goes when that is a board again.
		"a board becomes a hash and a board again": func(w *world) {
			w.writes(setsScore, 0, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(boards, flows)
			w.writes(becomesHash, boardDeleted, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(boards, flows)
			w.writes(goesBoard, boardIsDeleted, false)
			w.writes(setsScore, 3, false)
		},
		// Its row is what was written after the deletion, which is dirty still.
		"a board is deleted and written, its member is carried, and it expires": func(w *world) {
			w.writes(setsScore, 0, false)
			w.writes(deletesAndSetsScore, 0, false)
			synctest.Wait()
			for n := range partitions {
				w.carriers[0].sweep(boards, n, 1, flows)
			}
			w.writes(goesBoard, boardExpires, false)
		},
		"a board is deleted and written while its member is read, and expires": func(w *world) {
			w.writes(setsScore, 0, false)
			synctest.Wait()
			w.redis.Beforehand(func() {
				w.writes(deletesAndSetsScore, 0, false)
				synctest.Wait()
			})
			w.carriers[0].sweepBoth(boards, flows)
			w.writes(goesBoard, boardExpires, false)
		},
		// The stream is read once more from before the deletion.
		"a board is deleted, written, carried, and expires before the position moves": func(w *world) {
			w.writes(setsScore, 0, false)
			w.writes(deletesAndSetsScore, 0, false)
			synctest.Wait()
			w.carriers[0].store.away.Store(true)
			w.carriers[0].sweepBoth(boards, flows)
			w.carriers[0].sweepBoth(boards, flows)
			if w.rows[boardKey(0)]["a"] == "" {
				w.failed("nothing is carried, and the rest is of no worth")
			}
			w.writes(goesBoard, boardExpires, false)
			synctest.Wait()
			w.kill(0)
			w.start(replica.Bounds{})
			if err := w.drain(); err != nil {
				w.failed("%v", err)
			}
			if w.rows[boardKey(0)]["a"] == "" {
				w.failed("the board has expired, and its row is deleted")
			}
		},
		// Which members were written meanwhile nobody knows any more: their rows stay.
		"the deletion of a board is refused, its member is carried, and it expires": func(w *world) {
			w.writes(setsScore, 0, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(boards, flows)
			w.writes(goesBoard, boardIsDeleted, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(boards, partlyRefused)
			w.writes(setsScore, 0, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(boards, flows)
			w.writes(goesBoard, boardExpires, false)
			if err := w.drain(); err != nil {
				w.failed("%v", err)
			}
			if w.rows[boardKey(0)]["a"] == "" {
				w.failed("the board has expired, and its row is deleted")
			}
			if w.letter[idOf(boards, boardKey(0), "")] == 0 {
				w.failed("rows stay that were to go, and nobody is told")
			}
		},
		// Of which members it had nobody knows.
		"a board expires before it is read that was made of another one": func(w *world) {
			w.writes(setsScore, 0, false)
			synctest.Wait()
			w.carriers[0].sweepBoth(boards, flows)
			w.writes(makesBoard, 0, false)
			w.writes(goesBoard, boardExpires, false)
		},
		"a stream expires before it is read that was made of another one": func(w *world) {
			w.writes(makesStream, 0, false)
			w.writes(goesStream, streamExpires, false)
		},
		"Redis is emptied before a board is read that was made of another one": func(w *world) {
			w.writes(makesBoard, 0, false)
			w.flushAll()
		},
		// The ledger shuts out a history with the first term of the next one alone.
		"a flusher that was replaced begins a term of the history before": func(w *world) {
			a := w.carriers[0]
			w.set(1)
			synctest.Wait()
			a.store.away.Store(true)
			w.overrun()
			b := w.start(replica.Bounds{})
			time.Sleep(6 * time.Second)
			b.sweepBoth(texts, comesLate)
			w.set(2)
			synctest.Wait()
			a.store.away.Store(false)
			a.sweepBoth(texts, flows)
			a.sweepBoth(texts, flows)
			for _, late := range w.late {
				w.commit(late)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := newWorld(ctx)
				w.start(replica.Bounds{})
				defer func() {
					for len(w.carriers) > 0 {
						w.kill(0)
					}
				}()
				time.Sleep(2 * time.Second) // The history has begun, and its name is recorded.
				w.carriers[0].sweepBoth(texts, flows)
				w.carriers[0].sweepBoth(hashes, flows)
				w.carriers[0].sweepBoth(boards, flows)
				w.carriers[0].sweepBoth(streams, flows)
				happens(w)
				if err := w.drain(); err != nil {
					t.Fatal(err)
				}
				w.compare()
				for _, err := range w.errs {
					t.Error(err)
				}
			})
		})
	}
}
