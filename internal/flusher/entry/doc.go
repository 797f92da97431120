// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package entry holds the plain words that a source of entries, the engine and a
// database have in common: what waits, who may write it, and what became of it.
// It imports nothing of this project, so that neither side has to know another.
//
// A source hands out Entries of a Shard to the owner of its Term, as a Claim. The
// database takes them at a Place of that Term, or says in a Fault why it does not. The
// owner tells the source in a Settlement what became of each.
package entry
