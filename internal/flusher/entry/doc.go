// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package entry has the plain types that a source of entries, the engine and a database
// share: what waits, who may write it, and what became of it. It imports nothing of this
// project, so that no side has to know another.
//
// A source hands out Entries of a Shard to the owner of its Term, as a Claim. The
// database takes them at a Place of that Term, or returns a Fault with the reason why not.
// The owner reports to the source, in a Settlement, what became of each.
package entry
