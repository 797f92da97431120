// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package chaos tests the promise as a whole: while everything that can fail does
// fail, no acknowledged write is lost, nothing old comes over something newer, and
// nothing is written twice.
//
// # The world
//
// Three flusher processes, each behind proxies of its own to a redis-server and a
// PostgreSQL server that are real and may be killed. Writers call wb_set and wb_del
// straight at Redis, at a set rate, and record what became of every write:
// acknowledged with a version, refused, or unknown because the answer was lost.
// Every document carries the number of its write. Triggers on the table keep the
// history of what committed, in the order of commits, each with the epoch and the
// flush of the ledger in that very transaction. Faults come one after another, some
// of them two at a time; see kinds for what there is and which promise each attacks.
//
// # What is checked
//
//   - Lost: in the end every key's row is its last acknowledged write, or a later one
//     whose answer was lost, or that write is the key's dead letter.
//   - Stale: what commits for one key never goes back.
//   - Repeated: one write commits once. It may commit again only under a later epoch
//     and only if nothing shows that its flush had been acknowledged.
//   - Phantom: nothing commits that was not written, was refused by Redis, or breaks
//     the table's constraints, and nothing commits outside of the ledger.
//   - Wrong: a row holds what its document says, in the type that the column has then.
//   - Stuck: what no fault is aimed at flows on.
//   - Unreported: data-loss events are told exactly when a fault lost data, which no
//     fault of the long run may.
//   - Counters: wb_stats agrees with what the writers and the table know.
//   - Process: a flusher ends only when it is told to, without a panic and without a
//     data race.
//
// More tests put back an older copy of Redis', also while the queue is suspended, and
// of PostgreSQL's files, where data is lost for certain: there the loss must be told, and everything written
// after it is held to the full standard.
//
// # Capture Replication
//
// With CAPTURE=Replication an application that knows nothing of a flusher writes strings,
// numbers, hashes, sorted sets and streams, by commands, pipelines, transactions and scripts;
// some of its keys expire, some of its values are no rows. Every key has one writer, and what
// it becomes with each write is known or told by the answer. Redis also loses the end of its
// append-only file, is replaced by a replica that has all or lacks some of what was written,
// keeps less of its stream than is waited for, evicts, and is emptied; a mapping comes and
// goes; a table takes no row. The flusher's bound on what is dirty, which is no setting, is
// built lower, so that it is reached.
//
//   - Lost: in the end every row is what Redis holds. Of what Redis does not hold the row is
//     what was written last, or is gone if that was a deletion. What is excused is
//     counted by its reason: a deletion or a key that had gone when a history began, which is
//     a data-loss event; a value that had gone before it was read, which is a dead letter; a
//     write that Redis itself has lost, which is found by reading all keys when it is back.
//   - Stale: no cell of a row, a field or a member, goes back to what was written before.
//   - Repeated: no entry of a stream is inserted twice, and no row of one is changed.
//   - Untold: when WAIT counts one replica more than Redis has, the row is there at that
//     moment, or there is a dead letter.
//   - Unreported: each history but the first is a data-loss event of each queue, and begins
//     only where a fault has ended the one before. FLUSHALL is told.
//   - Stuck: one table that takes no row holds up no other, and all is carried in the end.
//
// Wrong, Phantom, Counters and Process are as above.
//
// # How to replay
//
// A run prints its seed at the start and again when it fails. The sequence of faults
// (kind, target, duration, pause) depends on the seed alone:
//
//	make chaos MINUTES=30 SEED=1234
//	make chaos MINUTES=30 SEED=1234 CAPTURE=Replication
//	go test ./test/chaos -run TestEveryAcknowledgedWriteIsAccountedFor -v -args -chaos.minutes=5 -chaos.seed=1234
//
// What the machine does in between is not repeated, so a rare failure may take a few
// attempts. -chaos.only leaves all other kinds out, -chaos.logs keeps the flushers'
// logs.
package chaos
