// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
)

// Status is the document that a flusher serves at /status. It never holds a
// secret, a key, a row value or a server's own error text.
type Status struct {
	// Instance is the flusher's random owner id, new with every process.
	Instance string `json:"instance"`
	// Owner and Revision are those of the settings in force: this flusher runs them
	// and the capture functions have them.
	Owner    string `json:"owner"`
	Revision int64  `json:"revision"`
	// RunningRevision is the revision of the settings which this flusher runs, and which
	// its checks refer to. It is ahead of Revision until the flusher has written the settings
	// to Redis. Earlier releases leave it out: see Tried.
	RunningRevision int64 `json:"runningRevision,omitempty"`
	// Suspended and Draining repeat the settings in force.
	Suspended bool `json:"suspended,omitempty"`
	Draining  bool `json:"draining,omitempty"`
	// ObservedTime is when the numbers were last read from Redis.
	ObservedTime time.Time `json:"observedTime,omitzero"`
	// Redis and Database are the checks of the servers.
	Redis    Check `json:"redis"`
	Database Check `json:"database"`
	// Durability reports whether the servers keep what they confirm.
	Durability Durability `json:"durability"`
	// Warnings are what a person should know of servers that work. Earlier releases leave
	// them out.
	Warnings Warnings `json:"warnings,omitzero"`
	// Circuit is the state of the circuit breaker before the database: closed,
	// half-open or open.
	Circuit string `json:"circuit,omitempty"`
	// Replication is how far this flusher has come in Redis' replication stream. It is absent
	// with capture Functions.
	Replication *Replication `json:"replication,omitempty"`
	// Queues has one item per mapping, in the order of the config. With capture Replication
	// the numbers of a flusher that does not read the stream are not the queue's.
	Queues []QueueStatus `json:"queues"`
}

// Replication is how far a flusher has come in Redis' replication stream. One flusher reads
// it; of the others everything but Reads is empty.
type Replication struct {
	// Reads means that the stream is this flusher's to read, Attached that Redis sends it.
	Reads    bool `json:"reads"`
	Attached bool `json:"attached"`
	// History numbers the history of the stream. With a new one every key is read again.
	History int64 `json:"history,omitempty"`
	// BehindBytes is how much of the stream is not committed in the database, BacklogBytes
	// how much of it Redis keeps; 0 while that is not known.
	BehindBytes  int64 `json:"behindBytes"`
	BacklogBytes int64 `json:"backlogBytes,omitempty"`
	// UnreadBytes is how much of the stream this flusher has not come to yet.
	UnreadBytes int64 `json:"unreadBytes,omitempty"`
	// BehindSeconds is the age of the oldest write that is not committed, with those that
	// the database refused.
	BehindSeconds float64 `json:"behindSeconds"`
	// DirtyBytes is the memory of what is dirty. Held means that the stream is not read on
	// for want of it.
	DirtyBytes int64 `json:"dirtyBytes"`
	Held       bool  `json:"held,omitempty"`
	// Scanned means that no key is left to be read that was there before the stream was, and
	// ScannedKeys is how many were come across.
	Scanned     bool  `json:"scanned"`
	ScannedKeys int64 `json:"scannedKeys,omitempty"`
	// Backlog reports whether the settings of Redis keep the backlog while flushers are away
	// or slow.
	Backlog Check `json:"backlog"`
	// Notice is what the stream told last that a person should know. It names no key.
	Notice string `json:"notice,omitempty"`
}

// NearOverrun is the share of Redis' backlog that makes a condition and an alert, in percent.
// Everything is flushed at once from a quarter on; what has come to twice as much nevertheless
// is not caught up with.
const NearOverrun = 50

// BacklogPercent is how much of Redis' backlog is taken by what is not committed, in percent;
// 0 while that is not known.
func (r *Replication) BacklogPercent() int64 {
	if r.BacklogBytes <= 0 {
		return 0
	}
	return int64(float64(r.BehindBytes) / float64(r.BacklogBytes) * 100)
}

// Tried returns the revision of the settings that the checks refer to. Releases before
// RunningRevision report only Revision.
func (s *Status) Tried() int64 { return max(s.Revision, s.RunningRevision) }

// Check is the result of a check on which the flow of data depends: OK, or a reason of
// the resource's conditions with a message that names the remedy. A Check that is neither
// OK nor has a reason was not made yet. The message of a lasting problem stays the same:
// it contains no counters and no times.
type Check struct {
	OK      bool   `json:"ok"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Endangers reports whether the check found that a server may lose confirmed data. It is
// false for a check that could not be made.
func (c Check) Endangers() bool {
	return !c.OK && slices.Contains([]string{
		cachev1alpha1.ReasonAppendOnlyOff, cachev1alpha1.ReasonEvictionUnsafe, cachev1alpha1.ReasonTableUnlogged,
	}, c.Reason)
}

// Durability is the checks of whether confirmed data is kept; each queue has one more,
// of its table. A check that is not OK either endangers the data, or has another reason:
// why it could not be made.
type Durability struct {
	// Persistence is OK when Redis has an append-only file.
	Persistence Check `json:"persistence"`
	// Eviction is OK when Redis never evicts a dirty entry.
	Eviction Check `json:"eviction"`
	// Ledger is OK when the ledger's table is logged.
	Ledger Check `json:"ledger"`
}

// QueueStatus is the state of one queue. Depth, DeadLetters, OldestPendingSeconds,
// Writes, Flushed, Coalesced, DataLossEvents and Refused are of the whole queue,
// read from its journal; the rest is this flusher's own view.
type QueueStatus struct {
	Name string `json:"name"`
	// Journal is the random id of this life of the queue; empty until known.
	Journal string `json:"journal,omitempty"`
	// Retired means that the mapping is no longer in the spec.
	Retired bool `json:"retired,omitempty"`
	// State is StateOpen or StatePaused. It is read together with Depth and DeadLetters:
	// a queue that was paused and empty at one reading stays empty.
	State string `json:"state,omitempty"`

	Depth                int64   `json:"depth"`
	DeadLetters          int64   `json:"deadLetters"`
	OldestPendingSeconds float64 `json:"oldestPendingSeconds"`
	Writes               int64   `json:"writes"`
	Flushed              int64   `json:"flushed"`
	Coalesced            int64   `json:"coalesced"`
	DataLossEvents       int64   `json:"dataLossEvents"`

	// Refused is the number of entries that the database refused. They wait outside of the
	// queue, in a set by time, for their next attempt. They are part of Depth.
	Refused int64 `json:"refused"`
	// Partitions are the ones that this flusher holds.
	Partitions []int `json:"partitions,omitempty"`
	// LastFlushTime is when this flusher last committed a batch.
	LastFlushTime time.Time `json:"lastFlushTime,omitzero"`
	// LastError is the last failure to flush, in words that a person can act on, without keys
	// and row values: whoever reaches the port reads it. The log names the key. It is empty again once this flusher has written a row of any partition
	// while none of the queue's entries is Refused.
	LastError string `json:"lastError,omitempty"`
	// Ready reports whether the table fits the mapping and the queue the settings.
	Ready Check `json:"ready"`
	// Durable reports whether the table, with all of its partitions, is logged.
	Durable Check `json:"durable"`
}
