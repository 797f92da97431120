// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"time"
	"unicode/utf8"

	"github.com/writebehind/operator/internal/flusher/postgres"
)

// States of a key.
const (
	// StateNoMapping means that no mapping takes the key.
	StateNoMapping = "NoMapping"
	// StateClean means that nothing of the key waits: what was written is in the table, or a
	// dead letter was discarded.
	StateClean = "Clean"
	// StateDirty means that the key waits to be flushed.
	StateDirty = "Dirty"
	// StateWaiting means that the database refused the row, and that it is tried again.
	StateWaiting = "Waiting"
	// StateDead means that the key, or a member of it, is a dead letter.
	StateDead = "Dead"
	// StateOnItsWay means that the stream was not carried yet to where the key was read: what
	// was written of it may be dirty.
	StateOnItsWay = "OnItsWay"
	// StateUnknown means that the server which knows could not be asked.
	StateUnknown = "Unknown"
)

// Explanation is all that there is to say of one key. Its JSON is what `flusher explain -o json`
// prints.
type Explanation struct {
	Key string `json:"key"`
	// KeyBase64 is the key where it is not UTF-8, which Key cannot hold.
	KeyBase64 []byte `json:"keyBase64,omitempty"`
	// Queue is the mapping's name, and empty where no mapping takes the key.
	Queue     string `json:"queue,omitempty"`
	KeyPrefix string `json:"keyPrefix,omitempty"`
	Table     string `json:"table,omitempty"`
	Encoding  string `json:"encoding,omitempty"`
	Capture   string `json:"capture"`
	Partition *int   `json:"partition,omitempty"`
	// Holder is the flusher that has the partition, or reads the stream.
	Holder *Holder `json:"holder,omitempty"`
	// State is one of the constants above.
	State string `json:"state"`
	// Refuses says why the next write of the key is refused, if it is.
	Refuses string `json:"refuses,omitempty"`
	// DirtySince is when the first write was made that is not in the database, Refused when the
	// database first refused it, and Due when it is tried again.
	DirtySince *time.Time `json:"dirtySince,omitempty"`
	Refused    *time.Time `json:"refusedSince,omitempty"`
	Due        *time.Time `json:"due,omitempty"`
	Attempts   int        `json:"attempts,omitempty"`
	// Writes is how many writes the entry stands for.
	Writes   int64     `json:"writes,omitempty"`
	Versions *Versions `json:"versions,omitempty"`
	// Stream is how far that was carried, of capture Replication.
	Stream *Stream `json:"stream,omitempty"`
	// Letters are the dead letters of the key and its members, without payloads.
	Letters []Letter `json:"deadLetters,omitempty"`
	Redis   Held     `json:"redis"`
	// Rows are those of the key: one, or one for each member. Beyond is how many more differ, or
	// of members are there, that are not shown.
	Rows   []Row `json:"rows"`
	Beyond int   `json:"rowsNotShown,omitempty"`
	// Differs says that at least one row is not as Redis has it; it is not there where that is
	// not known.
	Differs *bool `json:"differs,omitempty"`
	// Next says what will happen, or what somebody has to do.
	Next string `json:"next"`
	// Problems are what could not be asked, and why.
	Problems []string `json:"problems,omitempty"`
}

// Holder is a flusher that has a partition.
type Holder struct {
	Flusher string    `json:"flusher"`
	Epoch   int64     `json:"epoch"`
	Until   time.Time `json:"until"`
	// Runs says that its lease has not run out.
	Runs bool `json:"runs"`
}

// Versions are those of capture Functions: microseconds since 1970.
type Versions struct {
	// Pending is the newest version that waits, First the lowest that may be missing from the
	// database.
	Pending int64 `json:"pending,omitempty"`
	First   int64 `json:"first,omitempty"`
	// Committed is the highest version of the partition that is in the database, Floor the
	// highest that is there or is a dead letter.
	Committed int64 `json:"committed,omitempty"`
	Floor     int64 `json:"floor,omitempty"`
}

// Stream is how far the stream of replication was carried.
type Stream struct {
	// Redis is the offset at which the key was read, Carried the one up to which every write is
	// a row, a retry or a dead letter.
	Redis   int64 `json:"redis"`
	Carried int64 `json:"carried"`
	// SameHistory says that the two can be compared.
	SameHistory bool `json:"sameHistory"`
}

// Bytes are those of a text that is not UTF-8, and nil of any other: a document holds text only,
// and keys and members may be any bytes.
func Bytes(text string) []byte {
	if utf8.ValidString(text) {
		return nil
	}
	return []byte(text)
}

// Letter is a dead letter in short: no payload, and not PostgreSQL's text, which quotes row values.
type Letter struct {
	Member       string    `json:"member,omitempty"`
	MemberBase64 []byte    `json:"memberBase64,omitempty"`
	Cause        string    `json:"cause"`
	SQLState     string    `json:"sqlstate,omitempty"`
	Constraint   string    `json:"constraint,omitempty"`
	Column       string    `json:"column,omitempty"`
	Operation    string    `json:"operation"`
	Version      int64     `json:"version"`
	Attempts     int       `json:"attempts"`
	FirstFailure time.Time `json:"firstFailure"`
	LastFailure  time.Time `json:"lastFailure"`
}

// Held is what Redis holds.
type Held struct {
	// There says that the key is there, Type is its type.
	There bool   `json:"there"`
	Type  string `json:"type,omitempty"`
	// ExpiresInSeconds is there where the key has a time to live.
	ExpiresInSeconds *float64 `json:"expiresInSeconds,omitempty"`
	// Value is the text of a string, or what a batch makes of a hash. One that is not UTF-8 is in
	// ValueBase64. That of a key of members is with each row.
	Value       *string `json:"value,omitempty"`
	ValueBase64 []byte  `json:"valueBase64,omitempty"`
	Members     *int    `json:"members,omitempty"`
	// Asked is false where Redis could not be asked.
	Asked bool `json:"asked"`
}

func (h *Held) setValue(value string) {
	if h.ValueBase64 = Bytes(value); h.ValueBase64 == nil {
		h.Value = &value
	}
}

// Row is a row beside what Redis has of it.
type Row struct {
	Member       string `json:"member,omitempty"`
	MemberBase64 []byte `json:"memberBase64,omitempty"`
	// There says that the row is in the table, InRedis that Redis has it.
	There   bool `json:"there"`
	InRedis bool `json:"inRedis"`
	// Version is what the version column has.
	Version *int64 `json:"version,omitempty"`
	// Unfit says why the value can be no row.
	Unfit   string   `json:"unfit,omitempty"`
	Columns []Column `json:"columns,omitempty"`
	// Differs says that a flusher which read the key now would change the row.
	Differs bool `json:"differs"`
}

// Column is one column of both sides.
type Column struct {
	Name  string  `json:"name"`
	Redis *string `json:"redis"`
	Row   *string `json:"row"`
	// Given says that the value in Redis names the column, Same that both are equal.
	Given bool `json:"given"`
	Same  bool `json:"same"`
}

func rowOf(member string, inRedis bool, c *postgres.Compared) Row {
	r := Row{Member: member, MemberBase64: Bytes(member), There: c.Found, InRedis: inRedis, Version: c.Version}
	if c.Unfit != nil {
		r.Unfit = c.Unfit.Message
	}
	for _, column := range c.Columns {
		r.Columns = append(r.Columns, Column(column))
	}
	r.Differs = inRedis && !c.Same()
	return r
}

func (e *Explanation) problem(text string) { e.Problems = append(e.Problems, text) }
