// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import "github.com/writebehind/operator/internal/flusher/entry"

// QueueSettings are what the source of a queue's entries needs to know of it.
type QueueSettings struct {
	// Owner and Revision order the writes of settings: another owner replaces, and within
	// one owner the highest revision wins.
	Owner    string
	Revision int64
	Mapping  Mapping
	// MaxDepth is the most dirty entries and dead letters.
	MaxDepth int
	WhenFull string
	// State is StateOpen or StatePaused.
	State string
	// Alone means that no operator watches the flushers, so that only the ledger shows that a
	// queue was lost while no flusher ran.
	Alone bool
	// Member is the flusher that opens the queue, Home the database that it flushes to.
	Member string
	Home   entry.Home
}
