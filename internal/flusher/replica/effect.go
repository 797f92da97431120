// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

// Word is what a command of the stream says last of a key.
type Word byte

// The words of a key, and those that name none.
const (
	// Written means that the key, or the members named, may have another value, or may be
	// gone.
	Written Word = iota + 1
	// Deleted means that a DEL named the key: its row is to be deleted.
	Deleted
	// Unlinked means that the key expired, was evicted or was unlinked: its row stays.
	Unlinked
	// Appended means that an entry was added to the stream which the key holds.
	Appended
	// Flushed means that the whole database was emptied. It names no key.
	Flushed
	// Unknown means that nothing is known of any key: two databases were exchanged, or a
	// command wrote keys that it is not possible to tell. It names no key.
	Unknown
)

var wordNames = map[Word]string{
	Written: "Written", Deleted: "Deleted", Unlinked: "Unlinked", Appended: "Appended", Flushed: "Flushed", Unknown: "Unknown",
}

func (w Word) String() string { return wordNames[w] }

// Point is a position in the stream at which reading can begin: behind a command that
// changed something, and not inside of a transaction.
type Point struct {
	// Offset is the server's offset of replication there, in bytes.
	Offset int64
	// Database is the number of the logical database that is selected there.
	Database int
}

// Interest is what a reader wants to know of.
type Interest struct {
	// Database is the number of the one logical database.
	Database int
	// Prefixes begin the keys. None begins another.
	Prefixes []string
}

// Effect is what one command of the stream did to one key. A command that writes several
// keys has one for each. Its bytes are those of the buffer of the stream: whoever keeps
// any copies them before the next call of Next.
type Effect struct {
	// Prefix is the place in Interest.Prefixes of the one that begins the key; -1 where no
	// key is named.
	Prefix int
	Key    []byte
	Word   Word
	// Command is the name of the command in capitals, for what is said of a row.
	Command string
	// Value is what SET wrote. HasValue tells an empty value from none.
	Value    []byte
	HasValue bool
	// Members are the fields of a hash, which OfHash says, or the members of a sorted set that
	// the command named, in its order. Nil means the whole key.
	Members [][]byte
	OfHash  bool
	// ID and Fields are those of an Appended entry: fields and values in turn.
	ID     []byte
	Fields [][]byte
	// Before is where reading has to begin to meet the effect again: before the command, or
	// before the transaction that it is part of.
	Before Point
	// Offset is behind the command. Inside of a transaction the server itself is never
	// there: it is before the transaction or behind it.
	Offset int64
}

// Batch is what arrived of the stream: the effects of whole commands, in their order.
type Batch struct {
	// Effects may be empty: other keys were written, or none.
	Effects []Effect
	// Safe is the last point up to which everything was told. What pings and asks for an
	// acknowledgement does not move it: a server that takes over from this one may not have
	// that, and would refuse to go on behind it.
	Safe Point
	// Read is the offset behind all that arrived. It says what can be acknowledged where
	// nothing is dirty, and whether the stream was read to an offset of the server.
	Read int64
}
