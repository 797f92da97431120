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
	// Home is the database whose ledger gave the epoch.
	Home Home

	// step counts the pages of claims and the parts of acknowledgements of the epoch, as
	// the journal does.
	step int64
}

// Step is how many pages and parts of the claims were made in the epoch. A journal
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

	// Garbled says that the entry is not in the journal's format: no function of the
	// library has written it.
	Garbled bool

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
	// Gone is how many entries had gone when it was made anew. The journal has counted
	// them as one data-loss event.
	Gone int64
}

// Bytes is the length of all values.
func (c *Claim) Bytes() int {
	bytes := 0
	for i := range c.Entries {
		bytes += len(c.Entries[i].Value)
	}
	return bytes
}

// Bounds say how much one claim may take.
type Bounds struct {
	// Entries is the most of them; Retries how many of these may be entries that
	// were refused before and are due for another try.
	Entries, Retries int
	// Bytes is the most of values, but for a single entry.
	Bytes int
	// Room is asked for the memory of each page before it is fetched; nil means that
	// there is enough.
	Room Room
}

// Room bounds the memory that claims take together.
type Room interface {
	// Take waits until there is room for so many bytes of values.
	Take(ctx context.Context, bytes int) error
	// TryTake takes the room only if it is there at once.
	TryTake(bytes int) bool
	// Settle says how much of what was taken last is used; the rest is free again.
	Settle(used int)
}

type unlimited struct{}

func (unlimited) Take(context.Context, int) error { return nil }
func (unlimited) TryTake(int) bool                { return true }
func (unlimited) Settle(int)                      {}

// pieces are how much is done in one call, so that none holds Redis for long: that is for
// a few milliseconds.
type pieces struct {
	// pageEntries and pageBytes bound what a claim fetches, but for a single larger
	// value. The library takes no more entries whatever it is asked for.
	pageEntries, pageBytes int
	// partEntries and partBytes bound what is acknowledged. The bytes are those of dead
	// letters' payloads, which Redis copies.
	partEntries, partBytes int
	// letters and letterBytes bound the dead letters that are looked at.
	letters, letterBytes int
}

// PageBytes is the most that one call fetches of values, but for a single larger one.
const PageBytes = 1 << 20

var usualPieces = pieces{
	pageEntries: 500, pageBytes: PageBytes,
	partEntries: 250, partBytes: 1 << 20,
	letters: 100, letterBytes: 1 << 20,
}

// entryBytes is about what an entry takes beside its value: its key, its version and
// its place in the batch.
const entryBytes = 256

// Claim takes the first entries of the partition within the bounds; the ones to be
// tried again come first. It fetches them page by page, so that no call holds Redis for
// long: each page is as new as the moment of its call. prefix is what the caller takes the keys
// to begin with; a queue with another one counts as lost. It answers an empty claim when nothing
// waits. A new claim makes the one before it void. After an error it is not known
// whether the claim was made: a new epoch has to begin. The claim tells then what is Gone
// and Rebuilt as far as the pages before have told it, which Redis tells once.
func (j *Journal) Claim(ctx context.Context, lease *Lease, prefix string, most Bounds) (*Claim, error) {
	claim := &Claim{Lease: lease}
	room := most.Room
	if room == nil {
		room = unlimited{}
	}
	pageBytes := min(j.pieces.pageBytes, most.Bytes)
	left, wanted := most.Bytes, pageBytes
	for {
		entries := min(j.pieces.pageEntries, most.Entries-len(claim.Entries))
		if len(claim.Entries) == 0 {
			if err := room.Take(ctx, wanted+entries*entryBytes); err != nil {
				return claim, fmt.Errorf("claim partition %d: %w", lease.Partition, err)
			}
		} else if !room.TryTake(wanted + entries*entryBytes) {
			return claim, nil
		}
		p, err := j.page(ctx, claim, prefix, Bounds{Entries: entries, Retries: most.Retries, Bytes: wanted})
		room.Settle(p.bytes + p.entries*entryBytes)
		if err != nil {
			return claim, fmt.Errorf("claim partition %d: %w", lease.Partition, err)
		}
		left -= p.bytes
		switch {
		case p.mending:
			// The order is being made anew, a part in each call.
			wanted = pageBytes
		case len(claim.Entries) >= most.Entries:
			return claim, nil
		case p.leftOut > 0 && len(claim.Entries) == 0:
			wanted = p.leftOut
		case p.leftOut > 0 && p.leftOut <= left:
			wanted = max(p.leftOut, min(pageBytes, left))
		case p.more && left > 0:
			wanted = min(pageBytes, left)
		default:
			return claim, nil
		}
	}
}

// page is what one call has added to a claim.
type page struct {
	entries, bytes int
	// leftOut is the length of the next value where it alone had no room.
	leftOut int
	// more says that other entries may follow, mending that the order is being made anew
	// and the call is to be made again.
	more, mending bool
}

