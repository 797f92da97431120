// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

// Word is what a command of the stream says last of a key.
type Word byte

// The words of a key.
const (
	// Written means that the key, or the members named, may have another value.
	Written Word = iota + 1
	// Deleted means that a DEL named the key: its row is to be deleted.
	Deleted
	// Unlinked means that the key expired, was evicted or was unlinked: its row stays.
	Unlinked
	// Appended means that an entry was added to the stream which the key holds.
	Appended
	// Flushed means that the whole database was emptied. It names no key.
	Flushed
	// Swapped means that two databases were exchanged: nothing is known of any key.
	Swapped
)

// Effect is what one command of the stream did to one key. A command that writes several
// keys has one for each.
type Effect struct {
	// Database is the number of the logical database.
	Database int
	Key      string
	Word     Word
	// Command is the name of the command in capitals, for what is said of a row.
	Command string
	// Value is what SET wrote. HasValue tells an empty value from none.
	Value    string
	HasValue bool
	// Members are the fields of a hash or the members of a sorted set that the command
	// named, in its order. Nil means the whole key.
	Members []string
	// ID and Fields are those of an Appended entry: fields and values in turn.
	ID     string
	Fields []string
	// Offset is the position in the stream behind the command, or behind the EXEC of the
	// transaction that it is part of.
	Offset int64
}
