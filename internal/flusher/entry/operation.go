// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

// Operation is what an entry does to its row. Each one is a value of its own, in a file of
// its own: the engine looks at what it says of itself, and compares it with none. How it
// comes about in the database is a file there.
type Operation struct {
	// Letter is the operation in the journal's own format, if it is there, Name in dead
	// letters.
	Letter byte
	Name   string
	// Valued says that the entry is nothing without the value of its key.
	Valued bool
	// Proof is what a committed entry shows of others, and what has to be shown until a
	// refusal counts as the entry's own fault.
	Proof Proof
}

// Proof is what is shown of other entries by one that was committed: that those get through
// which need this proof or one of those below.
type Proof int

// The proofs, the strongest first.
const (
	// RowsPass is shown by what puts a row into the table.
	RowsPass Proof = iota
	// RemovalsPass is shown by what takes one away: a row may be refused all the same.
	RemovalsPass

	// Proofs is how many there are, Weakest the one that every committed entry shows.
	Proofs
	Weakest = Proofs - 1
)

// operations are those that a journal knows.
var operations = [...]*Operation{Set, Delete}

// OperationOf is the operation of a letter in the journal's format, or nil.
func OperationOf(letter byte) *Operation {
	for _, o := range operations {
		if o.Letter == letter {
			return o
		}
	}
	return nil
}

// OperationNamed is the operation of a name in a dead letter, or nil.
func OperationNamed(name string) *Operation {
	for _, o := range operations {
		if o.Name == name {
			return o
		}
	}
	return nil
}
