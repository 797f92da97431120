// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

// Commit is the result of a batch that the database answered.
type Commit int

// What may become of a batch.
const (
	// Committed means that the batch committed now.
	Committed Commit = iota + 1
	// AlreadyCommitted means that the same batch committed earlier. Nothing was written
	// now.
	AlreadyCommitted
	// Altered means that the table was altered since it was read. Nothing was written. The
	// caller has to read the table again, and may then write the same entries at the same
	// place.
	Altered
	// Fenced means that the shard has another owner. Nothing was written, and no write of
	// this epoch can take effect any more.
	Fenced
)

var commitNames = map[Commit]string{
	Committed: "Committed", AlreadyCommitted: "AlreadyCommitted", Altered: "Altered", Fenced: "Fenced",
}

func (c Commit) String() string { return commitNames[c] }

// Trial is the result of a control: whether the table takes other rows than the refused
// one.
type Trial int

// What a control may show.
const (
	// NoneTaken means that the table took nothing, or had no row to try.
	NoneTaken Trial = iota
	// PartTaken means that the table takes a row that is like the refused one in part: it
	// has all columns where that has a few, or lacks one of its values.
	PartTaken
	// RowTaken means that the table takes another row.
	RowTaken
)

// Suspicion is a guess at which entry of a batch was refused. Entries are named by the
// order in which they were added.
type Suspicion struct {
	// Entry is the one that is suspected.
	Entry int
	// Before are the ones that were executed before it, After all others. If the guess is
	// right, those before it were found good.
	Before, After []int
}
