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
// # How to replay
//
// A run prints its seed at the start and again when it fails. The sequence of faults
// (kind, target, duration, pause) depends on the seed alone:
//
//	make chaos MINUTES=30 SEED=1234
//	go test ./test/chaos -run TestEveryAcknowledgedWriteIsAccountedFor -v -args -chaos.minutes=5 -chaos.seed=1234
//
// What the machine does in between is not repeated, so a rare failure may take a few
// attempts. -chaos.only leaves all other kinds out, -chaos.logs keeps the flushers'
// logs.
package chaos
