// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lease is the right to flush one partition, in one epoch of one life of the queue.
type Lease struct {
	Queue     string
	Partition int
	Member    string
	Epoch     int64
	// Journal is the id of the queue's life that the epoch belongs to.
	Journal string

	// step counts the claims and acknowledgements of the epoch, as the journal does.
	step int64
}

// Step is how many claims and acknowledgements were made in the epoch. A journal
// that is at another step is not the one that they were made in: Redis came back
// with older data.
func (l *Lease) Step() int64 { return l.step }

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
	Lease   *Lease
	Number  int64
	Entries []Entry
	// Rebuilt says that the order of the queue had to be made anew, since
	// somebody edited the journal by hand.
	Rebuilt bool
}

// Bounds say how much one claim may take.
type Bounds struct {
	// Entries is the most of them; Retries how many of these may be entries that
	// were refused before and are due for another try.
	Entries, Retries int
	// Bytes is the most of values, but for a single entry.
	Bytes int
}

// Claim takes the first entries of the partition within the bounds; the ones to be
// tried again come first. prefix is what the caller takes the keys to begin with; a
// queue with another one counts as lost. It answers an empty claim when nothing
// waits. A new claim makes the one before it void. After an error it is not known
// whether the claim was made: a new epoch has to begin.
func (j *Journal) Claim(ctx context.Context, lease *Lease, prefix string, most Bounds) (*Claim, error) {
	action := "claim partition " + strconv.Itoa(lease.Partition)
	reply, err := j.call(ctx, "wb_engine_claim", lease.Queue, lease.Partition, lease.Member, lease.Epoch,
		lease.Journal, lease.step, prefix, most.Entries, most.Bytes, min(most.Retries, most.Entries)).Slice()
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
	if count > 0 {
		lease.step++
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
	// Refused says that the database refused the row: it waits to be tried again.
	Refused Outcome = 'r'
	// Kept says that the row was not tried: it goes to the tail as it is or, if it was
	// refused before, waits to be tried again.
	Kept Outcome = 'k'
	// Dead says that the row will not be tried again by itself: it becomes a dead
	// letter.
	Dead Outcome = 'x'
	// Lost says that the value is gone: a data-loss event, and a dead letter that
	// says so.
	Lost Outcome = 'l'
)

// Beyond is what an acknowledgement says beyond the outcomes, by the entry's index.
type Beyond struct {
	// Letters tell what is known of entries that are Dead or Lost; each has to have
	// one.
	Letters map[int]*DeadLetter
	// Waits tell how long entries that are Refused or Kept wait before they are tried
	// again. Without one they are due at once. It means nothing for those that were
	// never refused.
	Waits map[int]time.Duration
}

// Receipt is the answer to an acknowledgement.
type Receipt struct {
	// Applied is false when this claim was acknowledged before: a resent call changes
	// nothing.
	Applied bool
	// Superseded is how many dead letters have gone, since a newer write of their key
	// is committed or has become a dead letter in its turn.
	Superseded int64
}

// Acknowledge tells the outcome of every entry of the claim, in its order. An entry
// that was written again meanwhile stays dirty whatever its outcome.
func (j *Journal) Acknowledge(ctx context.Context, claim *Claim, outcomes []Outcome, beyond Beyond) (Receipt, error) {
	action := "acknowledge partition " + strconv.Itoa(claim.Lease.Partition)
	if len(outcomes) != len(claim.Entries) {
		return Receipt{}, fmt.Errorf("%s: %d outcomes for %d entries", action, len(outcomes), len(claim.Entries))
	}
	var floor, top, coalesced int64
	const fixed = 9
	args := make([]any, fixed, fixed+len(outcomes))
	for i, outcome := range outcomes {
		e := &claim.Entries[i]
		arg := string(outcome) + e.packed
		switch outcome {
		default:
			return Receipt{}, fmt.Errorf("%s: entry %s has no outcome", action, e.Key)
		case Done:
			floor, top = max(floor, e.Version), max(top, e.Version)
			coalesced += e.Writes - 1
		case Dead, Lost:
			floor = max(floor, e.Version)
			known, err := beyond.Letters[i].marshal(e)
			if err != nil {
				return Receipt{}, fmt.Errorf("%s: dead letter of %s: %w", action, e.Key, err)
			}
			arg += "\n" + known
		case Refused, Kept:
			if wait := beyond.Waits[i]; wait > 0 {
				arg += "\n" + strconv.FormatInt(wait.Milliseconds(), 10)
			}
		}
		args = append(args, arg)
	}
	l := claim.Lease
	copy(args, []any{l.Queue, l.Partition, l.Member, l.Epoch, l.Journal, claim.Number, floor, top, coalesced})
	reply, err := j.call(ctx, "wb_engine_ack", args...).Int64()
	if err != nil {
		return Receipt{}, fmt.Errorf("%s: %w", action, err)
	}
	if reply > 0 {
		l.step++
	}
	return Receipt{Applied: reply > 0, Superseded: max(0, reply-1)}, nil
}
