// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Lease is the right to flush one partition, in one epoch of one life of the queue.
type Lease struct {
	Queue     string
	Partition int
	Member    string
	Epoch     int64
	// Journal is the id of the queue's life that the epoch belongs to.
	Journal string
}

// Operation is what an entry does to its row.
type Operation byte

// The operations are letters of the journal's own format.
const (
	OperationSet    Operation = 's'
	OperationDelete Operation = 'd'
)

// Entry is one claimed dirty key.
type Entry struct {
	Key       string
	Operation Operation
	// Version is the newest version, First the lowest that may still be missing
	// from the database; both in µs since 1970.
	Version, First int64
	// Attempts is how often the database refused this version.
	Attempts int
	// Writes is the number of writes that the entry stands for.
	Writes int64
	// FirstRefused is when the database first refused this version, in µs since
	// 1970; 0 if it never did.
	FirstRefused int64
	// Value is the document of a set. It is shared with the claim: not to be
	// changed.
	Value string
	// Lost says that the value of a set is gone from Redis: it was evicted,
	// expired or deleted behind the journal's back.
	Lost bool

	// packed is the entry as it was claimed; the acknowledgement compares it.
	packed string
}

// Claim is a set of entries that one flusher is about to write.
type Claim struct {
	Lease   Lease
	Number  int64
	Entries []Entry
	// Rebuilt says that the order of the queue had to be made anew, since
	// somebody edited the journal by hand.
	Rebuilt bool
}

// Claim takes the first entries of the partition, at most most of them and, but for
// a single one, maxBytes of values. prefix is what the caller takes the keys to begin
// with; a queue with another one counts as lost. It answers an empty claim when
// nothing waits. A new claim makes the one before it void.
func (j *Journal) Claim(ctx context.Context, lease Lease, prefix string, most, maxBytes int) (*Claim, error) {
	action := "claim partition " + strconv.Itoa(lease.Partition)
	reply, err := j.call(ctx, "wb_engine_claim", lease.Queue, lease.Partition, lease.Member, lease.Epoch,
		lease.Journal, prefix, most, maxBytes).Slice()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	r := reader{values: reply}
	claim := &Claim{Lease: lease, Number: r.number()}
	count := int(r.number())
	claim.Rebuilt = r.number() == 1
	keys, packed, groups := r.list(), r.list(), r.list()
	if err := r.done(action); err != nil {
		return nil, err
	}
	values := make([]any, 0, len(keys))
	for _, group := range groups {
		list, _ := group.([]any)
		values = append(values, list...)
	}
	if len(keys) < count || len(packed) < count || len(values) < count {
		return nil, fmt.Errorf("%s: the answer has fewer than %d entries", action, count)
	}
	claim.Entries = make([]Entry, count)
	for i := range claim.Entries {
		if err := claim.Entries[i].read(keys[i], packed[i], values[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", action, err)
		}
	}
	return claim, nil
}

func (e *Entry) read(key, packed, value any) error {
	e.Key, _ = key.(string)
	text, ok := packed.(string)
	if !ok || len(text) < 2 {
		// The key stands twice in the queue, or without an entry: there is
		// nothing to write, and the acknowledgement drops it.
		e.Lost = true
		return nil
	}
	if err := e.unpack(text); err != nil {
		return err
	}
	e.Value, ok = value.(string)
	e.Lost = !ok && e.Operation == OperationSet
	return nil
}

// unpack reads OA:V:F:W or OA:V:F:W:T, the journal's format of an entry.
func (e *Entry) unpack(text string) error {
	e.packed = text
	e.Operation = Operation(text[0])
	rest := text[1:]
	numbers := [5]int64{}
	for i := range numbers {
		part, after, _ := strings.Cut(rest, ":")
		if i == 4 && rest == "" {
			break
		}
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return fmt.Errorf("entry %q of key %q is not in the journal's format", text, e.Key)
		}
		numbers[i], rest = n, after
	}
	e.Attempts, e.Version, e.First, e.Writes = int(numbers[0]), numbers[1], numbers[2], numbers[3]
	e.FirstRefused = numbers[4]
	return nil
}

// Outcome is what became of a claimed entry; its letters are those of the
// acknowledgement.
type Outcome byte

// Outcomes of a claimed entry.
const (
	// Done says that the row is committed.
	Done Outcome = 'd'
	// Refused says that the database refused the row: it goes to the tail of the
	// queue, to be tried again.
	Refused Outcome = 'r'
	// Kept says that the row was not tried: it goes to the tail as it is.
	Kept Outcome = 'k'
	// Dead says that the row will not be tried again by itself: it becomes a dead
	// letter.
	Dead Outcome = 'x'
	// Lost says that the value is gone: a data-loss event, and a dead letter that
	// says so.
	Lost Outcome = 'l'
)

// Acknowledge tells the outcome of every entry of the claim, in its order; letters
// says by index what is known of those that are Dead or Lost. An entry that was
// written again meanwhile stays dirty whatever its outcome. It reports false when
// this claim was acknowledged before: a resent call changes nothing.
func (j *Journal) Acknowledge(ctx context.Context, claim *Claim, outcomes []Outcome, letters map[int]*DeadLetter) (bool, error) {
	action := "acknowledge partition " + strconv.Itoa(claim.Lease.Partition)
	if len(outcomes) != len(claim.Entries) {
		return false, fmt.Errorf("%s: %d outcomes for %d entries", action, len(outcomes), len(claim.Entries))
	}
	var floor, top, coalesced int64
	const fixed = 9
	args := make([]any, fixed, fixed+len(outcomes))
	for i, outcome := range outcomes {
		e := &claim.Entries[i]
		arg := string(outcome) + e.packed
		switch outcome {
		case Done:
			floor, top = max(floor, e.Version), max(top, e.Version)
			coalesced += e.Writes - 1
		case Dead, Lost:
			floor = max(floor, e.Version)
			known, err := letters[i].marshal(e)
			if err != nil {
				return false, fmt.Errorf("%s: dead letter of %s: %w", action, e.Key, err)
			}
			arg += "\n" + known
		}
		args = append(args, arg)
	}
	l := claim.Lease
	copy(args, []any{l.Queue, l.Partition, l.Member, l.Epoch, l.Journal, claim.Number, floor, top, coalesced})
	applied, err := j.call(ctx, "wb_engine_ack", args...).Int64()
	if err != nil {
		return false, fmt.Errorf("%s: %w", action, err)
	}
	return applied == 1, nil
}
