// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Server is the server as a client sees it, who reads keys on ordinary connections. Any
// number of goroutines may call it.
type Server interface {
	// Read answers all asks as of one offset of the stream. The history is named by the
	// server that answered.
	Read(ctx context.Context, asks []Ask) (Reading, error)
	// Look is a Reading of nothing.
	Look(ctx context.Context) (Reading, error)
	// Scan lists keys of the database, some of them perhaps twice. It begins and ends with
	// the cursor 0.
	Scan(ctx context.Context, prefix string, cursor uint64) (keys []string, next uint64, err error)
	// Witness reads the count that the key holds, 0 where there is none. Testify raises it, at
	// least to the number, and returns what it is then; it changes nothing on a server that is
	// not a primary with the history of that name.
	Witness(ctx context.Context, key string) (int64, error)
	Testify(ctx context.Context, key, id string, least int64) (int64, error)

	// Check tells whether the server works as it is used, Prove whether one more connection
	// can be made, and Durability what endangers what the server confirmed.
	Check(ctx context.Context) config.Check
	Prove(ctx context.Context) error
	Durability(ctx context.Context) (persistence, eviction config.Check)
	// Explain puts an error of any call into the words of a condition.
	Explain(err error) config.Check
	Close() error
}

// Question is what is asked of a name.
type Question byte

// The questions.
const (
	// Text is the value of a string. The answer may be Unsure.
	Text Question = iota + 1
	// SureText is Text at twice the cost, and never Unsure.
	SureText
	// Fields are some fields of a hash, Hash is all of them.
	Fields
	Hash
	// Score is that of a member of a sorted set, Board all members.
	Score
	Board
	// OneEntry is an entry of a stream, Entries are the ids from one on: at most
	// entriesAtOnce.
	OneEntry
	Entries
	// Nothing asks for nothing: what is to be written is known.
	Nothing
)

// entriesAtOnce is how many ids of a stream are read at once.
const entriesAtOnce = 1000

// Ask is one question.
type Ask struct {
	Question Question
	Key      string
	// Members are the fields, the one member, or the one id.
	Members []string
}

// Found says what there is of a name.
type Found byte

// What there may be.
const (
	// There means that the answer is complete.
	There Found = iota + 1
	// Gone means that the key is not there or, of a Score or of OneEntry, the member.
	Gone
	// OfAnotherType means that the key holds something else.
	OfAnotherType
	// Unsure means that the key is Gone or OfAnotherType.
	Unsure
)

// Answer is what was read of a name.
type Answer struct {
	Found Found
	// Value is the text or the score.
	Value string
	// Pairs are fields and values in turn or, of a Board and of Entries, members and ids. More
	// says that Entries may go on. Absent are fields that were asked for and are not
	// there. Whole says that the hash has no other fields.
	Pairs  []string
	Absent []string
	Whole  bool
	More   bool
	// Type is the key's type where that is another one.
	Type string
}

// Reading is a set of answers of one moment.
type Reading struct {
	// ID is the name of the history, Offset how far the stream had come. Replica says that
	// the server is no primary.
	ID      string
	Offset  int64
	Replica bool
	// Before is the name of the history that went on in this one, up to and with the offset
	// Branch; empty if there is none.
	Before string
	Branch int64
	// Backlog is how many bytes of the stream the server keeps.
	Backlog int64
	// Answers are as many as there were asks.
	Answers []Answer
}