// page fetches the next entries of the claim.
func (j *Journal) page(ctx context.Context, claim *Claim, prefix string, most Bounds) (page, error) {
	lease, offset := claim.Lease, len(claim.Entries)
	function := "wb_engine_claim"
	args := []any{lease.Queue, lease.Partition, lease.Member, lease.Epoch, lease.Journal, lease.step, prefix, most.Entries, most.Bytes}
	if offset == 0 {
		args = append(args, min(most.Retries, most.Entries), "PAGED")
	} else {
		function = "wb_engine_more"
		args = append(args, claim.Number, offset)
	}
	reply, err := j.call(ctx, function, args...).Slice()
	if err != nil {
		return page{}, err
	}
	r := reader{values: reply}
	number, count, rebuilt := r.number(), int(r.number()), r.number()
	keys, packed, groups := r.list(), r.list(), r.list()
	p := page{leftOut: int(r.number()), more: r.number() == 1, mending: rebuilt == mendingNow}
	if r.err != nil {
		return page{}, fmt.Errorf("%w: %w", errOtherRelease, r.err)
	}
	claim.Rebuilt = claim.Rebuilt || rebuilt > 0
	if r.more() {
		claim.Gone += r.number()
	}
	if count == 0 {
		return p, nil
	}
	lease.step++
	claim.Number = number
	values := make([]any, 0, len(keys))
	for _, group := range groups {
		list, _ := group.([]any)
		values = append(values, list...)
	}
	if len(keys) < count || len(packed) < count || len(values) < count {
		return page{}, fmt.Errorf("the answer has fewer than %d entries", count)
	}
	p.entries = count
	for i := range count {
		var e Entry
		e.read(keys[i], packed[i], values[i])
		p.bytes += len(e.Value)
		claim.Entries = append(claim.Entries, e)
	}
	return p, nil
}

// mendingNow is what a claim answers while the order is being made anew.
const mendingNow = 2

func (e *Entry) read(key, packed, value any) {
	e.Key, _ = key.(string)
	text, ok := packed.(string)
	if !ok {
		// The key stands twice in the queue, or without an entry: there is
		// nothing to write, and the acknowledgement drops it.
		e.Lost = true
		return
	}
	e.Garbled = !e.unpack(text)
	if e.Garbled {
		return
	}
	e.Value, ok = value.(string)
	e.Lost = !ok && e.Operation == OperationSet
}

// mostNumber is the highest that Lua counts exactly.
const mostNumber = 1 << 53

// unpack reads OA:V:F:W or OA:V:F:W:T, the journal's format of an entry, and reports
// whether the text is in that.
func (e *Entry) unpack(text string) bool {
	e.packed = text
	if text == "" || text[0] != byte(OperationSet) && text[0] != byte(OperationDelete) {
		return false
	}
	e.Operation = Operation(text[0])
	rest := text[1:]
	numbers := [5]int64{}
	for i := range numbers {
		part, after, _ := strings.Cut(rest, ":")
		if i == 4 && rest == "" {
			break
		}
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil || n < 0 || n > mostNumber {
			return false
		}
		numbers[i], rest = n, after
	}
	e.Attempts, e.Version, e.First, e.Writes = int(numbers[0]), numbers[1], numbers[2], numbers[3]
	e.FirstRefused = numbers[4]
	return true
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
	// Forged says that no function of the library can have written the entry: it is
	// dropped, and its key left alone.
	Forged Outcome = 'f'
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
// that was written again meanwhile stays dirty whatever its outcome. It does so in parts,
// each of which is whole: after an error some may have been applied, and the rest belongs
// to the next epoch.
func (j *Journal) Acknowledge(ctx context.Context, claim *Claim, outcomes []Outcome, beyond Beyond) (Receipt, error) {
	action := "acknowledge partition " + strconv.Itoa(claim.Lease.Partition)
	if len(outcomes) != len(claim.Entries) {
		return Receipt{}, fmt.Errorf("%s: %d outcomes for %d entries", action, len(outcomes), len(claim.Entries))
	}
	var parts []part
	for at := 0; at < len(outcomes); {
		p, err := j.nextPart(claim, outcomes, beyond, at)
		if err != nil {
			return Receipt{}, fmt.Errorf("%s: %w", action, err)
		}
		parts = append(parts, p)
		at += len(p.outcomes)
	}
	var receipt Receipt
	l, left := claim.Lease, len(outcomes)
	for _, p := range parts {
		left -= len(p.outcomes)
		args := append([]any{l.Queue, l.Partition, l.Member, l.Epoch, l.Journal, claim.Number, p.floor, p.top, p.coalesced, left}, p.outcomes...)
		reply, err := j.call(ctx, "wb_engine_settle", args...).Int64()
		if err != nil {
			return Receipt{}, fmt.Errorf("%s: %w", action, err)
		}
		if reply > 0 {
			l.step++
			receipt.Applied = true
			receipt.Superseded += reply - 1
		}
	}
	return receipt, nil
}

// part is a piece of an acknowledgement.
type part struct {
	outcomes              []any
	floor, top, coalesced int64
}

// nextPart collects the outcomes from the entry at on.
func (j *Journal) nextPart(claim *Claim, outcomes []Outcome, beyond Beyond, at int) (part, error) {
	var p part
	for i, bytes := at, 0; i < len(outcomes) && i-at < j.pieces.partEntries && bytes < j.pieces.partBytes; i++ {
		e := &claim.Entries[i]
		arg := string(outcomes[i]) + e.packed
		switch outcomes[i] {
		default:
			return p, fmt.Errorf("entry %s has no outcome", e.Key)
		case Done:
			p.floor, p.top = max(p.floor, e.Version), max(p.top, e.Version)
			p.coalesced += e.Writes - 1
		case Dead, Lost:
			p.floor = max(p.floor, e.Version)
			known, err := beyond.Letters[i].marshal(e)
			if err != nil {
				return p, fmt.Errorf("dead letter of %s: %w", e.Key, err)
			}
			arg += "\n" + known
			bytes += len(e.Value)
		case Forged:
		case Refused, Kept:
			if wait := beyond.Waits[i]; wait > 0 {
				arg += "\n" + strconv.FormatInt(wait.Milliseconds(), 10)
			}
		}
		p.outcomes = append(p.outcomes, arg)
	}
	return p, nil
}
