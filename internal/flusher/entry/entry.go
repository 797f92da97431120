// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

// Entry is one dirty key as it was claimed.
type Entry struct {
	Key string
	// Member is the member of a sorted set, or the id of an entry of a stream, where each is
	// a row of its own.
	Member string
	// Operation is what the entry does to its row. It is nil if the entry is Garbled.
	Operation *Operation
	// Version is that of the newest write, in the order of the source: that of the functions
	// is the time in µs since 1970, that of a stream the offset behind the write. Upto is the
	// highest version that the value may have, where it may have a higher one.
	Version, Upto int64
	// First is when the first write was made that may still be missing from the database, in
	// µs since 1970.
	First int64
	// Attempts counts how often the database refused this version.
	Attempts int
	// Writes counts the writes that the entry stands for.
	Writes int64
	// FirstRefused is when the database first refused this version, in µs since 1970. It
	// is 0 if the database never did.
	FirstRefused int64
	// Value is the key's, where the operation is Valued. It shares memory with the claim and
	// must not be changed.
	Value string
	// Whole says that the value names all fields that the key has. Otherwise what it does not
	// name is as it was.
	Whole bool
	// Compare says that the row may be what the value says: then it is left alone.
	Compare bool
	// Lost reports that the value of an operation that is Valued is gone: it was evicted,
	// expired or deleted behind the journal's back.
	Lost bool
	// Unfit says why the entry cannot be a row, where the source has found that out. It is
	// nil where it has not.
	Unfit *Unfit
	// Garbled reports that no function of the library has written the entry.
	Garbled bool
	// Raw is the entry in its source's own form. Only the source reads it.
	Raw string
}

// Row tells the entry's row from every other one of its queue: by the key alone where a key
// has one row.
func (e *Entry) Row() string {
	if e.Member == "" {
		return e.Key
	}
	return e.Key + "\x00" + e.Member
}
