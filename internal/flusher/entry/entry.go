// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

// Operation is what a write did to its key.
type Operation byte

// The operations. Their letters are those of the journal's own format.
const (
	Set    Operation = 's'
	Delete Operation = 'd'
)

// String is the operation's name in dead letters.
func (o Operation) String() string {
	if o == Delete {
		return "delete"
	}
	return "set"
}

// Entry is one dirty key as it was claimed.
type Entry struct {
	Key       string
	Operation Operation
	// Version is that of the newest write, First the lowest that may still be missing
	// from the database. Both are in µs since 1970.
	Version, First int64
	// Attempts counts how often the database refused this version.
	Attempts int
	// Writes counts the writes that the entry stands for.
	Writes int64
	// FirstRefused is when the database first refused this version, in µs since 1970. It
	// is 0 if the database never did.
	FirstRefused int64
	// Value is the document of a Set. It shares memory with the claim and must not be
	// changed.
	Value string
	// Lost reports that the value of a Set is gone: it was evicted, expired or deleted
	// behind the journal's back.
	Lost bool
	// Garbled reports that no function of the library has written the entry.
	Garbled bool
	// Raw is the entry in its source's own form. Only the source reads it.
	Raw string
}

// Deletes reports whether the entry removes its row.
func (e *Entry) Deletes() bool { return e.Operation == Delete }
